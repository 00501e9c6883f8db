//! Changes: pull requests, merge requests, whatever a forge calls them. Streams `repo/<host>/<path>`.

use super::GitOid;
use super::check::Conclusion;
use super::payload::{payload, words};
use super::private::{Private, Subject};

words! {
    /// What a reviewer said.
    pub enum ReviewState {
        /// The change may be merged.
        Approved = "approved",
        /// It may not, as it is.
        ChangesRequested = "changes_requested",
        /// Neither.
        Commented = "commented",
        /// An earlier review no longer counts.
        Dismissed = "dismissed",
    }

    /// How a change came into its base branch.
    pub enum MergeMethod {
        /// By a merge commit: the change's commits are reachable from it.
        Merge = "merge",
        /// As one new commit: the originals are not reachable.
        Squash = "squash",
        /// As copies of its commits.
        Rebase = "rebase",
        /// By moving the branch forward.
        FastForward = "fast_forward",
    }
}

payload! {
    /// A change was opened. What happens to its head later is `branch.updated`.
    pub struct ChangeCreated {
        /// Who wants it.
        author: Subject,
        /// The branch it is to go into, without `refs/heads/`.
        base: String,
        /// What that branch pointed to.
        base_commit: Option<GitOid>,
        /// Its id at the forge, unique in the repository: `42`.
        change: String,
        /// Its text.
        description: Option<Private>,
        /// True for a draft that is not to be merged yet.
        draft: Option<bool>,
        /// True when the head lies in another repository.
        from_fork: Option<bool>,
        /// The branch it comes from, without `refs/heads/`.
        head: String,
        /// What that branch points to.
        head_commit: GitOid,
        /// The repository the head lies in, for a fork: its name tells a person.
        head_repository: Option<Private>,
        /// True when it was declared an urgent repair of production.
        hotfix: Option<bool>,
        /// Its labels.
        labels: Option<Vec<String>>,
        /// Its title.
        title: Option<Private>,
        /// Where to look at it.
        url: Option<String>,
    }

    /// Somebody reviewed a change, or a review was dismissed.
    pub struct ChangeReviewed {
        /// Who wants the change: an approval by the same person is none.
        author: Option<Subject>,
        /// The change's id at the forge.
        change: String,
        /// True when the reviewer was asked as an owner of the code.
        code_owner: Option<bool>,
        /// What the reviewer wrote.
        comment: Option<Private>,
        /// The commit that was reviewed. Where the head is another by now, the review is of something else.
        commit: Option<GitOid>,
        /// The review's id at the forge.
        review: Option<String>,
        /// Who reviewed, also when it is dismissed by somebody else.
        reviewer: Subject,
        /// What the reviewer is to the repository, in the forge's word: `MEMBER`.
        reviewer_association: Option<String>,
        /// What came of it.
        state: ReviewState,
        /// Where to look at it.
        url: Option<String>,
    }

    /// A check that the base branch required.
    pub struct RequiredCheck {
        /// The app whose check of that name counts, where only one does.
        app: Option<String>,
        /// What came of it on the head commit; absent when it never ran.
        conclusion: Option<Conclusion>,
        /// The check's name.
        name: String,
    }

    /// What protected the base branch at the merge, as the forge told it.
    #[derive(Default)]
    pub struct Protection {
        /// True when the merge went past a rule.
        bypassed: Option<bool>,
        /// True when a push voids the reviews before it.
        dismiss_stale_reviews: Option<bool>,
        /// How many approvals were required.
        required_approvals: Option<u32>,
        /// Which checks were required.
        required_checks: Option<Vec<RequiredCheck>>,
        /// True when an owner of the code had to approve.
        required_code_owners: Option<bool>,
        /// True when commits had to be signed.
        required_signatures: Option<bool>,
        /// True when the head had to contain the base before the merge.
        up_to_date: Option<bool>,
    }

    /// A change is in its base branch.
    pub struct ChangeMerged {
        /// Lines added.
        additions: Option<u32>,
        /// Whose approval counted at the merge, as the forge told it.
        approved_by: Option<Vec<Subject>>,
        /// Who wanted the change.
        author: Option<Subject>,
        /// The branch it went into, without `refs/heads/`.
        base: String,
        /// What that branch pointed to before.
        base_commit: Option<GitOid>,
        /// The change's id at the forge.
        change: String,
        /// The commits that this change brings over from elsewhere by cherry-pick, where it says so.
        cherry_picked_from: Option<Vec<GitOid>>,
        /// What it became in the base branch: the merge commit, the squashed commit, or the last of its commits.
        commit: GitOid,
        /// Lines removed.
        deletions: Option<u32>,
        /// Files touched.
        files_changed: Option<u32>,
        /// The branch it came from, without `refs/heads/`.
        head: Option<String>,
        /// The last commit of that branch.
        head_commit: Option<GitOid>,
        /// True when it was declared an urgent repair of production.
        hotfix: Option<bool>,
        /// Its labels.
        labels: Option<Vec<String>>,
        /// Who merged it, or had it merged.
        merged_by: Option<Subject>,
        /// How; absent where the forge does not say.
        method: Option<MergeMethod>,
        /// The commits the change was made of, oldest first. After a squash they are the changes that lead time is
        /// measured from. Absent when there are more than 300: then they are evidence, one id a line.
        original_commits: Option<Vec<GitOid>>,
        /// How many commits it was made of.
        original_commits_total: Option<u32>,
        /// What protected the base branch.
        protection: Option<Protection>,
        /// Id of the change this one was opened to undo.
        reverts_change: Option<String>,
        /// Its title.
        title: Option<Private>,
        /// Where to look at it.
        url: Option<String>,
    }

    /// A change was closed without a merge.
    pub struct ChangeAbandoned {
        /// The change's id at the forge.
        change: String,
        /// The last commit of its head.
        head_commit: Option<GitOid>,
        /// Why.
        reason: Option<Private>,
        /// Where to look at it.
        url: Option<String>,
    }
}
