//! In-toto statements, v0.1 and v1: what is stated, and of what. They come in envelopes, in bundles, or bare.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::value::RawValue;

use super::bom::{Bom, NAME_MAX};
use super::loose::{Object, Strict, Text, object};
use super::provenance::Claims;
use super::{Details, Document, Format, Given, Kind, Named, Reason, Rejection, Report, Shape, Sketch, cyclonedx};
use super::{sketch, spdx, spdx3, value};
use crate::event::artifact::{AttestationAttached, AttestationFormat, LogEntry};
use crate::event::pipeline::Identity;
use crate::event::{Data, Digest, GitOid, Timestamp};

/// Bare statements, one or several.
pub(super) const FORMAT: Format = Format {
    name: "in-toto",
    about: "in-toto statement without a signature, or several, one a line",
    versions: "v0.1, v1",
    kinds: &[Kind::Attestation],
    media_type: "application/vnd.in-toto+json",
    recognise,
    secret_members: |_| &[],
    read,
};

fn recognise(sketch: &Sketch) -> bool {
    let stated = sketch.get("_type").starts_with("https://in-toto.io/Statement");
    let formed = sketch.has("predicateType") && sketch.has("subject");
    // Members may stand in any order, and a predicate may be longer than what is looked at.
    let long = cut_off(sketch) && (sketch.has("predicateType") || sketch.has("subject")) && sketch.has("predicate");
    matches!(sketch.shape, Shape::Object | Shape::Lines) && (stated || formed || long)
}

/// Whether a document goes on behind what is looked at.
pub(super) fn cut_off(sketch: &Sketch) -> bool {
    // The last character may have been cut, and a mark of the byte order is left out.
    sketch.text.len() + 7 > sketch::HEAD
}

fn read(document: &Document<'_>, given: &Given, details: &mut dyn Details) -> Result<Report, Rejection> {
    all(document, |json| {
        let statement = Statement::read(json, details)?;
        let signed = Signed::new(AttestationFormat::Unsigned);
        Ok(One {
            format: format!("in-toto/{}", statement.version),
            generated_at: statement.made_at(),
            facts: statement.facts(given, &signed)?,
            named: statement.named,
        })
    })
}

/// Most attestations in one document: more is a collection, of which nobody means all.
const DOCUMENTS_MAX: usize = 100;

/// What one of several JSON values in a document comes to.
pub(super) struct One {
    pub(super) format: String,
    pub(super) generated_at: Option<Timestamp>,
    pub(super) named: Named,
    pub(super) facts: Vec<Data>,
}

/// Reads a document of one JSON value or more behind each other. They must be about the same, as all are handed in for
/// one artifact.
///
/// # Errors
/// Of `each`, at the value's index where there are several; [`Reason::OtherSubject`]; [`Reason::Empty`].
pub(super) fn all(
    document: &Document<'_>,
    mut each: impl FnMut(&str) -> Result<One, Rejection>,
) -> Result<Report, Rejection> {
    let text = document.text()?;
    let mut report: Option<Report> = None;
    for (n, json) in serde_json::Deserializer::from_str(&text).into_iter::<&RawValue>().enumerate() {
        let json = json.map_err(|error| Rejection::json(&error))?;
        let at = |rejection: Rejection| if n == 0 { rejection } else { rejection.at(format!("[{n}]")) };
        if n == DOCUMENTS_MAX {
            let what = format!("more than {DOCUMENTS_MAX} attestations in one document");
            return Err(Rejection::new(Reason::TooLarge, what));
        }
        let one = each(json.get()).map_err(at)?;
        let Some(report) = &mut report else {
            let One { format, generated_at, named, facts } = one;
            report = Some(Report { format, generated_at, named, facts });
            continue;
        };
        let set = |named: &Named| named.digests.iter().cloned().collect::<BTreeSet<_>>();
        if set(&report.named) != set(&one.named) || report.named.commit != one.named.commit {
            let what = "is about something else than the one before it: hand them in one by one";
            return Err(at(Rejection::new(Reason::OtherSubject, what).at("subject")));
        }
        report.generated_at = report.generated_at.max(one.generated_at);
        report.facts.extend(one.facts);
    }
    report.ok_or_else(|| Rejection::new(Reason::Empty, "there is no attestation in it"))
}

