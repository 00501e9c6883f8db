//! What the readers of checks share: how a tool came out, and terminal text.

use std::io::BufRead;

use serde::de::{DeserializeOwned, DeserializeSeed, SeqAccess, Visitor};

use super::{Document, Named, Reason, Rejection, Report};
use crate::event::Data;
use crate::event::check::{CheckFinished, CheckKind, Conclusion};

/// Longest name, in bytes, that is taken from a document.
pub(super) const NAME_MAX: usize = 512;

/// Longest line of terminal text that is looked at. What is longer is no line that a tool writes for people.
const LINE_BYTES_MAX: usize = 64 << 10;

/// What a tool counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counted {
    /// Findings; none where the tool gave no list.
    pub(super) findings: Option<u32>,
    /// Those that are errors.
    pub(super) errors: Option<u32>,
    /// Those that are warnings.
    pub(super) warnings: Option<u32>,
}

/// How a tool came out that exits with 0 when it has nothing to say, with 1 when it has, and with anything else when it
/// could not do its work. Where the two disagree (`--exit-zero`), what it found counts.
pub(super) fn conclusion(findings: Option<u32>, exit_code: Option<i32>) -> Conclusion {
    match (exit_code, findings) {
        (Some(code), _) if code != 0 && code != 1 => Conclusion::Error,
        (_, Some(1..)) | (Some(1), _) => Conclusion::Failure,
        (None, None) => Conclusion::Error,
        _ => Conclusion::Success,
    }
}

/// A check by a tool.
pub(super) fn check(kind: CheckKind, tool: &str, counted: Counted, conclusion: Conclusion) -> CheckFinished {
    CheckFinished {
        app: None,
        artifact: None,
        attempt: None,
        branch: None,
        change: None,
        check: None,
        commit: None,
        conclusion,
        coverage: None,
        errors: counted.errors,
        exit_code: None,
        findings: counted.findings,
        kind,
        name: tool.to_owned(),
        report: None,
        run: None,
        started_at: None,
        summary: None,
        tool: Some(tool.to_owned()),
        tool_version: None,
        url: None,
        warnings: counted.warnings,
    }
}

/// A report that is one fact, about what only who hands it in knows.
pub(super) fn one(format: impl Into<String>, fact: impl Into<Data>) -> Report {
    Report { format: format.into(), generated_at: None, named: Named::default(), facts: vec![fact.into()] }
}

/// One more, without an end.
pub(super) fn add(counter: &mut Option<u32>, n: u32) {
    *counter = Some(counter.unwrap_or(0).saturating_add(n));
}

/// That a document without a word says nothing, unless the exit code says that nothing is all there is to say.
pub(super) fn silent(tool: &str) -> Rejection {
    Rejection::new(
        Reason::Empty,
        format!("nothing that {tool} says: give its exit code, which alone tells how it came out"),
    )
}

/// Hands over the values of a JSON array, or of lines, one by one.
///
/// # Errors
/// As [`Rejection::json`], naming the element; and what `take` has against one.
pub(super) fn each<T: DeserializeOwned>(
    document: &Document<'_>,
    lines: bool,
    mut take: impl FnMut(T),
) -> Result<(), Rejection> {
    let mut n = 0_u64;
    let read = if lines {
        let values = serde_json::Deserializer::from_reader(document.reader()?).into_iter::<T>();
        let mut values = values.map(|value| {
            value.map(|value| {
                take(value);
                n += 1;
            })
        });
        values.find_map(Result::err).map_or(Ok(()), |error| Err(Rejection::json(&error)))
    } else {
        document.json_seed(Each { take: &mut take, n: &mut n, of: std::marker::PhantomData::<fn() -> T> })
    };
    read.map_err(|rejection| match rejection.reason {
        // Of an array, the place is known already.
        Reason::MissingField | Reason::BadField if lines => rejection.at(format!("[{n}]")),
        _ => rejection,
    })
}

