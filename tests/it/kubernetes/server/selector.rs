//! Label and field selectors.

use serde_json::Value;

use super::failure::Failure;

enum Requirement {
    In(String, Vec<String>),
    NotIn(String, Vec<String>),
    Exists(String),
    Absent(String),
}

/// What of a kind is asked for.
#[derive(Default)]
pub struct Selector {
    labels: Vec<Requirement>,
    /// Field, whether it must be equal, value.
    fields: Vec<(String, bool, String)>,
}

impl Selector {
    pub fn parse(labels: Option<&str>, fields: Option<&str>) -> Result<Self, Failure> {
        let mut selector = Self::default();
        for part in split(labels.unwrap_or_default()) {
            selector.labels.push(requirement(part)?);
        }
        for part in fields.unwrap_or_default().split(',').filter(|part| !part.is_empty()) {
            let (field, equal, value) = equality(part).ok_or_else(|| {
                Failure::bad_request(format!("invalid selector: '{part}'; can't understand '{part}'"))
            })?;
            if !matches!(field, "metadata.name" | "metadata.namespace") {
                return Err(Failure::bad_request(format!("field label not supported: {field}")));
            }
            selector.fields.push((field.to_owned(), equal, value.to_owned()));
        }
        Ok(selector)
    }

    pub fn is_empty(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }

    pub fn matches(&self, object: &Value) -> bool {
        let label = |name: &str| object["metadata"]["labels"].get(name).and_then(Value::as_str);
        let labels = self.labels.iter().all(|requirement| match requirement {
            Requirement::In(name, values) => label(name).is_some_and(|value| values.iter().any(|other| other == value)),
            Requirement::NotIn(name, values) => {
                label(name).is_none_or(|value| values.iter().all(|other| other != value))
            }
            Requirement::Exists(name) => label(name).is_some(),
            Requirement::Absent(name) => label(name).is_none(),
        });
        labels
            && self.fields.iter().all(|(field, equal, value)| {
                let found = &object["metadata"][field.trim_start_matches("metadata.")];
                (found.as_str().unwrap_or_default() == value) == *equal
            })
    }
}

/// At the commas that are not between brackets.
fn split(text: &str) -> Vec<&str> {
    let mut inside = false;
    let parts = text.split(|c: char| {
        inside = (inside || c == '(') && c != ')';
        c == ',' && !inside
    });
    parts.map(str::trim).filter(|part| !part.is_empty()).collect()
}

fn equality(part: &str) -> Option<(&str, bool, &str)> {
    let (left, right) = part.split_once('=')?;
    let (name, equal) = left.strip_suffix('!').map_or((left, true), |name| (name, false));
    Some((name.trim(), equal, right.trim_start_matches('=').trim()))
}

fn requirement(part: &str) -> Result<Requirement, Failure> {
    let bad = || Failure::bad_request(format!("unable to parse requirement: {part}"));
    if let Some((left, right)) = part.split_once('(') {
        let values: Vec<String> = right.trim_end_matches(')').split(',').map(|value| value.trim().to_owned()).collect();
        let mut words = left.split_whitespace();
        return match (words.next(), words.next(), words.next()) {
            (Some(name), Some("in"), None) => Ok(Requirement::In(name.to_owned(), values)),
            (Some(name), Some("notin"), None) => Ok(Requirement::NotIn(name.to_owned(), values)),
            _ => Err(bad()),
        };
    }
    if let Some((name, equal, value)) = equality(part) {
        let (name, values) = (name.to_owned(), vec![value.to_owned()]);
        return Ok(if equal { Requirement::In(name, values) } else { Requirement::NotIn(name, values) });
    }
    if part.contains(char::is_whitespace) {
        return Err(bad());
    }
    let absent = part.strip_prefix('!').map(|name| Requirement::Absent(name.trim().to_owned()));
    Ok(absent.unwrap_or_else(|| Requirement::Exists(part.to_owned())))
}
