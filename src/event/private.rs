//! Values that must be erasable: they stand beside the log, and a leaf holds only a commitment to them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::Error;
use super::ids::{Hex32, checked_string, string_value};

/// Random bytes mixed into a commitment, so that it cannot be guessed from likely values. Never used twice.
pub type Salt = [u8; 32];

/// `sha256(salt || value)`: what a leaf holds of a private value.
#[must_use]
pub fn commitment(salt: &Salt, value: &str) -> [u8; 32] {
    Sha256::new().chain_update(salt).chain_update(value.as_bytes()).finalize().into()
}

checked_string!(
    /// Id under which a private value is kept in the ledger's erasable table: a UUID of version 7.
    SealedId,
    "^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$",
    "the id of a sealed value: a UUID of version 7",
    |text| text.len() == 36 && uuid::Uuid::try_parse(text).is_ok_and(|id| id.get_version_num() == 7)
);

checked_string!(
    /// Pseudonym of a person or machine. It is itself a commitment: the first 160 bits of
    /// `sha256(salt || identity)`, in base32, so nobody can be put behind it later.
    SubjectId,
    "^sbj_[a-z2-7]{32}$",
    "a subject id (sbj_ and 32 characters of base32)",
    |text| text.strip_prefix("sbj_").is_some_and(|rest| {
        rest.len() == 32 && rest.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'2'..=b'7'))
    })
);

impl SubjectId {
    /// The pseudonym of `identity` under `salt`.
    #[must_use]
    pub fn commit(salt: &Salt, identity: &str) -> Self {
        let hash = commitment(salt, identity);
        let short = hash.get(..20).unwrap_or_default();
        let encoded = data_encoding::BASE32_NOPAD.encode(short).to_ascii_lowercase();
        Self(format!("sbj_{encoded}").into())
    }
}

/// What a leaf holds in place of a private value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SealedRef {
    /// `sha256(salt || value)`, in hexadecimal.
    pub commitment: Hex32,
    /// Where value and salt are kept until they are erased.
    pub sealed: SealedId,
}

/// A name, message or other free text: plain in a draft, a commitment in a recorded event.
#[derive(Clone, PartialEq, Eq)]
pub enum Private {
    /// As a source gave it; never reaches a leaf.
    Plain(String),
    /// As it stands in a leaf.
    Sealed(SealedRef),
}

/// Most bytes a private value may have. Larger things are evidence.
pub const PRIVATE_MAX: usize = 1 << 20;

impl Private {
    /// A plain value.
    pub fn plain(text: impl Into<String>) -> Self {
        Self::Plain(text.into())
    }
}

impl fmt::Debug for Private {
    /// Keeps the plain text out of logs and panics.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain(text) => write!(f, "Plain({} bytes)", text.len()),
            Self::Sealed(reference) => reference.fmt(f),
        }
    }
}

impl Serialize for Private {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Plain(text) => serializer.serialize_str(text),
            Self::Sealed(reference) => reference.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Private {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Private;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a private text, or its sealed form")
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Private, E> {
                Ok(Private::Plain(text.to_owned()))
            }
            fn visit_map<A: serde::de::MapAccess<'de>>(self, map: A) -> Result<Private, A::Error> {
                SealedRef::deserialize(serde::de::value::MapAccessDeserializer::new(map)).map(Private::Sealed)
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

impl schemars::JsonSchema for Private {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Private".into()
    }
    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        // The schema describes recorded events; a draft may give the text itself.
        SealedRef::json_schema(generator)
    }
}

/// A person or machine: an identity in a draft, a pseudonym in a recorded event.
///
/// Identities are whatever is stable at the source: `Jane Doe <jane@example.com>`, `github:octocat`.
#[derive(Clone, PartialEq, Eq)]
pub enum Subject {
    /// As a source named it; never reaches a leaf.
    Identity(String),
    /// As it stands in a leaf.
    Id(SubjectId),
}

impl Subject {
    /// A subject by the name its source has for it.
    pub fn identity(text: impl Into<String>) -> Self {
        Self::Identity(text.into())
    }

    /// The pseudonym, where there is one already.
    #[must_use]
    pub fn id(&self) -> Option<&SubjectId> {
        match self {
            Self::Identity(_) => None,
            Self::Id(id) => Some(id),
        }
    }
}

impl fmt::Debug for Subject {
    /// Keeps identities out of logs and panics.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Identity(text) => write!(f, "Identity({} bytes)", text.len()),
            Self::Id(id) => id.fmt(f),
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Identity(text) => f.write_str(text),
            Self::Id(id) => id.fmt(f),
        }
    }
}

impl FromStr for Subject {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self, Error> {
        if text.is_empty() || text.len() > 1024 {
            return Err(Error::field("subject", "an identity has 1 to 1024 bytes"));
        }
        Ok(text.parse().map_or_else(|_| Self::Identity(text.to_owned()), Self::Id))
    }
}

string_value!(
    Subject,
    "^sbj_[a-z2-7]{32}$",
    "a person or machine: the pseudonym sbj_..., or in a draft an identity of 1 to 1024 bytes"
);

