//! SPDX 2.2 and 2.3 in JSON, also as GitHub exports it (within an object under `sbom`).
//!
//! Packages are counted, the one that the document describes among them, as the form has no other place for it. What is
//! described is told by `documentDescribes` or by a relationship, before or after the packages; so what packages say of
//! images is kept until it is known which of them it is about.

use std::collections::BTreeSet;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::bom::{self, Bom, NAME_MAX, Thing, Tool};
use super::loose::{List, Object, Strict, Text, Trail, junk};
use super::{
    Component, Details, Document, Format, Given, Kind, Named, Reason, Rejection, Report, Shape, Sketch, value,
};
use crate::event::Digest;
use crate::event::artifact::SbomFormat;

/// SPDX 2 in JSON.
pub(super) const FORMAT: Format = Format {
    name: "spdx",
    about: "SPDX 2 bill of materials, JSON",
    versions: "2.2, 2.3",
    kinds: &[Kind::Sbom],
    media_type: "application/spdx+json",
    recognise,
    secret_members: |_| &[],
    read,
};

/// A generator that sorts members may put everything that names the form behind the packages.
fn recognise(sketch: &Sketch) -> bool {
    let by_id = sketch.has("SPDXID") || sketch.has("sbom.SPDXID");
    let by_packages = || (sketch.has("packages") || sketch.has("files")) && sketch.text.contains("\"SPDXID\"");
    sketch.shape == Shape::Object
        && (sketch.has("spdxVersion") || sketch.has("sbom.spdxVersion") || by_id || by_packages())
}

fn read(document: &Document<'_>, given: &Given, details: &mut dyn Details) -> Result<Report, Rejection> {
    fold(document, details)?.report(given)
}

/// Most images and described things that are kept: a real document has a handful.
pub(super) const KEPT_MAX: usize = 1000;

/// Stands for an id, which may be long.
pub(super) type Key = [u8; 16];

/// The key of an id.
pub(super) fn key(id: &str) -> Key {
    let mut key = Key::default();
    blake3::Hasher::new().update(id.as_bytes()).finalize_xof().fill(&mut key);
    key
}

/// A package that may be an image.
pub(super) struct Candidate {
    pub(super) key: Key,
    pub(super) name: Option<String>,
    pub(super) digests: Result<Vec<Digest>, Rejection>,
    pub(super) platform: Option<String>,
}

/// What the described packages come to, in the order of the document.
///
/// # Errors
/// Of the first described package whose digest is none.
pub(super) fn subject(
    candidates: Vec<Candidate>,
    described: &BTreeSet<Key>,
) -> Result<(Named, Option<String>), Rejection> {
    let (mut named, mut platform) = (Named::default(), None);
    for candidate in candidates.into_iter().filter(|candidate| described.contains(&candidate.key)) {
        bom::add(&mut named.digests, candidate.digests?);
        named.name = named.name.or(candidate.name);
        platform = platform.or(candidate.platform);
    }
    Ok((named, platform))
}

/// Reads a document from beginning to end.
///
/// # Errors
/// [`Reason::UnsupportedVersion`], [`Reason::BadDigest`], and what [`Document::json_seed`] has against it.
pub(super) fn fold(document: &Document<'_>, details: &mut dyn Details) -> Result<Bom, Rejection> {
    let mut fold = Fold {
        details,
        trail: Trail::default(),
        spdx_version: None,
        namespace: None,
        creation: Creation::default(),
        packages: 0,
        described: BTreeSet::new(),
        candidates: Vec::new(),
    };
    let outcome = document.json_seed_untraced(Top(&mut fold));
    let Fold { trail, spdx_version, namespace, creation, packages, described, candidates, .. } = fold;
    outcome.map_err(|rejection| trail.end(rejection))?;
    let spdx_version = spdx_version.ok_or_else(|| Rejection::missing("spdxVersion"))?;
    let spec_version = match spdx_version.as_str() {
        "SPDX-2.2" | "SPDX-2.3" => spdx_version.trim_start_matches("SPDX-").to_owned(),
        other => {
            let what = format!("{:?} is neither SPDX-2.2 nor SPDX-2.3", value::cut(other, 64));
            return Err(Rejection::new(Reason::UnsupportedVersion, what).at("spdxVersion"));
        }
    };
    let (named, platform) = subject(candidates, &described)?;
    Ok(Bom {
        format: SbomFormat::Spdx,
        spec_version,
        components: packages,
        vulnerabilities: None,
        generated_at: creation.created.as_deref().and_then(value::zoned_time),
        serial: namespace,
        tool: creation.tool,
        named,
        platform,
    })
}

struct Fold<'d> {
    details: &'d mut dyn Details,
    trail: Trail,
    spdx_version: Option<String>,
    namespace: Option<String>,
    creation: Creation,
    packages: u64,
    described: BTreeSet<Key>,
    candidates: Vec<Candidate>,
}

#[derive(Default)]
struct Creation {
    created: Option<String>,
    tool: Option<Tool>,
}

