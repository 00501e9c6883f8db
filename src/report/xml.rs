//! XML, read once from beginning to end: no tree, no entities of the document's own, whatever the encoding.

use std::io::Read;

use quick_xml::encoding::DecodingReader;
use quick_xml::events::{BytesDecl, BytesRef, BytesStart, Event};
use quick_xml::{Reader, XmlVersion};

use super::{Document, Reason, Rejection};

/// Deepest nesting of elements that is read. Suites nest by packages; ten is already odd.
const DEPTH_MAX: usize = 128;

/// How many bytes may hold the declaration with the encoding's name.
const DECLARATION_BYTES_MAX: u64 = 512;

/// The beginning of an element. Names are without prefix.
#[derive(Debug, Clone, Default)]
pub(super) struct Element {
    /// Its name.
    pub(super) name: String,
    attributes: Vec<(String, String)>,
}

impl Element {
    /// The text of an attribute, trimmed; none where it is absent or blank.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let found = self.attributes.iter().find(|(key, _)| key == name).map(|(_, value)| value.trim());
        found.filter(|text| !text.is_empty())
    }

    fn of(start: &BytesStart<'_>) -> Result<Self, Rejection> {
        let mut element = Self { name: start.local_name().into_inner().to_owned(), attributes: Vec::new() };
        for attribute in start.attributes() {
            let attribute = attribute.map_err(|error| Rejection::new(Reason::Malformed, error.to_string()))?;
            // What names an entity that nobody declared stays as it stands: it is text for people.
            let value = attribute.normalized_value(XmlVersion::Implicit1_0).unwrap_or(attribute.value.clone());
            element.attributes.push((attribute.key.local_name().into_inner().to_owned(), value.into_owned()));
        }
        Ok(element)
    }
}

/// What comes next in a document.
#[derive(Debug)]
pub(super) enum Part<'a> {
    /// An element begins.
    Open(&'a Element),
    /// Text, or a piece of it.
    Text(&'a str),
    /// The element of that name ends.
    Close(&'a str),
}

/// Hands over a document part by part.
///
/// # Errors
/// [`Reason::Malformed`], also where it is cut off; [`Reason::NotUtf8`] where its bytes are not in its encoding;
/// [`Reason::Entities`]; [`Reason::TooDeep`]; and what `take` has against it.
pub(super) fn walk(
    document: &Document<'_>,
    take: &mut dyn FnMut(Part<'_>) -> Result<(), Rejection>,
) -> Result<(), Rejection> {
    let mut decoding = DecodingReader::new(document.reader()?);
    if let Some(declaration) = declared(document)? {
        let encoding = declaration.encoder().ok_or_else(|| {
            let what = declaration.encoding().and_then(Result::ok).unwrap_or_default().into_owned();
            Rejection::new(Reason::UnsupportedEncoding, format!("{what:?} is no encoding that is known here"))
        })?;
        // A declaration that could be read as ASCII is not in UTF-16, whatever it says.
        if encoding.is_ascii_compatible() {
            decoding.set_encoding(encoding);
        }
    }
    let mut reader = Reader::from_reader(decoding);
    let (mut buffer, mut open) = (Vec::new(), Vec::<String>::new());
    let mut rooted = false;
    loop {
        buffer.clear();
        let event = reader.read_event_into(&mut buffer).map_err(|error| broken(&error))?;
        if open.is_empty() && rooted && matches!(event, Event::Start(_) | Event::Empty(_)) {
            return Err(Rejection::new(Reason::Malformed, "there is a second element beside the outermost one"));
        }
        match event {
            Event::Start(start) => {
                let element = Element::of(&start)?;
                rooted = true;
                take(Part::Open(&element))?;
                open.push(element.name);
                if open.len() > DEPTH_MAX {
                    return Err(Rejection::new(
                        Reason::TooDeep,
                        format!("more than {DEPTH_MAX} elements in each other"),
                    ));
                }
            }
            Event::Empty(start) => {
                let element = Element::of(&start)?;
                rooted = true;
                take(Part::Open(&element))?;
                take(Part::Close(&element.name))?;
            }
            Event::End(_) => take(Part::Close(&open.pop().unwrap_or_default()))?,
            Event::Text(text) if !open.is_empty() => take(Part::Text(&text.xml10_content()))?,
            Event::CData(text) if !open.is_empty() => take(Part::Text(&text.xml10_content()))?,
            Event::GeneralRef(reference) => take(Part::Text(&referred(&reference)))?,
            Event::DocType(declared) if declared.xml10_content().to_ascii_uppercase().contains("<!ENTITY") => {
                return Err(Rejection::new(Reason::Entities, "it declares entities"));
            }
            Event::Eof if rooted && open.is_empty() => return Ok(()),
            Event::Eof => return Err(Rejection::new(Reason::Malformed, "the document ends early")),
            _ => {}
        }
    }
}

/// The character that a reference stands for; one that nobody declared stays as it stands.
fn referred(reference: &BytesRef<'_>) -> String {
    if let Ok(Some(character)) = reference.resolve_char_ref() {
        return character.to_string();
    }
    let name = reference.xml10_content();
    quick_xml::escape::resolve_predefined_entity(&name).map_or_else(|| format!("&{name};"), str::to_owned)
}

/// The declaration with an encoding, where the document begins with one in ASCII.
fn declared(document: &Document<'_>) -> Result<Option<BytesDecl<'static>>, Rejection> {
    let mut head = Vec::new();
    let read = document.reader()?.take(DECLARATION_BYTES_MAX).read_to_end(&mut head);
    read.map_err(|error| Rejection::new(Reason::Malformed, format!("cannot be read: {error}")))?;
    let head = String::from_utf8_lossy(&head);
    let declaration = head.strip_prefix("<?xml").and_then(|rest| rest.split_once("?>")).map(|(inside, _)| inside);
    let named = declaration.and_then(|inside| inside.split_once("encoding")).map(|(_, rest)| rest.trim_start());
    let quoted = named.and_then(|rest| rest.strip_prefix('=')).map(str::trim_start);
    let quote = quoted.and_then(|rest| rest.chars().next()).filter(|quote| matches!(quote, '"' | '\''));
    let (Some(quoted), Some(quote)) = (quoted, quote) else { return Ok(None) };
    let name = quoted.split(quote).nth(1).unwrap_or_default();
    Ok(Some(BytesDecl::new("1.0", Some(name), None).into_owned()))
}

fn broken(error: &quick_xml::Error) -> Rejection {
    match error {
        quick_xml::Error::Encoding(_) => {
            Rejection::new(Reason::NotUtf8, "its bytes are not in the encoding that it says it is in")
        }
        other => Rejection::new(Reason::Malformed, other.to_string()),
    }
}
