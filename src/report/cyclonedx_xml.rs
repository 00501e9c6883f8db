//! CycloneDX in XML, 1.0 to 1.7: the same as in JSON, as a stream of elements. No entity but the five of XML itself is
//! followed, and a document that declares any is refused.

use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, XmlVersion};

use super::bom::{Bom, NAME_MAX, Tool};
use super::cyclonedx::{Parts, REPO_DIGEST, Seen};
use super::{
    Details, Document, Finding, Format, Given, Kind, Reason, Rejection, Report, Severity, Shape, Sketch, value,
};
use crate::event::artifact::ScanKind;

/// CycloneDX in XML.
pub(super) const FORMAT: Format = Format {
    name: "cyclonedx-xml",
    about: "CycloneDX bill of materials or VEX, XML",
    versions: "1.0 to 1.7",
    kinds: &[Kind::Sbom],
    media_type: "application/vnd.cyclonedx+xml",
    recognise,
    secret_members: |_| &[],
    read,
};

const VERSIONS: &[&str] = &["1.0", "1.1", "1.2", "1.3", "1.4", "1.5", "1.6", "1.7"];

/// What names of the form begin with; the version follows.
const NAMESPACE: &str = "http://cyclonedx.org/schema/bom/";

/// As deep as JSON may be.
const DEPTH_MAX: usize = 128;

fn recognise(sketch: &Sketch) -> bool {
    sketch.shape == Shape::Xml && sketch.root == "bom" && sketch.text.contains(NAMESPACE)
}

fn read(document: &Document<'_>, given: &Given, details: &mut dyn Details) -> Result<Report, Rejection> {
    fold(document, details)?.report(given)
}

/// Where in a document an element stands, as far as it matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Bom,
    Metadata,
    Tools,
    Tool,
    Subject,
    Components,
    Component,
    Licences,
    Licence,
    Hashes,
    Properties,
    Vulnerabilities,
    Vulnerability,
    References,
    Ratings,
    Rating,
    Analysis,
    Leaf(Leaf),
    Other,
}

/// An element whose text is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Leaf {
    Timestamp,
    ToolName,
    ToolVersion,
    Group,
    Name,
    Version,
    Purl,
    Licence,
    Hash,
    Property,
    Id,
    Alias,
    Severity,
    State,
    Published,
}

/// Where the child of that name stands. Components stand in other places, too (ancestors, tools, formulas), and are not
/// those of the document there.
fn child(parent: Option<Place>, name: &str) -> Place {
    use Place as P;
    match (parent, name) {
        (None, "bom") => P::Bom,
        (Some(P::Bom), "metadata") => P::Metadata,
        (Some(P::Bom | P::Subject | P::Component), "components") => P::Components,
        (Some(P::Bom), "vulnerabilities") => P::Vulnerabilities,
        (Some(P::Metadata), "timestamp") => P::Leaf(Leaf::Timestamp),
        (Some(P::Metadata), "tools") | (Some(P::Tools), "components" | "services") => P::Tools,
        (Some(P::Metadata), "component") => P::Subject,
        (Some(P::Tools), "tool" | "component" | "service") => P::Tool,
        (Some(P::Tool), "name") => P::Leaf(Leaf::ToolName),
        (Some(P::Tool), "version") => P::Leaf(Leaf::ToolVersion),
        (Some(P::Components), "component") => P::Component,
        (Some(P::Subject | P::Component), "group") => P::Leaf(Leaf::Group),
        (Some(P::Subject | P::Component), "name") => P::Leaf(Leaf::Name),
        (Some(P::Subject | P::Component), "version") => P::Leaf(Leaf::Version),
        (Some(P::Subject | P::Component), "purl") => P::Leaf(Leaf::Purl),
        (Some(P::Component), "licenses") => P::Licences,
        (Some(P::Licences), "license") => P::Licence,
        (Some(P::Licences), "expression") | (Some(P::Licence), "id" | "name") => P::Leaf(Leaf::Licence),
        (Some(P::Subject), "hashes") => P::Hashes,
        (Some(P::Hashes), "hash") => P::Leaf(Leaf::Hash),
        (Some(P::Subject), "properties") => P::Properties,
        (Some(P::Properties), "property") => P::Leaf(Leaf::Property),
        (Some(P::Vulnerabilities), "vulnerability") => P::Vulnerability,
        (Some(P::Vulnerability), "id") => P::Leaf(Leaf::Id),
        (Some(P::Vulnerability), "references") => P::References,
        (Some(P::References), "reference") => P::References,
        (Some(P::References), "id") => P::Leaf(Leaf::Alias),
        (Some(P::Vulnerability), "published") => P::Leaf(Leaf::Published),
        (Some(P::Vulnerability), "ratings") => P::Ratings,
        (Some(P::Ratings), "rating") => P::Rating,
        (Some(P::Rating), "severity") => P::Leaf(Leaf::Severity),
        (Some(P::Vulnerability), "analysis") => P::Analysis,
        (Some(P::Analysis), "state") => P::Leaf(Leaf::State),
        _ => P::Other,
    }
}

