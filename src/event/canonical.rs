//! The restricted JSON of a leaf: RFC 8785 (JCS) with everything left out on which parsers disagree.
//!
//! Objects with ASCII keys that need no escapes, in ascending order and without duplicates, arrays, strings, booleans and integers
//! within ±(2^53-1). No floats, no null, no white space. Under these rules the sort order of RFC 8785
//! (UTF-16 code units) is plain byte order.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{self, Deserialize, Deserializer};

use super::Error;

/// Deepest nesting of arrays and objects that is accepted.
pub const DEPTH_MAX: usize = 32;

/// Largest magnitude of an integer that every JSON parser keeps exact: 2^53 - 1.
pub const INTEGER_MAX: i64 = (1 << 53) - 1;

/// A JSON value that a leaf may hold; made only by [`parse`], so it always has a canonical form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// `true` or `false`.
    Bool(bool),
    /// An integer within ±[`INTEGER_MAX`].
    Integer(i64),
    /// A string.
    String(String),
    /// An array.
    Array(Vec<Self>),
    /// An object; keys are ASCII.
    Object(BTreeMap<String, Self>),
}

impl Value {
    /// The member `key` of an object.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Self> {
        match self {
            Self::Object(members) => members.get(key),
            _ => None,
        }
    }

    /// The text of a string.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }
}

/// Reads JSON in any layout, refusing what has no canonical form.
///
/// # Errors
/// [`Error::Json`] with line and column: a duplicate key, one that is not ASCII or needs an escape, a float, an integer beyond 2^53-1, null,
/// nesting deeper than [`DEPTH_MAX`], invalid UTF-8, trailing bytes.
pub fn parse(bytes: &[u8]) -> Result<Value, Error> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = Seed { depth: 0 }.deserialize_into(&mut deserializer)?;
    deserializer.end().map_err(|error| Error::Json(error.to_string()))?;
    Ok(value)
}

/// The canonical bytes of a value.
#[must_use]
pub fn to_bytes(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    write(&mut out, value);
    out
}

fn write(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Bool(true) => out.extend_from_slice(b"true"),
        Value::Bool(false) => out.extend_from_slice(b"false"),
        Value::Integer(number) => out.extend_from_slice(number.to_string().as_bytes()),
        Value::String(text) => write_string(out, text),
        Value::Array(items) => {
            out.push(b'[');
            for (n, item) in items.iter().enumerate() {
                if n > 0 {
                    out.push(b',');
                }
                write(out, item);
            }
            out.push(b']');
        }
        Value::Object(members) => {
            out.push(b'{');
            for (n, (key, member)) in members.iter().enumerate() {
                if n > 0 {
                    out.push(b',');
                }
                write_string(out, key);
                out.push(b':');
                write(out, member);
            }
            out.push(b'}');
        }
    }
}

/// Writes a JSON string with the escapes of RFC 8785 section 3.2.2.2, which are those of `serde_json`.
pub fn write_string(out: &mut Vec<u8>, text: &str) {
    // Writing to a vector cannot fail.
    serde_json::to_writer(out, text).unwrap_or_default();
}

#[derive(Clone, Copy)]
struct Seed {
    depth: usize,
}

impl Seed {
    fn deserialize_into<'de, R: serde_json::de::Read<'de>>(
        self,
        deserializer: &mut serde_json::Deserializer<R>,
    ) -> Result<Value, Error> {
        de::DeserializeSeed::deserialize(self, deserializer).map_err(|error| Error::Json(error.to_string()))
    }

    fn deeper<E: de::Error>(self) -> Result<Self, E> {
        if self.depth >= DEPTH_MAX {
            return Err(E::custom(format_args!("nested deeper than {DEPTH_MAX}")));
        }
        Ok(Self { depth: self.depth + 1 })
    }
}

