//! Promotions: from the wish to what came of it. Streams `promotion/<id>`.
//!
//! A decision is recorded with all it rests on: the position that views had, the hashes of policy and plan, the events
//! relied on. What a promotion did to Git and targets is in their own streams, tied to it by `correlation`.

use super::payload::{payload, words};
use super::private::{Private, Subject};
use super::target::DeploymentRef;
use super::{Digest, EventId, GitOid, Hex32, Name, Position, StreamName, Timestamp};

words! {
    /// What set a promotion going.
    pub enum Trigger {
        /// Somebody asked for it.
        Command = "command",
        /// A release tag was pushed: the tagger's act is the wish.
        Tag = "tag",
        /// Policy promotes by itself what arrives in the environment before.
        Automatic = "automatic",
        /// A restore.
        Restore = "restore",
    }

    /// What a gate or all gates say.
    pub enum Verdict {
        /// It may move.
        Pass = "pass",
        /// It may not.
        Fail = "fail",
        /// Not yet.
        Pending = "pending",
    }

    /// By what act something was approved.
    pub enum ApprovalMethod {
        /// By a command to the ledger.
        Command = "command",
        /// By pushing a signed tag.
        SignedTag = "signed_tag",
        /// By a signed statement.
        Attestation = "attestation",
        /// In another system, which said so.
        External = "external",
    }

    /// Why approvals no longer count.
    pub enum VoidCause {
        /// It is about other bytes now.
        ArtifactChanged = "artifact_changed",
        /// The plan is another.
        PlanChanged = "plan_changed",
        /// The policy is another.
        PolicyChanged = "policy_changed",
        /// The approver turned out to be author or requester.
        ApproverExcluded = "approver_excluded",
        /// The approver no longer has the role.
        RoleLost = "role_lost",
        /// The approver took it back.
        Withdrawn = "withdrawn",
    }

    /// What ran out.
    pub enum Expiry {
        /// The request.
        Request = "request",
        /// The approvals.
        Approval = "approval",
        /// The plan.
        Plan = "plan",
    }
}