#[derive(Deserialize)]
struct CreationInfo<'a> {
    #[serde(default, borrow)]
    created: Text<'a>,
    #[serde(default, borrow)]
    creators: List<Text<'a>>,
}

impl CreationInfo<'_> {
    /// Creators are people, organisations and tools: only the first tool is taken.
    fn creation(&self) -> Creation {
        let tool = |creator: &Text<'_>| creator.get()?.strip_prefix("Tool:").and_then(Tool::of_word);
        Creation { created: self.created.cut(NAME_MAX), tool: self.creators.0.iter().find_map(tool) }
    }
}

impl Fold<'_> {
    fn describe(&mut self, id: &str) {
        if self.described.len() < KEPT_MAX {
            self.described.insert(key(id));
        }
    }

    fn package(&mut self, package: &Package<'_>) {
        let at = format!("packages[{}]", self.packages);
        self.packages = self.packages.saturating_add(1);
        if self.candidates.len() < KEPT_MAX
            && let Some(candidate) = package.candidate(&at)
        {
            self.candidates.push(candidate);
        }
        if self.details.wanted() {
            self.details.component(package.component());
        }
    }
}

#[derive(Deserialize)]
struct Package<'a> {
    #[serde(default, borrow, rename = "SPDXID")]
    id: Text<'a>,
    #[serde(default, borrow)]
    name: Text<'a>,
    #[serde(default, borrow, rename = "versionInfo")]
    version: Text<'a>,
    #[serde(default, borrow, rename = "licenseConcluded")]
    concluded: Text<'a>,
    #[serde(default, borrow, rename = "licenseDeclared")]
    declared: Text<'a>,
    #[serde(default, borrow, rename = "primaryPackagePurpose")]
    purpose: Text<'a>,
    #[serde(default, borrow, rename = "externalRefs")]
    references: List<Object<Reference<'a>>>,
    #[serde(default, borrow)]
    checksums: List<Object<Checksum<'a>>>,
    #[serde(default, borrow, rename = "attributionTexts")]
    attributions: List<Text<'a>>,
    #[serde(default, borrow)]
    annotations: List<Object<Annotation<'a>>>,
}

#[derive(Deserialize)]
struct Reference<'a> {
    #[serde(default, borrow, rename = "referenceType")]
    kind: Text<'a>,
    #[serde(default, borrow, rename = "referenceLocator")]
    locator: Text<'a>,
}

#[derive(Deserialize)]
struct Checksum<'a> {
    #[serde(default, borrow)]
    algorithm: Text<'a>,
    #[serde(default, borrow, rename = "checksumValue")]
    value: Text<'a>,
}

#[derive(Deserialize)]
struct Annotation<'a> {
    #[serde(default, borrow)]
    comment: Text<'a>,
}

impl Package<'_> {
    fn purls(&self) -> impl Iterator<Item = (usize, &str)> {
        self.references.0.iter().enumerate().filter_map(|(n, reference)| {
            let reference = reference.0.as_ref().filter(|reference| reference.kind.get() == Some("purl"))?;
            Some((n, reference.locator.get()?))
        })
    }

    fn component(&self) -> Component {
        let licence = |text: &Text<'_>| text.cut(NAME_MAX).filter(|text| text != "NOASSERTION" && text != "NONE");
        Component {
            purl: self.purls().next().map(|(_, purl)| value::cut(purl, NAME_MAX)),
            name: self.name.cut(NAME_MAX).unwrap_or_default(),
            version: self.version.cut(NAME_MAX),
            licences: licence(&self.concluded).or_else(|| licence(&self.declared)).into_iter().collect(),
        }
    }

    /// What it says of an image; none of a package that shows no sign of being one.
    fn candidate(&self, at: &str) -> Option<Candidate> {
        let id = self.id.get()?;
        let of_id = id.rsplit_once("sha256-").map(|(_, hex)| hex).filter(|hex| hex.len() == 64);
        let of_image = self.purpose.get().is_none_or(|purpose| purpose.eq_ignore_ascii_case("CONTAINER"));
        let digest_like = |text: &Text<'_>| text.get().is_some_and(|text| text.contains("sha256:"));
        let by_purl = self.purls().any(|(_, purl)| purl.starts_with("pkg:oci/") || purl.starts_with("pkg:docker/"));
        let by_purpose = of_image && self.purpose.get().is_some();
        let by_text = of_image && (digest_like(&self.name) || digest_like(&self.version) || of_id.is_some());
        if !(by_purl || by_purpose || by_text) {
            return None;
        }
        let mut platform = None;
        let digests = self.digests(at, of_id, by_purpose, &mut platform);
        Some(Candidate { key: key(id), name: self.name.cut(NAME_MAX), digests, platform })
    }

    /// Digests of an image, by the first of the ways in which generators give them that this one uses.
    fn digests(
        &self,
        at: &str,
        of_id: Option<&str>,
        container: bool,
        platform: &mut Option<String>,
    ) -> Result<Vec<Digest>, Rejection> {
        let mut digests = Vec::new();
        for (n, purl) in self.purls() {
            let thing = Thing::of_purl(&format!("{at}.externalRefs[{n}].referenceLocator"), purl)?;
            bom::add(&mut digests, thing.digest);
            *platform = platform.take().or(thing.platform);
        }
        let comments = self.annotations.0.iter().filter_map(|note| note.0.as_ref()?.comment.get());
        let notes = self.attributions.0.iter().filter_map(Text::get).chain(comments);
        // Trivy's way.
        for text in notes.filter_map(|note| note.strip_prefix("RepoDigest: ")) {
            bom::add(&mut digests, [value::digest(&format!("{at}.attributionTexts"), text)?]);
        }
        for (member, text) in [("versionInfo", &self.version), ("name", &self.name)] {
            let text = text.get().filter(|text| text.starts_with("sha256:") || text.contains("@sha256:"));
            // Syft writes the prefix twice for a file, which is no image.
            if let (true, Some(text)) = (digests.is_empty(), text.filter(|text| !text.contains("sha256:sha256:"))) {
                bom::add(&mut digests, [value::digest(&format!("{at}.{member}"), text)?]);
            }
        }
        if let (true, Some(hex)) = (digests.is_empty(), of_id) {
            bom::add(&mut digests, bom::hash(&format!("{at}.SPDXID"), "sha256", hex)?);
        }
        if digests.is_empty() && container {
            for (n, checksum) in self.checksums.0.iter().enumerate() {
                if let Some((algorithm, hex)) =
                    checksum.0.as_ref().and_then(|it| Some((it.algorithm.get()?, it.value.get()?)))
                {
                    bom::add(&mut digests, bom::hash(&format!("{at}.checksums[{n}].checksumValue"), algorithm, hex)?);
                }
            }
        }
        Ok(digests)
    }
}

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "camelCase")]
enum Member {
    SpdxVersion,
    CreationInfo,
    DocumentNamespace,
    DocumentDescribes,
    Packages,
    Relationships,
    Sbom,
    #[serde(other)]
    Other,
}

