//! What documents say: scanners' reports, bills of materials, attestations, test results. Pure: from a [`Document`] to
//! the facts that go into events, and the [`Details`] that are too many for one.
//!
//! A format is one file here and one line in [`FORMATS`]. Readers go through a document from beginning to end, once or
//! twice, and keep no list of what they pass: a document may be larger than memory.

mod annotations;
mod bandit;
mod black;
mod bom;
mod certificate;
mod check;
mod clamav;
mod cobertura;
mod code_quality;
mod coverage;
mod coverage_py;
mod cyclonedx;
mod cyclonedx_xml;
mod der;
mod details;
mod detect_secrets;
mod document;
mod dsse;
mod fold;
mod gitlab_security;
mod gitleaks;
mod grype;
mod junit;
mod k6;
mod lcov;
mod loose;
mod mypy;
mod oci;
mod openvex;
mod predicate;
mod provenance;
mod pytest;
mod rejection;
mod ruff;
mod ruff_format;
mod safety;
mod sarif;
mod scan;
mod semgrep;
mod sigstore;
mod sketch;
mod snyk;
mod spdx;
mod spdx3;
mod statement;
mod syft;
mod trivy;
mod trivy_operator;
pub mod value;
mod xml;

pub use details::{Component, Details, Finding, Severity};
pub use document::Document;
pub use rejection::{Reason, Rejection};
pub use sketch::{HEAD, Shape, Sketch};

use crate::event::{Data, Digest, GitOid, Hex32, Timestamp};

/// What sort of document it is: `plimsoll record scan|sbom|check|tests|attestation|coverage|validation|artifact`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A scanner's report.
    Scan,
    /// A bill of materials.
    Sbom,
    /// Findings of a linter, formatter or type checker.
    Check,
    /// Results of tests.
    Tests,
    /// A signed or unsigned statement.
    Attestation,
    /// What tests reached.
    Coverage,
    /// What trying a target gave.
    Validation,
    /// A manifest or index of a registry.
    Artifact,
}

impl Kind {
    /// Every kind.
    pub const ALL: &'static [Self] = &[
        Self::Scan,
        Self::Sbom,
        Self::Check,
        Self::Tests,
        Self::Attestation,
        Self::Coverage,
        Self::Validation,
        Self::Artifact,
    ];

    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Scan => "scan",
            Self::Sbom => "sbom",
            Self::Check => "check",
            Self::Tests => "tests",
            Self::Attestation => "attestation",
            Self::Coverage => "coverage",
            Self::Validation => "validation",
            Self::Artifact => "artifact",
        }
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

impl std::str::FromStr for Kind {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let known = Self::ALL.iter().copied().find(|kind| kind.as_str() == text);
        known.ok_or_else(|| {
            format!("{text:?} is none of scan, sbom, check, tests, attestation, coverage, validation, artifact")
        })
    }
}

/// A form of document that can be read.
pub struct Format {
    /// Its name: `trivy`.
    pub name: &'static str,
    /// What it is, for people.
    pub about: &'static str,
    /// The versions that are read, for people.
    pub versions: &'static str,
    /// What it may be handed in as.
    pub kinds: &'static [Kind],
    /// Its media type.
    pub media_type: &'static str,
    /// Whether a document looks like one, by its beginning.
    pub recognise: fn(&Sketch) -> bool,
    /// Members whose text is a secret that was found, to be blackened before anything is kept.
    pub secret_members: fn(&Sketch) -> &'static [&'static str],
    /// Reads it.
    pub read: fn(&Document<'_>, &Given, &mut dyn Details) -> Result<Report, Rejection>,
}

