//! CycloneDX in JSON, 1.2 to 1.7: bills of materials, and VEX documents, which have vulnerabilities and no components.
//!
//! Components nest and are counted with the nested ones; the one that the document is about is not among them. What it
//! is about stands in `metadata.component`: Syft writes an image's digest as the version, Trivy as a property, others in
//! the package URL or among the hashes, which of anything but a container are those of a file.

use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::bom::{self, Bom, NAME_MAX, Thing, Tool};
use super::loose::{List, Object, Strict, Text, Trail, junk};
use super::{Component, Details, Document, Finding, Format, Given, Kind, Named, Reason, Rejection, Report, Severity};
use super::{Shape, Sketch, value};
use crate::event::artifact::{SbomFormat, ScanKind};

/// CycloneDX in JSON.
pub(super) const FORMAT: Format = Format {
    name: "cyclonedx",
    about: "CycloneDX bill of materials or VEX, JSON",
    versions: "1.2 to 1.7",
    kinds: &[Kind::Sbom],
    media_type: "application/vnd.cyclonedx+json",
    recognise,
    secret_members: |_| &[],
    read,
};

/// Versions that are read. 1.0 and 1.1 are only in XML.
const VERSIONS: &[&str] = &["1.2", "1.3", "1.4", "1.5", "1.6", "1.7"];

/// A generator that sorts members puts `bomFormat` behind thousands of components: then these tell.
fn recognise(sketch: &Sketch) -> bool {
    let of_components = || {
        (sketch.has("components") || sketch.has("vulnerabilities"))
            && (sketch.text.contains("\"bom-ref\"") || sketch.get("$schema").contains("cyclonedx"))
    };
    sketch.shape == Shape::Object
        && if sketch.has("bomFormat") { sketch.get("bomFormat") == "CycloneDX" } else { of_components() }
}

fn read(document: &Document<'_>, given: &Given, details: &mut dyn Details) -> Result<Report, Rejection> {
    fold(document, details)?.report(given)
}

/// Reads a document from beginning to end.
///
/// # Errors
/// [`Reason::UnsupportedVersion`], [`Reason::BadDigest`], and what [`Document::json_seed`] has against it.
pub(super) fn fold(document: &Document<'_>, details: &mut dyn Details) -> Result<Bom, Rejection> {
    let mut fold = Fold { wanted: details.wanted(), details, trail: Trail::default(), seen: Seen::default() };
    let outcome = document.json_seed_untraced(Top(&mut fold));
    let Fold { trail, seen, .. } = fold;
    outcome.map_err(|rejection| trail.end(rejection))?;
    seen.bom(VERSIONS)
}

/// What is known so far.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) bom_format: Option<String>,
    pub(super) spec_version: Option<String>,
    pub(super) serial: Option<String>,
    pub(super) timestamp: Option<String>,
    pub(super) tool: Option<Tool>,
    pub(super) subject: Parts,
    pub(super) components: u64,
    pub(super) vulnerabilities: Option<u64>,
}

/// What is read of a component.
#[derive(Debug, Default)]
pub(super) struct Parts {
    pub(super) kind: Option<String>,
    pub(super) group: Option<String>,
    pub(super) name: Option<String>,
    pub(super) version: Option<String>,
    pub(super) purl: Option<String>,
    pub(super) licences: Vec<String>,
    /// Algorithm and digits.
    pub(super) hashes: Vec<(String, String)>,
    /// Those that Trivy calls `RepoDigest`, with their places in the list.
    pub(super) repo_digests: Vec<(usize, String)>,
}

/// Trivy's property for what `docker inspect` calls so: `name@sha256:...`.
pub(super) const REPO_DIGEST: &str = "aquasecurity:trivy:RepoDigest";

impl Parts {
    /// As a detail. The group stands before the name, as in a package URL.
    pub(super) fn component(self) -> Component {
        let name = self.name.unwrap_or_default();
        let name = match self.group {
            Some(group) => format!("{group}/{name}"),
            None => name,
        };
        Component { purl: self.purl, name, version: self.version, licences: self.licences }
    }