struct Each<'a, T, F> {
    take: &'a mut F,
    n: &'a mut u64,
    of: std::marker::PhantomData<fn() -> T>,
}

impl<'de, T: DeserializeOwned, F: FnMut(T)> DeserializeSeed<'de> for Each<'_, T, F> {
    type Value = ();
    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de, T: DeserializeOwned, F: FnMut(T)> Visitor<'de> for Each<'_, T, F> {
    type Value = ();
    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a list")
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<(), A::Error> {
        while let Some(value) = values.next_element()? {
            (self.take)(value);
            *self.n += 1;
        }
        Ok(())
    }
}

/// Hands over the lines of terminal text one by one, without colours. The rest of a line that is too long is passed over.
///
/// # Errors
/// [`Reason::NotUtf8`], [`Reason::Malformed`], and what `take` has against a line.
pub(super) fn lines(
    document: &Document<'_>,
    mut take: impl FnMut(&str) -> Result<(), Rejection>,
) -> Result<(), Rejection> {
    let mut reader = document.reader()?;
    let mut line = Vec::new();
    let mut at = 0_u64;
    loop {
        line.clear();
        let read = reader.read_until(b'\n', &mut line);
        let n = read.map_err(|error| Rejection::new(Reason::Malformed, format!("cannot be read: {error}")))?;
        if n == 0 {
            return Ok(());
        }
        let text = std::str::from_utf8(&line).map_err(|error| {
            let at = at.saturating_add(error.valid_up_to() as u64);
            Rejection::new(Reason::NotUtf8, format!("byte {at} is not UTF-8"))
        })?;
        at = at.saturating_add(n as u64);
        let text = text.trim_end_matches(['\n', '\r']);
        let text = text.get(..text.floor_char_boundary(LINE_BYTES_MAX)).unwrap_or_default();
        take(&uncoloured(text))?;
    }
}

/// Text without the sequences that colour it (ECMA-48, `ESC [ ... m` and the like).
pub(super) fn uncoloured(text: &str) -> std::borrow::Cow<'_, str> {
    if !text.contains('\u{1b}') {
        return text.into();
    }
    let mut plain = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        if character == '\u{1b}' && characters.peek() == Some(&'[') {
            characters.next();
            // Parameters end at a letter.
            characters.by_ref().find(|end| ('@'..='~').contains(end));
        } else {
            plain.push(character);
        }
    }
    plain.into()
}

/// The number before a word of a summary: 7 in `7 files would be reformatted` for `files would be reformatted`.
pub(super) fn number_before(text: &str, words: &[&str]) -> Option<u32> {
    text.split(',').find_map(|part| {
        let (number, rest) = part.trim().trim_end_matches('.').split_once(' ')?;
        words.contains(&rest).then(|| number.parse().ok())?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_found_counts_more_than_an_exit_code_that_was_silenced() {
        for (findings, exit_code, expected) in [
            (Some(0), None, Conclusion::Success),
            (Some(0), Some(0), Conclusion::Success),
            (Some(2), Some(0), Conclusion::Failure),
            (Some(2), Some(1), Conclusion::Failure),
            (Some(0), Some(1), Conclusion::Failure),
            (Some(2), Some(2), Conclusion::Error),
            (None, Some(0), Conclusion::Success),
            (None, Some(1), Conclusion::Failure),
            (None, Some(-9), Conclusion::Error),
            (None, None, Conclusion::Error),
        ] {
            assert_eq!(conclusion(findings, exit_code), expected, "{findings:?} {exit_code:?}");
        }
    }

    #[test]
    fn colours_are_taken_off_and_numbers_are_found_by_their_words() {
        assert_eq!(uncoloured("\u{1b}[1;31merror\u{1b}[0m: x \u{1b}[K\u{1b}"), "error: x \u{1b}");
        let text = "7 files would be reformatted, 77 files would be left unchanged.";
        assert_eq!(number_before(text, &["files would be left unchanged"]), Some(77));
        assert_eq!(number_before(text, &["files would fail"]), None);
    }
}
