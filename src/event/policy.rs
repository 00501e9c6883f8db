//! The rules in force. Stream `policy`.

use super::payload::{payload, words};
use super::private::{Private, Subject};
use super::target::{Observation, Uncertainty};
use super::{GitOid, Hex32, Name, StreamName, Timestamp, U64};

words! {
    /// What a policy rules.
    pub enum PolicyKind {
        /// What must hold before something moves.
        Gates = "gates",
        /// Which environments there are, in which order, and what belongs to them.
        Environments = "environments",
        /// Who may do what.
        Roles = "roles",
        /// What is told to whom.
        Notifications = "notifications",
        /// What is kept how long.
        Retention = "retention",
    }

    /// Whether a sync window lets through or holds back.
    pub enum WindowKind {
        /// Lets through.
        Allow = "allow",
        /// Holds back.
        Deny = "deny",
    }
}

payload! {
    /// Another version of a policy is in force.
    pub struct PolicyChanged {
        /// SHA-256 of the policy now: what verdicts and approvals name. Absent when it was repealed.
        after: Option<Hex32>,
        /// SHA-256 of the policy before.
        before: Option<Hex32>,
        /// The commit it is from, where it is kept in Git.
        commit: Option<GitOid>,
        /// BLAKE3 of the evidence that is the policy, byte for byte; absent when it was repealed.
        document: Option<Hex32>,
        /// From when on it counts, where not at once.
        effective_at: Option<Timestamp>,
        /// The environments it is for; absent when it is for all.
        environments: Option<Vec<Name>>,
        /// What it rules.
        kind: PolicyKind,
        /// Its name.
        policy: Name,
        /// Why.
        reason: Option<Private>,
        /// The stream of the repository that `commit` is in.
        repository: Option<StreamName>,
        /// The version it is given by its makers.
        version: Option<String>,
    }

    /// Nothing is to move for a while.
    pub struct FreezeStarted {
        /// When it ends by itself; absent when somebody has to end it.
        ends_at: Option<Timestamp>,
        /// The environments it is for; absent when it is for all.
        environments: Option<Vec<Name>>,
        /// Roles that may promote all the same.
        except_roles: Option<Vec<String>>,
        /// Its id: `freeze.ended` has the same.
        freeze: Name,
        /// Why.
        reason: Option<Private>,
        /// The services it is for; absent when it is for all.
        services: Option<Vec<Name>>,
        /// From when on.
        starts_at: Timestamp,
    }

    /// Things may move again.
    pub struct FreezeEnded {
        /// From when on.
        ended_at: Timestamp,
        /// The freeze's id.
        freeze: Name,
        /// Why.
        reason: Option<Private>,
    }

    /// A time in which applications may or may not be synced. It is for what any of its three lists matches.
    pub struct SyncWindow {
        /// True when all lists must match, not any.
        and_operator: Option<bool>,
        /// Names of applications, with wildcards.
        applications: Option<Vec<String>>,
        /// Clusters by name or address, with wildcards.
        clusters: Option<Vec<Private>>,
        /// What it is for.
        description: Option<Private>,
        /// How long it lasts, as written: `8h`.
        duration: String,
        /// Whether it lets through or holds back.
        kind: WindowKind,
        /// True when a person may sync all the same.
        manual_sync: Option<bool>,
        /// Namespaces, with wildcards.
        namespaces: Option<Vec<String>>,
        /// When it opens, in five fields of cron.
        schedule: String,
        /// True when a sync begun before may go on.
        sync_overrun: Option<bool>,
        /// The time zone; UTC when absent.
        time_zone: Option<String>,
    }

    /// A deployer's project (Argo CD's `AppProject`) was changed: who may deploy what, where, and when.
    pub struct ProjectChanged {
        /// SHA-256 of its specification now, in canonical JSON; absent when it was removed.
        after: Option<Hex32>,
        /// SHA-256 of its specification before; absent when it is new.
        before: Option<Hex32>,
        /// Who changed it, as far as is known.
        changed_by: Option<Subject>,
        /// BLAKE3 of the evidence that is the specification; absent when it was removed.
        document: Option<Hex32>,
        /// Names of the fields that changed: `syncWindows`, `roles`.
        fields: Option<Vec<String>>,
        /// Its generation.
        generation: Option<U64>,
        /// How it was seen.
        observation: Option<Observation>,
        /// When it must have happened, where it was found later.
        observed_between: Option<Uncertainty>,
        /// Its name.
        project: String,
        /// Its roles, by name.
        roles: Option<Vec<String>>,
        /// Its sync windows; at most 50. The rest of the specification is read from the evidence.
        sync_windows: Option<Vec<SyncWindow>>,
        /// Its uid.
        uid: Option<String>,
    }
}
