//! What somebody typed, as a question: pure.

use super::super::{Error, Result};

/// Most characters of a question.
const LENGTH_MAX: usize = 1000;

/// Most words and phrases of a question.
const TERMS_MAX: usize = 32;

/// Fewest letters and digits of the beginning of a word.
const PREFIX_MIN: usize = 3;

/// Words that all must stand in a text, and what restricts where.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Question {
    /// The words and phrases.
    pub(super) terms: Vec<Term>,
    /// Only events of one of these types, or that begin so where it ends in `*`; all where empty.
    pub types: Vec<String>,
    /// Only events of streams whose names begin so; all where empty.
    pub streams: Vec<String>,
}

/// A word or a phrase.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Term {
    pub(super) text: String,
    /// It is what the last word begins with.
    pub(super) prefix: bool,
}

impl Question {
    /// Reads a question: words, `"phrases"`, the beginning of a word with `*` after it, `type:` and `stream:`.
    ///
    /// # Errors
    /// `Invalid`, naming `query`.
    pub fn parse(text: &str) -> Result<Self> {
        let wrong = |what: &str| Err(Error::invalid("query", what));
        if text.chars().count() > LENGTH_MAX {
            return wrong("is longer than 1000 characters");
        }
        let mut question = Self::default();
        let mut rest = text.trim_start();
        while !rest.is_empty() {
            let (key, after) = filter(rest);
            let (value, quoted, after) = value(after);
            rest = after.trim_start();
            match key {
                Some("type") => question.types.push(value.to_owned()),
                Some(_) => question.streams.push(value.to_owned()),
                None => {
                    let starred = !quoted && value.ends_with('*');
                    let (prefix, rest_after) = match rest.strip_prefix('*').filter(|_| quoted && after.starts_with('*'))
                    {
                        Some(rest) => (true, rest),
                        None => (starred, rest),
                    };
                    rest = rest_after.trim_start();
                    let value = if starred { value.trim_end_matches('*') } else { value };
                    question.term(value, prefix)?;
                }
            }
        }
        if question.terms.is_empty() {
            return wrong("has no words");
        }
        if question.terms.len() > TERMS_MAX {
            return wrong("has more than 32 words");
        }
        Ok(question)
    }

    fn term(&mut self, text: &str, prefix: bool) -> Result<()> {
        // Signs are between words and in none.
        if !text.chars().any(char::is_alphanumeric) {
            return Ok(());
        }
        let letters = text.chars().rev().skip_while(|c| !c.is_alphanumeric()).take_while(|c| c.is_alphanumeric());
        if prefix && letters.count() < PREFIX_MIN {
            return Err(Error::invalid("query", format!("{text}* is too short: give 3 letters or digits")));
        }
        self.terms.push(Term { text: text.to_owned(), prefix });
        Ok(())
    }

    /// The question in the language of the index: every term as a string, so that nothing in it is taken for an operator.
    pub(super) fn expression(&self) -> String {
        let term = |term: &Term| {
            let star = if term.prefix { "*" } else { "" };
            format!("\"{}\"{star}", term.text.replace('"', "\"\"").replace('\0', " "))
        };
        self.terms.iter().map(term).collect::<Vec<_>>().join(" AND ")
    }

    /// Its one word, where it has one and nothing else.
    pub(super) fn only_word(&self) -> Option<&str> {
        match self.terms.as_slice() {
            [term] if !term.prefix && self.types.is_empty() && self.streams.is_empty() => Some(&term.text),
            _ => None,
        }
    }

    /// Whether events of a type and stream are asked for.
    pub(super) fn admits(&self, type_name: &str, stream: &str) -> bool {
        let typed = |wanted: &String| match wanted.strip_suffix('*') {
            Some(begin) => type_name.starts_with(begin),
            None => type_name == wanted,
        };
        (self.types.is_empty() || self.types.iter().any(typed))
            && (self.streams.is_empty() || self.streams.iter().any(|begin| stream.starts_with(begin.as_str())))
    }