struct Fold<'d> {
    details: &'d mut dyn Details,
    wanted: bool,
    seen: Seen,
    /// Places from the outermost element to the one being read.
    path: Vec<Place>,
    /// Components that are being read, the outermost first.
    open: Vec<Parts>,
    text: String,
    /// The attribute that says what the text is: a hash's algorithm, a property's name.
    of: String,
    properties: usize,
    tool: (Option<String>, Option<String>),
    finding: Finding,
}

/// Reads a document from beginning to end.
///
/// # Errors
/// [`Reason::Malformed`], [`Reason::Entities`], [`Reason::TooDeep`], [`Reason::UnsupportedVersion`],
/// [`Reason::BadDigest`].
fn fold(document: &Document<'_>, details: &mut dyn Details) -> Result<Bom, Rejection> {
    let mut fold = Fold {
        wanted: details.wanted(),
        details,
        seen: Seen { bom_format: Some("CycloneDX".to_owned()), ..Seen::default() },
        path: Vec::new(),
        open: Vec::new(),
        text: String::new(),
        of: String::new(),
        properties: 0,
        tool: (None, None),
        finding: nothing(),
    };
    let mut reader = Reader::from_reader(document.reader()?);
    let mut buffer = Vec::new();
    let mut rooted = false;
    loop {
        buffer.clear();
        match reader.read_event_into(&mut buffer).map_err(|error| malformed(&error))? {
            Event::Start(_) | Event::Empty(_) if rooted && fold.path.is_empty() => {
                return Err(Rejection::new(Reason::Malformed, "it has more than one outermost element"));
            }
            Event::Start(element) => {
                fold.start(&element)?;
                rooted = true;
            }
            Event::Empty(element) => {
                fold.start(&element)?;
                fold.end();
                rooted = true;
            }
            Event::End(_) => fold.end(),
            Event::Text(text) => fold.text(&text),
            Event::CData(text) => fold.text(&text),
            Event::GeneralRef(reference) => fold.reference(&reference)?,
            Event::DocType(_) => {
                return Err(Rejection::new(Reason::Entities, "a document type is declared, which nobody needs here"));
            }
            Event::Eof => break,
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
        }
    }
    if !rooted || !fold.path.is_empty() {
        return Err(Rejection::new(Reason::Malformed, "it ends before its outermost element does"));
    }
    fold.seen.bom(VERSIONS)
}

fn malformed(error: &quick_xml::Error) -> Rejection {
    let reason = match error {
        quick_xml::Error::Encoding(_) => Reason::NotUtf8,
        _ => Reason::Malformed,
    };
    Rejection::new(reason, error.to_string())
}

fn nothing() -> Finding {
    Finding {
        kind: ScanKind::Vulnerability,
        id: String::new(),
        aliases: Vec::new(),
        severity: Severity::Unknown,
        component: None,
        fixed_in: None,
        disclosed_at: None,
        place: None,
        suppressed: false,
    }
}

/// The value of an attribute, cut to what is kept.
fn attribute(element: &BytesStart<'_>, name: &str) -> Option<String> {
    let attribute = element.attributes().flatten().find(|attribute| attribute.key.local_name().as_ref() == name)?;
    let text = attribute.normalized_value(XmlVersion::Implicit1_0).ok()?;
    Some(value::cut(text.trim(), NAME_MAX)).filter(|text| !text.is_empty())
}

