//! `metadata.managedFields`: who wrote which field, and server-side apply.
//!
//! A set is of paths; a path is of `FieldsV1` elements (`f:name`, `k:{"name":"x"}`, `v:"x"`). Lists are one leaf, but
//! for those that real servers merge by a key and that matter here.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::failure::Failure;
use super::kinds::Kind;

type Path = Vec<String>;
type Set = BTreeSet<Path>;

/// Lists whose items have an identity: the list's element, and the member that is the key.
const KEYED: &[(&str, &str)] =
    &[("f:containers", "name"), ("f:env", "name"), ("f:initContainers", "name"), ("f:ownerReferences", "uid")];

/// Fields that nobody owns.
const OWNERLESS: &[&str] = &[
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "generation",
    "managedFields",
    "name",
    "namespace",
    "resourceVersion",
    "selfLink",
    "uid",
];

/// Who writes.
#[derive(Clone)]
pub struct Writer {
    pub manager: String,
    pub subresource: Option<&'static str>,
    pub now: String,
}

struct Entry {
    manager: String,
    operation: String,
    api_version: String,
    subresource: Value,
    time: Value,
    set: Set,
}

/// An object's members or keyed items by element; nothing for a leaf.
fn children<'a>(kind: &Kind, path: &[String], value: &'a Value) -> Option<Vec<(String, &'a Value)>> {
    match value {
        Value::Object(members) => Some(members.iter().map(|(name, value)| (format!("f:{name}"), value)).collect()),
        Value::Array(items) => {
            let last = path.last()?;
            if path.first().is_some_and(|first| first == "f:metadata") && last == "f:finalizers" {
                return Some(items.iter().map(|item| (format!("v:{item}"), item)).collect());
            }
            let key = KEYED.iter().find(|(list, _)| list == last).map(|(_, key)| *key)?;
            let keyed = items.iter().map(|item| Some((format!("k:{}", json!({key: item.get(key)?})), item)));
            (!kind.custom || last == "f:ownerReferences").then(|| keyed.collect::<Option<Vec<_>>>()).flatten()
        }
        _ => None,
    }
}

#[derive(Default)]
struct Difference {
    added: Set,
    modified: Set,
    removed: Set,
}

fn every(kind: &Kind, path: &Path, value: &Value, into: &mut Set) {
    into.insert(path.clone());
    for (element, child) in children(kind, path, value).into_iter().flatten() {
        every(kind, &[path.as_slice(), &[element]].concat(), child, into);
    }
}

fn leaves(kind: &Kind, path: &Path, value: &Value, into: &mut Set) {
    match children(kind, path, value) {
        Some(children) if !children.is_empty() => {
            for (element, child) in children {
                leaves(kind, &[path.as_slice(), &[element]].concat(), child, into);
            }
        }
        _ => {
            into.insert(path.clone());
        }
    }
}

fn compare(kind: &Kind, path: &Path, old: &Value, new: &Value, difference: &mut Difference) {
    if old == new {
        return;
    }
    let (Some(old_children), Some(new_children)) = (children(kind, path, old), children(kind, path, new)) else {
        difference.modified.insert(path.clone());
        return;
    };
    for (element, child) in &new_children {
        let path = [path.as_slice(), std::slice::from_ref(element)].concat();
        match old_children.iter().find(|(other, _)| other == element) {
            Some((_, old)) => compare(kind, &path, old, child, difference),
            None => every(kind, &path, child, &mut difference.added),
        }
    }
    for (element, child) in old_children {
        if !new_children.iter().any(|(other, _)| *other == element) {
            every(kind, &[path.as_slice(), &[element]].concat(), child, &mut difference.removed);
        }
    }
}

/// The object without what nobody owns.
fn owned(object: &Value) -> Value {
    let mut owned = object.clone();
    if let Some(members) = owned.as_object_mut() {
        members.remove("apiVersion");
        members.remove("kind");
        if let Some(metadata) = members.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.retain(|name, _| !OWNERLESS.contains(&name.as_str()));
            if metadata.is_empty() {
                members.remove("metadata");
            }
        }
    }
    owned
}

