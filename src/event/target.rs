//! What happens where things run. Streams `target/<environment>/<service>`.
//!
//! A deployer that runs several clusters reports each as an event of its own; `deployment` ties them together. Messages
//! of tools may tell hosts and people, so they are private.

use super::payload::{payload, words};
use super::private::{Private, Subject};
use super::{Correlation, Digest, EventId, GitOid, Hex32, StreamName, Timestamp, U64};

words! {
    /// Health of what runs, in Argo CD's words.
    pub enum Health {
        /// It does its work.
        Healthy = "healthy",
        /// It is not there yet, but may be.
        Progressing = "progressing",
        /// It does not do its work.
        Degraded = "degraded",
        /// It is paused.
        Suspended = "suspended",
        /// It is not there.
        Missing = "missing",
        /// Nobody can tell.
        Unknown = "unknown",
    }

    /// Phase of a deployer's operation when it was seen.
    pub enum Phase {
        /// At work, or waiting for its next attempt.
        Running = "running",
        /// Being stopped.
        Terminating = "terminating",
        /// Done.
        Succeeded = "succeeded",
        /// Done, in vain.
        Failed = "failed",
        /// Could not be done.
        Error = "error",
    }

    /// Where an image's digest is known from.
    pub enum DigestOrigin {
        /// It stands in the manifest.
        Manifest = "manifest",
        /// The running pods have it.
        Live = "live",
        /// A registry resolved the tag to it, at about that time.
        Registry = "registry",
    }

    /// How an event came to be seen.
    pub enum Observation {
        /// While it happened.
        Watch = "watch",
        /// By comparing a full listing with what was known.
        Relist = "relist",
        /// By asking from time to time.
        Poll = "poll",
        /// In the source's own history, afterwards.
        History = "history",
    }

    /// Why the number of replicas changed.
    pub enum ScaleCause {
        /// Somebody set it.
        Manual = "manual",
        /// An autoscaler did.
        Autoscaler = "autoscaler",
        /// The deployer set it back.
        SelfHeal = "self_heal",
        /// It is not known.
        Unknown = "unknown",
    }

    /// How live state came to differ from desired state.
    pub enum DriftCause {
        /// Something was changed in the cluster.
        LiveEdit = "live_edit",
        /// The deployer's own settings were changed outside Git.
        DeployerEdit = "deployer_edit",
        /// Something was removed from Git and is not pruned.
        PruneOff = "prune_off",
        /// It is not known.
        Unknown = "unknown",
    }

    /// How drift ended.
    pub enum DriftEnd {
        /// The deployer put it right by itself.
        SelfHeal = "self_heal",
        /// A sync put it right.
        Sync = "sync",
        /// The change in the cluster was undone there.
        Undone = "undone",
        /// Git was changed to agree.
        Accepted = "accepted",
        /// The target is gone.
        Removed = "removed",
        /// It is not known.
        Unknown = "unknown",
    }

    /// What keeps a target as it should be.
    pub enum Guard {
        /// Syncing without being asked.
        AutomatedSync = "automated_sync",
        /// Putting live edits right.
        SelfHeal = "self_heal",
        /// Removing what Git no longer has.
        Prune = "prune",
        /// Syncing even to nothing.
        AllowEmpty = "allow_empty",
        /// Ignoring the application altogether.
        SkipReconcile = "skip_reconcile",
        /// Differences that are overlooked.
        IgnoreDifferences = "ignore_differences",
        /// Which revision is followed.
        TargetRevision = "target_revision",
        /// Which repository, path or chart is followed.
        Source = "source",
        /// Values given past Git.
        Parameters = "parameters",
        /// Which project's rules hold.
        Project = "project",
        /// Where it deploys to.
        Destination = "destination",
    }

    /// How a target was found to be gone.
    pub enum RemovalCause {
        /// It was seen being deleted.
        Deleted = "deleted",
        /// It was missing from a full listing.
        MissingAtRelist = "missing_at_relist",
        /// Somebody declared it.
        Declared = "declared",
    }
}

