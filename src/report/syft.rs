//! Syft's own JSON, schemas 1 to 16. What was looked at stands in `source.target` up to schema 10 and in
//! `source.metadata` from 11 on.
//!
//! An image is named by its `repoDigests`. Its `manifestDigest` is that of a manifest as it stands on the machine, which
//! a registry may not know: it does not count, and neither does the `imageID`.

use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::bom::{self, Bom, NAME_MAX, Tool};
use super::loose::{List, Object, Strict, Text, TextOr, Trail, junk};
use super::{
    Component, Details, Document, Format, Given, Kind, Named, Reason, Rejection, Report, Shape, Sketch, value,
};
use crate::event::artifact::SbomFormat;

/// Syft's JSON.
pub(super) const FORMAT: Format = Format {
    name: "syft",
    about: "Syft's own bill of materials, JSON",
    versions: "schemas 1 to 16",
    kinds: &[Kind::Sbom],
    media_type: "application/vnd.syft+json",
    recognise,
    secret_members: |_| &[],
    read,
};

/// The newest major version of the schema that is read.
const SCHEMA_MAX: u32 = 16;

/// `artifacts` comes first and may be longer than what is looked at.
fn recognise(sketch: &Sketch) -> bool {
    sketch.shape == Shape::Object
        && sketch.has("artifacts")
        && (sketch.has("artifactRelationships")
            || sketch.get("descriptor.name") == "syft"
            || sketch.text.contains("\"foundBy\""))
}

fn read(document: &Document<'_>, given: &Given, details: &mut dyn Details) -> Result<Report, Rejection> {
    let mut fold =
        Fold { details, trail: Trail::default(), artifacts: None, source: None, descriptor: None, schema: None };
    let outcome = document.json_seed_untraced(Top(&mut fold));
    let Fold { trail, artifacts, source, descriptor, schema, .. } = fold;
    outcome.map_err(|rejection| trail.end(rejection))?;
    let components = artifacts.ok_or_else(|| Rejection::missing("artifacts"))?;
    let version = schema.ok_or_else(|| Rejection::missing("schema.version"))?;
    let major = version.split('.').next().and_then(|major| major.parse::<u32>().ok());
    if !major.is_some_and(|major| (1..=SCHEMA_MAX).contains(&major)) {
        let what = format!("{:?} is none of 1 to {SCHEMA_MAX}", value::cut(&version, 64));
        return Err(Rejection::new(Reason::UnsupportedVersion, what).at("schema.version"));
    }
    let (named, platform) = source.transpose()?.unwrap_or_default();
    let (tool, generated_at) = descriptor.unwrap_or_default();
    let bom = Bom {
        format: SbomFormat::Syft,
        spec_version: value::cut(&version, 32),
        components,
        vulnerabilities: None,
        generated_at: generated_at.as_deref().and_then(value::zoned_time),
        serial: None,
        tool,
        named,
        platform,
    };
    bom.report(given)
}

struct Fold<'d> {
    details: &'d mut dyn Details,
    trail: Trail,
    artifacts: Option<u64>,
    source: Option<Result<(Named, Option<String>), Rejection>>,
    descriptor: Option<(Option<Tool>, Option<String>)>,
    schema: Option<String>,
}

#[derive(Deserialize)]
struct Source<'a> {
    #[serde(default, borrow)]
    target: Object<Image<'a>>,
    #[serde(default, borrow)]
    metadata: Object<Image<'a>>,
    #[serde(default, borrow)]
    name: Text<'a>,
}

#[derive(Deserialize)]
struct Image<'a> {
    #[serde(default, borrow, rename = "repoDigests")]
    repo_digests: List<Text<'a>>,
    #[serde(default, borrow)]
    os: Text<'a>,
    #[serde(default, borrow)]
    architecture: Text<'a>,
}

