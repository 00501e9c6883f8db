//! SPDX 3.0 in JSON-LD: one graph of elements that point at each other, in any order.
//!
//! Packages are counted. Licences are relationships here and are not joined to their packages: that would take the whole
//! graph in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::bom::{self, Bom, NAME_MAX, Thing, Tool};
use super::loose::{List, Object, Strict, Text, TextOr, Trail};
use super::spdx::{Candidate, KEPT_MAX, Key, key, subject};
use super::{Component, Details, Document, Format, Given, Kind, Reason, Rejection, Report, Shape, Sketch, value};
use crate::event::Digest;
use crate::event::artifact::SbomFormat;

/// SPDX 3 in JSON-LD.
pub(super) const FORMAT: Format = Format {
    name: "spdx3",
    about: "SPDX 3 bill of materials, JSON-LD",
    versions: "3.0",
    kinds: &[Kind::Sbom],
    media_type: "application/spdx+json",
    recognise,
    secret_members: |_| &[],
    read,
};

fn recognise(sketch: &Sketch) -> bool {
    let spdx = || sketch.text.contains("spdx.org/rdf/") || sketch.text.contains("\"spdxId\"");
    sketch.shape == Shape::Object && sketch.has("@graph") && spdx()
}

fn read(document: &Document<'_>, given: &Given, details: &mut dyn Details) -> Result<Report, Rejection> {
    fold(document, details)?.report(given)
}

/// Reads a bill of materials.
///
/// # Errors
/// [`Reason::UnsupportedVersion`], [`Reason::MissingField`], [`Reason::BadDigest`], and what [`Document::json_seed`] has
/// against it.
pub(super) fn fold(document: &Document<'_>, details: &mut dyn Details) -> Result<Bom, Rejection> {
    let mut fold = Fold {
        details,
        trail: Trail::default(),
        elements: 0,
        packages: 0,
        infos: BTreeMap::new(),
        inline: None,
        tools: BTreeMap::new(),
        documents: Vec::new(),
        roots: BTreeMap::new(),
        described: Vec::new(),
        candidates: Vec::new(),
    };
    let outcome = document.json_seed_untraced(Top(&mut fold));
    let trail = std::mem::take(&mut fold.trail);
    outcome.map_err(|rejection| trail.end(rejection))?;
    fold.bom()
}

/// Keeps of the graph what tells when and by what the document was made, and what it is about.
struct Fold<'d> {
    details: &'d mut dyn Details,
    trail: Trail,
    elements: u64,
    packages: u64,
    infos: BTreeMap<Key, Info>,
    /// The first creation information that stands within another element.
    inline: Option<Info>,
    tools: BTreeMap<Key, String>,
    /// Id and creation information of the documents.
    documents: Vec<(String, Option<Key>)>,
    /// Of documents and bills of materials: their root elements.
    roots: BTreeMap<Key, Vec<Key>>,
    /// From and to of every `describes`.
    described: Vec<(Key, Key)>,
    candidates: Vec<Candidate>,
}

#[derive(Debug, Clone)]
struct Info {
    spec_version: Option<String>,
    created: Option<String>,
    tools: Vec<Key>,
}

