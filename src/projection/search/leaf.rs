//! Finding private texts and people in the bytes of an event, without reading its payload again.

use memchr::memmem;

use crate::event::{SealedId, SubjectId};

/// How a private value begins in canonical JSON: keys are sorted, and there are two.
const SEALED: &[u8] = b"{\"commitment\":\"";

/// From the commitment's first digit to the id: 64 digits, and what is between the two.
const BETWEEN: &[u8] = b"\",\"sealed\":\"";

/// A private text of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sealed<'a> {
    /// The field it stands in; of a list, the list's.
    pub(super) field: &'a str,
    /// Where it is kept.
    pub(super) id: SealedId,
}

/// Every private text of an event, in the order of its bytes.
pub(super) fn texts(leaf: &[u8]) -> Vec<Sealed<'_>> {
    let mut found: Vec<Sealed<'_>> = Vec::new();
    for at in memmem::find_iter(leaf, SEALED) {
        let rest = leaf.get(at + SEALED.len() + 64..).and_then(|rest| rest.strip_prefix(BETWEEN));
        let id = rest.and_then(|rest| rest.get(..36)).and_then(|id| std::str::from_utf8(id).ok());
        let Some(Ok(id)) = id.map(str::parse) else { continue };
        let before = leaf.get(..at).and_then(field);
        let field = before.or_else(|| found.last().map(|last| last.field)).unwrap_or("text");
        found.push(Sealed { field, id });
    }
    found
}

/// The key at the end of what stands before a value, or before the first value of a list.
fn field(before: &[u8]) -> Option<&str> {
    let before = before.strip_suffix(b"[").unwrap_or(before).strip_suffix(b"\":")?;
    let begins = memchr::memrchr(b'"', before)?;
    std::str::from_utf8(before.get(begins + 1..)?).ok()
}

/// Every pseudonym in an event, some of them more than once.
pub(super) fn subjects(leaf: &[u8]) -> impl Iterator<Item = &str> {
    memmem::find_iter(leaf, b"\"sbj_").filter_map(|at| {
        let id = std::str::from_utf8(leaf.get(at + 1..at + 37)?).ok()?;
        (leaf.get(at + 37) == Some(&b'"') && id.parse::<SubjectId>().is_ok()).then_some(id)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0192f0c4-9f1e-7abc-8def-0123456789ab";

    fn sealed() -> String {
        format!("{{\"commitment\":\"{}\",\"sealed\":\"{ID}\"}}", "0".repeat(64))
    }

    #[test]
    fn texts_are_found_with_the_field_they_stand_in() {
        let one = sealed();
        let leaf = format!("{{\"data\":{{\"groups\":[{one},{one}],\"message\":{one},\"tag\":\"sealed\"}}}}");
        let fields: Vec<_> = texts(leaf.as_bytes()).into_iter().map(|text| text.field.to_owned()).collect();
        assert_eq!(fields, ["groups", "groups", "message"]);
        assert_eq!(texts(one.as_bytes())[0], Sealed { field: "text", id: ID.parse().unwrap() });
    }

    #[test]
    fn what_only_looks_like_a_text_or_a_person_is_none() {
        for leaf in ["", "{\"commitment\":\"", "{\"commitment\":\"\",\"sealed\":\"x\"}", &sealed()[..100], "\"sbj_"] {
            assert!(texts(leaf.as_bytes()).is_empty() && subjects(leaf.as_bytes()).next().is_none(), "{leaf}");
        }
        let (id, long) = (format!("sbj_{}", "a".repeat(32)), format!("sbj_{}", "a".repeat(33)));
        let leaf = format!("{{\"actor\":\"{id}\",\"tag\":\"{long}\",\"text\":\"a \\\"{id}\\\"\"}}");
        assert_eq!(subjects(leaf.as_bytes()).collect::<Vec<_>>(), [id]);
    }
}
