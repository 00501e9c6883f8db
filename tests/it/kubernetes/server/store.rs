//! Objects under keys, one revision counter, and every change since the beginning.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::kinds::Kind;

/// What a change did.
#[derive(Clone, Copy, PartialEq)]
pub enum Did {
    Add,
    Modify,
    Delete,
}

/// One revision of the store.
pub struct Change {
    pub revision: u64,
    pub key: String,
    pub did: Did,
    /// What a watch sends: with the change's revision; of a deletion, the last state.
    pub object: Arc<Value>,
    /// What there was.
    pub before: Option<Arc<Value>>,
}

/// The store.
pub struct Store {
    revision: u64,
    objects: BTreeMap<String, Arc<Value>>,
    changes: Vec<Change>,
    /// Lists at revisions below this one are gone.
    pub compacted: u64,
    /// Watches from revisions below this one are too old.
    pub cached_from: u64,
}

impl Store {
    pub fn new() -> Self {
        // A real store has written a few hundred revisions before anybody comes.
        Self { revision: 200, objects: BTreeMap::new(), changes: Vec::new(), compacted: 0, cached_from: 200 }
    }

    pub fn revision(&self) -> u64 {
        self.revision
    }

    pub fn get(&self, key: &str) -> Option<&Arc<Value>> {
        self.objects.get(key)
    }

    /// Objects whose key begins so, in the order of their keys.
    pub fn range<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a str, &'a Arc<Value>)> {
        self.objects
            .range(prefix.to_owned()..)
            .take_while(move |(key, _)| key.starts_with(prefix))
            .map(|(key, object)| (key.as_str(), object))
    }

    /// The same as they were at a revision.
    pub fn range_at(&self, prefix: &str, revision: u64) -> BTreeMap<String, Arc<Value>> {
        let mut objects: BTreeMap<String, Arc<Value>> =
            self.range(prefix).map(|(key, object)| (key.to_owned(), object.clone())).collect();
        for change in self.since(revision).iter().rev().filter(|change| change.key.starts_with(prefix)) {
            match &change.before {
                Some(before) => objects.insert(change.key.clone(), before.clone()),
                None => objects.remove(&change.key),
            };
        }
        objects
    }

    /// The changes after a revision.
    pub fn since(&self, revision: u64) -> &[Change] {
        &self.changes[self.changes.partition_point(|change| change.revision <= revision)..]
    }

    /// Writes an object. Its `metadata.resourceVersion` is set here.
    pub fn put(&mut self, kind: &Kind, mut object: Value) -> Arc<Value> {
        self.revision += 1;
        object["metadata"]["resourceVersion"] = json!(self.revision.to_string());
        let key = key(kind, &object);
        let object = Arc::new(object);
        let before = self.objects.insert(key.clone(), object.clone());
        let did = if before.is_some() { Did::Modify } else { Did::Add };
        self.changes.push(Change { revision: self.revision, key, did, object: object.clone(), before });
        object
    }

    /// Takes an object away. What is told of it has a revision of its own.
    pub fn remove(&mut self, kind: &Kind, namespace: Option<&str>, name: &str) -> Option<Arc<Value>> {
        let key = kind.key(namespace, name);
        let before = self.objects.remove(&key)?;
        self.revision += 1;
        let mut last = Value::clone(&before);
        last["metadata"]["resourceVersion"] = json!(self.revision.to_string());
        let object = Arc::new(last);
        let change =
            Change { revision: self.revision, key, did: Did::Delete, object: object.clone(), before: Some(before) };
        self.changes.push(change);
        Some(object)
    }

    /// What a start of the server does to it: the server writes of itself, and its cache begins there.
    pub fn restart(&mut self) {
        self.revision += 5;
        self.compact();
    }

    /// Goes back to what there was at a revision, and on from there: what came after it never was.
    pub fn restore(&mut self, revision: u64) {
        self.objects = self.range_at("", revision);
        self.changes.truncate(self.changes.partition_point(|change| change.revision <= revision));
        self.revision = revision;
    }

    /// Forgets everything before now.
    pub fn compact(&mut self) {
        self.compacted = self.revision;
        self.cached_from = self.revision;
    }
}

/// Where an object is.
pub fn key(kind: &Kind, object: &Value) -> String {
    let metadata = &object["metadata"];
    kind.key(metadata["namespace"].as_str(), metadata["name"].as_str().unwrap_or_default())
}
