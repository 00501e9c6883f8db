//! Reading a document for what it lists.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;

use super::super::registry::Documents;
use super::super::{Error, Event, Result};
use super::names::{Number, Package, vulnerability};
use super::store::DocumentKind;
use crate::event::artifact::ScanKind;
use crate::event::{Hex32, Timestamp};
use crate::ledger::{self, BlobReader};
use crate::report::{self, Component, Details, Document, Finding, Given, Kind, Severity, Sketch};

/// Most bytes of a document that is taken into memory to be read there, which is several times as fast.
const MEMORY_BYTES_MAX: u64 = 64 << 20;

/// What a document lists, each once.
#[derive(Debug, Default)]
pub(super) struct Listing {
    pub(super) packages: BTreeMap<Number, Package>,
    pub(super) vulnerabilities: BTreeMap<Number, String>,
    /// By vulnerability and package (0 where none is named).
    pub(super) findings: BTreeMap<(i64, i64), Said>,
    pub(super) aliases: BTreeSet<(i64, i64)>,
    /// It lists what is in the artifact, and not only what was found in it.
    pub(super) inventory: bool,
}

/// Puts together what a document lists.
struct Reader<'a> {
    listing: Listing,
    kind: DocumentKind,
    /// The digest of the artifact that it is about.
    artifact: &'a str,
}

/// What a document says of a vulnerability in a package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) severity: Severity,
    pub(super) suppressed: bool,
    pub(super) fixed_in: Option<String>,
    pub(super) disclosed_at: Option<i64>,
}

/// What came of reading.
#[derive(Debug)]
pub(super) enum Outcome {
    /// It lists this.
    Listed(Listing),
    /// It is not there.
    Missing,
    /// It cannot be read, and why.
    Unreadable(String),
}

impl Details for Reader<'_> {
    fn component(&mut self, component: Component) {
        self.listing.inventory = true;
        self.package(&component);
    }

    fn finding(&mut self, finding: Finding) {
        if finding.kind != ScanKind::Vulnerability || finding.id.is_empty() || self.is_of_another(&finding) {
            return;
        }
        let component = finding.component.as_ref().filter(|_| self.kind != DocumentKind::Statement);
        let package = component.map_or(0, |component| self.package(component));
        let number = self.vulnerability(&finding.id);
        for alias in finding.aliases.iter().filter(|alias| !alias.is_empty()) {
            let other = self.vulnerability(alias);
            if other != number {
                self.listing.aliases.extend([(number, other), (other, number)]);
            }
        }
        let Finding { severity, suppressed, fixed_in, .. } = finding;
        let disclosed_at = finding.disclosed_at.map(Timestamp::micros);
        let new = Said { severity, suppressed, fixed_in, disclosed_at };
        let said = self.listing.findings.entry((number, package)).or_insert_with(|| new.clone());
        let disclosed_at = [said.disclosed_at, new.disclosed_at].into_iter().flatten().min();
        // It is open if one of its occurrences is, and then as bad as the worst of these.
        if said.suppressed && !new.suppressed {
            *said = new;
        } else if said.suppressed == new.suppressed {
            said.severity = said.severity.max(new.severity);
            said.fixed_in = said.fixed_in.take().max(new.fixed_in);
        }
        said.disclosed_at = disclosed_at;
    }
}

impl Reader<'_> {
    /// Whether a statement is about another image than the one whose document this is.
    fn is_of_another(&self, finding: &Finding) -> bool {
        let product = finding.component.as_ref().filter(|_| self.kind == DocumentKind::Statement).map(Package::of);
        product.is_some_and(|product| product.version.starts_with("sha256:") && product.version != self.artifact)
    }

    fn package(&mut self, component: &Component) -> i64 {
        let package = Package::of(component);
        let number = package.number();
        self.listing.packages.entry(number).or_insert(package);
        number.id
    }

    fn vulnerability(&mut self, name: &str) -> i64 {
        let number = vulnerability(name);
        self.listing.vulnerabilities.entry(number).or_insert_with(|| name.to_owned());
        number.id
    }
}

/// Reads the evidence of an event: `format` is what the event says of its form, as far as it does.
///
/// # Errors
/// `Ledger` when the store cannot be read: that is not the document's fault.
pub(super) fn read(
    documents: &dyn Documents,
    event: &Event,
    blake3: &Hex32,
    kind: DocumentKind,
    format: Option<&str>,
) -> Result<Outcome> {
    let artifact = event.stream().strip_prefix("artifact/").unwrap_or_default();
    let listed = |document: &Document<'_>, given: &Given| {
        listed(document, given, format, Reader { listing: Listing::default(), kind, artifact })
    };
    let Some(reader) = documents.evidence(blake3)? else { return Ok(Outcome::Missing) };
    let size = event.envelope.evidence.iter().find(|it| it.blake3 == *blake3).map_or(u64::MAX, |it| it.size.0);
    let given = Given { document: blake3.clone(), exit_code: None, received_at: event.envelope.recorded_at };
    if size <= MEMORY_BYTES_MAX {
        return match whole(reader)? {
            Ok(bytes) => Ok(listed(&Document::bytes(&bytes), &given)),
            Err(damaged) => Ok(Outcome::Unreadable(damaged)),
        };
    }
    let open = || match documents.evidence(blake3) {
        Ok(Some(reader)) => Ok(Box::new(reader) as Box<dyn Read>),
        Ok(None) => Err(std::io::ErrorKind::NotFound.into()),
        Err(error) => Err(std::io::Error::other(error.to_string())),
    };
    Ok(listed(&Document::stream(size, &open), &given))
}

/// All bytes of a blob, or what is wrong with it.
fn whole(mut reader: BlobReader) -> Result<Result<Vec<u8>, String>> {
    let mut bytes = Vec::new();
    match reader.read_to_end(&mut bytes) {
        Ok(_) => Ok(Ok(bytes)),
        Err(error) if error.kind() == std::io::ErrorKind::InvalidData => Ok(Err(error.to_string())),
        Err(source) => {
            Err(Error::Ledger(ledger::Error::Io { what: "cannot read a blob of evidence".to_owned(), source }))
        }
    }
}

fn listed(document: &Document<'_>, given: &Given, format: Option<&str>, mut reader: Reader<'_>) -> Outcome {
    let kind = match reader.kind {
        DocumentKind::Sbom => Kind::Sbom,
        DocumentKind::Scan => Kind::Scan,
        DocumentKind::Statement => Kind::Attestation,
    };
    let format = document.sketch().and_then(|sketch| form(kind, format, &sketch));
    match format.and_then(|format| (format.read)(document, given, &mut reader)) {
        // Also a bill of materials that is empty lists all that there is.
        Ok(_) => {
            reader.listing.inventory |= reader.kind == DocumentKind::Sbom;
            Outcome::Listed(reader.listing)
        }
        Err(rejection) => Outcome::Unreadable(rejection.to_string()),
    }
}

/// The form that the event names, else the one that the beginning looks like: a bill of materials may stand in the
/// envelope of an attestation.
fn form(
    kind: Kind,
    named: Option<&str>,
    sketch: &Sketch,
) -> std::result::Result<&'static report::Format, report::Rejection> {
    let named = named.and_then(|named| named.split('/').next()).and_then(|name| report::format_of(name).ok());
    match named {
        Some(format) => Ok(format),
        None => report::detect(Some(kind), sketch).or_else(|_| report::detect(None, sketch)),
    }
}
