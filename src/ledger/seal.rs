//! Keeping private values out of leaves: sealing drafts, and comparing what is sealed.

use std::collections::HashMap;

use super::engine::{Engine, SealedValue};
use super::ports::{Clock, Entropy};
use super::{Error, Result};
use crate::event::canonical::Value;
use crate::event::{
    self, Draft, Field, Hex32, PRIVATE_MAX, Private, SealedId, SealedRef, Subject, SubjectId, Timestamp, Visitor,
    commitment,
};

/// Collects whom a draft names.
#[derive(Default)]
pub(super) struct Identities {
    /// In plain.
    pub(super) plain: Vec<String>,
    /// By pseudonym.
    pub(super) known: Vec<SubjectId>,
}

impl Visitor for Identities {
    fn private(&mut self, _: &mut Private) -> Result<(), event::Error> {
        Ok(())
    }
    fn subject(&mut self, value: &mut Subject) -> Result<(), event::Error> {
        match value {
            Subject::Identity(identity) if !self.plain.contains(identity) => self.plain.push(identity.clone()),
            Subject::Id(id) if !self.known.contains(id) => self.known.push(id.clone()),
            _ => {}
        }
        Ok(())
    }
}

/// Who is who, as far as drafts name them.
#[derive(Clone, Copy)]
pub(super) struct People<'a> {
    /// The pseudonyms of identities.
    pub(super) pseudonyms: &'a HashMap<String, SubjectId>,
    /// Pseudonyms that nobody is behind: an event that named one could not be told from one whose subject was taken away.
    pub(super) strangers: &'a [SubjectId],
}

/// Replaces identities by pseudonyms and private values by commitments.
struct Sealer<'a> {
    people: People<'a>,
    entropy: &'a dyn Entropy,
    now: Timestamp,
    sealed: Vec<SealedValue>,
}

impl Visitor for Sealer<'_> {
    fn private(&mut self, value: &mut Private) -> Result<(), event::Error> {
        let plain = match value {
            Private::Plain(plain) => std::mem::take(plain),
            Private::Sealed(_) => {
                return Err(event::Error::field("sealed", "a draft gives the text itself; the ledger seals it"));
            }
        };
        if plain.len() > PRIVATE_MAX {
            let what = format!("{} bytes, and a private text has at most {PRIVATE_MAX}", plain.len());
            return Err(event::Error::field("text", what));
        }
        let mut random = [0; 42];
        self.entropy.fill(&mut random);
        let (salt, rest) = random.split_at(32);
        let salt = <[u8; 32]>::try_from(salt).unwrap_or_default();
        let millis = u64::try_from(self.now.micros().div_euclid(1000)).unwrap_or(0);
        let chance = <[u8; 10]>::try_from(rest).unwrap_or_default();
        let id = uuid::Builder::from_unix_timestamp_millis(millis, &chance).into_uuid().to_string();
        let id: SealedId = id.parse()?;
        let commitment = Hex32::from_bytes(commitment(&salt, &plain));
        *value = Private::Sealed(SealedRef { commitment, sealed: id.clone() });
        self.sealed.push(SealedValue { id, owner: None, salt, value: plain });
        Ok(())
    }

    fn subject(&mut self, value: &mut Subject) -> Result<(), event::Error> {
        match value {
            Subject::Identity(identity) => {
                let id = self.people.pseudonyms.get(identity);
                let id = id.ok_or_else(|| event::Error::field("subject", "an identity that has no pseudonym yet"))?;
                *value = Subject::Id(id.clone());
                Ok(())
            }
            Subject::Id(id) if self.people.strangers.contains(id) => {
                Err(event::Error::field("subject", format!("nobody has the pseudonym {id}: give the identity")))
            }
            Subject::Id(_) => Ok(()),
        }
    }
}

