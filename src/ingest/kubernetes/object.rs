//! What every Kubernetes object has, and how the rest of one is read: part by part, so that what is wrong is named by
//! its path.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::event::target::{DigestOrigin, Image};
use crate::event::{Dedup, Hex32, MediaType, StreamName};
use crate::ingest::{Reason, Rejection, git, intake, redact};
use crate::report::value;

/// Most bytes of a name that a source makes up.
pub(crate) const NAME_MAX: usize = 512;

/// Most bytes that one list takes in a leaf: with the four lists that an event may have, it stays well under its limit.
const LIST_BYTES_MAX: usize = 6 << 10;

/// What is read of an object's `metadata`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Meta {
    /// Its name.
    pub(crate) name: String,
    /// Its namespace.
    pub(crate) namespace: Option<String>,
    /// Its uid: one of the same name made anew has another.
    pub(crate) uid: Option<String>,
    /// Its version, opaque.
    pub(crate) resource_version: Option<String>,
    /// How often its specification changed. Of Applications: how often anything changed.
    pub(crate) generation: Option<u64>,
    /// When it was made.
    pub(crate) creation_timestamp: Option<String>,
    #[serde(deserialize_with = "nullable")]
    pub(crate) annotations: BTreeMap<String, String>,
    #[serde(deserialize_with = "nullable")]
    pub(crate) labels: BTreeMap<String, String>,
    #[serde(deserialize_with = "nullable")]
    pub(crate) finalizers: Vec<String>,
    #[serde(deserialize_with = "nullable")]
    pub(crate) managed_fields: Vec<ManagedFields>,
}

/// Which fields a manager wrote last.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct ManagedFields {
    pub(crate) manager: String,
    pub(crate) subresource: Option<String>,
    pub(crate) time: Option<String>,
    pub(crate) fields_v1: Value,
}

impl Meta {
    /// Reads an object's.
    ///
    /// # Errors
    /// [`Reason::BadField`]; [`Reason::MissingField`] without a name.
    pub(crate) fn read(object: &Value) -> Result<Self, Rejection> {
        let meta: Self = part(object, "metadata")?;
        if meta.name.is_empty() {
            return Err(Rejection::missing("metadata.name"));
        }
        Ok(meta)
    }

    /// What tells it from every other object of its kind: its uid, which only an object has that no server gave one,
    /// lacks; then name and time of creation.
    pub(crate) fn identity(&self) -> String {
        self.uid.clone().filter(|uid| !uid.is_empty()).unwrap_or_else(|| {
            let namespace = self.namespace.as_deref().unwrap_or_default();
            format!("{namespace}/{}@{}", self.name, self.creation_timestamp.as_deref().unwrap_or_default())
        })
    }
}

/// Null is as good as nothing: Go writes it for an empty list.
pub(crate) fn nullable<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(from: D) -> Result<T, D::Error> {
    Ok(Option::<T>::deserialize(from)?.unwrap_or_default())
}

/// The value at a path of members, unless it is missing or null.
pub(crate) fn at<'a>(object: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').try_fold(object, |value, member| value.get(member)).filter(|value| !value.is_null())
}

/// The part of an object at a path; what is missing is empty.
///
/// # Errors
/// [`Reason::BadField`], at the path.
pub(crate) fn part<'a, T: Default + Deserialize<'a>>(object: &'a Value, path: &str) -> Result<T, Rejection> {
    match at(object, path) {
        None => Ok(T::default()),
        Some(value) => {
            T::deserialize(value).map_err(|error| Rejection::new(Reason::BadField, error.to_string()).at(path))
        }
    }
}

