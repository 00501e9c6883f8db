//! Incidents and alerts. Streams `incident/<id>`.
//!
//! Instants that come to be known only later, or are corrected, are given again by a later event; the last one counts.

use super::payload::{payload, words};
use super::private::{Private, Subject};
use super::target::DeploymentRef;
use super::{StreamName, Timestamp};

words! {
    /// What sort of trouble it is.
    pub enum IncidentKind {
        /// An alert by a rule, without a person's judgement.
        Alert = "alert",
        /// Something does not work.
        Outage = "outage",
        /// Something is exposed.
        Security = "security",
        /// It was foreseen.
        Maintenance = "maintenance",
    }

    /// What a link says.
    pub enum LinkKind {
        /// The deployments caused it.
        CausedBy = "caused_by",
        /// The deployments ended it.
        RemediatedBy = "remediated_by",
        /// The incidents are the same trouble.
        DuplicateOf = "duplicate_of",
        /// The deployments, named as its cause before, have nothing to do with it.
        Unrelated = "unrelated",
    }
}

payload! {
    /// Trouble has a name.
    pub struct IncidentOpened {
        /// The alert it came from: its fingerprint or rule.
        alert: Option<String>,
        /// Who is to see to it.
        assigned: Option<Vec<Subject>>,
        /// The deployments named as its cause.
        caused_by: Option<Vec<DeploymentRef>>,
        /// What is known.
        description: Option<Private>,
        /// When it was noticed.
        detected_at: Option<Timestamp>,
        /// True when the cause is not ours: it then says nothing about our deployments.
        external: Option<bool>,
        /// What sort of trouble it is.
        kind: IncidentKind,
        /// When it was opened.
        opened_at: Timestamp,
        /// How bad it is, in the source's word: `P1`, `critical`.
        severity: Option<String>,
        /// When its effects began.
        started_at: Option<Timestamp>,
        /// The targets it is about, by stream; at most 100.
        targets: Option<Vec<StreamName>>,
        /// Its title.
        title: Option<Private>,
        /// Where to look at it.
        url: Option<String>,
        /// The vulnerability it is about: `CVE-2026-1234`.
        vulnerability: Option<String>,
    }

    /// It is over.
    pub struct IncidentResolved {
        /// True when no person declared it over.
        automatic: Option<bool>,
        /// When it was noticed, where that is known better now.
        detected_at: Option<Timestamp>,
        /// True when the cause was not ours, where that is known now.
        external: Option<bool>,
        /// The deployments that ended it.
        remediated_by: Option<Vec<DeploymentRef>>,
        /// How it ended.
        resolution: Option<Private>,
        /// When it ended.
        resolved_at: Timestamp,
        /// Who says so.
        resolved_by: Option<Subject>,
        /// When its effects began, where that is known better now.
        started_at: Option<Timestamp>,
    }

    /// It is not over after all.
    pub struct IncidentReopened {
        /// Why.
        reason: Option<Private>,
        /// When.
        reopened_at: Timestamp,
        /// Who says so.
        reopened_by: Option<Subject>,
        /// How bad it is now, in the source's word.
        severity: Option<String>,
    }

    /// Something was found out about it: often late, in the post-mortem.
    pub struct IncidentLinked {
        /// The deployments.
        deployments: Option<Vec<DeploymentRef>>,
        /// When it was noticed, where that is known better now.
        detected_at: Option<Timestamp>,
        /// Whether the cause is not ours, where that is known now.
        external: Option<bool>,
        /// The incidents, by stream.
        incidents: Option<Vec<StreamName>>,
        /// What the link says.
        link: LinkKind,
        /// Who found out.
        linked_by: Option<Subject>,
        /// In words.
        note: Option<Private>,
        /// When its effects began, where that is known better now.
        started_at: Option<Timestamp>,
        /// The targets it is about, by stream, where that is known better now.
        targets: Option<Vec<StreamName>>,
    }
}
