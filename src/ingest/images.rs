//! Images in files of desired state: Helm values, kustomizations, Kubernetes manifests, Argo CD Applications.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::event::target::{DigestOrigin, Image, ImageEdit};
use crate::report::value;

/// Largest file, in bytes, that is looked into. Values of real charts have some 100 KiB.
pub const FILE_BYTES_MAX: usize = 1 << 20;

/// Keys and images of one edit that are told; more are cut, as the event has room for so many.
const TOLD_MAX: usize = 50;

/// Bytes of the keys of one file that are told.
const KEYS_BYTES_MAX: usize = 4 << 10;

/// What a file asks for, by path of the key.
#[derive(Debug, Default)]
struct Desired {
    /// Every scalar, as text.
    scalars: BTreeMap<String, String>,
    images: BTreeMap<String, Image>,
}

/// What an edit of a file means.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Edit {
    /// Keys whose values differ; none when one of the two is not YAML, or is too large.
    pub keys: Option<Vec<String>>,
    /// Images that differ.
    pub images: Vec<ImageEdit>,
}

/// Compares a file before and after. Either may not be.
#[must_use]
pub fn compare(before: Option<&[u8]>, after: Option<&[u8]>) -> Edit {
    let (Some(before), Some(after)) = (desired(before), desired(after)) else { return Edit::default() };
    let differ = |key: &&String| before.scalars.get(*key) != after.scalars.get(*key);
    let mut keys: Vec<String> = before.scalars.keys().chain(after.scalars.keys()).filter(differ).cloned().collect();
    keys.sort();
    keys.dedup();
    keys.truncate(TOLD_MAX);
    let mut bytes = 0;
    keys.retain(|key| {
        bytes += key.len();
        bytes <= KEYS_BYTES_MAX
    });
    let mut at: Vec<&String> = before.images.keys().chain(after.images.keys()).collect();
    at.sort();
    at.dedup();
    let edits = at.into_iter().filter_map(|key| {
        let (before, after) = (before.images.get(key).cloned(), after.images.get(key).cloned());
        (before != after).then_some(ImageEdit { after, before })
    });
    Edit { keys: Some(keys), images: edits.take(TOLD_MAX).collect() }
}

/// What a file asks for; nothing where there is no file.
fn desired(file: Option<&[u8]>) -> Option<Desired> {
    let mut desired = Desired::default();
    let Some(bytes) = file else { return Some(desired) };
    let text = std::str::from_utf8(bytes).ok().filter(|text| text.len() <= FILE_BYTES_MAX)?;
    let documents: Vec<Value> = serde_saphyr::from_multiple(text).ok()?;
    for (n, document) in documents.iter().enumerate() {
        let prefix = if documents.len() > 1 { format!("[{n}]") } else { String::new() };
        desired.walk(&prefix, document, 0);
    }
    Some(desired)
}

/// Deepest nesting that is looked into; the reader itself refuses more than about as much.
const DEPTH_MAX: usize = 100;

/// Longest path of a key that is told; what lies deeper goes by its beginning.
const PATH_BYTES_MAX: usize = 200;

/// Most scalars and images of a file that are compared.
const SCALARS_MAX: usize = 20_000;

impl Desired {
    fn walk(&mut self, path: &str, value: &Value, depth: usize) {
        if depth > DEPTH_MAX || self.scalars.len() + self.images.len() > SCALARS_MAX {
            return;
        }
        let path = path.get(..path.floor_char_boundary(PATH_BYTES_MAX)).unwrap_or_default();
        match value {
            Value::Object(members) => {
                if let Some(image) = image_of(members) {
                    self.images.insert(path.to_owned(), image);
                }
                for (key, member) in members {
                    let at = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                    if matches!(key.as_str(), "image")
                        && let Value::String(text) = member
                        && !members.contains_key("tag")
                        && let Some(image) = image_in(text)
                    {
                        self.images.insert(at.clone(), image);
                    }
                    self.walk(&at, member, depth + 1);
                }
            }
            Value::Array(items) => {
                for (n, item) in items.iter().enumerate() {
                    self.walk(&format!("{path}[{n}]"), item, depth + 1);
                }
            }
            scalar => {
                let text = scalar_text(scalar);
                // Argo CD's own way of asking for an image: `kustomize.images: ["name=new:tag"]`.
                if path.contains("kustomize.images[")
                    && let Some(image) = image_in(text.rsplit('=').next().unwrap_or(&text))
                {
                    self.images.insert(path.to_owned(), image);
                }
                self.scalars.insert(path.to_owned(), value::cut(&text, 400));
            }
        }
    }
}

fn scalar_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// An image in members of its own: `repository` and `tag`, `registry`, `image`, `digest`; or kustomize's `newName`, `newTag`.
fn image_of(members: &serde_json::Map<String, Value>) -> Option<Image> {
    let text = |key: &str| {
        let value = members.get(key)?;
        let scalar = matches!(value, Value::String(_) | Value::Number(_));
        scalar.then(|| scalar_text(value)).filter(|text| !text.is_empty())
    };
    let kustomize = members.contains_key("newTag") || members.contains_key("newName");
    let is_image = kustomize || members.contains_key("tag") || members.contains_key("digest");
    let name = text("newName").or_else(|| text("repository")).or_else(|| text("image"));
    let name = name.or_else(|| text("name").filter(|_| kustomize))?;
    if !is_image {
        return None;
    }
    let (plain, inner) = image_in(&name).map_or((name.clone(), None), |image| (image.name.clone(), Some(image)));
    let name = text("registry").map_or_else(|| plain.clone(), |registry| format!("{registry}/{plain}"));
    let digest = text("digest").and_then(|digest| value::digest("digest", &digest).ok());
    let digest = digest.or_else(|| inner.as_ref().and_then(|image| image.digest.clone()));
    let tag = text("newTag").or_else(|| text("tag")).or_else(|| inner.and_then(|image| image.tag));
    let (tag, in_tag) = tag.map_or((None, None), |tag| split_tag(&tag));
    let digest = digest.or(in_tag);
    Some(Image {
        digest_origin: digest.as_ref().map(|_| DigestOrigin::Manifest),
        digest,
        name: value::cut(&name, 512),
        tag,
    })
}

