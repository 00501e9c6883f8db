//! What the beginning of a document shows, without reading it all: enough to tell what it is.

use std::collections::BTreeMap;
use std::fmt;

/// How many bytes of a document are looked at.
pub const HEAD: usize = 64 << 10;

/// The outer form of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Nothing but white space.
    Empty,
    /// A JSON object.
    Object,
    /// A JSON array.
    Array,
    /// Several JSON values, one a line.
    Lines,
    /// `null` and nothing else.
    Null,
    /// XML.
    Xml,
    /// Other text.
    Text,
    /// A container of documents; says which.
    Archive(&'static str),
    /// Bytes that are no text.
    Binary,
}

/// The beginning of a document, taken apart as far as it goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sketch {
    /// The outer form.
    pub shape: Shape,
    /// Members of the object, of the first object of the array, or of the first line: with their text where it is a
    /// string, their digits where it is a number, and nothing where it is anything else. Those of objects one level down
    /// are here, too, as `outer.inner`.
    pub members: BTreeMap<String, String>,
    /// Name of the outermost element of XML, without prefix.
    pub root: String,
    /// The beginning as text.
    pub text: String,
}

impl Sketch {
    /// Of a document's first bytes.
    #[must_use]
    pub fn of(head: &[u8]) -> Self {
        let head = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head);
        let head = head.get(..HEAD).unwrap_or(head);
        let mut sketch =
            Self { shape: Shape::Text, members: BTreeMap::new(), root: String::new(), text: String::new() };
        if let Some(what) = archive(head) {
            sketch.shape = Shape::Archive(what);
            return sketch;
        }
        let valid = match std::str::from_utf8(head) {
            Ok(text) => text,
            // The end may cut a character.
            Err(error) if error.error_len().is_none() => {
                std::str::from_utf8(head.get(..error.valid_up_to()).unwrap_or_default()).unwrap_or_default()
            }
            Err(_) if head.starts_with(b"<?xml") => "<?xml",
            Err(_) => {
                sketch.shape = Shape::Binary;
                return sketch;
            }
        };
        sketch.text = if valid == "<?xml" { String::from_utf8_lossy(head).into_owned() } else { valid.to_owned() };
        let text = sketch.text.trim_start();
        sketch.shape = match text.bytes().next() {
            None => Shape::Empty,
            Some(b'{') => Shape::Object,
            Some(b'[') => Shape::Array,
            Some(b'<') => Shape::Xml,
            Some(_) if text.trim_end() == "null" => Shape::Null,
            Some(_) => Shape::Text,
        };
        match sketch.shape {
            Shape::Object | Shape::Array => {
                let mut scan = Scan { text: text.as_bytes(), at: 0, members: BTreeMap::new() };
                let ended = scan.outer().is_some();
                let more = text.as_bytes().get(scan.at..).unwrap_or_default();
                if ended && sketch.shape == Shape::Object && more.trim_ascii_start().starts_with(b"{") {
                    sketch.shape = Shape::Lines;
                }
                sketch.members = scan.members;
            }
            Shape::Xml => sketch.root = root(text).to_owned(),
            _ => {}
        }
        sketch
    }

    /// Whether there is such a member.
    #[must_use]
    pub fn has(&self, member: &str) -> bool {
        self.members.contains_key(member)
    }

    /// The text of a member; empty where there is none, or it is not a string or number.
    #[must_use]
    pub fn get(&self, member: &str) -> &str {
        self.members.get(member).map_or("", String::as_str)
    }
}

impl fmt::Display for Sketch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let members = || self.members.keys().filter(|key| !key.contains('.')).take(6).cloned().collect::<Vec<_>>();
        match self.shape {
            Shape::Empty => f.write_str("a document without anything in it"),
            Shape::Object => write!(f, "an object with {}", members().join(", ")),
            Shape::Array => write!(f, "an array of objects with {}", members().join(", ")),
            Shape::Lines => write!(f, "lines of objects with {}", members().join(", ")),
            Shape::Null => f.write_str("null"),
            Shape::Xml => write!(f, "XML with the element {}", self.root),
            Shape::Text => f.write_str("this text"),
            Shape::Archive(what) => f.write_str(what),
            Shape::Binary => f.write_str("a document that is not text"),
        }
    }
}

fn archive(head: &[u8]) -> Option<&'static str> {
    let known: &[(&[u8], &str)] = &[
        (b"PK\x03\x04", "a zip archive"),
        (b"PK\x05\x06", "an empty zip archive"),
        (b"\x1f\x8b", "gzip"),
        (b"\x28\xb5\x2f\xfd", "zstd"),
        (b"BZh", "bzip2"),
        (b"\xfd7zXZ", "xz"),
    ];
    let tar = head.get(257..262) == Some(b"ustar");
    known.iter().find(|(magic, _)| head.starts_with(magic)).map(|(_, what)| *what).or(tar.then_some("a tar archive"))
}