/// The document, or GitHub's object around it.
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
        f.write_str("an SPDX document")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let fold = self.0;
        while let Some(member) = map.next_key()? {
            match member {
                Member::SpdxVersion => fold.spdx_version = map.next_value::<Text<'_>>()?.cut(NAME_MAX),
                Member::DocumentNamespace => fold.namespace = map.next_value::<Text<'_>>()?.cut(NAME_MAX),
                Member::CreationInfo => {
                    let info = map.next_value::<Object<CreationInfo<'_>>>()?;
                    fold.creation = info.0.map(|info| info.creation()).unwrap_or_default();
                }
                Member::DocumentDescribes => {
                    let ids = map.next_value::<List<Text<'_>>>()?;
                    ids.0.iter().filter_map(Text::get).for_each(|id| fold.describe(id));
                }
                Member::Packages => {
                    let read = map.next_value_seed(Packages(fold));
                    fold.trail.step("packages", read)?;
                }
                Member::Relationships => {
                    let read = map.next_value_seed(Relationships(fold));
                    fold.trail.step("relationships", read)?;
                }
                Member::Sbom => {
                    let read = map.next_value_seed(Top(fold));
                    fold.trail.step("sbom", read)?;
                }
                Member::Other => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }
}

struct Packages<'f, 'd>(&'f mut Fold<'d>);

impl<'de> DeserializeSeed<'de> for Packages<'_, '_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Packages<'_, '_> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of packages")
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let fold = self.0;
        for n in 0.. {
            let read = list.next_element::<Strict<Package<'_>>>();
            match fold.trail.entry(n, read)? {
                Some(Strict(package)) => fold.package(&package),
                None => break,
            }
        }
        Ok(())
    }
    junk!('de: null);
}

struct Relationships<'f, 'd>(&'f mut Fold<'d>);

impl<'de> DeserializeSeed<'de> for Relationships<'_, '_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Relationships<'_, '_> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of relationships")
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        #[derive(Deserialize)]
        struct Relationship<'a> {
            #[serde(default, borrow, rename = "spdxElementId")]
            from: Text<'a>,
            #[serde(default, borrow, rename = "relatedSpdxElement")]
            to: Text<'a>,
            #[serde(default, borrow, rename = "relationshipType")]
            kind: Text<'a>,
        }
        /// The document's own id, always.
        const DOCUMENT: Option<&str> = Some("SPDXRef-DOCUMENT");
        let fold = self.0;
        while let Some(relationship) = list.next_element::<Object<Relationship<'_>>>()? {
            let Some(Relationship { from, to, kind }) = relationship.0 else { continue };
            let described = match kind.get() {
                Some("DESCRIBES") if from.get() == DOCUMENT => to.get(),
                Some("DESCRIBED_BY") if to.get() == DOCUMENT => from.get(),
                _ => None,
            };
            if let Some(id) = described {
                fold.describe(id);
            }
        }
        Ok(())
    }
    junk!('de: null);
}
