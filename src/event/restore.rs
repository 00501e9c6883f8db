//! Restores: putting targets back as they were, always by going forward. Streams `restore/<id>`.

use super::payload::payload;
use super::private::{Private, Subject};
use super::promotion::{ApprovalMethod, CommitRef, GateResult, Verdict};
use super::target::{DeploymentRef, FileEdit, Image};
use super::{EventId, GitOid, Hex32, Name, Position, StreamName, Timestamp};

payload! {
    /// The state that is to come back, named as the caller named it.
    #[derive(Default)]
    pub struct RestorePoint {
        /// As it was at this instant.
        at: Option<Timestamp>,
        /// As this commit of the configuration repository has it.
        commit: Option<GitOid>,
        /// As it was right after this event.
        event: Option<EventId>,
        /// As the ledger knew it before this position, where a later correction is not to count.
        known_at: Option<Position>,
        /// As it was at this position.
        position: Option<Position>,
        /// As this tag of the configuration repository has it.
        tag: Option<String>,
    }

    /// One image of one target, before and after.
    pub struct RestoreItem {
        /// What is to run.
        after: Image,
        /// What runs; absent when nothing does.
        before: Option<Image>,
        /// True when the registry no longer has it.
        missing: Option<bool>,
        /// The target, by stream.
        target: StreamName,
    }

    /// A file that the restore will edit.
    pub struct RestoreFile {
        /// The edit; its `after` is what the file will be.
        edit: FileEdit,
        /// The stream of the repository.
        repository: StreamName,
    }

    /// Something that whoever approves should know.
    pub struct RestoreWarning {
        /// Stable code: `schema.newer`, `image.missing`.
        code: String,
        /// In words.
        detail: Option<Private>,
        /// The target it is about, by stream.
        target: Option<StreamName>,
    }

    /// A copy of data as it was: restoring it is not the ledger's work, but its age is worth a warning.
    pub struct DataSnapshot {
        /// Its id.
        snapshot: String,
        /// When it was taken.
        taken_at: Timestamp,
        /// What it is a copy of.
        volume: Option<String>,
    }

    /// A plan was made. Nothing has happened yet.
    pub struct RestorePlanned {
        /// Views stood before this position.
        as_of: Position,
        /// BLAKE3 of the evidence that is the whole plan, in canonical JSON.
        document: Hex32,
        /// The environment.
        environment: Name,
        /// The instant that the gates were given as the present.
        evaluated_at: Timestamp,
        /// When the plan lapses.
        expires_at: Timestamp,
        /// The files that will be edited; at most 50.
        files: Vec<RestoreFile>,
        /// What each gate says; at most 100.
        gates: Vec<GateResult>,
        /// The incidents it is to end, by stream.
        incidents: Option<Vec<StreamName>>,
        /// What will run instead of what; at most 50.
        items: Vec<RestoreItem>,
        /// SHA-256 of the plan: what an approval binds to.
        plan: Hex32,
        /// The state that is to come back.
        point: RestorePoint,
        /// SHA-256 of the policy in force.
        policy: Hex32,
        /// Why.
        reason: Option<Private>,
        /// The failed deployments it is to repair.
        remediates_deployments: Option<Vec<DeploymentRef>>,
        /// Who wants it.
        requested_by: Option<Subject>,
        /// The data that goes with that state.
        snapshots: Option<Vec<DataSnapshot>>,
        /// What all gates together say.
        verdict: Verdict,
        /// What whoever approves should know; at most 50.
        warnings: Option<Vec<RestoreWarning>>,
    }

    /// Somebody approved exactly this plan.
    pub struct RestoreApproved {
        /// Who approved.
        approver: Subject,
        /// How the approver proved to be that.
        authenticated_by: Option<String>,
        /// True when gates are passed over in an emergency.
        break_glass: Option<bool>,
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
    }

    /// It is being carried out: written before the first effect.
    pub struct RestoreStarted {
        /// What carries it out: `git`, `argocd`.
        actuators: Vec<String>,
        /// The approvals it rests on.
        approvals: Vec<EventId>,
        /// Which attempt, from 1.
        attempt: u32,
        /// SHA-256 of the plan.
        plan: Hex32,
        /// The promotions it is carried out by, by stream.
        promotions: Option<Vec<StreamName>>,
    }

    /// It is done, and live state, Git and ledger were compared.
    pub struct RestoreCompleted {
        /// The commits it made.
        commits: Option<Vec<CommitRef>>,
        /// How many images were compared.
        compared: u32,
        /// The deployments it led to; at most 50.
        deployments: Option<Vec<DeploymentRef>>,
        /// When the last target was done.
        finished_at: Timestamp,
        /// How many are the same in the cluster, in Git and in the plan.
        matched: u32,
        /// SHA-256 of the plan.
        plan: Hex32,
        /// True when break-glass left a review open.
        review_due: Option<bool>,
    }

    /// It could not be carried out.
    pub struct RestoreFailed {
        /// Which attempt, from 1.
        attempt: u32,
        /// Stable code of the reason: `argocd.rollback_refused`.
        code: String,
        /// The commits it had made by then.
        commits: Option<Vec<CommitRef>>,
        /// The deployments it had led to by then.
        deployments: Option<Vec<DeploymentRef>>,
        /// True when something was changed all the same; absent where nobody can tell.
        effective: Option<bool>,
        /// What went wrong.
        message: Option<Private>,
        /// The step it failed at: `git`, `sync`, `compare`.
        step: String,
        /// True when another attempt follows.
        will_retry: Option<bool>,
    }
}