    /// What the document is about, if this is its subject.
    fn named(&self) -> Result<(Named, Option<String>), Rejection> {
        let at = |rest: &str| format!("metadata.component.{rest}");
        let image = self.kind.as_deref() == Some("container");
        let mut digests = Vec::new();
        for (n, text) in &self.repo_digests {
            bom::add(&mut digests, [value::digest(&at(&format!("properties[{n}].value")), text)?]);
        }
        let thing = self.purl.as_deref().map(|purl| Thing::of_purl(&at("purl"), purl)).transpose()?.unwrap_or_default();
        bom::add(&mut digests, thing.digest);
        if let (true, Some(version)) = (image, self.version.as_deref().filter(|version| bom::is_digest(version))) {
            bom::add(&mut digests, [value::digest(&at("version"), version)?]);
        }
        if image && digests.is_empty() {
            for (n, (algorithm, hex)) in self.hashes.iter().enumerate() {
                bom::add(&mut digests, bom::hash(&at(&format!("hashes[{n}].content")), algorithm, hex)?);
            }
        }
        let name = self.name.as_deref().map(|name| value::cut(name, NAME_MAX));
        Ok((Named { digests, commit: thing.commit, name }, thing.platform))
    }
}

impl Seen {
    /// What it comes to.
    pub(super) fn bom(self, versions: &[&str]) -> Result<Bom, Rejection> {
        match self.bom_format.as_deref() {
            Some("CycloneDX") => {}
            Some(other) => {
                let what = format!("{:?} is not CycloneDX", value::cut(other, 64));
                return Err(Rejection::new(Reason::BadField, what).at("bomFormat"));
            }
            None => return Err(Rejection::missing("bomFormat")),
        }
        let spec_version = self.spec_version.as_ref().ok_or_else(|| Rejection::missing("specVersion"))?.clone();
        if !versions.contains(&spec_version.as_str()) {
            let what = format!("{:?} is none of {}", value::cut(&spec_version, 64), versions.join(", "));
            return Err(Rejection::new(Reason::UnsupportedVersion, what).at("specVersion"));
        }
        let (named, platform) = self.subject.named()?;
        Ok(Bom {
            format: SbomFormat::Cyclonedx,
            spec_version,
            components: self.components,
            vulnerabilities: self.vulnerabilities,
            generated_at: self.timestamp.as_deref().and_then(value::zoned_time),
            serial: self.serial,
            tool: self.tool,
            named,
            platform,
        })
    }
}

struct Fold<'d> {
    details: &'d mut dyn Details,
    wanted: bool,
    trail: Trail,
    seen: Seen,
}

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "camelCase")]
enum Member {
    BomFormat,
    SpecVersion,
    SerialNumber,
    Metadata,
    Components,
    Vulnerabilities,
    #[serde(other)]
    Other,
}

/// The document.
struct Top<'f, 'd>(&'f mut Fold<'d>);

impl<'de> DeserializeSeed<'de> for Top<'_, '_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Top<'_, '_> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a CycloneDX document")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let fold = self.0;
        let text = |text: Text<'_>| text.cut(NAME_MAX);
        let (mut listed, mut described) = (false, false);
        while let Some(member) = map.next_key()? {
            match member {
                Member::BomFormat => fold.seen.bom_format = text(map.next_value()?),
                Member::SpecVersion => fold.seen.spec_version = text(map.next_value()?),
                Member::SerialNumber => fold.seen.serial = text(map.next_value()?),
                Member::Metadata => {
                    let read = if described { Err(twice("metadata")) } else { map.next_value_seed(Metadata(fold)) };
                    fold.trail.step("metadata", read)?;
                    described = true;
                }
                Member::Components => {
                    let read = if listed { Err(twice("components")) } else { map.next_value_seed(Components(fold)) };
                    fold.trail.step("components", read)?;
                    listed = true;
                }
                Member::Vulnerabilities => {
                    let known = fold.seen.vulnerabilities.is_some();
                    let read =
                        if known { Err(twice("vulnerabilities")) } else { map.next_value_seed(Vulnerabilities(fold)) };
                    fold.trail.step("vulnerabilities", read)?;
                }
                Member::Other => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }
}

/// Two lists under one name: nobody can tell which is meant.
fn twice<E: Error>(what: &str) -> E {
    E::custom(format_args!("{what} twice in one object"))
}

struct Metadata<'f, 'd>(&'f mut Fold<'d>);