fn differences(kind: &Kind, old: &Value, new: &Value) -> Difference {
    let mut difference = Difference::default();
    compare(kind, &Path::new(), &owned(old), &owned(new), &mut difference);
    let metadata = [String::from("f:metadata")];
    for set in [&mut difference.added, &mut difference.modified, &mut difference.removed] {
        set.remove(metadata.as_slice());
    }
    difference
}

/// After a write that is no apply: what changed is the writer's, and nobody else's.
pub fn update(kind: &Kind, writer: &Writer, old: &Value, new: &mut Value) {
    let difference = differences(kind, old, new);
    let mut entries = read(&old["metadata"]["managedFields"]);
    let mine = find(&mut entries, writer, "Update", kind);
    for (index, entry) in entries.iter_mut().enumerate() {
        entry.set.retain(|path| !difference.removed.contains(path));
        if index != mine {
            entry.set.retain(|path| !difference.modified.contains(path));
        }
    }
    let changed = difference.added.into_iter().chain(difference.modified);
    entries[mine].set.extend(changed);
    entries[mine].time = json!(writer.now);
    new["metadata"]["managedFields"] = write(entries);
}

/// Server-side apply.
pub fn apply(kind: &Kind, writer: &Writer, live: &Value, applied: &Value, force: bool) -> Result<Value, Failure> {
    let intent = owned(applied);
    let mut set = Set::new();
    leaves(kind, &Path::new(), &intent, &mut set);
    let mut entries = read(&live["metadata"]["managedFields"]);
    let mine = find(&mut entries, writer, "Apply", kind);

    let mut merged = live.clone();
    merge(kind, &Path::new(), &mut merged, &intent);
    let dropped: Vec<Path> = entries[mine].set.difference(&set).cloned().collect();
    for path in dropped {
        let shared = entries.iter().enumerate().any(|(index, entry)| index != mine && entry.set.contains(&path));
        if !shared && !set.iter().any(|kept| kept.starts_with(&path)) {
            remove(kind, &mut merged, &path);
        }
    }

    let modified = differences(kind, live, &merged).modified;
    let mut conflicts = Vec::new();
    for (_, entry) in entries.iter_mut().enumerate().filter(|(index, _)| *index != mine) {
        for path in entry.set.intersection(&modified).filter(|path| set.contains(*path)) {
            conflicts.push((described(entry), shown(path)));
        }
        entry.set.retain(|path| !modified.contains(path));
    }
    if !conflicts.is_empty() && !force {
        return Err(conflict(&conflicts));
    }
    if entries[mine].set != set {
        entries[mine].set = set;
        entries[mine].time = json!(writer.now);
    }
    merged["metadata"]["managedFields"] = write(entries);
    Ok(merged)
}

fn merge(kind: &Kind, path: &Path, live: &mut Value, applied: &Value) {
    let Some(children_applied) = children(kind, path, applied).filter(|_| children(kind, path, live).is_some()) else {
        *live = applied.clone();
        return;
    };
    for (element, child) in children_applied {
        let below = [path.as_slice(), std::slice::from_ref(&element)].concat();
        match step(kind, path, live, &element) {
            Some(found) => merge(kind, &below, found, child),
            None => match live {
                Value::Object(members) => drop(members.insert(element[2..].to_owned(), child.clone())),
                Value::Array(items) => items.push(child.clone()),
                _ => {}
            },
        }
    }
}

fn index_of(kind: &Kind, path: &[String], items: &Value, element: &str) -> Option<usize> {
    children(kind, path, items)?.iter().position(|(other, _)| other == element)
}

fn step<'a>(kind: &Kind, path: &[String], value: &'a mut Value, element: &str) -> Option<&'a mut Value> {
    if value.is_object() {
        return value.get_mut(&element[2..]);
    }
    let index = index_of(kind, path, value, element)?;
    value.get_mut(index)
}

fn remove(kind: &Kind, object: &mut Value, path: &[String]) {
    let Some((last, parents)) = path.split_last() else { return };
    let mut at = object;
    for depth in 0..parents.len() {
        let Some(next) = step(kind, &parents[..depth], at, &parents[depth]) else { return };
        at = next;
    }
    if let Some(members) = at.as_object_mut() {
        members.remove(&last[2..]);
    } else if let Some(index) = index_of(kind, parents, at, last) {
        at.as_array_mut().unwrap().remove(index);
    }
}

