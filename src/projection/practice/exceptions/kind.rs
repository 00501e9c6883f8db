//! The kinds of exceptions, with their words.

/// Declares [`Kind`], from the list of kinds: the word, whether it is of targets, and what is looked at.
macro_rules! kinds {
    ($( $variant:ident $word:literal $of_targets:literal $what:literal )*) => {
        /// What went past the usual way.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Kind { $(
            #[doc = $what]
            $variant,
        )* }

        impl Kind {
            /// Every kind, in the order in which those of one instant are listed.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The word for it.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),* }
            }

            /// What is looked at, and what makes an exception of it.
            #[must_use]
            pub const fn what(self) -> &'static str {
                match self { $(Self::$variant => $what),* }
            }

            /// Whether such an exception is of a target, so that it can be asked for by environment and service.
            #[must_use]
            pub const fn is_of_targets(self) -> bool {
                match self { $(Self::$variant => $of_targets),* }
            }
        }
    };
}

kinds! {
    TagMoved "tag_moved" false
        "tags in Git that were moved"
    TagDeleted "tag_deleted" false
        "tags in Git that were deleted, of a release or of a commit that was deployed"
    ForcedPush "forced_push" false
        "forced pushes, but to branches that changes only come from"
    MergeUnreviewed "merge_unreviewed" false
        "merged changes that nobody but the author had approved"
    StaleReview "stale_review" false
        "merged changes of which others had approved an earlier commit only"
    MergeBypassed "merge_bypassed" false
        "merged changes that went past a rule of their branch"
    SelfApproval "self_approval" false
        "approvals of changes by their author, and of promotions by who asked for them"
    LateApproval "late_approval" false
        "approvals of changes after the merge, and of promotions after they began"
    ImageTagRepointed "image_tag_repointed" true
        "tags in registries that were pointed elsewhere while a target ran what they had named"
    ImageWithoutBuild "image_without_build" true
        "images that began to run with no build, provenance or commit behind them"
    DeployedWithoutChange "deployed_without_change" true
        "deployments that brought commits which came by no merged change"
    DeployedWithoutReview "deployed_without_review" true
        "deployments that brought changes which nobody but the author had approved by then"
    DeployedPastGit "deployed_past_git" true
        "deployments of images that desired state did not ask for"
    DeployedByHand "deployed_by_hand" true
        "deployments that somebody began by hand, without pipeline or command, where it is usually done otherwise"
    DeployedOffBranch "deployed_off_branch" true
        "deployments of commits that are on no branch"
    DeployedInFreeze "deployed_in_freeze" true
        "deployments that took effect during a freeze"
    PartialSync "partial_sync" true
        "syncs of single resources"
    Hotfix "hotfix" true
        "changes, promotions and deployments that were declared urgent repairs"
    BreakGlass "break_glass" true
        "promotions that passed over their gates in an emergency"
    Drift "drift" true
        "times in which live state differed from desired state"
    GuardOff "guard_off" true
        "times in which a guard of a target was switched off: automated sync, self-heal, pruning"
    ScaledByHand "scaled_by_hand" true
        "workloads that somebody scaled by hand, without a command"
    ApplicationRecreated "application_recreated" true
        "applications that were made anew under their old name"
    LateEvent "late_event" true
        "events that were recorded more than a day after they happened"
    ObservationGap "observation_gap" false
        "times for which the ledger was blind to something"
    ProjectionStopped "projection_stopped" false
        "views that stand still before an event"
}

impl std::str::FromStr for Kind {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.iter().copied().find(|kind| kind.as_str() == text).ok_or_else(|| {
            let known: Vec<_> = Self::ALL.iter().map(|kind| kind.as_str()).collect();
            format!("{text:?} is none of {}", known.join(", "))
        })
    }
}