impl std::fmt::Debug for Format {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

/// Every format, each with its own file.
pub const FORMATS: &[&Format] = &[
    &annotations::FORMAT,
    &bandit::FORMAT,
    &black::FORMAT,
    &clamav::FORMAT,
    &cobertura::FORMAT,
    &code_quality::FORMAT,
    &coverage_py::FORMAT,
    &cyclonedx::FORMAT,
    &cyclonedx_xml::FORMAT,
    &detect_secrets::FORMAT,
    &dsse::FORMAT,
    &gitlab_security::FORMAT,
    &gitleaks::FORMAT,
    &grype::FORMAT,
    &junit::FORMAT,
    &k6::FORMAT,
    &lcov::FORMAT,
    &mypy::FORMAT,
    &oci::FORMAT,
    &openvex::FORMAT,
    // Before the predicate that may be around it: what it found says more than that somebody states it.
    &trivy::FORMAT,
    &predicate::FORMAT,
    &pytest::FORMAT,
    &ruff::FORMAT,
    &ruff_format::FORMAT,
    &safety::FORMAT,
    &sarif::FORMAT,
    &semgrep::FORMAT,
    &sigstore::FORMAT,
    &snyk::FORMAT,
    &spdx3::FORMAT,
    &spdx::FORMAT,
    &statement::FORMAT,
    &syft::FORMAT,
    &trivy_operator::FORMAT,
];

/// What is known of a document from outside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Given {
    /// BLAKE3 of the document as it is kept.
    pub document: Hex32,
    /// The tool's exit code: some tools say only by it how it came out.
    pub exit_code: Option<i32>,
    /// When the document came in. What it says of later times is refused.
    pub received_at: Timestamp,
}

/// What a document says it is about. It may say nothing, or something else than who hands it in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Named {
    /// Digests of manifests or indexes; never of an image's configuration.
    pub digests: Vec<Digest>,
    /// A source commit.
    pub commit: Option<GitOid>,
    /// A name: `ghcr.io/acme/churn-api:main`.
    pub name: Option<String>,
}

/// What a document says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Its form with its version: `trivy/2`.
    pub format: String,
    /// When it was made, as it says, where it says so with a zone.
    pub generated_at: Option<Timestamp>,
    /// What it says it is about.
    pub named: Named,
    /// Payloads of events, without what only who hands it in knows (commit, run, name and so on).
    pub facts: Vec<Data>,
}

impl Format {
    /// What a document of this form is taken as where nobody says it: a validation where a target is named, else the first
    /// of its kinds.
    #[must_use]
    pub fn kind(&self, of_target: bool) -> Kind {
        let validation = self.kinds.iter().find(|kind| of_target && **kind == Kind::Validation);
        validation.or(self.kinds.first()).copied().unwrap_or(Kind::Scan)
    }
}

/// The format of that name.
///
/// # Errors
/// [`Reason::UnknownFormat`], naming those there are.
pub fn format_of(name: &str) -> Result<&'static Format, Rejection> {
    let known = FORMATS.iter().copied().find(|format| format.name == name);
    known.ok_or_else(|| {
        let names: Vec<_> = FORMATS.iter().map(|format| format.name).collect();
        Rejection::new(Reason::UnknownFormat, format!("{name:?} is none of {}", names.join(", "))).at("format")
    })
}

/// Finds out what a document is: the one format of the kind (of any, where none is given) that recognises it.
///
/// # Errors
/// [`Reason::UnknownFormat`] where none does; [`Reason::Archive`] for a container instead of a document.
pub fn detect(kind: Option<Kind>, sketch: &Sketch) -> Result<&'static Format, Rejection> {
    if let Shape::Archive(what) = sketch.shape {
        return Err(Rejection::new(Reason::Archive, format!("{what}: unpack it and hand in what is in it")));
    }
    let fits = |format: &&&Format| kind.is_none_or(|kind| format.kinds.contains(&kind)) && (format.recognise)(sketch);
    FORMATS.iter().find(fits).copied().ok_or_else(|| {
        let what = kind.map_or_else(|| "document".to_owned(), |kind| kind.to_string());
        Rejection::new(
            Reason::UnknownFormat,
            format!("{sketch} is no {what} that is known here: name its format, or see `plimsoll sources`"),
        )
    })
}