/// Name of the first element.
fn root(mut text: &str) -> &str {
    loop {
        text = match text.find('<').and_then(|at| text.get(at + 1..)) {
            Some(rest) => rest,
            None => return "",
        };
        if !text.starts_with(['?', '!']) {
            let end = text.find(|c: char| c.is_whitespace() || c == '>' || c == '/').unwrap_or(text.len());
            let name = text.get(..end).unwrap_or_default();
            return name.rsplit(':').next().unwrap_or(name);
        }
    }
}

/// Goes through JSON that may end anywhere. Every step is none where the text ends or is not JSON.
struct Scan<'a> {
    text: &'a [u8],
    at: usize,
    members: BTreeMap<String, String>,
}

impl Scan<'_> {
    fn peek(&mut self) -> Option<u8> {
        while self.text.get(self.at)?.is_ascii_whitespace() {
            self.at += 1;
        }
        self.text.get(self.at).copied()
    }

    fn take(&mut self, wanted: u8) -> Option<()> {
        (self.peek()? == wanted).then(|| self.at += 1)
    }

    /// The outermost value: members are noted down to two levels.
    fn outer(&mut self) -> Option<()> {
        if self.peek()? == b'[' {
            self.at += 1;
            return if self.peek()? == b'{' { self.object("", 0) } else { None };
        }
        self.object("", 0)
    }

    fn object(&mut self, prefix: &str, depth: usize) -> Option<()> {
        self.take(b'{')?;
        if self.peek()? == b'}' {
            self.at += 1;
            return Some(());
        }
        loop {
            let key = self.string()?;
            self.take(b':')?;
            let name = format!("{prefix}{key}");
            self.members.entry(name.clone()).or_default();
            match self.peek()? {
                b'"' => {
                    let text = self.string()?;
                    self.members.insert(name, text);
                }
                b'{' if depth == 0 => self.object(&format!("{name}."), 1)?,
                b'-' | b'0'..=b'9' => {
                    let from = self.at;
                    self.skip()?;
                    let digits = String::from_utf8_lossy(self.text.get(from..self.at)?).into_owned();
                    self.members.insert(name, digits);
                }
                _ => self.skip()?,
            }
            match self.peek()? {
                b',' => self.at += 1,
                b'}' => {
                    self.at += 1;
                    return Some(());
                }
                _ => return None,
            }
        }
    }

    /// A string, without undoing escapes: names of members have none.
    fn string(&mut self) -> Option<String> {
        self.take(b'"')?;
        let from = self.at;
        loop {
            match self.text.get(self.at)? {
                b'"' => break,
                b'\\' => self.at += 2,
                _ => self.at += 1,
            }
        }
        let text = String::from_utf8_lossy(self.text.get(from..self.at)?).into_owned();
        self.at += 1;
        Some(text)
    }

    /// Passes over a value of any depth.
    fn skip(&mut self) -> Option<()> {
        let mut depth = 0_usize;
        loop {
            match self.peek()? {
                b'"' => drop(self.string()?),
                b'{' | b'[' => {
                    depth += 1;
                    self.at += 1;
                    continue;
                }
                b'}' | b']' => {
                    depth = depth.checked_sub(1)?;
                    self.at += 1;
                }
                b',' | b':' if depth > 0 => {
                    self.at += 1;
                    continue;
                }
                b',' | b':' => return None,
                _ => {
                    while !matches!(self.text.get(self.at)?, b',' | b':' | b'}' | b']' | b' ' | b'\n' | b'\r' | b'\t') {
                        self.at += 1;
                    }
                }
            }
            if depth == 0 {
                return Some(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_seen_two_levels_down_also_where_the_text_ends_early() {
        let sketch = Sketch::of(br#" {"a":"x","b":{"c":1.5,"d":{"e":1}},"f":[{"g":"}"}],"h":nul"#);
        assert_eq!(sketch.shape, Shape::Object);
        assert_eq!((sketch.get("a"), sketch.get("b.c")), ("x", "1.5"));
        assert!(sketch.has("b.d") && sketch.has("f") && sketch.has("h") && !sketch.has("g") && !sketch.has("b.d.e"));
        assert_eq!(Sketch::of(b"[{\"k\":{}},{\"l\":1}]").members.keys().collect::<Vec<_>>(), ["k"]);
        assert_eq!(Sketch::of(b"{\"k\":1}\n{\"k\":2}\n").shape, Shape::Lines);
    }

    #[test]
    fn other_shapes_have_their_names() {
        for (bytes, shape) in [
            (&b"  \n"[..], Shape::Empty),
            (b"null\n", Shape::Null),
            (b"all done", Shape::Text),
            (b"\xff\xfe\x00", Shape::Binary),
            (b"PK\x05\x06\0\0", Shape::Archive("an empty zip archive")),
            (b"\x1f\x8b\x08", Shape::Archive("gzip")),
        ] {
            assert_eq!(Sketch::of(bytes).shape, shape, "{bytes:?}");
        }
        let xml = Sketch::of(b"<?xml version=\"1.0\"?>\n<!-- c --><ns:testsuites a='1'>");
        assert_eq!((xml.shape, xml.root.as_str()), (Shape::Xml, "testsuites"));
    }
}