/// The items of a list at a path, each named by its place when it is wrong.
///
/// # Errors
/// [`Reason::BadField`].
pub(crate) fn parts<'a, T: Default + Deserialize<'a>>(object: &'a Value, path: &str) -> Result<Vec<T>, Rejection> {
    let items: &[Value] = match at(object, path) {
        None => &[],
        Some(Value::Array(items)) => items,
        Some(_) => return Err(Rejection::new(Reason::BadField, "is not a list").at(path)),
    };
    let read = |(n, item): (usize, &'a Value)| {
        T::deserialize(item)
            .map_err(|error| Rejection::new(Reason::BadField, error.to_string()).at(format!("{path}[{n}]")))
    };
    items.iter().enumerate().map(read).collect()
}

/// JSON with the members of every object in order, without white space: equal values have equal bytes.
pub(crate) fn canonical(value: &Value) -> Vec<u8> {
    fn write(value: &Value, out: &mut Vec<u8>) {
        match value {
            Value::Object(members) => {
                let sorted: BTreeMap<_, _> = members.iter().collect();
                out.push(b'{');
                for (n, (key, value)) in sorted.into_iter().enumerate() {
                    if n > 0 {
                        out.push(b',');
                    }
                    out.extend_from_slice(Value::String(key.clone()).to_string().as_bytes());
                    out.push(b':');
                    write(value, out);
                }
                out.push(b'}');
            }
            Value::Array(items) => {
                out.push(b'[');
                for (n, item) in items.iter().enumerate() {
                    if n > 0 {
                        out.push(b',');
                    }
                    write(item, out);
                }
                out.push(b']');
            }
            other => out.extend_from_slice(other.to_string().as_bytes()),
        }
    }
    let mut out = Vec::new();
    write(value, &mut out);
    out
}

/// SHA-256 of a value in canonical form.
pub(crate) fn sha256(value: &Value) -> Hex32 {
    Hex32::from_bytes(Sha256::digest(canonical(value)).into())
}

/// The object as it is kept: without `managedFields`, which are most of it and say nothing of what runs.
fn kept(object: &Value) -> Vec<u8> {
    let mut object = object.clone();
    if let Some(meta) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        meta.remove("managedFields");
    }
    canonical(&object)
}

/// An object as it is kept.
#[derive(Debug, Clone)]
pub(super) struct Document {
    pub(super) media_type: MediaType,
    pub(super) bytes: Vec<u8>,
}

impl Document {
    /// The object with its secrets blackened; where there were any, it is also what it is compared by, so that a start,
    /// which has only this, compares the same.
    pub(super) fn of(object: &Value) -> Result<(Self, Option<Value>), Rejection> {
        let mut bytes = kept(object);
        let redactions = redact::redact(&mut bytes, &[]);
        let media_type = intake::media_type("application/json", redactions)?;
        let read = |bytes: &[u8]| serde_json::from_slice(bytes).map_err(|error| Rejection::json(&error));
        let redacted = if redactions > 0 { Some(read(&bytes)?) } else { None };
        Ok((Self { media_type, bytes }, redacted))
    }
}

/// As many of a list as an event has room for.
pub(crate) fn bounded<T: Serialize>(list: impl IntoIterator<Item = T>, items_max: usize) -> Vec<T> {
    crate::ingest::bounded::bounded(list, items_max, LIST_BYTES_MAX)
}

/// An image as a manifest writes it: `name:tag@digest`. A digest that is none is left out.
pub(crate) fn image(text: &str) -> Image {
    let (rest, digest) = match text.split_once('@') {
        Some((rest, digest)) => (rest, value::digest("image", digest).ok()),
        None => (text, None),
    };
    let slash = rest.rfind('/').map_or(0, |at| at + 1);
    let tag_at = rest.get(slash..).and_then(|last| last.find(':')).map(|at| slash + at);
    let (name, tag) = match tag_at {
        Some(at) => (rest.get(..at).unwrap_or(rest), rest.get(at + 1..)),
        None => (rest, None),
    };
    Image {
        digest_origin: digest.is_some().then_some(DigestOrigin::Manifest),
        digest,
        name: value::cut(name, NAME_MAX),
        tag: tag.filter(|tag| !tag.is_empty()).map(|tag| value::cut(tag, NAME_MAX)),
    }
}