/// Seals a draft in place and returns the values to keep beside the log. They are the actor's.
pub(super) fn seal(
    draft: &mut Draft,
    people: People<'_>,
    clock: &dyn Clock,
    entropy: &dyn Entropy,
) -> Result<Vec<SealedValue>, event::Error> {
    let mut sealer = Sealer { people, entropy, now: clock.now(), sealed: Vec::new() };
    draft.visit(&mut sealer)?;
    let owner = draft.actor.as_ref().and_then(Subject::id);
    Ok(sealer.sealed.into_iter().map(|value| SealedValue { owner: owner.cloned(), ..value }).collect())
}

/// Compares the content of two leaves whose private values are sealed under different salts.
pub(super) struct Comparison<'a> {
    pub(super) engine: &'a dyn Engine,
    /// Values sealed by the submission itself.
    pub(super) fresh: &'a [(usize, SealedValue)],
    /// Values sealed by other submissions that are being committed with it: the engine does not have them yet.
    pub(super) staged: &'a [SealedValue],
    /// Whether the events are erasures: whom they name is what they are about, erased or not.
    pub(super) erasures: bool,
}

impl Comparison<'_> {
    /// The path of the first field that differs. What was erased meanwhile cannot be compared and counts as equal.
    pub(super) fn difference(&self, submitted: &Value, recorded: &Value) -> Result<Option<String>> {
        match (submitted, recorded) {
            (Value::Object(new), Value::Object(old)) => {
                if let (Some(new), Some(old)) = (sealed_id(submitted), sealed_id(recorded)) {
                    return Ok((!self.same_private(new, old)?).then(String::new));
                }
                for (key, value) in new {
                    let Some(other) = old.get(key) else { return Ok(Some(key.clone())) };
                    if let Some(path) = self.difference(value, other)? {
                        return Ok(Some(join(key, &path)));
                    }
                }
                Ok(old.keys().find(|key| !new.contains_key(*key)).cloned())
            }
            (Value::Array(new), Value::Array(old)) => {
                if new.len() != old.len() {
                    return Ok(Some(String::new()));
                }
                for (n, (value, other)) in new.iter().zip(old).enumerate() {
                    if let Some(path) = self.difference(value, other)? {
                        return Ok(Some(join(&format!("[{n}]"), &path)));
                    }
                }
                Ok(None)
            }
            (Value::String(new), Value::String(old)) => Ok((!self.same_text(new, old)?).then(String::new)),
            _ => Ok((submitted != recorded).then(String::new)),
        }
    }

    fn same_text(&self, new: &str, old: &str) -> Result<bool> {
        if new == old {
            return Ok(true);
        }
        match (new.parse::<SubjectId>(), old.parse::<SubjectId>()) {
            // Somebody erased comes back under a new pseudonym.
            (Ok(_), Ok(old)) => Ok(!self.erasures && self.engine.subject(&old)?.is_none()),
            _ => Ok(false),
        }
    }

    fn same_private(&self, new: &str, old: &str) -> Result<bool> {
        let fresh =
            |id: &str| self.fresh.iter().find(|(_, row)| row.id.as_str() == id).map(|(_, row)| row.value.clone());
        let staged = |id: &str| self.staged.iter().find(|row| row.id.as_str() == id).map(|row| row.value.clone());
        let old = match fresh(old).or_else(|| staged(old)) {
            Some(value) => Some(value),
            None => {
                let id = old.parse().map_err(|error| Error::Corrupt(format!("sealed value {old}: {error}")))?;
                self.engine.sealed(&id)?.map(|row| row.value)
            }
        };
        Ok(old.is_none() || fresh(new) == old)
    }
}

fn join(key: &str, path: &str) -> String {
    match path {
        "" => key.to_owned(),
        path if path.starts_with('[') => format!("{key}{path}"),
        path => format!("{key}.{path}"),
    }
}

/// The id in `{"commitment":...,"sealed":...}`; none for any other value.
pub(super) fn sealed_id(value: &Value) -> Option<&str> {
    match value {
        Value::Object(members) if members.len() == 2 && members.contains_key("commitment") => {
            members.get("sealed").and_then(Value::as_str)
        }
        _ => None,
    }
}