/// How a statement came: by whom and with what around it.
#[derive(Debug, Clone)]
pub(super) struct Signed {
    pub(super) format: AttestationFormat,
    pub(super) signatures: u64,
    pub(super) key_id: Option<String>,
    pub(super) signer: Option<Identity>,
    pub(super) log_entry: Option<LogEntry>,
}

impl Signed {
    /// By nobody.
    pub(super) fn new(format: AttestationFormat) -> Self {
        Self { format, signatures: 0, key_id: None, signer: None, log_entry: None }
    }
}

/// What is stated.
#[derive(Debug, Clone)]
pub(super) struct Statement {
    /// `v0.1` or `v1`; something else for what is no in-toto statement.
    pub(super) version: &'static str,
    pub(super) predicate_type: String,
    /// How many things it is about; none where it does not say.
    pub(super) subjects: Option<u64>,
    pub(super) named: Named,
    pub(super) claims: Claims,
    /// The bill of materials that is its predicate.
    pub(super) bom: Option<Bom>,
}

#[derive(Deserialize)]
struct Raw<'a> {
    #[serde(default, borrow, rename = "_type")]
    kind: Text<'a>,
    #[serde(default, borrow)]
    subject: Option<&'a RawValue>,
    #[serde(default, borrow, rename = "predicateType")]
    predicate_type: Text<'a>,
    #[serde(default, borrow)]
    predicate: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Subject<'a> {
    #[serde(default, borrow)]
    name: Text<'a>,
    #[serde(default, borrow)]
    digest: Object<BTreeMap<Cow<'a, str>, Text<'a>>>,
}

impl Statement {
    /// Reads a statement.
    ///
    /// # Errors
    /// [`Reason::UnsupportedVersion`], [`Reason::MissingField`], [`Reason::BadDigest`], [`Reason::BadField`].
    pub(super) fn read(json: &str, details: &mut dyn Details) -> Result<Self, Rejection> {
        let raw: Raw<'_> = object(json)?;
        let version = match raw.kind.get() {
            Some("https://in-toto.io/Statement/v0.1") => "v0.1",
            Some("https://in-toto.io/Statement/v1") => "v1",
            Some(other) => {
                let what = format!("{:?} is no in-toto statement of v0.1 or v1", value::cut(other, 128));
                return Err(Rejection::new(Reason::UnsupportedVersion, what).at("_type"));
            }
            None => return Err(Rejection::missing("_type")),
        };
        let predicate_type = raw.predicate_type.cut(NAME_MAX).ok_or_else(|| Rejection::missing("predicateType"))?;
        let subjects = raw.subject.ok_or_else(|| Rejection::missing("subject"))?;
        let subjects: Vec<Strict<Subject<'_>>> =
            serde_json::from_str(subjects.get()).map_err(|error| Rejection::json(&error).at("subject"))?;
        let named = named(&subjects).map_err(|rejection| rejection.at("subject"))?;
        let predicate = raw.predicate.filter(|predicate| predicate.get() != "null");
        let at = |rejection: Rejection| rejection.at("predicate");
        let claims = predicate.map(|predicate| Claims::of(&predicate_type, predicate).map_err(at)).transpose()?;
        let bom = predicate.map(|predicate| bom(predicate, details).map_err(at)).transpose()?.flatten();
        Ok(Self {
            version,
            predicate_type,
            subjects: Some(subjects.len() as u64),
            named,
            claims: claims.unwrap_or_default(),
            bom,
        })
    }

    /// When it was made: as it says itself, or the bill of materials in it.
    pub(super) fn made_at(&self) -> Option<Timestamp> {
        self.claims.issued_at.or(self.bom.as_ref().and_then(|bom| bom.generated_at))
    }

    /// Payloads: that it was stated, and the bill of materials where it is one.
    ///
    /// # Errors
    /// [`Reason::BadNumber`] beyond counting.
    pub(super) fn facts(&self, given: &Given, signed: &Signed) -> Result<Vec<Data>, Rejection> {
        let claims = self.claims.clone();
        let attached = Data::AttestationAttached(AttestationAttached {
            build_type: claims.build_type,
            builder: claims.builder,
            commit: claims.commit,
            document: given.document.clone(),
            format: signed.format,
            git_ref: claims.git_ref,
            issued_at: claims.issued_at,
            key_id: signed.key_id.clone(),
            log_entry: signed.log_entry.clone(),
            predicate_type: self.predicate_type.clone(),
            repository: claims.repository,
            run: claims.run,
            signatures: value::count("signatures", signed.signatures)?,
            signer: signed.signer.clone(),
            subjects: self.subjects.map(|n| value::count("subject", n)).transpose()?,
            verification: None,
        });
        let bom = self.bom.as_ref().map(|bom| bom.fact(&given.document)).transpose()?;
        Ok([Some(attached), bom].into_iter().flatten().collect())
    }
}