impl<'de> DeserializeSeed<'de> for Metadata<'_, '_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Metadata<'_, '_> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        #[derive(Deserialize)]
        #[serde(field_identifier, rename_all = "camelCase")]
        enum Member {
            Timestamp,
            Component,
            Tools,
            #[serde(other)]
            Other,
        }
        let fold = self.0;
        while let Some(member) = map.next_key()? {
            match member {
                Member::Timestamp => fold.seen.timestamp = map.next_value::<Text<'_>>()?.cut(NAME_MAX),
                Member::Tools => fold.seen.tool = map.next_value::<Tools>()?.0,
                Member::Component => {
                    let read = map.next_value_seed(One { fold, subject: true });
                    fold.trail.step("component", read)?;
                }
                Member::Other => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }
    junk!('de: null);
}

/// The first tool: of a list (to 1.4, and still allowed), or of the components or services of an object (from 1.5).
#[derive(Default)]
struct Tools(Option<Tool>);

impl<'de> Deserialize<'de> for Tools {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct One<'a> {
            #[serde(default, borrow)]
            name: Text<'a>,
            #[serde(default, borrow)]
            version: Text<'a>,
        }
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Tools;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of tools, or an object with one")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Tools, A::Error> {
                let mut first = None;
                while let Some(tool) = list.next_element::<Object<One<'_>>>()? {
                    first = first.or_else(|| tool.0.and_then(|tool| Tool::new(tool.name.get(), tool.version.get())));
                }
                Ok(Tools(first))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Tools, A::Error> {
                let (mut component, mut service) = (None, None);
                while let Some(key) = map.next_key::<std::borrow::Cow<'_, str>>()? {
                    match &*key {
                        "components" => component = map.next_value::<Tools>()?.0,
                        "services" => service = map.next_value::<Tools>()?.0,
                        _ => drop(map.next_value::<IgnoredAny>()?),
                    }
                }
                Ok(Tools(component.or(service)))
            }
            junk!('de: null, scalar, text);
        }
        deserializer.deserialize_any(Any)
    }
}

/// A list of components.
struct Components<'f, 'd>(&'f mut Fold<'d>);

impl<'de> DeserializeSeed<'de> for Components<'_, '_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Components<'_, '_> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of components")
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let fold = self.0;
        for n in 0.. {
            let read = list.next_element_seed(One { fold, subject: false });
            if fold.trail.entry(n, read)?.is_none() {
                break;
            }
            fold.seen.components = fold.seen.components.saturating_add(1);
        }
        Ok(())
    }
    junk!('de: null);
}

/// One component, and those within it. Of one that nobody looks at only the members' names are read.
struct One<'f, 'd> {
    fold: &'f mut Fold<'d>,
    subject: bool,
}

impl<'de> DeserializeSeed<'de> for One<'_, '_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "camelCase")]
enum Part {
    Components,
    Group,
    Hashes,
    Licenses,
    Name,
    Properties,
    Purl,
    Type,
    Version,
    #[serde(other)]
    Other,
}

impl<'de> Visitor<'de> for One<'_, '_> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a component")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Self { fold, subject } = self;
        let read = subject || fold.wanted;
        let mut parts = Parts::default();
        let text = |text: Text<'_>| text.cut(NAME_MAX);
        let mut nested = false;
        while let Some(part) = map.next_key()? {
            match part {
                Part::Components => {
                    let read = if nested { Err(twice("components")) } else { map.next_value_seed(Components(fold)) };
                    fold.trail.step("components", read)?;
                    nested = true;
                }
                Part::Group if read => parts.group = text(map.next_value()?),
                Part::Name if read => parts.name = text(map.next_value()?),
                Part::Version if read => parts.version = text(map.next_value()?),
                Part::Purl if read => parts.purl = text(map.next_value()?),
                Part::Type if subject => parts.kind = text(map.next_value()?),
                Part::Licenses if read && !subject => parts.licences = licences(map.next_value()?),
                Part::Hashes if subject => parts.hashes = hashes(map.next_value()?),
                Part::Properties if subject => parts.repo_digests = repo_digests(map.next_value()?),
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        if subject {
            fold.seen.subject = parts;
        } else if fold.wanted {
            fold.details.component(parts.component());
        }
        Ok(())
    }
}

#[derive(Deserialize)]
struct Licence<'a> {
    #[serde(default, borrow)]
    expression: Text<'a>,
    #[serde(default, borrow)]
    license: Object<LicenceName<'a>>,
}

#[derive(Deserialize)]
struct LicenceName<'a> {
    #[serde(default, borrow)]
    id: Text<'a>,
    #[serde(default, borrow)]
    name: Text<'a>,
}