impl Source<'_> {
    fn named(&self) -> Result<(Named, Option<String>), Rejection> {
        let (at, image) = match (&self.metadata.0, &self.target.0) {
            (Some(image), _) => ("source.metadata", image),
            (None, Some(image)) => ("source.target", image),
            (None, None) => return Ok(Default::default()),
        };
        let mut digests = Vec::new();
        for (n, text) in image.repo_digests.0.iter().enumerate() {
            if let Some(text) = text.get() {
                bom::add(&mut digests, [value::digest(&format!("{at}.repoDigests[{n}]"), text)?]);
            }
        }
        let platform =
            image.os.get().zip(image.architecture.get()).map(|(os, architecture)| format!("{os}/{architecture}"));
        let named = Named { digests, commit: None, name: self.name.cut(NAME_MAX) };
        Ok((named, platform.map(|platform| value::cut(&platform, NAME_MAX))))
    }
}

#[derive(Deserialize)]
struct Descriptor<'a> {
    #[serde(default, borrow)]
    name: Text<'a>,
    #[serde(default, borrow)]
    version: Text<'a>,
    #[serde(default, borrow)]
    timestamp: Text<'a>,
}

#[derive(Deserialize)]
struct Schema<'a> {
    #[serde(default, borrow)]
    version: Text<'a>,
}

#[derive(Deserialize)]
struct Artifact<'a> {
    #[serde(default, borrow)]
    name: Text<'a>,
    #[serde(default, borrow)]
    version: Text<'a>,
    #[serde(default, borrow)]
    purl: Text<'a>,
    #[serde(default, borrow)]
    licenses: List<TextOr<'a, Licence<'a>>>,
}

impl Artifact<'_> {
    fn component(self) -> Component {
        Component {
            purl: self.purl.cut(NAME_MAX),
            name: self.name.cut(NAME_MAX).unwrap_or_default(),
            version: self.version.cut(NAME_MAX),
            licences: self.licenses.0.iter().filter_map(licence).collect(),
        }
    }
}

/// A licence: a text up to schema 6, from then on an object with the text and the SPDX expression it stands for.
#[derive(Deserialize)]
struct Licence<'a> {
    #[serde(default, borrow)]
    value: Text<'a>,
    #[serde(default, borrow, rename = "spdxExpression")]
    expression: Text<'a>,
}

fn licence(licence: &TextOr<'_, Licence<'_>>) -> Option<String> {
    match licence {
        TextOr::Text(text) => text.cut(NAME_MAX),
        TextOr::Object(licence) => licence.expression.cut(NAME_MAX).or_else(|| licence.value.cut(NAME_MAX)),
    }
}

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "camelCase")]
enum Member {
    Artifacts,
    Source,
    Descriptor,
    Schema,
    #[serde(other)]
    Other,
}

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
        f.write_str("a document of Syft")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let fold = self.0;
        while let Some(member) = map.next_key()? {
            match member {
                Member::Artifacts => {
                    let read = map.next_value_seed(Artifacts(fold));
                    fold.trail.step("artifacts", read)?;
                }
                Member::Source => {
                    fold.source = map.next_value::<Object<Source<'_>>>()?.0.map(|source| source.named());
                }
                Member::Descriptor => {
                    let descriptor = map.next_value::<Object<Descriptor<'_>>>()?.0;
                    fold.descriptor = descriptor.map(|descriptor| {
                        let tool = Tool::new(descriptor.name.get(), descriptor.version.get());
                        (tool, descriptor.timestamp.cut(NAME_MAX))
                    });
                }
                Member::Schema => {
                    fold.schema =
                        map.next_value::<Object<Schema<'_>>>()?.0.and_then(|schema| schema.version.cut(NAME_MAX));
                }
                Member::Other => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }
}

struct Artifacts<'f, 'd>(&'f mut Fold<'d>);

impl<'de> DeserializeSeed<'de> for Artifacts<'_, '_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Artifacts<'_, '_> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of artifacts")
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let fold = self.0;
        let wanted = fold.details.wanted();
        let mut n = 0;
        loop {
            let read = match wanted {
                true => list.next_element().map(|entry: Option<Strict<Artifact<'_>>>| entry.map(|Strict(it)| Some(it))),
                false => list.next_element::<IgnoredAny>().map(|entry| entry.map(|_passed_over| None)),
            };
            match fold.trail.entry(n, read)? {
                Some(Some(artifact)) => fold.details.component(artifact.component()),
                Some(None) => {}
                None => break,
            }
            n += 1;
        }
        fold.artifacts = Some(n);
        Ok(())
    }
    junk!('de: null);
}