/// Longest tag that a registry takes (OCI distribution specification).
const TAG_BYTES_MAX: usize = 128;

/// `v1@sha256:...`, as some charts write the digest into the tag.
fn split_tag(tag: &str) -> (Option<String>, Option<crate::event::Digest>) {
    match tag.split_once('@') {
        Some((tag, digest)) => {
            (Some(value::cut(tag, TAG_BYTES_MAX)).filter(|tag| !tag.is_empty()), value::digest("tag", digest).ok())
        }
        None => (Some(value::cut(tag, TAG_BYTES_MAX)), None),
    }
}

/// An image as one text: `ghcr.io/acme/churn-api:v1@sha256:...`. A template, or a text with spaces, is none.
#[must_use]
pub fn image_in(text: &str) -> Option<Image> {
    let text = text.trim();
    if text.is_empty() || text.len() > 1024 || text.contains(|c: char| c.is_whitespace() || "{}$\"'".contains(c)) {
        return None;
    }
    let (rest, digest) = match text.split_once('@') {
        Some((rest, digest)) => (rest, Some(value::digest("image", digest).ok()?)),
        None => (text, None),
    };
    let slash = rest.rfind('/').map_or(0, |at| at + 1);
    let (name, tag) = match rest.get(slash..)?.split_once(':') {
        Some((last, tag)) => (format!("{}{last}", rest.get(..slash)?), Some(value::cut(tag, TAG_BYTES_MAX))),
        None => (rest.to_owned(), None),
    };
    let digest_origin = digest.as_ref().map(|_| DigestOrigin::Manifest);
    let name = value::cut(&name, 512);
    (!name.is_empty()).then_some(Image { digest, digest_origin, name, tag })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn images(before: &str, after: &str) -> Vec<(Option<String>, Option<String>)> {
        let shown = |image: Image| {
            let digest = image.digest.map(|digest| format!("@{}", digest.as_str().get(..12).unwrap_or_default()));
            format!("{}:{}{}", image.name, image.tag.unwrap_or_default(), digest.unwrap_or_default())
        };
        let edit = compare(Some(before.as_bytes()), Some(after.as_bytes()));
        edit.images.into_iter().map(|edit| (edit.before.map(shown), edit.after.map(shown))).collect()
    }

    #[test]
    fn images_are_seen_in_every_spelling() {
        let hex = "ab".repeat(32);
        for (before, after, name, old, new) in [
            (
                "image:\n  repository: ghcr.io/a/b\n  tag: v1 # c\n",
                "image:\n  repository: ghcr.io/a/b\n  tag: v2\n",
                "ghcr.io/a/b",
                "v1",
                "v2",
            ),
            ("i: {registry: r.io, image: a, tag: 16}", "i: {registry: r.io, image: a, tag: 17}", "r.io/a", "16", "17"),
            ("c:\n- image: r.io:5000/a/b:v1\n", "c:\n- image: r.io:5000/a/b:v2\n", "r.io:5000/a/b", "v1", "v2"),
            (
                "images:\n- {name: x, newName: new, newTag: v1}\n",
                "images:\n- {name: x, newName: new, newTag: v2}\n",
                "new",
                "v1",
                "v2",
            ),
            ("images:\n- {name: x, newTag: v1}\n", "images:\n- {name: x, newTag: v2}\n", "x", "v1", "v2"),
            ("kustomize:\n  images: ['x=y:v1']\n", "kustomize:\n  images: ['x=y:v2']\n", "y", "v1", "v2"),
            ("a: 1\n---\nimage: y:v1\n", "a: 1\n---\nimage: y:v2\n", "y", "v1", "v2"),
        ] {
            assert_eq!(
                images(before, after),
                [(Some(format!("{name}:{old}")), Some(format!("{name}:{new}")))],
                "{after}"
            );
        }
        let digest = images("image: a:v1", &format!("image: a:v1@sha256:{hex}"));
        assert_eq!(digest, [(Some("a:v1".to_owned()), Some("a:v1@sha256:ababa".to_owned()))]);
        assert_eq!(images("image: {repository: a, tag: x}", "replicas: 2"), [(Some("a:x".to_owned()), None)]);
        assert_eq!(images("image: '{{ .x }}:v1'", "image: '{{ .x }}:v2'"), []);
    }

    #[test]
    fn keys_tell_what_changed_and_what_is_no_yaml_tells_nothing() {
        let edit = compare(Some(b"a: {b: 1, c: [x, y]}\nd: e\n"), Some(b"a: {b: 2, c: [x]}\nd: e\n"));
        assert_eq!(edit.keys.unwrap(), ["a.b", "a.c[1]"]);
        assert_eq!(compare(Some(b"a: [\n"), Some(b"a: 1\n")), Edit::default());
        assert_eq!(compare(None, Some(b"a: 1\n")).keys.unwrap(), ["a"]);
    }
}