impl Fold<'_> {
    fn bom(mut self) -> Result<Bom, Rejection> {
        let document = self.documents.first().cloned();
        let info = document.as_ref().and_then(|(_, info)| self.infos.get(&(*info)?)).or(self.inline.as_ref());
        let info = info.or_else(|| self.infos.values().next()).cloned();
        let info = info.ok_or_else(|| Rejection::missing("specVersion").at("@graph"))?;
        let spec_version = info.spec_version.ok_or_else(|| Rejection::missing("specVersion").at("@graph"))?;
        if spec_version != "3.0" && !spec_version.starts_with("3.0.") {
            let what = format!("{:?} is not 3.0", value::cut(&spec_version, 64));
            return Err(Rejection::new(Reason::UnsupportedVersion, what).at("specVersion").at("@graph"));
        }
        let described = document.as_ref().map(|(id, _)| self.described_by(key(id))).unwrap_or_default();
        let (named, platform) = subject(std::mem::take(&mut self.candidates), &described)?;
        let tool = info.tools.iter().find_map(|id| self.tools.get(id)).and_then(|name| Tool::of_word(name));
        Ok(Bom {
            format: SbomFormat::Spdx,
            spec_version: value::cut(&spec_version, 16),
            components: self.packages,
            vulnerabilities: None,
            generated_at: info.created.as_deref().and_then(value::zoned_time),
            serial: document.map(|(id, _)| id),
            tool,
            named,
            platform,
        })
    }

    /// What a document is about: its root elements, theirs where those are bills of materials, and what is described.
    fn described_by(&self, document: Key) -> BTreeSet<Key> {
        let mut described = BTreeSet::new();
        let mut next = vec![document];
        while let Some(id) = next.pop() {
            let roots = self.roots.get(&id).into_iter().flatten().copied();
            let related = self.described.iter().filter(|(from, _)| *from == id).map(|(_, to)| *to);
            next.extend(roots.chain(related).filter(|to| described.insert(*to)));
        }
        described
    }

    fn element(&mut self, element: &Element<'_>) {
        let at = format!("@graph[{}]", self.elements);
        self.elements = self.elements.saturating_add(1);
        // `software_Package` in the usual context, `.../terms/Software/Package` in full.
        let kind = element.kind.get().unwrap_or_default().rsplit(['_', '/', ':']).next().unwrap_or_default();
        let id = element.spdx_id.get().or_else(|| element.id.get());
        let creation = match &element.creation {
            TextOr::Text(id) => id.get().map(key),
            TextOr::Object(info) => {
                self.inline.get_or_insert_with(|| info.info());
                None
            }
        };
        match (kind, id) {
            ("CreationInfo", id) if self.infos.len() < KEPT_MAX => {
                self.infos.insert(key(id.unwrap_or_default()), element.info());
            }
            ("Tool", Some(id)) if self.tools.len() < KEPT_MAX => {
                self.tools.insert(key(id), element.name.cut(NAME_MAX).unwrap_or_default());
            }
            ("SpdxDocument" | "Sbom" | "Bom" | "Bundle", Some(id)) if self.roots.len() < KEPT_MAX => {
                if kind == "SpdxDocument" {
                    self.documents.push((value::cut(id, NAME_MAX), creation));
                }
                self.roots.insert(key(id), element.roots.0.iter().filter_map(Text::get).map(key).collect());
            }
            ("Relationship", _) if element.relationship.get() == Some("describes") => {
                if let (Some(from), true) = (element.from.get(), self.described.len() < KEPT_MAX) {
                    self.described.extend(element.to.0.iter().filter_map(Text::get).map(|to| (key(from), key(to))));
                }
            }
            ("Package" | "AIPackage" | "DatasetPackage", id) => {
                self.packages = self.packages.saturating_add(1);
                if let (Some(candidate), true) = (element.candidate(&at, id), self.candidates.len() < KEPT_MAX) {
                    self.candidates.push(candidate);
                }
                if self.details.wanted() {
                    self.details.component(element.component());
                }
            }
            _ => {}
        }
    }
}

/// Any element: what its types have.
#[derive(Deserialize)]
struct Element<'a> {
    #[serde(default, borrow, rename = "type", alias = "@type")]
    kind: Text<'a>,
    #[serde(default, borrow, rename = "spdxId")]
    spdx_id: Text<'a>,
    #[serde(default, borrow, rename = "@id")]
    id: Text<'a>,
    #[serde(default, borrow)]
    name: Text<'a>,
    #[serde(default, borrow, rename = "specVersion")]
    spec_version: Text<'a>,
    #[serde(default, borrow)]
    created: Text<'a>,
    #[serde(default, borrow, rename = "createdUsing")]
    created_using: List<Text<'a>>,
    #[serde(default, borrow, rename = "creationInfo")]
    creation: TextOr<'a, InlineInfo<'a>>,
    #[serde(default, borrow, rename = "rootElement")]
    roots: List<Text<'a>>,
    #[serde(default, borrow, rename = "relationshipType")]
    relationship: Text<'a>,
    #[serde(default, borrow)]
    from: Text<'a>,
    #[serde(default, borrow)]
    to: List<Text<'a>>,
    #[serde(default, borrow, rename = "software_packageUrl")]
    purl: Text<'a>,
    #[serde(default, borrow, rename = "software_packageVersion")]
    version: Text<'a>,
    #[serde(default, borrow, rename = "software_primaryPurpose")]
    purpose: Text<'a>,
    #[serde(default, borrow, rename = "externalIdentifier")]
    identifiers: List<Object<Identifier<'a>>>,
    #[serde(default, borrow, rename = "verifiedUsing")]
    hashes: List<Object<Hash<'a>>>,
}