/// At most 100 images, sorted, each once.
pub(crate) fn images<'a>(texts: impl IntoIterator<Item = &'a str>) -> Vec<Image> {
    let sorted: std::collections::BTreeSet<&str> = texts.into_iter().filter(|text| !text.is_empty()).collect();
    bounded(sorted.into_iter().map(image), 100)
}

/// The stream of a repository, by its URL. Charts in registries are named without a scheme; a path on some disk and a
/// host alone name none.
pub(crate) fn repository(url: &str) -> Option<StreamName> {
    let place = match url.split_once("://") {
        Some(("file", _)) => return None,
        Some((_, rest)) => rest.to_owned(),
        // The form that ssh takes: user@host:path.
        None if url.contains('@') => url.replacen(':', "/", 1),
        None => {
            url.split('/').next().filter(|host| host.contains('.') && !host.starts_with('.')).map(|_| url.to_owned())?
        }
    };
    let (host, path) = place.split_once('/')?;
    let host = host.rsplit('@').next().unwrap_or(host);
    let host = host.split(':').next().unwrap_or(host).to_ascii_lowercase();
    let path = path.trim_matches('/').trim_end_matches(".git").trim_end_matches('/');
    if host.is_empty() || path.is_empty() {
        return None;
    }
    git::RepositoryName::new(&format!("{host}/{path}")).ok().map(|name| name.stream)
}

/// An idempotency key; one that is too long or odd is its hash.
///
/// # Errors
/// Never: a hash is a key.
pub(crate) fn dedup(key: &str) -> Result<Dedup, Rejection> {
    match key.parse() {
        Ok(key) => Ok(key),
        Err(_) => Ok(format!("blake3:{}", blake3::hash(key.as_bytes())).parse::<Dedup>()?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_taken_apart_and_a_port_is_no_tag() {
        let hex = "ab".repeat(32);
        let parts = |text: &str| {
            let image = image(text);
            (image.name, image.tag, image.digest.map(|digest| digest.to_string()))
        };
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(parts("nginx:latest"), ("nginx".to_owned(), some("latest"), None));
        assert_eq!(parts("host:5000/a/b"), ("host:5000/a/b".to_owned(), None, None));
        let both = format!("ghcr.io/a/b:v1@sha256:{hex}");
        assert_eq!(parts(&both), ("ghcr.io/a/b".to_owned(), some("v1"), Some(format!("sha256:{hex}"))));
        assert_eq!(parts("a@sha256:beef"), ("a".to_owned(), None, None));
    }

    #[test]
    fn repositories_are_named_by_their_url_and_a_path_names_none() {
        let name = |url: &str| repository(url).map(|name| name.to_string());
        assert_eq!(name("https://u:p@GitHub.com/a/b.git").as_deref(), Some("repo/github.com/a/b"));
        assert_eq!(name("git@github.com:a/b.git").as_deref(), Some("repo/github.com/a/b"));
        assert_eq!(name("registry.example.com/charts").as_deref(), Some("repo/registry.example.com/charts"));
        assert_eq!(name("oci://registry.example.com/charts").as_deref(), Some("repo/registry.example.com/charts"));
        assert_eq!(name("ssh://git@github.com:22/a/b").as_deref(), Some("repo/github.com/a/b"));
        for none in ["/srv/git/x", "file:///srv/x", "", "https://charts.jetstack.io", "../x", "x"] {
            assert_eq!(name(none), None, "{none}");
        }
    }

    #[test]
    fn order_of_members_does_not_change_a_hash() {
        let one: Value = serde_json::from_str(r#"{"b":[1,{"y":null,"x":"\u00e9"}],"a":1.5}"#).unwrap();
        let two: Value = serde_json::from_str(r#"{"a":1.5,"b":[1,{"x":"é","y":null}]}"#).unwrap();
        assert_eq!((canonical(&one), sha256(&one)), (canonical(&two), sha256(&two)));
    }
}