/// What subjects name: each with its digest, those that have none only counted.
fn named(subjects: &[Strict<Subject<'_>>]) -> Result<Named, Rejection> {
    let (mut digests, mut seen, mut commits) = (Vec::new(), BTreeSet::new(), BTreeSet::new());
    for (n, Strict(subject)) in subjects.iter().enumerate() {
        let Some(map) = &subject.digest.0 else { continue };
        let (digest, commit) = digest_of(map).map_err(|rejection| rejection.at("digest").at(format!("[{n}]")))?;
        digests.extend(digest.filter(|digest| seen.insert(digest.clone())));
        commits.extend(commit);
    }
    let commit = commits.pop_first().filter(|_| commits.is_empty());
    let name = match subjects {
        [Strict(one)] => one.name.cut(NAME_MAX),
        _ => None,
    };
    Ok(Named { digests, commit, name })
}

/// The digest of a subject, by the algorithm that most use where there are several; or the commit it is.
///
/// A git commit stands under `gitCommit`, and in real statements with its 40 digits under `sha256`.
fn digest_of(map: &BTreeMap<Cow<'_, str>, Text<'_>>) -> Result<(Option<Digest>, Option<GitOid>), Rejection> {
    for algorithm in ["sha256", "sha512", "sha384", "blake3"] {
        let Some(digits) = map.get(algorithm) else { continue };
        let digits = digits.get().ok_or_else(|| {
            Rejection::new(Reason::BadDigest, "is no digest: a text of hexadecimal digits belongs here").at(algorithm)
        })?;
        if algorithm == "sha256" && digits.len() == 40 {
            return Ok((None, Some(value::git_oid(algorithm, digits)?)));
        }
        return Ok((Some(value::digest(algorithm, &format!("{algorithm}:{digits}"))?), None));
    }
    let commit = map.get("gitCommit").and_then(Text::get);
    Ok((None, commit.map(|digits| value::git_oid("gitCommit", digits)).transpose()?))
}

/// The bill of materials in a predicate, where it is one: itself, or as old cosign has it as `Data`, an object or a text
/// that holds one. What is not known as one is none: the attestation stands without it.
fn bom(predicate: &RawValue, details: &mut dyn Details) -> Result<Option<Bom>, Rejection> {
    if let Some(bom) = bom_itself(predicate.get(), details)? {
        return Ok(Some(bom));
    }
    #[derive(Deserialize)]
    struct Wrapped<'a> {
        #[serde(borrow, rename = "Data")]
        data: &'a RawValue,
    }
    let Ok(Wrapped { data }) = object(predicate.get()) else { return Ok(None) };
    let bom = match serde_json::from_str::<String>(data.get()) {
        Ok(text) => bom_itself(&text, details),
        Err(_no_text) => bom_itself(data.get(), details),
    };
    bom.map_err(|rejection| rejection.at("Data"))
}

fn bom_itself(json: &str, details: &mut dyn Details) -> Result<Option<Bom>, Rejection> {
    #[derive(Deserialize)]
    struct Kind<'a> {
        #[serde(default, borrow, rename = "bomFormat")]
        cyclonedx: Text<'a>,
        #[serde(default, borrow, rename = "spdxVersion")]
        spdx: Text<'a>,
        #[serde(default, borrow, rename = "@context")]
        context: Text<'a>,
        #[serde(default, borrow, rename = "@graph")]
        graph: Option<&'a RawValue>,
    }
    let Ok(kind) = object::<Kind<'_>>(json) else { return Ok(None) };
    let document = Document::bytes(json.as_bytes());
    if kind.cyclonedx.get().is_some() {
        return cyclonedx::fold(&document, details).map(Some);
    }
    if kind.spdx.get().is_some() {
        return spdx::fold(&document, details).map(Some);
    }
    // Others write graphs, too.
    if kind.graph.is_some() && kind.context.get().is_some_and(|context| context.contains("spdx.org/rdf/")) {
        return spdx3::fold(&document, details).map(Some);
    }
    Ok(None)
}
