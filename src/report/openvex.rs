//! OpenVEX: statements about whether vulnerabilities affect products. Unsigned as a document of its own; within an
//! envelope it is a predicate like others.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::bom::{self, NAME_MAX, Thing};
use super::loose::{List, Object, Strict, Text, TextOr, object};
use super::provenance::Claims;
use super::spdx::key;
use super::statement::{Signed, Statement};
use super::value;
use super::{
    Component, Details, Document, Finding, Format, Given, Kind, Named, Reason, Rejection, Report, Severity, Shape,
    Sketch,
};
use crate::event::Digest;
use crate::event::artifact::{AttestationFormat, ScanKind};

/// OpenVEX documents.
pub(super) const FORMAT: Format = Format {
    name: "openvex",
    about: "OpenVEX document",
    versions: "0.0.1 to 0.2.0",
    kinds: &[Kind::Attestation],
    media_type: "application/json",
    recognise,
    secret_members: |_| &[],
    read,
};

/// The name of the form, without and with a version behind it.
const NAMESPACE: &str = "https://openvex.dev/ns";

/// Some generators leave the context empty: then the members tell.
fn recognise(sketch: &Sketch) -> bool {
    let context = sketch.get("@context");
    let formed = || sketch.has("@id") && sketch.has("statements") && sketch.has("author");
    sketch.shape == Shape::Object
        && sketch.has("@context")
        && (context.contains("openvex.dev/ns") || (context.is_empty() && formed()))
}

#[derive(Deserialize)]
struct Vex<'a> {
    #[serde(default, borrow, rename = "@context")]
    context: Text<'a>,
    #[serde(default, borrow)]
    timestamp: Text<'a>,
    #[serde(default, borrow)]
    last_updated: Text<'a>,
    #[serde(borrow)]
    statements: Vec<Strict<VexStatement<'a>>>,
}

#[derive(Deserialize)]
struct VexStatement<'a> {
    #[serde(default, borrow)]
    vulnerability: TextOr<'a, Vulnerability<'a>>,
    #[serde(default, borrow)]
    products: List<TextOr<'a, Product<'a>>, { usize::MAX }>,
    #[serde(default, borrow)]
    status: Text<'a>,
}

/// A vulnerability: up to 0.0.1 only its name.
#[derive(Deserialize)]
struct Vulnerability<'a> {
    #[serde(default, borrow)]
    name: Text<'a>,
    #[serde(default, borrow)]
    aliases: List<Text<'a>>,
}

/// A product: up to 0.0.1 only its id, which often is a package URL.
#[derive(Deserialize)]
struct Product<'a> {
    #[serde(default, borrow, rename = "@id")]
    id: Text<'a>,
    #[serde(default, borrow)]
    identifiers: Object<Identifiers<'a>>,
    #[serde(default, borrow)]
    hashes: Object<BTreeMap<Cow<'a, str>, Text<'a>>>,
}

#[derive(Deserialize)]
struct Identifiers<'a> {
    #[serde(default, borrow)]
    purl: Text<'a>,
}

fn read(document: &Document<'_>, given: &Given, details: &mut dyn Details) -> Result<Report, Rejection> {
    let text = document.text()?;
    let vex: Vex<'_> = object(&text)?;
    let version = version(vex.context.get().unwrap_or_default())?;
    let (mut digests, mut seen, mut products) = (Vec::new(), BTreeSet::new(), BTreeSet::new());
    for (n, Strict(statement)) in vex.statements.iter().enumerate() {
        for (m, product) in statement.products.0.iter().enumerate() {
            let at = || format!("statements[{n}].products[{m}]");
            let (id, digest) = about(product).map_err(|rejection| rejection.at(at()))?;
            if details.wanted() {
                details.finding(statement.finding(id));
            }
            digests.extend(digest.filter(|digest| seen.insert(digest.clone())));
            products.extend(id.map(key));
        }
        if details.wanted() && statement.products.0.is_empty() {
            details.finding(statement.finding(None));
        }
    }
    let issued_at = vex.last_updated.get().or(vex.timestamp.get()).and_then(value::zoned_time);
    let statement = Statement {
        version: "",
        predicate_type: if version.is_empty() { NAMESPACE.to_owned() } else { format!("{NAMESPACE}/v{version}") },
        subjects: Some(products.len() as u64),
        named: Named { digests, commit: None, name: None },
        claims: Claims { issued_at, ..Claims::default() },
        bom: None,
    };
    let facts = statement.facts(given, &Signed::new(AttestationFormat::Unsigned))?;
    let format = if version.is_empty() { "openvex".to_owned() } else { format!("openvex/{version}") };
    Ok(Report { format, generated_at: issued_at, named: statement.named, facts })
}

/// The version at the end of the context; empty where there is none, as in the first versions.
fn version(context: &str) -> Result<&str, Rejection> {
    match context.strip_prefix(NAMESPACE).map(|rest| rest.trim_matches('/')) {
        None if context.is_empty() => Ok(""),
        Some("") => Ok(""),
        Some(rest) if rest.strip_prefix("v0.").is_some_and(is_version) => Ok(rest.trim_start_matches('v')),
        _ => {
            let what = format!("{:?} is no OpenVEX of version 0", value::cut(context, 128));
            Err(Rejection::new(Reason::UnsupportedVersion, what).at("@context"))
        }
    }
}

fn is_version(text: &str) -> bool {
    text.len() < 16 && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
}

/// What a product is called, and the digest it has if it is an image.
fn about<'a>(product: &'a TextOr<'_, Product<'_>>) -> Result<(Option<&'a str>, Option<Digest>), Rejection> {
    let product = match product {
        TextOr::Text(id) => {
            let thing = id.get().map(|id| Thing::of_purl("@id", id)).transpose()?;
            return Ok((id.get(), thing.and_then(|thing| thing.digest)));
        }
        TextOr::Object(product) => product,
    };
    let purl = product.identifiers.0.as_ref().and_then(|identifiers| identifiers.purl.get());
    let mut digest = None;
    for (field, purl) in [("@id", product.id.get()), ("identifiers.purl", purl)] {
        if let (None, Some(purl)) = (&digest, purl) {
            digest = Thing::of_purl(field, purl)?.digest;
        }
    }
    for (algorithm, digits) in product.hashes.0.iter().flatten() {
        if let (None, Some(digits)) = (&digest, digits.get()) {
            digest = bom::hash(&format!("hashes.{algorithm}"), algorithm, digits)?;
        }
    }
    Ok((product.id.get().or(purl), digest))
}

impl VexStatement<'_> {
    /// What it says of a product.
    fn finding(&self, product: Option<&str>) -> Finding {
        let (id, aliases) = match &self.vulnerability {
            TextOr::Text(name) => (name.cut(NAME_MAX), Vec::new()),
            TextOr::Object(it) => {
                (it.name.cut(NAME_MAX), it.aliases.0.iter().filter_map(|alias| alias.cut(NAME_MAX)).collect())
            }
        };
        Finding {
            kind: ScanKind::Vulnerability,
            id: id.unwrap_or_default(),
            aliases,
            severity: Severity::Unknown,
            component: product.map(|product| Component {
                purl: Some(value::cut(product, NAME_MAX)).filter(|product| product.starts_with("pkg:")),
                name: value::cut(product, NAME_MAX),
                ..Component::default()
            }),
            fixed_in: None,
            disclosed_at: None,
            place: None,
            suppressed: matches!(self.status.get(), Some("not_affected" | "fixed")),
        }
    }
}
