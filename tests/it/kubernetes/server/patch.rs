//! The kinds of patches, on JSON: merge (RFC 7386), JSON patch (RFC 6902), strategic merge.

use serde_json::{Map, Value};

use super::failure::Failure;

/// What a JSON patch that cannot be carried out is answered with, whatever was wrong.
fn refused() -> Failure {
    let mut failure = Failure::new(422, "Invalid", "the server rejected our request due to an error in our request");
    failure.details = Value::Object(Map::new());
    failure
}

/// RFC 7386.
pub fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    for (name, value) in patch {
        if value.is_null() {
            target.as_object_mut().unwrap().remove(name);
        } else {
            merge(target.as_object_mut().unwrap().entry(name).or_insert(Value::Null), value);
        }
    }
}

/// A merge in which lists of things with names are merged by name, and `$patch: delete` takes one away.
pub fn strategic(target: &mut Value, patch: &Value) {
    match patch {
        Value::Object(patch) => {
            if !target.is_object() {
                *target = Value::Object(Map::new());
            }
            for (name, value) in patch.iter().filter(|(name, _)| !name.starts_with('$')) {
                if value.is_null() {
                    target.as_object_mut().unwrap().remove(name);
                } else {
                    strategic(target.as_object_mut().unwrap().entry(name).or_insert(Value::Null), value);
                }
            }
        }
        Value::Array(items) if named(items) => {
            let mut merged = target.as_array().filter(|items| named(items)).cloned().unwrap_or_default();
            for item in items {
                let at = merged.iter().position(|other| other["name"] == item["name"]);
                match (at, item["$patch"] == "delete") {
                    (Some(at), true) => drop(merged.remove(at)),
                    (Some(at), false) => strategic(&mut merged[at], item),
                    (None, true) => {}
                    (None, false) => {
                        let mut added = Value::Null;
                        strategic(&mut added, item);
                        merged.push(added);
                    }
                }
            }
            *target = Value::Array(merged);
        }
        other => *target = other.clone(),
    }
}

fn named(items: &[Value]) -> bool {
    items.iter().all(|item| item["name"].is_string())
}

/// RFC 6902. All or nothing.
pub fn json_patch(target: &Value, patch: &Value) -> Result<Value, Failure> {
    let mut patched = target.clone();
    for step in patch.as_array().ok_or_else(|| Failure::bad_request("error decoding patch: not a list"))? {
        operation(&mut patched, step).ok_or_else(refused)?;
    }
    Ok(patched)
}

fn operation(target: &mut Value, step: &Value) -> Option<()> {
    let path = step["path"].as_str()?;
    match step["op"].as_str()? {
        "test" => (target.pointer(path) == Some(step.get("value")?)).then_some(()),
        "add" => add(target, path, step.get("value")?.clone()),
        "remove" => remove(target, path).map(drop),
        "replace" => {
            *target.pointer_mut(path)? = step.get("value")?.clone();
            Some(())
        }
        "copy" => {
            let value = target.pointer(step["from"].as_str()?)?.clone();
            add(target, path, value)
        }
        "move" => {
            let value = remove(target, step["from"].as_str()?)?;
            add(target, path, value)
        }
        _ => None,
    }
}

fn parent<'a>(target: &'a mut Value, path: &str) -> Option<(&'a mut Value, String)> {
    let (parent, last) = path.rsplit_once('/')?;
    Some((target.pointer_mut(parent)?, last.replace("~1", "/").replace("~0", "~")))
}

fn add(target: &mut Value, path: &str, value: Value) -> Option<()> {
    if path.is_empty() {
        *target = value;
        return Some(());
    }
    match parent(target, path)? {
        (Value::Object(map), name) => {
            map.insert(name, value);
        }
        (Value::Array(items), at) => {
            let at = if at == "-" { items.len() } else { at.parse().ok().filter(|at| *at <= items.len())? };
            items.insert(at, value);
        }
        _ => return None,
    }
    Some(())
}

fn remove(target: &mut Value, path: &str) -> Option<Value> {
    match parent(target, path)? {
        (Value::Object(map), name) => map.remove(&name),
        (Value::Array(items), at) => {
            let at = at.parse().ok().filter(|at| *at < items.len())?;
            Some(items.remove(at))
        }
        _ => None,
    }
}