payload! {
    /// When something must have happened that was found later.
    pub struct Uncertainty {
        /// Not before: when the old state was last seen.
        from: Timestamp,
        /// Not after: when the new state was found.
        to: Timestamp,
    }

    /// An image that runs, or should.
    pub struct Image {
        /// Its digest, where it is known: the only name that holds.
        digest: Option<Digest>,
        /// Where the digest is known from.
        digest_origin: Option<DigestOrigin>,
        /// Its name with the registry, without tag and digest.
        name: String,
        /// The tag it was asked for by.
        tag: Option<String>,
    }

    /// One object in a cluster.
    pub struct Resource {
        /// The API group; empty for the core group.
        group: Option<String>,
        /// The kind.
        kind: String,
        /// The name.
        name: String,
        /// The namespace.
        namespace: Option<String>,
    }

    /// One source of desired state.
    #[derive(Default)]
    pub struct ManifestSource {
        /// The chart, for a Helm repository.
        chart: Option<String>,
        /// SHA-256 of the values given past Git (parameters, inline values), where there are any.
        overrides: Option<Hex32>,
        /// The directory.
        path: Option<String>,
        /// The stream of the repository.
        repository: Option<StreamName>,
        /// What it was resolved to: a commit id, a chart version.
        revision: Option<String>,
        /// What was asked for: a branch, a tag, a range.
        target_revision: Option<String>,
    }

    /// How many objects a sync left in which state.
    pub struct SyncedResources {
        /// Left although Git no longer has them.
        prune_skipped: u32,
        /// Removed.
        pruned: u32,
        /// Failed.
        sync_failed: u32,
        /// As they should be.
        synced: u32,
    }

    /// A deployer's application.
    pub struct Application {
        /// The cluster it deploys to, by its name there.
        cluster: Option<String>,
        /// Its name, with the namespace where that is not the deployer's own.
        name: String,
        /// The namespace it deploys to.
        namespace: Option<String>,
        /// The project whose rules hold for it.
        project: Option<String>,
        /// The cluster's address, where it is given by that.
        server: Option<Private>,
        /// Its uid: an application of the same name made anew is another, and its history ids begin anew.
        uid: Option<String>,
    }

    /// What a deployer was asked to do. With the application's uid, `started_at` is its identity.
    #[derive(Default)]
    pub struct Operation {
        /// Who the cluster's audit log says asked, which is better than a claim.
        audited_as: Option<Subject>,
        /// True when the deployer began by itself, as far as it says so; sync windows treat the two differently.
        automated: Option<bool>,
        /// True while a sync window held it up.
        blocked_by_window: Option<bool>,
        /// The ledger's command that it carries with it.
        command: Option<Correlation>,
        /// True when nothing was to be changed.
        dry_run: Option<bool>,
        /// True when objects were to be replaced by force.
        force: Option<bool>,
        /// Who asked, as the operation claims: anyone who may write it may write any name.
        initiated_by: Option<Subject>,
        /// True when it names single resources: such a sync never shows in the deployer's history.
        partial: Option<bool>,
        /// Its phase.
        phase: Option<Phase>,
        /// True when what Git no longer has was to be removed.
        prune: Option<bool>,
        /// The resources it names; at most 100.
        resources: Option<Vec<Resource>>,
        /// How many resources it names.
        resources_total: Option<u32>,
        /// How often it was tried again.
        retry_count: Option<u32>,
        /// How often self-heal was tried in a row.
        self_heal_attempts: Option<u32>,
        /// When it began.
        started_at: Option<Timestamp>,
    }

    /// Names a deployment by what is known of it.
    #[derive(Default)]
    pub struct DeploymentRef {
        /// The source's id of the rollout.
        deployment: Option<String>,
        /// The event that ended it.
        event: Option<EventId>,
        /// The target's stream.
        target: Option<StreamName>,
    }

    /// Desired state was changed in Git.
    pub struct ManifestCommitted {
        /// Who wrote the commit: often a bot.
        author: Option<Subject>,
        /// The branch it is on, without `refs/heads/`.
        branch: Option<String>,
        /// Id of the change it was made by.
        change: Option<String>,
        /// The ledger's command that its trailer names.
        command: Option<Correlation>,
        /// The commit.
        commit: GitOid,
        /// The files it changes for this target; at most 50.
        files: Vec<FileEdit>,
        /// The images it asks for instead of others; at most 50.
        images: Option<Vec<ImageEdit>>,
        /// Why.
        reason: Option<Private>,
        /// The stream of the repository.
        repository: StreamName,
        /// The commit this one says it reverts.
        reverts: Option<GitOid>,
        /// Where to look at it.
        url: Option<String>,
    }

    /// A file before and after.
    pub struct FileEdit {
        /// Id of its content now; absent when it was removed.
        after: Option<GitOid>,
        /// Id of its content before; absent when it is new.
        before: Option<GitOid>,
        /// The keys whose values were changed, where the edit knows: `image.tag`.
        keys: Option<Vec<String>>,
        /// Its path.
        path: String,
    }

    /// An image before and after.
    #[derive(Default)]
    pub struct ImageEdit {
        /// The image now; absent when it was removed.
        after: Option<Image>,
        /// The image before; absent when it is new.
        before: Option<Image>,
    }

    /// A deployer began to make live state match.
    pub struct SyncStarted {
        /// The application.
        application: Option<Application>,
        /// The application source that is to be deployed, where the source says so.
        commit: Option<GitOid>,
        /// The source's id of the rollout, the same for every cluster it reaches.
        deployment: Option<String>,
        /// The tag or branch that is to be deployed, in full, where the source says so.
        git_ref: Option<String>,
        /// The images it is to bring; at most 100.
        images: Option<Vec<Image>>,
        /// How it was seen.
        observation: Option<Observation>,
        /// When it must have happened, where it was found later.
        observed_between: Option<Uncertainty>,
        /// What was asked for.
        operation: Option<Operation>,
        /// The stream of the repository that `commit` is in.
        repository: Option<StreamName>,
        /// Id of the pipeline run that deploys.
        run: Option<String>,
        /// Where desired state comes from; at most 20.
        sources: Option<Vec<ManifestSource>>,
        /// When it began.
        started_at: Timestamp,
        /// Where to look at it.
        url: Option<String>,
    }

    /// Live state was made to match. Whether anything changed by it is for readers to work out.
    ///
    /// The least form, for a release tag that stands for a deployment, is `commit` and `finished_at`.
    pub struct SyncSucceeded {
        /// The application.
        application: Option<Application>,
        /// The application source that was deployed, where the source says so; else it follows from the images.
        commit: Option<GitOid>,
        /// The source's id of the rollout, the same for every cluster it reaches.
        deployment: Option<String>,
        /// Whether the source says that live state changed; absent where it cannot tell.
        effective: Option<bool>,
        /// When it was done.
        finished_at: Timestamp,
        /// The tag or branch that was deployed, in full, where the source says so.
        git_ref: Option<String>,
        /// Health when it was done, where the source waits for it.
        health: Option<Health>,
        /// Its id in the deployer's history.
        history_id: Option<U64>,
        /// True when it was declared an urgent repair.
        hotfix: Option<bool>,
        /// What runs now; at most 100. Absent where the source does not tell.
        images: Option<Vec<Image>>,
        /// True when the source reported success without a time or a result of its own.
        incomplete: Option<bool>,
        /// What the deployer says.
        message: Option<Private>,
        /// How it was seen.
        observation: Option<Observation>,
        /// When it must have happened, where it was found later.
        observed_between: Option<Uncertainty>,
        /// What was asked for.
        operation: Option<Operation>,
        /// The failed deployments it was made to repair, where it names any.
        remediates_deployments: Option<Vec<DeploymentRef>>,
        /// The incidents it was made to end, by stream, where it names any.
        remediates_incidents: Option<Vec<StreamName>>,
        /// The stream of the repository that `commit` is in.
        repository: Option<StreamName>,
        /// What became of the objects.
        resources: Option<SyncedResources>,
        /// Id of the pipeline run that deployed.
        run: Option<String>,
        /// Where desired state came from; at most 20.
        sources: Option<Vec<ManifestSource>>,
        /// When it began.
        started_at: Option<Timestamp>,
        /// Where to look at it.
        url: Option<String>,
        /// The version that was deployed, where the source says so.
        version: Option<String>,
    }

    /// A sync, or one attempt of it, did not succeed.
    pub struct SyncFailed {
        /// The application.
        application: Option<Application>,
        /// The application source that was to be deployed, where the source says so.
        commit: Option<GitOid>,
        /// The source's id of the rollout, the same for every cluster it reaches.
        deployment: Option<String>,
        /// Whether the source says that live state changed all the same; absent where it cannot tell.
        effective: Option<bool>,
        /// When it ended.
        finished_at: Timestamp,
        /// Health when it ended, where the source tells.
        health: Option<Health>,
        /// What it was to bring; at most 100.
        images: Option<Vec<Image>>,
        /// What the deployer says.
        message: Option<Private>,
        /// How it was seen.
        observation: Option<Observation>,
        /// When it must have happened, where it was found later.
        observed_between: Option<Uncertainty>,
        /// What was asked for.
        operation: Option<Operation>,
        /// The stream of the repository that `commit` is in.
        repository: Option<StreamName>,
        /// What became of the objects.
        resources: Option<SyncedResources>,
        /// Id of the pipeline run that deployed.
        run: Option<String>,
        /// Where desired state came from; at most 20.
        sources: Option<Vec<ManifestSource>>,
        /// When it began.
        started_at: Option<Timestamp>,
        /// Where to look at it.
        url: Option<String>,
        /// True when the deployer will try again: this attempt failed, not the sync.
        will_retry: Option<bool>,
    }

    /// A sync was stopped on purpose.
    pub struct SyncTerminated {
        /// The application.
        application: Option<Application>,
        /// The source's id of the rollout, the same for every cluster it reaches.
        deployment: Option<String>,
        /// Whether the source says that live state changed all the same; absent where it cannot tell.
        effective: Option<bool>,
        /// When it ended.
        finished_at: Timestamp,
        /// What the deployer says.
        message: Option<Private>,
        /// How it was seen.
        observation: Option<Observation>,
        /// When it must have happened, where it was found later.
        observed_between: Option<Uncertainty>,
        /// What was asked for.
        operation: Option<Operation>,
        /// What became of the objects.
        resources: Option<SyncedResources>,
        /// Where desired state came from; at most 20.
        sources: Option<Vec<ManifestSource>>,
        /// When it began.
        started_at: Option<Timestamp>,
        /// Who stopped it, as far as is known.
        terminated_by: Option<Subject>,
    }

    /// Health changed.
    pub struct HealthChanged {
        /// Health now.
        after: Health,
        /// The application.
        application: Option<Application>,
        /// Health before, as far as is known.
        before: Option<Health>,
        /// What runs; at most 100.
        images: Option<Vec<Image>>,
        /// What the source says.
        message: Option<Private>,
        /// How it was seen.
        observation: Option<Observation>,
        /// When it must have happened, where it was found later.
        observed_between: Option<Uncertainty>,
        /// When the source last compared: health is a statement about an operation only if this is after its end.
        reconciled_at: Option<Timestamp>,
        /// The one resource it is about, where it is not about the whole.
        resource: Option<Resource>,
        /// Since when, as the source says.
        since: Option<Timestamp>,
    }

    /// A workload has another number of replicas.
    pub struct WorkloadScaled {
        /// Replicas now.
        after: u32,
        /// Replicas before.
        before: Option<u32>,
        /// Why.
        cause: ScaleCause,
        /// The ledger's command that did it.
        command: Option<Correlation>,
        /// Replicas that Git asks for; absent where it leaves them to an autoscaler.
        desired: Option<u32>,
        /// How it was seen.
        observation: Option<Observation>,
        /// When it must have happened, where it was found later.
        observed_between: Option<Uncertainty>,
        /// Why, in words.
        reason: Option<Private>,
        /// Who wanted it.
        requested_by: Option<Subject>,
        /// The workload.
        workload: Resource,
    }

    /// Live state was found to differ from desired state, with desired state unchanged.
    pub struct DriftOpened {
        /// The application.
        application: Option<Application>,
        /// How it came about, as far as is known.
        cause: DriftCause,
        /// BLAKE3 of the evidence that is the difference, secrets blackened.
        difference: Option<Hex32>,
        /// Id of the episode: `drift.closed` has the same.
        drift: String,
        /// What runs; at most 100.
        images: Option<Vec<Image>>,
        /// What the source says.
        message: Option<Private>,
        /// How it was seen.
        observation: Option<Observation>,
        /// When it must have happened, where it was found later.
        observed_between: Option<Uncertainty>,
        /// The resources that differ; at most 100.
        resources: Option<Vec<Resource>>,
        /// How many resources differ.
        resources_total: Option<u32>,
        /// Desired state that it was compared with; at most 20.
        sources: Option<Vec<ManifestSource>>,
        /// Who did it, as far as is known.
        suspect: Option<Subject>,
    }

    /// Live state and desired state agree again.
    pub struct DriftClosed {
        /// The application.
        application: Option<Application>,
        /// How it ended.
        cause: DriftEnd,
        /// Id of the episode.
        drift: String,
        /// How it was seen.
        observation: Option<Observation>,
        /// When it must have happened, where it was found later.
        observed_between: Option<Uncertainty>,
    }

    /// Something that keeps a target as it should be was changed: who can, can change what runs past Git.
    pub struct GuardChanged {
        /// Its value now, as the system writes it (`true`, a revision); for source, parameters and the like, the SHA-256.
        after: Option<String>,
        /// The application.
        application: Option<Application>,
        /// Its value before.
        before: Option<String>,
        /// Who changed it, as far as is known.
        changed_by: Option<Subject>,
        /// The ledger's command that did it.
        command: Option<Correlation>,
        /// What was changed.
        guard: Guard,
        /// How it was seen.
        observation: Option<Observation>,
        /// When it must have happened, where it was found later.
        observed_between: Option<Uncertainty>,
        /// Why.
        reason: Option<Private>,
    }

    /// Somebody did something to a target's objects, as the cluster's own audit log has it: the actor that can be
    /// trusted, where the objects themselves hold only claims.
    pub struct ActionAudited {
        /// The application, where the object is one or belongs to one.
        application: Option<Application>,
        /// Id of the request in the audit log.
        audit: String,
        /// The cluster's name.
        cluster: Option<String>,
        /// The ledger's command that the request carried.
        command: Option<Correlation>,
        /// Names of the fields that the request set, as paths: `spec.replicas`, `operation.sync`; at most 50.
        fields: Option<Vec<String>>,
        /// The groups the user was in; at most 20. Some identity providers name groups by e-mail addresses.
        groups: Option<Vec<Private>>,
        /// The images that the request asked for; at most 100.
        images: Option<Vec<Image>>,
        /// Whom the user acted for, where it impersonated somebody.
        impersonated: Option<Subject>,
        /// Replicas that the request asked for.
        replicas: Option<u32>,
        /// What was acted on.
        resource: Resource,
        /// Status code of the answer: anything but 2xx means that nothing was changed.
        response_code: Option<u32>,
        /// Where the request came from.
        source_addresses: Option<Vec<Private>>,
        /// The part of the object: `scale`, `status`.
        subresource: Option<String>,
        /// Who did it, as the cluster authenticated them.
        user: Subject,
        /// What the client called itself.
        user_agent: Option<Private>,
        /// What was done: `create`, `update`, `patch`, `delete`.
        verb: String,
    }

    /// The target is gone.
    pub struct TargetRemoved {
        /// The application.
        application: Option<Application>,
        /// True when its objects went with it.
        cascade: Option<bool>,
        /// How it was found.
        cause: RemovalCause,
        /// How it was seen.
        observation: Option<Observation>,
        /// When it must have happened, where it was found later.
        observed_between: Option<Uncertainty>,
        /// Why.
        reason: Option<Private>,
        /// Who removed it, as far as is known.
        removed_by: Option<Subject>,
    }
}