#[derive(Deserialize)]
struct Identifier<'a> {
    #[serde(default, borrow, rename = "externalIdentifierType")]
    kind: Text<'a>,
    #[serde(default, borrow)]
    identifier: Text<'a>,
}

#[derive(Deserialize)]
struct Hash<'a> {
    #[serde(default, borrow)]
    algorithm: Text<'a>,
    #[serde(default, borrow, rename = "hashValue")]
    value: Text<'a>,
}

/// Creation information that stands within another element.
#[derive(Deserialize)]
struct InlineInfo<'a> {
    #[serde(default, borrow, rename = "specVersion")]
    spec_version: Text<'a>,
    #[serde(default, borrow)]
    created: Text<'a>,
    #[serde(default, borrow, rename = "createdUsing")]
    created_using: List<Text<'a>>,
}

impl InlineInfo<'_> {
    fn info(&self) -> Info {
        info(&self.spec_version, &self.created, &self.created_using)
    }
}

fn info(spec_version: &Text<'_>, created: &Text<'_>, tools: &List<Text<'_>>) -> Info {
    let tools = tools.0.iter().filter_map(Text::get).map(key).collect();
    Info { spec_version: spec_version.cut(NAME_MAX), created: created.cut(NAME_MAX), tools }
}

impl Element<'_> {
    fn info(&self) -> Info {
        info(&self.spec_version, &self.created, &self.created_using)
    }

    fn purls(&self) -> impl Iterator<Item = &str> {
        let of_identifier = |identifier: &'_ Identifier<'_>| identifier.kind.get() == Some("packageUrl");
        let more = self.identifiers.0.iter().filter_map(|it| it.0.as_ref());
        let more = more.filter(move |it| of_identifier(it)).filter_map(|it| it.identifier.get());
        self.purl.get().into_iter().chain(more)
    }

    fn component(&self) -> Component {
        Component {
            purl: self.purls().next().map(|purl| value::cut(purl, NAME_MAX)),
            name: self.name.cut(NAME_MAX).unwrap_or_default(),
            version: self.version.cut(NAME_MAX),
            licences: Vec::new(),
        }
    }

    fn candidate(&self, at: &str, id: Option<&str>) -> Option<Candidate> {
        let container = self.purpose.get() == Some("container");
        let image = self.purls().any(|purl| purl.starts_with("pkg:oci/") || purl.starts_with("pkg:docker/"));
        if !(container || image) {
            return None;
        }
        let mut platform = None;
        let digests = self.digests(at, container, &mut platform);
        Some(Candidate { key: key(id?), name: self.name.cut(NAME_MAX), digests, platform })
    }

    fn digests(&self, at: &str, container: bool, platform: &mut Option<String>) -> Result<Vec<Digest>, Rejection> {
        let mut digests = Vec::new();
        for purl in self.purls() {
            let thing = Thing::of_purl(&format!("{at}.software_packageUrl"), purl)?;
            bom::add(&mut digests, thing.digest);
            *platform = platform.take().or(thing.platform);
        }
        if !digests.is_empty() || !container {
            return Ok(digests);
        }
        if let Some(version) = self.version.get().filter(|version| version.starts_with("sha256:")) {
            bom::add(&mut digests, [value::digest(&format!("{at}.software_packageVersion"), version)?]);
            return Ok(digests);
        }
        for (n, hash) in self.hashes.0.iter().enumerate() {
            if let Some((algorithm, hex)) = hash.0.as_ref().and_then(|it| Some((it.algorithm.get()?, it.value.get()?)))
            {
                bom::add(&mut digests, bom::hash(&format!("{at}.verifiedUsing[{n}].hashValue"), algorithm, hex)?);
            }
        }
        Ok(digests)
    }
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
        f.write_str("an SPDX 3 document")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let fold = self.0;
        while let Some(member) = map.next_key::<std::borrow::Cow<'_, str>>()? {
            if member == "@graph" {
                let read = map.next_value_seed(Graph(fold));
                fold.trail.step("@graph", read)?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }
}

struct Graph<'f, 'd>(&'f mut Fold<'d>);

impl<'de> DeserializeSeed<'de> for Graph<'_, '_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Graph<'_, '_> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of elements")
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let fold = self.0;
        for n in 0.. {
            let read = list.next_element::<Strict<Element<'_>>>();
            match fold.trail.entry(n, read)? {
                Some(Strict(element)) => fold.element(&element),
                None => break,
            }
        }
        Ok(())
    }
}