    /// As much of a text as shows the first of the words that stands in it.
    pub(super) fn snippet(&self, text: &str) -> String {
        const BEFORE: usize = 60;
        const LENGTH: usize = 180;
        let words: Vec<String> = self.terms.iter().map(|term| first_word(&term.text)).collect();
        let chars: Vec<char> = text.chars().map(|c| if c.is_whitespace() { ' ' } else { c }).collect();
        let lower: Vec<char> = chars.iter().map(|c| c.to_lowercase().next().unwrap_or(*c)).collect();
        let place = |word: &String| {
            let word: Vec<char> = word.chars().collect();
            lower.windows(word.len().max(1)).position(|window| window == word.as_slice())
        };
        let first = words.iter().filter_map(place).min().unwrap_or(0);
        let start = first.saturating_sub(BEFORE);
        let end = (start + LENGTH).min(chars.len());
        let shown: String = chars.get(start..end).unwrap_or_default().iter().collect();
        let (before, after) = (if start > 0 { "…" } else { "" }, if end < chars.len() { "…" } else { "" });
        format!("{before}{}{after}", shown.trim())
    }
}

/// The first word of a term, in lower case.
fn first_word(text: &str) -> String {
    let letters = text.chars().skip_while(|c| !c.is_alphanumeric()).take_while(|c| c.is_alphanumeric());
    letters.flat_map(char::to_lowercase).collect()
}

/// What restricts, at the beginning of a text, and what comes after it.
fn filter(text: &str) -> (Option<&'static str>, &str) {
    for key in ["type", "stream"] {
        let after = text.strip_prefix(key).and_then(|rest| rest.strip_prefix(':'));
        if let Some(after) = after.filter(|after| after.starts_with(|c: char| !c.is_whitespace())) {
            return (Some(key), after);
        }
    }
    (None, text)
}

/// A word, or what stands between quotes; whether it was quoted; and what comes after it.
fn value(text: &str) -> (&str, bool, &str) {
    if let Some(quoted) = text.strip_prefix('"') {
        let (value, after) = quoted.split_once('"').unwrap_or((quoted, ""));
        return (value, true, after);
    }
    let end = text.find(|c: char| c.is_whitespace() || c == '"').unwrap_or(text.len());
    let (value, after) = text.split_at(end);
    (value, false, after)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expression(text: &str) -> String {
        Question::parse(text).unwrap().expression()
    }

    #[test]
    fn words_phrases_and_beginnings_are_told_apart() {
        assert_eq!(expression("mend cart"), r#""mend" AND "cart""#);
        assert_eq!(expression(r#"  "mend the cart"  sho* "#), r#""mend the cart" AND "sho"*"#);
        assert_eq!(expression(r#""mend the car"* x"#), r#""mend the car"* AND "x""#);
        assert_eq!(expression(r#"a"b c"d"#), r#""a" AND "b c" AND "d""#);
        assert_eq!(expression("example.com/app#42"), r#""example.com/app#42""#);
    }

    #[test]
    fn nothing_typed_is_an_operator() {
        for text in ["a OR b", "NOT a", "a AND", "text:a", "(a", "a)", "{a}", "^a", "a - b", "NEAR(a b)", "\"a", "a\0b"]
        {
            let expression = expression(text);
            assert!(expression.split(" AND ").all(|term| term.starts_with('"')), "{text}: {expression}");
        }
        assert_eq!(expression("- a *"), r#""a""#);
    }

    #[test]
    fn filters_restrict() {
        let question = Question::parse("type:change.* stream:repo/example.com cart type:\"incident.opened\"").unwrap();
        assert_eq!(question.expression(), r#""cart""#);
        assert!(question.admits("change.merged", "repo/example.com/app"));
        assert!(question.admits("incident.opened", "repo/example.com/app"));
        assert!(
            !question.admits("incident.opened", "incident/1")
                && !question.admits("commit.recorded", "repo/example.com")
        );
        assert_eq!(Question::parse("type: x").unwrap().expression(), r#""type:" AND "x""#);
    }

    #[test]
    fn what_cannot_be_asked_is_told() {
        for text in ["", "  ", "type:x", "- ** .", "ab*", "\"\""] {
            assert!(Question::parse(text).is_err(), "{text}");
        }
        assert!(Question::parse(&"a ".repeat(33)).is_err() && Question::parse(&"a".repeat(1001)).is_err());
    }

    #[test]
    fn a_snippet_shows_the_word() {
        let question = Question::parse("CART").unwrap();
        let text = format!("{}\nthe Cart is mended. {}", "a ".repeat(200), "z ".repeat(200));
        let snippet = question.snippet(&text);
        assert!(snippet.contains("the Cart is mended.") && snippet.starts_with('…') && snippet.ends_with('…'));
        assert_eq!(question.snippet("a cart"), "a cart");
        assert_eq!(question.snippet("nothing like it"), "nothing like it");
    }
}