impl Fold<'_> {
    fn start(&mut self, element: &BytesStart<'_>) -> Result<(), Rejection> {
        if self.path.len() >= DEPTH_MAX {
            return Err(Rejection::new(Reason::TooDeep, format!("nested more than {DEPTH_MAX} deep")));
        }
        let name = element.local_name();
        let place = child(self.path.last().copied(), name.as_ref());
        if self.path.is_empty() && place != Place::Bom {
            let what = format!("the outermost element is {:?} and not bom", value::cut(name.as_ref(), 64));
            return Err(Rejection::new(Reason::BadField, what));
        }
        self.path.push(place);
        match place {
            Place::Bom => {
                let names = element.attributes().flatten().filter(|it| it.key.as_ref().starts_with("xmlns"));
                let version = |it: quick_xml::events::attributes::Attribute<'_>| {
                    it.value.strip_prefix(NAMESPACE).map(|version| value::cut(version, NAME_MAX))
                };
                self.seen.spec_version = names.into_iter().find_map(version);
                self.seen.serial = attribute(element, "serialNumber");
            }
            Place::Subject | Place::Component => {
                self.open.push(Parts { kind: attribute(element, "type"), ..Parts::default() });
            }
            Place::Tool => self.tool = (None, None),
            Place::Vulnerabilities => self.seen.vulnerabilities = self.seen.vulnerabilities.or(Some(0)),
            Place::Vulnerability => self.finding = nothing(),
            Place::Leaf(leaf) => {
                self.text.clear();
                let name = match leaf {
                    Leaf::Hash => "alg",
                    Leaf::Property => "name",
                    _ => return Ok(()),
                };
                self.of = attribute(element, name).unwrap_or_default();
            }
            _ => {}
        }
        Ok(())
    }

    fn text(&mut self, text: &str) {
        if let Some(Place::Leaf(_)) = self.path.last()
            && self.text.len() <= NAME_MAX
        {
            self.text.push_str(text);
        }
    }

    fn reference(&mut self, reference: &quick_xml::events::BytesRef<'_>) -> Result<(), Rejection> {
        let character = reference.resolve_char_ref().map_err(|error| malformed(&error))?;
        match character {
            Some(character) => self.text(character.encode_utf8(&mut [0; 4])),
            None => match quick_xml::escape::resolve_predefined_entity(reference) {
                Some(text) => self.text(text),
                None => {
                    let what = format!("the entity {:?} is none of XML's own", value::cut(reference, 64));
                    return Err(Rejection::new(Reason::Entities, what));
                }
            },
        }
        Ok(())
    }

    fn end(&mut self) {
        match self.path.pop() {
            Some(Place::Leaf(leaf)) => {
                let text = value::cut(self.text.trim(), NAME_MAX);
                self.leaf(leaf, Some(text).filter(|text| !text.is_empty()));
            }
            Some(Place::Tool) => {
                let (name, version) = std::mem::take(&mut self.tool);
                let tool = Tool::new(name.as_deref(), version.as_deref());
                self.seen.tool = self.seen.tool.take().or(tool);
            }
            Some(Place::Subject) => self.seen.subject = self.open.pop().unwrap_or_default(),
            Some(Place::Component) => {
                self.seen.components = self.seen.components.saturating_add(1);
                let parts = self.open.pop().unwrap_or_default();
                if self.wanted {
                    self.details.component(parts.component());
                }
            }
            Some(Place::Vulnerability) => {
                self.seen.vulnerabilities = self.seen.vulnerabilities.map(|n| n.saturating_add(1));
                if self.wanted {
                    self.details.finding(std::mem::replace(&mut self.finding, nothing()));
                }
            }
            _ => {}
        }
    }

    fn leaf(&mut self, leaf: Leaf, text: Option<String>) {
        match leaf {
            Leaf::Timestamp => self.seen.timestamp = text,
            Leaf::ToolName => self.tool.0 = text,
            Leaf::ToolVersion => self.tool.1 = text,
            Leaf::Id => self.finding.id = text.unwrap_or_default(),
            Leaf::Alias => self.finding.aliases.extend(text),
            Leaf::Severity => {
                let severity = text.as_deref().map_or(Severity::Unknown, Severity::of);
                self.finding.severity = self.finding.severity.max(severity);
            }
            Leaf::Published => self.finding.disclosed_at = text.as_deref().and_then(value::zoned_time),
            Leaf::State => self.finding.suppressed = super::cyclonedx::harmless(text.as_deref().unwrap_or_default()),
            Leaf::Group | Leaf::Name | Leaf::Version | Leaf::Purl | Leaf::Licence | Leaf::Hash | Leaf::Property => {
                let of = std::mem::take(&mut self.of);
                let Some(parts) = self.open.last_mut() else { return };
                match leaf {
                    Leaf::Group => parts.group = text,
                    Leaf::Name => parts.name = text,
                    Leaf::Version => parts.version = text,
                    Leaf::Purl => parts.purl = text,
                    Leaf::Licence => parts.licences.extend(text),
                    Leaf::Hash => parts.hashes.extend(text.map(|text| (of, text))),
                    _ => {
                        if of == REPO_DIGEST {
                            parts.repo_digests.extend(text.map(|text| (self.properties, text)));
                        }
                        self.properties += 1;
                    }
                }
            }
        }
    }
}