payload! {
    /// One artifact on its way to one target.
    pub struct PromotionItem {
        /// The artifact.
        digest: Digest,
        /// The target it comes from, by stream.
        from: Option<StreamName>,
        /// The artifact's name with the registry.
        name: Option<String>,
        /// The tag to write beside the digest.
        tag: Option<String>,
        /// The target it goes to, by stream.
        target: StreamName,
    }

    /// Somebody wants artifacts in an environment.
    pub struct PromotionRequested {
        /// True when gates are to be passed over in an emergency; it needs a reason and leaves a review open.
        break_glass: Option<bool>,
        /// The source commit, where it was asked for by one.
        commit: Option<GitOid>,
        /// The environment it goes to.
        environment: Name,
        /// When the wish lapses.
        expires_at: Option<Timestamp>,
        /// True when it is declared an urgent repair.
        hotfix: Option<bool>,
        /// What is to move where; at most 50.
        items: Vec<PromotionItem>,
        /// Not before this instant.
        not_before: Option<Timestamp>,
        /// SHA-256 of the plan.
        plan: Option<Hex32>,
        /// Why.
        reason: Option<Private>,
        /// The failed deployments it is to repair.
        remediates_deployments: Option<Vec<DeploymentRef>>,
        /// The incidents it is to end, by stream.
        remediates_incidents: Option<Vec<StreamName>>,
        /// The stream of the repository that `commit` and `tag` are in.
        repository: Option<StreamName>,
        /// Who wants it.
        requested_by: Option<Subject>,
        /// The restore it is part of, by stream.
        restore: Option<StreamName>,
        /// The role in which it was asked for.
        role: Option<String>,
        /// The release tag, without `refs/tags/`.
        tag: Option<String>,
        /// Id of the tag object.
        tag_object: Option<GitOid>,
        /// What set it going.
        trigger: Trigger,
    }

    /// What one gate says.
    pub struct GateResult {
        /// Stable code of the reason: `soak.too_short`.
        code: String,
        /// The gate's name.
        gate: String,
        /// SHA-256 of the facts it was given, in canonical JSON.
        inputs: Option<Hex32>,
        /// What it says.
        outcome: Verdict,
        /// The reason as the gate words it: of numbers, ids and digests, never of people's names.
        reason: Option<String>,
        /// The events it relied on; at most 20.
        relied_on: Option<Vec<EventId>>,
        /// The target it was asked about, by stream, where not about all.
        target: Option<StreamName>,
        /// The roles that can meet it.
        unblocked_by: Option<Vec<String>>,
        /// When it can change by itself: a window opens, a soak is over.
        until: Option<Timestamp>,
        /// True when break-glass passed over it.
        waived: Option<bool>,
    }

    /// The gates were asked. Recorded for a no as well as for a yes, so that it can be worked out again.
    pub struct PromotionEvaluated {
        /// Views stood before this position.
        as_of: Position,
        /// The instant that the gates were given as the present.
        evaluated_at: Timestamp,
        /// What each gate says; at most 100.
        gates: Vec<GateResult>,
        /// BLAKE3 of the evidence that is the whole input, in canonical JSON.
        inputs: Hex32,
        /// SHA-256 of the plan.
        plan: Option<Hex32>,
        /// SHA-256 of the policy in force.
        policy: Hex32,
        /// The event that put that policy in force.
        policy_event: Option<EventId>,
        /// What all gates together say.
        verdict: Verdict,
    }

    /// Somebody approved: exactly these bytes, by this plan, under this policy.
    pub struct PromotionApproved {
        /// True when it came after the fact and closes the review that break-glass left open.
        after_the_fact: Option<bool>,
        /// Who approved.
        approver: Subject,
        /// The artifacts approved; at most 50.
        artifacts: Vec<Digest>,
        /// How the approver proved to be that: `oidc`, `mtls`, `token`, `signature`.
        authenticated_by: Option<String>,
        /// What the approver says.
        comment: Option<Private>,
        /// Until when it counts.
        expires_at: Option<Timestamp>,
        /// By what act.
        method: ApprovalMethod,
        /// SHA-256 of the plan.
        plan: Hex32,
        /// SHA-256 of the policy.
        policy: Hex32,
        /// The role in which it was given.
        role: Option<String>,
        /// BLAKE3 of the evidence that is the signature or signed statement.
        signature: Option<Hex32>,
        /// The release tag whose push is the approval.
        tag: Option<String>,
        /// Id of the tag object.
        tag_object: Option<GitOid>,
    }

    /// Somebody said no: that ends the promotion.
    pub struct PromotionRejected {
        /// The artifacts it was about; at most 50.
        artifacts: Option<Vec<Digest>>,
        /// Why.
        comment: Option<Private>,
        /// SHA-256 of the plan.
        plan: Option<Hex32>,
        /// Who said no.
        rejected_by: Subject,
        /// The role in which it was said.
        role: Option<String>,
    }

    /// Approvals no longer count; others may be given.
    pub struct PromotionVoided {
        /// What it is about now, in SHA-256: the plan, the policy.
        after: Option<Hex32>,
        /// The approvals.
        approvals: Vec<EventId>,
        /// What it was about.
        before: Option<Hex32>,
        /// Why.
        cause: VoidCause,
        /// Why, in words.
        reason: Option<Private>,
    }

    /// It is being carried out: written before the first effect, so that a crash leaves a question with an answer.
    pub struct PromotionStarted {
        /// What carries it out: `git`, `argocd`.
        actuators: Vec<String>,
        /// The approvals it rests on.
        approvals: Vec<EventId>,
        /// Which attempt, from 1.
        attempt: u32,
        /// The evaluation it rests on.
        evaluation: EventId,
        /// SHA-256 of the plan.
        plan: Hex32,
        /// SHA-256 of the policy.
        policy: Hex32,
    }

    /// A commit that carried something out.
    pub struct CommitRef {
        /// The commit.
        commit: GitOid,
        /// The stream of the repository.
        repository: StreamName,
    }

    /// It is done: what runs is what was asked for.
    pub struct PromotionCompleted {
        /// The commits it made.
        commits: Option<Vec<CommitRef>>,
        /// The deployments it led to; at most 50.
        deployments: Option<Vec<DeploymentRef>>,
        /// When the last target was done.
        finished_at: Timestamp,
        /// True when break-glass left a review open.
        review_due: Option<bool>,
    }

    /// It could not be carried out.
    pub struct PromotionFailed {
        /// Which attempt, from 1.
        attempt: u32,
        /// Stable code of the reason: `git.push_refused`.
        code: String,
        /// The commits it had made by then.
        commits: Option<Vec<CommitRef>>,
        /// The deployments it had led to by then.
        deployments: Option<Vec<DeploymentRef>>,
        /// True when something was changed all the same; absent where nobody can tell.
        effective: Option<bool>,
        /// What went wrong.
        message: Option<Private>,
        /// The step it failed at: `git`, `sync`, `verify`.
        step: String,
        /// True when another attempt follows.
        will_retry: Option<bool>,
    }

    /// Somebody took it back.
    pub struct PromotionCancelled {
        /// Who did.
        cancelled_by: Subject,
        /// Why.
        reason: Option<Private>,
        /// The promotion that takes its place, by stream.
        superseded_by: Option<StreamName>,
    }

    /// Its time ran out.
    pub struct PromotionExpired {
        /// What ran out.
        expired: Expiry,
        /// When.
        expired_at: Timestamp,
    }
}
