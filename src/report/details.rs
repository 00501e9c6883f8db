//! What a document lists: too many for an event, so they are handed over one by one, to be counted, shown or indexed.

use serde::Serialize;

use crate::event::Timestamp;
use crate::event::artifact::{ScanKind, Severities};

/// How bad a finding is, in the words most scanners share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Not rated.
    Unknown,
    /// Informational or negligible.
    Info,
    /// Low.
    Low,
    /// Medium.
    Medium,
    /// High.
    High,
    /// Critical.
    Critical,
}

impl Severity {
    /// The severity that a scanner's word stands for, in whatever case. A word that is not known is not rated.
    #[must_use]
    pub fn of(word: &str) -> Self {
        match word.trim().to_ascii_lowercase().as_str() {
            "critical" => Self::Critical,
            "high" | "error" | "important" => Self::High,
            "medium" | "moderate" | "warning" => Self::Medium,
            "low" | "note" | "minor" => Self::Low,
            "info" | "informational" | "information" | "negligible" | "none" => Self::Info,
            _ => Self::Unknown,
        }
    }

    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Info => "info",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }

    /// Counts one more of this severity.
    pub fn count(self, severities: &mut Severities) {
        let slot = match self {
            Self::Critical => &mut severities.critical,
            Self::High => &mut severities.high,
            Self::Medium => &mut severities.medium,
            Self::Low => &mut severities.low,
            Self::Info => &mut severities.info,
            Self::Unknown => &mut severities.unknown,
        };
        *slot = slot.saturating_add(1);
    }
}

/// A package or other part of an artifact.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Component {
    /// Its package URL.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub purl: Option<String>,
    /// Its name.
    pub name: String,
    /// Its version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Its licences: SPDX expressions where the document has them, else names.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub licences: Vec<String>,
}

/// Something that a tool has against an artifact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was looked for.
    pub kind: ScanKind,
    /// What it is: `CVE-2026-1234`, a rule, a licence.
    pub id: String,
    /// Other names of the same.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
    /// How bad the tool says it is.
    pub severity: Severity,
    /// The component it is in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub component: Option<Component>,
    /// The version that mends it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fixed_in: Option<String>,
    /// When it was made public.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disclosed_at: Option<Timestamp>,
    /// Where it is: `path:line`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
    /// True when it was declared harmless.
    pub suppressed: bool,
}

/// Takes what a document lists, in its order.
pub trait Details {
    /// A component.
    fn component(&mut self, _component: Component) {}
    /// A finding.
    fn finding(&mut self, _finding: Finding) {}
    /// Whether anybody looks at it: a reader need not put together what nobody wants.
    fn wanted(&self) -> bool {
        true
    }
}

/// Nobody looks.
impl Details for () {
    fn wanted(&self) -> bool {
        false
    }
}