impl<'de> de::DeserializeSeed<'de> for Seed {
    type Value = Value;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> de::Visitor<'de> for Seed {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string, boolean, integer, array or object")
    }
    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }
    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Value, E> {
        if value.unsigned_abs() > INTEGER_MAX.unsigned_abs() {
            return Err(E::custom(format_args!("{value} is beyond 2^53-1: write it as a string")));
        }
        Ok(Value::Integer(value))
    }
    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Value, E> {
        match i64::try_from(value) {
            Ok(value) => self.visit_i64(value),
            Err(_) => Err(E::custom(format_args!("{value} is beyond 2^53-1: write it as a string"))),
        }
    }
    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Value, E> {
        Err(E::custom(format_args!("{value} is not an integer within ±(2^53-1): write it as a string")))
    }
    fn visit_str<E: de::Error>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }
    fn visit_string<E: de::Error>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }
    fn visit_unit<E: de::Error>(self) -> Result<Value, E> {
        Err(E::custom("null: leave the field out"))
    }
    fn visit_seq<A: de::SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let inside = self.deeper()?;
        let mut items = Vec::new();
        while let Some(item) = seq.next_element_seed(inside)? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }
    fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let inside = self.deeper()?;
        let mut members = BTreeMap::new();
        while let Some(key) = map.next_key::<String>()? {
            if !key.is_ascii() {
                return Err(de::Error::custom(format_args!("key {key:?} is not ASCII")));
            }
            // Such keys would sort differently by their spelling and by what they mean.
            if key.bytes().any(|byte| byte < 0x20 || matches!(byte, b'"' | b'\\')) {
                return Err(de::Error::custom(format_args!("key {key:?} needs an escape")));
            }
            if members.contains_key(&key) {
                return Err(de::Error::custom(format_args!("duplicate key {key:?}")));
            }
            let member = map.next_value_seed(inside)?;
            members.insert(key, member);
        }
        Ok(Value::Object(members))
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Seed { depth: 0 })
    }
}

/// Holds bytes to the canonical form without building a value: one pass, no allocation for usual nesting.
///
/// # Errors
/// [`Error::NotCanonical`] with the offset of the first byte that is not as it should be.
pub fn check(bytes: &[u8]) -> Result<(), Error> {
    let text = std::str::from_utf8(bytes)
        .map_err(|error| Error::NotCanonical { offset: error.valid_up_to(), what: "invalid UTF-8" })?;
    let mut scanner = Scanner { bytes: text.as_bytes(), at: 0 };
    scanner.value(0)?;
    if scanner.at < bytes.len() {
        return scanner.fail("bytes after the value");
    }
    Ok(())
}

/// How many bytes come before the first quote, backslash or control character. Eight at a time: most of a leaf is text.
fn plain_len(bytes: &[u8]) -> usize {
    const ONES: u64 = u64::MAX / 255;
    const HIGHS: u64 = ONES << 7;
    let (words, rest) = bytes.as_chunks::<8>();
    for (n, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        // The high bit of each byte that is zero, and perhaps of some above it: only the lowest is relied upon.
        let zero = |word: u64| word.wrapping_sub(ONES) & !word & HIGHS;
        let control = word.wrapping_sub(ONES * 0x20) & !word & HIGHS;
        let found = control | zero(word ^ (ONES * u64::from(b'"'))) | zero(word ^ (ONES * u64::from(b'\\')));
        if found != 0 {
            return n * 8 + found.trailing_zeros() as usize / 8;
        }
    }
    let special = |&byte: &u8| byte == b'"' || byte == b'\\' || byte < 0x20;
    words.len() * 8 + rest.iter().position(special).unwrap_or(rest.len())
}

struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Scanner<'a> {
    fn fail<T>(&self, what: &'static str) -> Result<T, Error> {
        Err(Error::NotCanonical { offset: self.at, what })
    }

    fn peek(&self) -> u8 {
        // A NUL is no token of JSON, so it can stand for the end.
        self.bytes.get(self.at).copied().unwrap_or(0)
    }

    fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    fn take(&mut self, byte: u8, what: &'static str) -> Result<(), Error> {
        if self.peek() == byte {
            self.at += 1;
            Ok(())
        } else {
            self.fail(what)
        }
    }

    fn value(&mut self, depth: usize) -> Result<(), Error> {
        match self.peek() {
            b'{' => self.object(depth),
            b'[' => self.array(depth),
            b'"' => self.string().map(|_| ()),
            b'-' | b'0'..=b'9' => self.integer(),
            b't' => self.word(b"true"),
            b'f' => self.word(b"false"),
            _ => self.fail("not a string, boolean, integer, array or object"),
        }
    }

    fn word(&mut self, word: &'static [u8]) -> Result<(), Error> {
        if self.rest().starts_with(word) {
            self.at += word.len();
            Ok(())
        } else {
            self.fail("not a word of JSON")
        }
    }

    fn object(&mut self, depth: usize) -> Result<(), Error> {
        if depth >= DEPTH_MAX {
            return self.fail("nested too deep");
        }
        self.at += 1;
        if self.peek() == b'}' {
            self.at += 1;
            return Ok(());
        }
        let mut previous: Option<&[u8]> = None;
        loop {
            let start = self.at;
            let key = self.string()?;
            if !key.is_ascii() || key.contains(&b'\\') {
                self.at = start;
                return self.fail("a key that is not plain ASCII");
            }
            if previous.is_some_and(|previous| previous >= key) {
                self.at = start;
                return self.fail("a key that is a duplicate or out of order");
            }
            previous = Some(key);
            self.take(b':', "no colon after a key")?;
            self.value(depth + 1)?;
            match self.peek() {
                b',' => self.at += 1,
                b'}' => {
                    self.at += 1;
                    return Ok(());
                }
                _ => return self.fail("neither a comma nor the end of the object"),
            }
        }
    }

    fn array(&mut self, depth: usize) -> Result<(), Error> {
        if depth >= DEPTH_MAX {
            return self.fail("nested too deep");
        }
        self.at += 1;
        if self.peek() == b']' {
            self.at += 1;
            return Ok(());
        }
        loop {
            self.value(depth + 1)?;
            match self.peek() {
                b',' => self.at += 1,
                b']' => {
                    self.at += 1;
                    return Ok(());
                }
                _ => return self.fail("neither a comma nor the end of the array"),
            }
        }
    }

    /// The raw bytes between the quotes, escapes and all.
    fn string(&mut self) -> Result<&'a [u8], Error> {
        self.take(b'"', "no string where one belongs")?;
        let start = self.at;
        loop {
            self.at += plain_len(self.rest());
            match self.peek() {
                b'"' => {
                    let raw = self.bytes.get(start..self.at).unwrap_or_default();
                    self.at += 1;
                    return Ok(raw);
                }
                b'\\' => self.escape()?,
                _ if self.at >= self.bytes.len() => return self.fail("a string without an end"),
                _ => return self.fail("a control character that is not escaped"),
            }
        }
    }

    /// RFC 8785 has one spelling for each character: short escapes where they exist, else `\u00xx` for controls only.
    fn escape(&mut self) -> Result<(), Error> {
        match self.bytes.get(self.at + 1).copied().unwrap_or(0) {
            b'"' | b'\\' | b'b' | b't' | b'n' | b'f' | b'r' => {
                self.at += 2;
                Ok(())
            }
            b'u' => match self.bytes.get(self.at + 2..self.at + 6).unwrap_or_default() {
                [b'0', b'0', high @ (b'0' | b'1'), low @ (b'0'..=b'9' | b'a'..=b'f')]
                    if *high == b'1' || !matches!(low, b'8' | b'9' | b'a' | b'c' | b'd') =>
                {
                    self.at += 6;
                    Ok(())
                }
                _ => self.fail("an escape where the character itself belongs"),
            },
            _ => self.fail("an escape that JSON does not have"),
        }
    }

    fn integer(&mut self) -> Result<(), Error> {
        let start = self.at;
        if self.peek() == b'-' {
            self.at += 1;
        }
        let digits_from = self.at;
        let mut magnitude: i64 = 0;
        while let digit @ b'0'..=b'9' = self.peek() {
            magnitude = magnitude.saturating_mul(10).saturating_add(i64::from(digit - b'0'));
            self.at += 1;
        }
        let n_digits = self.at - digits_from;
        let leading_zero = self.bytes.get(digits_from) == Some(&b'0');
        let wrong = n_digits == 0 || (leading_zero && (n_digits > 1 || digits_from > start));
        if wrong || matches!(self.peek(), b'.' | b'e' | b'E') || magnitude > INTEGER_MAX {
            self.at = start;
            return self.fail("not an integer within ±(2^53-1) in its shortest form");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            any::<bool>().prop_map(Value::Bool),
            (-INTEGER_MAX..=INTEGER_MAX).prop_map(Value::Integer),
            any::<String>().prop_map(Value::String),
            "[\\x00-\\x7f]{0,12}".prop_map(Value::String),
        ];
        leaf.prop_recursive(4, 48, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::Array),
                prop::collection::btree_map("[ -!#-\\[\\]-~]{0,6}", inner, 0..6).prop_map(Value::Object),
            ]
        })
    }

    proptest! {
        #[test]
        fn plain_text_ends_where_a_look_at_each_byte_says(bytes in prop::collection::vec(prop_oneof![
            8 => any::<u8>().prop_map(|byte| byte | 0x20),
            1 => prop::sample::select(vec![b'"', b'\\', 0, 0x1f, 0x20, 0x21, 0x23, 0x5b, 0x5d, 0x80, 0xa2, 0xff]),
        ], 0..60)) {
            let plain = bytes.iter().position(|&byte| byte == b'"' || byte == b'\\' || byte < 0x20);
            prop_assert_eq!(plain_len(&bytes), plain.unwrap_or(bytes.len()));
        }

        #[test]
        fn canonical_bytes_read_back_as_the_same_value(value in value()) {
            let bytes = to_bytes(&value);
            prop_assert_eq!(parse(&bytes).unwrap(), value);
            prop_assert!(check(&bytes).is_ok());
        }

        #[test]
        fn an_independent_implementation_of_rfc_8785_agrees(value in value()) {
            let bytes = to_bytes(&value);
            let json: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
            prop_assert_eq!(serde_json_canonicalizer::to_vec(&json).unwrap(), bytes);
        }

        #[test]
        fn the_scanner_accepts_exactly_what_parsing_and_writing_leaves_unchanged(text in "[\\[\\]{}:,\"ab01e.\\-\\\\ un]{0,24}") {
            let identity = parse(text.as_bytes()).is_ok_and(|value| to_bytes(&value) == text.as_bytes());
            prop_assert_eq!(check(text.as_bytes()).is_ok(), identity);
        }

        #[test]
        fn any_flipped_bit_is_noticed_or_gives_another_canonical_text(value in value(), at in any::<prop::sample::Index>(), bit in 0..8u8) {
            let mut bytes = to_bytes(&value);
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            let identity = parse(&bytes).is_ok_and(|value| to_bytes(&value) == bytes);
            prop_assert_eq!(check(&bytes).is_ok(), identity);
        }
    }

    #[test]
    fn refuses_what_parsers_disagree_on() {
        for (text, what) in [
            (r#"{"a":1,"a":2}"#, "duplicate key"),
            ("1.0", "not an integer"),
            ("1e3", "not an integer"),
            ("-0", "not an integer"),
            ("9007199254740993", "beyond 2^53-1"),
            ("99999999999999999999999", "not an integer"),
            ("null", "null"),
            (r#"{"é":1}"#, "not ASCII"),
            (r#"{"a\"b":1}"#, "needs an escape"),
            (r#"{"a\\b":1}"#, "needs an escape"),
            (r#"{"a\nb":1}"#, "needs an escape"),
            (r#"{"\u001f":1}"#, "needs an escape"),
            ("NaN", "expected"),
            ("[1]x", "trailing"),
            ("\"\\ud800\"", "hex escape"),
        ] {
            let error = parse(text.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(what), "{text}: {error}");
            assert!(check(text.as_bytes()).is_err(), "{text}");
        }
        assert!(parse(&[b'"', 0xff, b'"']).is_err());
        let deep = format!("{}{}", "[".repeat(40), "]".repeat(40));
        assert!(parse(deep.as_bytes()).unwrap_err().to_string().contains("nested deeper"));
        for innermost in ["[]", "{}", "1", "[1]", r#"{"a":1}"#] {
            for depth in DEPTH_MAX - 2..=DEPTH_MAX + 1 {
                let text = format!("{}{innermost}{}", "[".repeat(depth), "]".repeat(depth));
                assert_eq!(parse(text.as_bytes()).is_ok(), check(text.as_bytes()).is_ok(), "{text}");
            }
        }
        let very_deep = "[".repeat(100_000);
        assert!(parse(very_deep.as_bytes()).is_err() && check(very_deep.as_bytes()).is_err());
    }
}