/// What a payload's fields are made of: tells a private value where it sits, and which fields are left out.
pub trait Field {
    /// True for a field that has no value and is left out of the JSON.
    fn absent(&self) -> bool {
        false
    }

    /// Shows every private value and subject inside to `visitor`, in the order of the fields.
    ///
    /// # Errors
    /// Whatever the visitor returns, at once.
    fn visit(&mut self, _visitor: &mut dyn Visitor) -> Result<(), Error> {
        Ok(())
    }
}

/// Sees the private parts of a payload, to seal or to collect them.
pub trait Visitor {
    /// Called for every private value.
    ///
    /// # Errors
    /// Whatever should stop the visit.
    fn private(&mut self, value: &mut Private) -> Result<(), Error>;

    /// Called for every subject.
    ///
    /// # Errors
    /// Whatever should stop the visit.
    fn subject(&mut self, value: &mut Subject) -> Result<(), Error>;
}

impl Field for Private {
    fn visit(&mut self, visitor: &mut dyn Visitor) -> Result<(), Error> {
        visitor.private(self)
    }
}

impl Field for Subject {
    fn visit(&mut self, visitor: &mut dyn Visitor) -> Result<(), Error> {
        visitor.subject(self)
    }
}

impl<T: Field> Field for Option<T> {
    fn absent(&self) -> bool {
        self.is_none()
    }
    fn visit(&mut self, visitor: &mut dyn Visitor) -> Result<(), Error> {
        self.as_mut().map_or(Ok(()), |value| value.visit(visitor))
    }
}

impl<T: Field> Field for Vec<T> {
    fn visit(&mut self, visitor: &mut dyn Visitor) -> Result<(), Error> {
        self.iter_mut().try_for_each(|item| item.visit(visitor))
    }
}

impl<T: Field> Field for std::collections::BTreeMap<String, T> {
    fn visit(&mut self, visitor: &mut dyn Visitor) -> Result<(), Error> {
        self.values_mut().try_for_each(|item| item.visit(visitor))
    }
}

/// The private parts of a recorded event.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PrivateParts {
    /// Pseudonyms, each once: the actor's first.
    pub subjects: Vec<SubjectId>,
    /// What stands for sealed values.
    pub sealed: Vec<SealedRef>,
}

impl PrivateParts {
    /// Takes in a pseudonym.
    pub(super) fn add_subject(&mut self, id: &SubjectId) {
        if !self.subjects.contains(id) {
            self.subjects.push(id.clone());
        }
    }

    /// Takes in everything in a payload that has the form of a sealed value: for payloads whose type is not known here.
    pub(super) fn add_sealed(&mut self, value: &super::canonical::Value) {
        use super::canonical::Value;
        match value {
            Value::Object(members) => {
                let text = |key| members.get(key).and_then(Value::as_str);
                match (text("commitment").map(str::parse), text("sealed").map(str::parse)) {
                    (Some(Ok(commitment)), Some(Ok(sealed))) if members.len() == 2 => {
                        self.sealed.push(SealedRef { commitment, sealed });
                    }
                    _ => members.values().for_each(|member| self.add_sealed(member)),
                }
            }
            Value::Array(items) => items.iter().for_each(|item| self.add_sealed(item)),
            Value::Bool(_) | Value::Integer(_) | Value::String(_) => {}
        }
    }
}

impl Visitor for PrivateParts {
    fn private(&mut self, value: &mut Private) -> Result<(), Error> {
        if let Private::Sealed(reference) = value {
            self.sealed.push(reference.clone());
        }
        Ok(())
    }

    fn subject(&mut self, value: &mut Subject) -> Result<(), Error> {
        if let Subject::Id(id) = value {
            self.add_subject(id);
        }
        Ok(())
    }
}

macro_rules! plain_fields {
    ($($name:ty),* $(,)?) => { $(impl Field for $name {})* };
}

plain_fields!(
    bool,
    u32,
    i32,
    String,
    super::Digest,
    super::GitOid,
    super::Hex32,
    super::MediaType,
    super::Name,
    super::Position,
    super::Source,
    super::StreamName,
    super::Timestamp,
    super::U64,
    super::EventId,
    super::Correlation,
    super::evidence::EvidenceRef,
    SubjectId,
    SealedId,
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subject_id_commits_to_the_identity() {
        let id = SubjectId::commit(&[7; 32], "Jane <jane@example.com>");
        assert_eq!(id.as_str().parse::<SubjectId>().unwrap(), id);
        assert_ne!(id, SubjectId::commit(&[7; 32], "Joan <jane@example.com>"));
        assert_ne!(id, SubjectId::commit(&[8; 32], "Jane <jane@example.com>"));
    }

    #[test]
    fn private_text_stays_out_of_debug_output() {
        assert!(!format!("{:?}", Private::plain("hush")).contains("hush"));
        assert!(!format!("{:?}", Subject::identity("jane")).contains("jane"));
    }
}