fn described(entry: &Entry) -> String {
    let mut text = format!("\"{}\"", entry.manager);
    if let Some(subresource) = entry.subresource.as_str() {
        text.push_str(&format!(" with subresource \"{subresource}\""));
    }
    if entry.operation == "Update" {
        text.push_str(&format!(" using {}", entry.api_version));
        if let Some(time) = entry.time.as_str() {
            text.push_str(&format!(" at {time}"));
        }
    }
    text
}

fn shown(path: &Path) -> String {
    let shown = |element: &String| match element.split_once(':') {
        Some(("f", name)) => format!(".{name}"),
        Some((_, item)) => format!("[{item}]"),
        None => element.clone(),
    };
    path.iter().map(shown).collect()
}

fn conflict(conflicts: &[(String, String)]) -> Failure {
    let message = match conflicts {
        [(manager, field)] => format!("Apply failed with 1 conflict: conflict with {manager}: {field}"),
        many => {
            let each: Vec<String> =
                many.iter().map(|(manager, field)| format!("conflict with {manager}:\n- {field}")).collect();
            format!("Apply failed with {} conflicts: {}", many.len(), each.join("\n"))
        }
    };
    let causes: Vec<Value> = conflicts
        .iter()
        .map(|(manager, field)| {
            json!({"reason": "FieldManagerConflict", "message": format!("conflict with {manager}"), "field": field})
        })
        .collect();
    let mut failure = Failure::new(409, "Conflict", message);
    failure.details = json!({"causes": causes});
    failure
}

fn find(entries: &mut Vec<Entry>, writer: &Writer, operation: &str, kind: &Kind) -> usize {
    let subresource = json!(writer.subresource);
    let found = entries.iter().position(|entry| {
        entry.manager == writer.manager && entry.operation == operation && entry.subresource == subresource
    });
    found.unwrap_or_else(|| {
        entries.push(Entry {
            manager: writer.manager.clone(),
            operation: operation.to_owned(),
            api_version: kind.api_version(),
            subresource,
            time: json!(writer.now),
            set: Set::new(),
        });
        entries.len() - 1
    })
}

fn read(managed: &Value) -> Vec<Entry> {
    let entries = managed.as_array().into_iter().flatten();
    entries
        .map(|entry| {
            let text = |name: &str| entry[name].as_str().unwrap_or_default().to_owned();
            let mut set = Set::new();
            read_set(&entry["fieldsV1"], &Path::new(), &mut set);
            let (subresource, time) = (entry["subresource"].clone(), entry["time"].clone());
            Entry {
                manager: text("manager"),
                operation: text("operation"),
                api_version: text("apiVersion"),
                subresource,
                time,
                set,
            }
        })
        .collect()
}

fn read_set(fields: &Value, path: &Path, into: &mut Set) {
    for (element, below) in fields.as_object().into_iter().flatten() {
        if element == "." {
            into.insert(path.clone());
            continue;
        }
        let path = [path.as_slice(), std::slice::from_ref(element)].concat();
        if below.as_object().is_some_and(Map::is_empty) {
            into.insert(path);
        } else {
            read_set(below, &path, into);
        }
    }
}

fn write(entries: Vec<Entry>) -> Value {
    let entries = entries.into_iter().filter(|entry| !entry.set.is_empty()).map(|entry| {
        let mut fields = json!({});
        for path in &entry.set {
            let mut at = &mut fields;
            let has_more = entry.set.range(path.clone()..).nth(1).is_some_and(|next| next.starts_with(path));
            for element in path {
                at = at.as_object_mut().unwrap().entry(element).or_insert(json!({}));
            }
            if has_more {
                at["."] = json!({});
            }
        }
        let mut written = json!({
            "manager": entry.manager, "operation": entry.operation, "apiVersion": entry.api_version,
            "time": entry.time, "fieldsType": "FieldsV1", "fieldsV1": fields,
        });
        if !entry.subresource.is_null() {
            written["subresource"] = entry.subresource;
        }
        written
    });
    Value::Array(entries.collect())
}
