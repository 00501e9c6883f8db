//! `GET` of one object and of lists.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::failure::Failure;
use super::request::Request;
use super::store::Store;
use super::write::scale;

/// An object as it was asked for.
pub fn shown(request: &Request, object: &Value) -> Value {
    if request.partial {
        let metadata = &object["metadata"];
        return json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": metadata});
    }
    object.clone()
}

pub fn get(request: &Request, store: &Store) -> Result<Value, Failure> {
    let name = request.name.as_deref().unwrap_or_default();
    let object = store.get(&request.kind.key(request.scope(), name));
    let object = object.ok_or_else(|| Failure::not_found(request.kind, name))?;
    if let Some(version) = request.parameter("resourceVersion") {
        revision(version).and_then(|revision| known(revision, store))?;
    }
    if request.subresource == Some("scale") {
        return Ok(scale(object));
    }
    Ok(shown(request, object))
}

fn revision(version: &str) -> Result<u64, Failure> {
    version.parse().ok().ok_or_else(|| Failure::bad_request(format!("invalid resource version \"{version}\"")))
}

/// Revisions that are still to come cannot be read.
fn known(revision: u64, store: &Store) -> Result<u64, Failure> {
    if revision <= store.revision() {
        return Ok(revision);
    }
    let message = format!("Too large resource version: {revision}, current: {}", store.revision());
    let mut failure = Failure::new(504, "Timeout", message);
    failure.details =
        json!({"causes": [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}]});
    failure.retry_after = Some(1);
    Err(failure)
}

/// Where the next page begins: `start` is the last key of the page before. Revision -1 stands for the newest.
struct Continue {
    revision: i64,
    start: String,
}

impl Continue {
    fn token(&self) -> String {
        let token = json!({"v": "meta.k8s.io/v1", "rv": self.revision, "start": self.start});
        URL_SAFE_NO_PAD.encode(token.to_string())
    }

    fn parse(token: &str) -> Result<Self, Failure> {
        let parsed = URL_SAFE_NO_PAD.decode(token).ok().and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok());
        let fields = parsed.as_ref().and_then(|token| Some((token["rv"].as_i64()?, token["start"].as_str()?)));
        let (revision, start) = fields.ok_or_else(|| Failure::bad_request("continue key is not valid"))?;
        Ok(Self { revision, start: start.to_owned() })
    }
}

const TOO_OLD: &str = "The provided continue parameter is too old to display a consistent list result. You can start a \
    new list without the continue parameter, or use the continue token in this response to retrieve the remainder of \
    the results. Continuing with the provided token results in an inconsistent list - objects that were created, modified, \
    or deleted between the time the first chunk was returned and now may show up in the list.";

/// What is listed, as of when, and after which key.
struct Snapshot {
    at: u64,
    start: String,
    objects: BTreeMap<String, Arc<Value>>,
}

fn snapshot(request: &Request, store: &Store) -> Result<Snapshot, Failure> {
    let prefix = request.kind.prefix(request.scope());
    let (at, start) = match request.parameter("continue") {
        Some(_) if request.parameter("resourceVersion").is_some_and(|version| version != "0") => {
            return Err(Failure::bad_request("specifying resource version is not allowed when using continue"));
        }
        Some(token) => {
            let Continue { revision, start } = Continue::parse(token)?;
            match u64::try_from(revision) {
                Ok(revision) if revision < store.compacted => {
                    let mut failure = Failure::expired(TOO_OLD);
                    failure.metadata = json!({"continue": Continue { revision: -1, start }.token()});
                    return Err(failure);
                }
                Ok(revision) => (revision, start),
                Err(_) => (store.revision(), start),
            }
        }
        None => {
            let asked = request.parameter("resourceVersion").map(revision).transpose()?;
            let asked = asked.map(|revision| known(revision, store)).transpose()?;
            let exact = request.parameter("resourceVersionMatch") == Some("Exact");
            let at = asked.filter(|_| exact).unwrap_or(store.revision());
            if at < store.compacted {
                return Err(Failure::expired(format!("The resourceVersion for the provided list is too old: {at}")));
            }
            (at, String::new())
        }
    };
    let objects = store.range_at(&prefix, at);
    Ok(Snapshot { at, start, objects })
}

pub fn list(request: &Request, store: &Store) -> Result<Value, Failure> {
    let kind = request.kind;
    let selector = request.selector()?;
    let limit = match request.parameter("limit") {
        None => usize::MAX,
        Some(limit) => limit.parse().ok().filter(|limit| *limit > 0).unwrap_or(usize::MAX),
    };
    let Snapshot { at, start, objects } = snapshot(request, store)?;
    let rest = objects.range((Bound::Excluded(start), Bound::Unbounded));
    let mut rest = rest.filter(|(_, object)| selector.matches(object));
    let mut items = Vec::new();
    let mut last = String::new();
    for (key, object) in rest.by_ref().take(limit) {
        last.clone_from(key);
        let mut item = shown(request, object);
        // Typed lists leave out what every item has in common.
        if let (false, false, Some(item)) = (kind.custom, request.partial, item.as_object_mut()) {
            item.remove("apiVersion");
            item.remove("kind");
        }
        items.push(item);
    }
    let remaining = rest.count();
    let mut metadata = json!({"continue": "", "resourceVersion": at.to_string()});
    if remaining > 0 {
        let revision = i64::try_from(at).unwrap();
        metadata["continue"] = json!(Continue { revision, start: last }.token());
        if selector.is_empty() {
            metadata["remainingItemCount"] = json!(remaining);
        }
    } else if !kind.custom {
        metadata.as_object_mut().unwrap().remove("continue");
    }
    let (api_version, list_kind) = if request.partial {
        ("meta.k8s.io/v1".to_owned(), "PartialObjectMetadataList".to_owned())
    } else {
        (kind.api_version(), format!("{}List", kind.kind))
    };
    Ok(json!({"apiVersion": api_version, "kind": list_kind, "metadata": metadata, "items": items}))
}