fn licences(list: List<Object<Licence<'_>>>) -> Vec<String> {
    let name = |licence: Licence<'_>| {
        let licence_name = licence.license.0.and_then(|it| it.id.cut(NAME_MAX).or_else(|| it.name.cut(NAME_MAX)));
        licence.expression.cut(NAME_MAX).or(licence_name)
    };
    list.0.into_iter().filter_map(|licence| licence.0.and_then(name)).collect()
}

#[derive(Deserialize)]
struct Hash<'a> {
    #[serde(default, borrow)]
    alg: Text<'a>,
    #[serde(default, borrow)]
    content: Text<'a>,
}

fn hashes(list: List<Object<Hash<'_>>>) -> Vec<(String, String)> {
    let both = |hash: Hash<'_>| Some((hash.alg.cut(NAME_MAX)?, hash.content.cut(NAME_MAX)?));
    list.0.into_iter().filter_map(|hash| hash.0.and_then(both)).collect()
}

#[derive(Deserialize)]
struct Property<'a> {
    #[serde(default, borrow)]
    name: Text<'a>,
    #[serde(default, borrow)]
    value: Text<'a>,
}

fn repo_digests(list: List<Object<Property<'_>>>) -> Vec<(usize, String)> {
    let value = |(n, property): (usize, Object<Property<'_>>)| {
        let property = property.0.filter(|property| property.name.get() == Some(REPO_DIGEST))?;
        Some((n, property.value.cut(NAME_MAX)?))
    };
    list.0.into_iter().enumerate().filter_map(value).collect()
}

struct Vulnerabilities<'f, 'd>(&'f mut Fold<'d>);

impl<'de> DeserializeSeed<'de> for Vulnerabilities<'_, '_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Vulnerabilities<'_, '_> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of vulnerabilities")
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let fold = self.0;
        let mut n = 0;
        loop {
            let read = match fold.wanted {
                true => {
                    list.next_element().map(|entry: Option<Strict<Vulnerability<'_>>>| entry.map(|Strict(it)| Some(it)))
                }
                false => list.next_element::<IgnoredAny>().map(|entry| entry.map(|_passed_over| None)),
            };
            match fold.trail.entry(n, read)? {
                Some(Some(vulnerability)) => fold.details.finding(vulnerability.finding()),
                Some(None) => {}
                None => break,
            }
            n += 1;
        }
        fold.seen.vulnerabilities = Some(n);
        Ok(())
    }
    junk!('de: null);
}

#[derive(Deserialize)]
struct Vulnerability<'a> {
    #[serde(default, borrow)]
    id: Text<'a>,
    #[serde(default, borrow)]
    references: List<Object<Reference<'a>>>,
    #[serde(default, borrow)]
    ratings: List<Object<Rating<'a>>>,
    #[serde(default, borrow)]
    analysis: Object<Analysis<'a>>,
    #[serde(default, borrow)]
    published: Text<'a>,
}

#[derive(Deserialize)]
struct Reference<'a> {
    #[serde(default, borrow)]
    id: Text<'a>,
}

#[derive(Deserialize)]
struct Rating<'a> {
    #[serde(default, borrow)]
    severity: Text<'a>,
}

#[derive(Deserialize)]
struct Analysis<'a> {
    #[serde(default, borrow)]
    state: Text<'a>,
}

/// Whether a state of the analysis says that what the document is about is not, or not any more, affected.
pub(super) fn harmless(state: &str) -> bool {
    matches!(state, "not_affected" | "false_positive" | "resolved" | "resolved_with_pedigree")
}

impl Vulnerability<'_> {
    /// The worst rating counts.
    fn finding(self) -> Finding {
        let severities = self.ratings.0.iter().filter_map(|rating| rating.0.as_ref()?.severity.get());
        let state = self.analysis.0.as_ref().and_then(|analysis| analysis.state.get()).unwrap_or_default();
        Finding {
            kind: ScanKind::Vulnerability,
            id: self.id.cut(NAME_MAX).unwrap_or_default(),
            aliases: self.references.0.iter().filter_map(|it| it.0.as_ref()?.id.cut(NAME_MAX)).collect(),
            severity: severities.map(Severity::of).max().unwrap_or(Severity::Unknown),
            component: None,
            fixed_in: None,
            disclosed_at: self.published.get().and_then(value::zoned_time),
            place: None,
            suppressed: harmless(state),
        }
    }
}
