//! What came in, and what becomes of it.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::{Reason, Rejection, Targets};
use crate::event::{Data, Dedup, Digest, Draft, EvidenceRef, Source, StreamName, Timestamp};
use crate::report::value;

/// Headers by name in lower case; of one that came more than once, the values with commas between them (RFC 9110, 5.3).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Headers(BTreeMap<String, String>);

impl Headers {
    /// The value of a header.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// The value of a header that must be there.
    ///
    /// # Errors
    /// [`Reason::MissingHeader`].
    pub fn need(&self, name: &str) -> Result<&str, Rejection> {
        self.get(name).ok_or_else(|| Rejection::new(Reason::MissingHeader, "this header is missing").at(name))
    }

    /// Every header.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Adds one.
    pub fn add(&mut self, name: &str, value: &str) {
        let slot = self.0.entry(name.to_ascii_lowercase()).or_default();
        if !slot.is_empty() {
            slot.push_str(", ");
        }
        slot.push_str(value);
    }

    /// Reads `Name: value` lines, as `curl -i` prints them; a request or status line before them is passed over.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let mut headers = Self::default();
        for line in text.lines().take_while(|line| !line.trim().is_empty()) {
            if let Some((name, value)) = line.split_once(':').filter(|(name, _)| !name.contains(' ')) {
                headers.add(name.trim(), value.trim());
            }
        }
        headers
    }
}

/// Something that came in by a webhook: checked for who sent it, decompressed, its secrets blackened.
#[derive(Debug)]
pub struct Delivery<'a> {
    /// What came with it.
    pub headers: &'a Headers,
    /// Its bytes.
    pub body: &'a [u8],
    /// Who says so.
    pub source: &'a Source,
    /// When it came.
    pub received_at: Timestamp,
    /// Which target is meant by what the source calls it.
    pub targets: &'a Targets,
    /// The body as evidence.
    pub evidence: &'a EvidenceRef,
}

impl Delivery<'_> {
    /// The body as JSON. What `T` does not name is passed over.
    ///
    /// # Errors
    /// As [`Rejection::json`], with the path of the field that is wrong.
    pub fn json<T: serde::de::DeserializeOwned>(&self) -> Result<T, Rejection> {
        json(self.body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(self.body))
    }

    /// A draft with the body as evidence, and an idempotency key that is made of the body itself: what a sender signs is
    /// the body and not the number of the delivery, so whoever repeats it under another number is recognised, too.
    /// `part` tells the events of one delivery apart.
    ///
    /// # Errors
    /// [`Reason::FutureTime`].
    pub fn draft(
        &self,
        data: impl Into<Data>,
        stream: StreamName,
        part: &str,
        occurred_at: Timestamp,
    ) -> Result<Draft, Rejection> {
        let mut dedup = format!("body:{}", self.evidence.blake3);
        if !part.is_empty() {
            dedup = format!("{dedup}#{part}");
        }
        self.draft_as(data, stream, short(&dedup)?, occurred_at)
    }

    /// A draft with the body as evidence and an idempotency key of the source's own, which must be under its signature and
    /// the same whenever it says the same.
    ///
    /// # Errors
    /// [`Reason::FutureTime`].
    pub fn draft_as(
        &self,
        data: impl Into<Data>,
        stream: StreamName,
        dedup: Dedup,
        occurred_at: Timestamp,
    ) -> Result<Draft, Rejection> {
        value::not_ahead("occurred_at", occurred_at, self.received_at)?;
        let mut draft = Draft::new(data, stream, self.source.clone(), dedup, occurred_at);
        draft.evidence = vec![self.evidence.clone()];
        Ok(draft)
    }
}

/// Reads one value of JSON. What `T` does not name is passed over.
///
/// # Errors
/// As [`Rejection::json`], with the path of the field that is wrong.
pub(super) fn json<'de, T: serde::Deserialize<'de>>(bytes: &'de [u8]) -> Result<T, Rejection> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let path = Some(error.path().to_string()).filter(|path| path != ".");
        let mut rejection = Rejection::json(error.inner());
        if ["invalid value: integer", "invalid type: floating"].iter().any(|what| rejection.what.starts_with(what)) {
            rejection.reason = Reason::BadNumber;
        }
        match path {
            // What is cut off or no JSON at all is not a field's fault.
            Some(path) if !matches!(rejection.reason, Reason::Malformed | Reason::TooDeep) => rejection.at(path),
            _ => rejection,
        }
    })?;
    reader.end().map_err(|error| Rejection::json(&error))?;
    Ok(value)
}

/// A key that may be too long or odd for one: then its hash.
pub(super) fn short(dedup: &str) -> Result<Dedup, Rejection> {
    match dedup.parse() {
        Ok(dedup) => Ok(dedup),
        Err(_) => Ok(format!("blake3:{}", blake3::hash(dedup.as_bytes())).parse::<Dedup>()?),
    }
}

/// A tag in a registry was seen to name an artifact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagSeen {
    /// The artifact's name with the registry, without tag: `ghcr.io/acme/churn-api`.
    pub name: String,
    /// The tag.
    pub tag: String,
    /// What it names.
    pub digest: Digest,
    /// When it was seen to.
    pub at: Timestamp,
}

/// What a delivery becomes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Events {
    /// The events, in the order in which they are to stand.
    pub drafts: Vec<Draft>,
    /// Tags in registries that were seen.
    pub tags: Vec<TagSeen>,
    /// URLs of git repositories in which something is new.
    pub repositories: Vec<String>,
    /// What was understood and makes no event, in the source's words: `pull_request.labeled`.
    pub passed_over: Vec<String>,
    /// Where the parts of a body are evidence by themselves: that of each draft, in their order. The body as a whole is then
    /// not kept.
    pub evidence: Vec<(EvidenceRef, Bytes)>,
    /// True where the drafts have evidence of their own and may come again in another form, or without a time of their own:
    /// what is known under their keys must have the same content, whatever its bytes are.
    pub by_content: bool,
    /// True where the source says the same again and again in other words: what is known under its key stands as it is.
    pub repeats: bool,
}

impl Events {
    /// One event.
    #[must_use]
    pub fn one(draft: Draft) -> Self {
        Self { drafts: vec![draft], ..Self::default() }
    }

    /// Nothing but that it was understood.
    #[must_use]
    pub fn passed_over(what: impl Into<String>) -> Self {
        Self { passed_over: vec![what.into()], ..Self::default() }
    }
}
