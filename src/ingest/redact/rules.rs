//! What a secret looks like: an anchor that leads to it, and what must follow.

use std::ops::Range;

use aho_corasick::{AhoCorasick, AhoCorasickKind, Input};

/// How far behind the beginning of its anchor a secret shows itself. What comes in pieces is held back until so much is
/// there.
pub(super) const LOOK_AHEAD: usize = 512;

/// Longest private key, escapes included. What never ends is no key.
const KEY_BYTES_MAX: usize = 16 << 10;

/// A token with a beginning of its own: the rest is so many letters, digits, `_` or `-` (and `.` where told).
struct Token {
    prefix: &'static str,
    least: usize,
    dots: bool,
}

const fn token(prefix: &'static str, least: usize) -> Token {
    Token { prefix, least, dots: false }
}

const fn dotted(prefix: &'static str, least: usize) -> Token {
    Token { prefix, least, dots: true }
}

/// As their makers document them.
const TOKENS: &[Token] = &[
    token("ghp_", 36),
    token("gho_", 36),
    token("ghu_", 36),
    token("ghs_", 36),
    token("ghr_", 36),
    token("github_pat_", 22),
    token("glpat-", 20),
    token("gldt-", 20),
    token("glrt-", 20),
    token("glcbt-", 20),
    token("glptt-", 40),
    token("xoxb-", 10),
    token("xoxa-", 10),
    token("xoxp-", 10),
    token("xoxr-", 10),
    token("xoxs-", 10),
    token("xapp-", 10),
    token("AKIA", 16),
    token("ASIA", 16),
    token("AIza", 35),
    dotted("ya29.", 20),
    token("npm_", 36),
    token("pypi-AgE", 50),
    token("sk_live_", 20),
    token("rk_live_", 20),
    dotted("SG.", 60),
    token("dop_v1_", 64),
    dotted("hvs.", 24),
    token("dckr_pat_", 20),
    token("sk-ant-", 20),
    token("sk-proj-", 20),
    token("AGE-SECRET-KEY-1", 50),
    token("rubygems_", 48),
    token("glsa_", 32),
    token("shpat_", 32),
];

/// Names whose value is a secret, as the end of a name in any case: `DB_PASSWORD`, `client_secret`.
const NAMES: &[&str] = &[
    "password",
    "passwd",
    "passphrase",
    "secret",
    "secret_key",
    "secretkey",
    "access_key",
    "api_key",
    "apikey",
    "api-key",
    "access_token",
    "accesstoken",
    "auth_token",
    "refresh_token",
    "id_token",
    "private_token",
    "private_key",
    "token",
];

#[derive(Clone, Copy)]
enum Rule {
    Token(usize),
    Jwt,
    Key,
    Url,
    Header,
    /// A name whose value is a secret.
    Name,
    /// A member given by name, in quotes.
    Member,
}

/// Everything that is looked for.
pub(super) struct Rules {
    automaton: Option<AhoCorasick>,
    /// By number of the anchor; the length is the anchor's.
    rules: Vec<(Rule, String)>,
}

/// Where a secret begins, counted from its anchor, and how it ends.
pub(super) struct Secret {
    pub(super) from: usize,
    pub(super) ending: Ending,
}

/// How a secret ends.
pub(super) enum Ending {
    /// After so many bytes.
    After(usize),
    /// Before the first byte that a token cannot have.
    Word { dots: bool },
    /// Before the quote that ends the text.
    Quote { quote: u8, escaped: bool, nested: bool },
    /// Before white space, a quote or what separates values.
    Value,
    /// With the five dashes after a key, or before whatever ends the text it is in. Headers of a key may have single ones.
    Key { left: usize, escaped: bool, dashes: u8 },
}

impl Ending {
    /// Whether the secret ends before this byte, which is the next one.
    pub(super) fn ends_before(&mut self, byte: u8) -> bool {
        match self {
            Self::After(n) => {
                let over = *n == 0;
                *n = n.saturating_sub(1);
                over
            }
            Self::Word { dots } => !is_word(byte, *dots),
            Self::Quote { quote, escaped, nested } => {
                // In a text within a text, the quote that ends it is escaped itself.
                // Any other text may be part of a text in double quotes, which an unescaped one ends.
                let ends =
                    if *nested { byte == b'\\' || byte == b'"' } else { (byte == *quote || byte == b'"') && !*escaped };
                *escaped = byte == b'\\' && !*escaped;
                ends || matches!(byte, b'\n' | b'\r')
            }
            Self::Value => {
                byte.is_ascii_whitespace()
                    || matches!(byte, b'"' | b'\'' | b'`' | b'&' | b',' | b';' | b'<' | b'>' | b'\\')
            }
            Self::Key { left, escaped, dashes } => {
                let ends = *dashes == 5 || (byte == b'"' && !*escaped) || byte == b'<' || *left == 0;
                *dashes = if byte == b'-' { *dashes + 1 } else { 0 };
                *escaped = byte == b'\\' && !*escaped;
                *left = left.saturating_sub(1);
                ends
            }
        }
    }
}

fn is_word(byte: u8, dots: bool) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-') || (dots && byte == b'.')
}

impl Rules {
    /// The usual ones, and those members whose whole text is a secret.
    pub(super) fn new(members: &[&str]) -> Self {
        let mut rules: Vec<(Rule, String)> =
            members.iter().map(|member| (Rule::Member, format!("\"{member}\""))).collect();
        rules.extend(TOKENS.iter().enumerate().map(|(n, token)| (Rule::Token(n), token.prefix.to_owned())));
        rules.push((Rule::Jwt, "eyJ".to_owned()));
        rules.push((Rule::Key, "-----BEGIN ".to_owned()));
        rules.push((Rule::Url, "://".to_owned()));
        rules.push((Rule::Header, "authorization".to_owned()));
        rules.extend(NAMES.iter().map(|name| (Rule::Name, (*name).to_owned())));
        // The longest of those that begin at one place is meant.
        let automaton = AhoCorasick::builder()
            .ascii_case_insensitive(true)
            .match_kind(aho_corasick::MatchKind::LeftmostLongest)
            .kind(Some(AhoCorasickKind::DFA))
            .build(rules.iter().map(|(_, anchor)| anchor));
        Self { automaton: automaton.ok(), rules }
    }

    /// Longest anchor.
    pub(super) fn anchor_max(&self) -> usize {
        self.rules.iter().map(|(_, anchor)| anchor.len()).max().unwrap_or(0)
    }

    /// The next anchor from there on.
    pub(super) fn next(&self, bytes: &[u8], from: usize) -> Option<(usize, Range<usize>)> {
        let found = self.automaton.as_ref()?.find(Input::new(bytes).range(from..))?;
        Some((found.pattern().as_usize(), found.range()))
    }

    /// Whether the anchor of that rule, at the beginning of `rest`, leads to a secret.
    pub(super) fn secret(&self, rule: usize, rest: &[u8], before: u8) -> Option<Secret> {
        let (rule, anchor) = self.rules.get(rule)?;
        let rest = rest.get(..LOOK_AHEAD).unwrap_or(rest);
        let after = rest.get(anchor.len()..)?;
        match rule {
            Rule::Token(n) => {
                let Token { prefix, least, dots } = TOKENS.get(*n)?;
                let (least, dots) = (*least, *dots);
                let whole = rest.starts_with(prefix.as_bytes()) && !is_word(before, false);
                let length = after.iter().take_while(|byte| is_word(**byte, dots)).count();
                (whole && length >= least).then_some(Secret { from: anchor.len(), ending: Ending::Word { dots } })
            }
            Rule::Jwt => jwt(rest, before),
            Rule::Key => {
                let text = after.get(..60).unwrap_or(after);
                // OpenPGP says PRIVATE KEY BLOCK.
                let words = memchr::memmem::find(text, b"PRIVATE KEY")?;
                let end = words + memchr::memmem::find(text.get(words..)?, b"-----")? + b"-----".len();
                let ending = Ending::Key { left: KEY_BYTES_MAX, escaped: false, dashes: 0 };
                Some(Secret { from: anchor.len() + end, ending })
            }
            Rule::Url => {
                let authority = after.iter().take_while(|byte| !b"/?#\"'<> \\\n\r\t".contains(byte)).count();
                let authority = after.get(..authority)?;
                let at = memchr::memrchr(b'@', authority)?;
                let colon = memchr::memchr(b':', authority.get(..at)?)?;
                let password = authority.get(colon + 1..at)?;
                let secret = is_secret(password).then_some(password)?;
                Some(Secret { from: anchor.len() + colon + 1, ending: Ending::After(secret.len()) })
            }
            Rule::Header => {
                let gap = after.iter().take_while(|byte| b"\"'\\:= [".contains(byte)).count();
                let scheme = after.get(gap..)?.iter().take_while(|byte| byte.is_ascii_alphabetic()).count();
                let value = after.get(gap + scheme..)?.strip_prefix(b" ")?;
                let length = value.iter().take_while(|byte| is_word(**byte, true) || b"+/=~".contains(byte)).count();
                (gap > 0 && scheme > 0 && length >= 8 && is_secret(value))
                    .then_some(Secret { from: anchor.len() + gap + scheme + 1, ending: Ending::After(length) })
            }
            Rule::Name => named(after, 6).map(|secret| Secret { from: anchor.len() + secret.from, ..secret }),
            Rule::Member => {
                let gap = after.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
                let value = after.get(gap..)?.strip_prefix(b":")?;
                let more = value.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
                let text = value.get(more..)?.strip_prefix(b"\"")?;
                let ending = Ending::Quote { quote: b'"', escaped: false, nested: false };
                let from = anchor.len() + gap + 1 + more + 1;
                // All of it is a secret, whatever it begins with, unless it is black already or empty.
                let black = text.iter().take_while(|byte| **byte != b'"').all(|byte| *byte == b'*');
                (!black).then_some(Secret { from, ending })
            }
        }
    }
}

/// A JSON Web Token: three parts with dots between them, of which the first two are objects in base64.
fn jwt(rest: &[u8], before: u8) -> Option<Secret> {
    if is_word(before, false) || !rest.starts_with(b"eyJ") {
        return None;
    }
    let header = rest.iter().take_while(|byte| is_word(**byte, false)).count();
    let claims = rest.get(header..)?.strip_prefix(b".")?;
    claims.starts_with(b"eyJ").then_some(Secret { from: 3, ending: Ending::Word { dots: true } })
}

/// The value after a name: in quotes with a colon or an equals sign before it, or bare after an equals sign.
fn named(after: &[u8], bare_least: usize) -> Option<Secret> {
    let take = |from: usize, set: &[u8]| {
        after.get(from..).map_or(0, |rest| rest.iter().take_while(|b| set.contains(b)).count())
    };
    // The quote that ends the name, escaped where the whole is a text in a text.
    let backslashes = take(0, b"\\");
    let quoted = take(backslashes, b"\"'");
    if quoted > 1 || (backslashes > 0 && quoted == 0) {
        return None;
    }
    let mut at = backslashes + quoted;
    at += take(at, b" \t");
    let mut sign = *after.get(at)?;
    if sign == b',' && quoted == 1 {
        // A variable of a container, or a parameter: `"name": "db.password", "value": "..."`.
        at += 1 + take(at + 1, b" \t\r\n");
        let member = after.get(at..)?.strip_prefix(b"\"value\"")?;
        at = after.len() - member.len() + take(after.len() - member.len(), b" \t\r\n");
        sign = *after.get(at)?;
    }
    if !matches!(sign, b':' | b'=') {
        return None;
    }
    at += 1;
    let spaces = take(at, b" \t");
    at += spaces;
    let nested = take(at, b"\\") == 1;
    let quote_at = at + usize::from(nested);
    match after.get(quote_at) {
        Some(quote @ (b'"' | b'\'')) => {
            let text = after.get(quote_at + 1..)?;
            // An empty text ends where it begins.
            let empty = text.first() == Some(quote) || (nested && text.first() == Some(&b'\\'));
            let ending = Ending::Quote { quote: *quote, escaped: false, nested };
            (!empty && is_secret(text)).then_some(Secret { from: quote_at + 1, ending })
        }
        Some(_) if sign == b'=' && quoted == 0 => {
            let value = after.get(at..)?;
            let mut ending = Ending::Value;
            let length = value.iter().take_while(|byte| !ending.ends_before(**byte)).count();
            (length >= bare_least && is_secret(value)).then_some(Secret { from: at, ending: Ending::Value })
        }
        // YAML: a value that goes to the end of its line, which in a text in JSON is an escaped one.
        Some(_) if sign == b':' && quoted == 0 && spaces > 0 => {
            let value = after.get(at..)?;
            let mut ending = Ending::Value;
            let length = value.iter().take_while(|byte| !ending.ends_before(**byte)).count();
            let rest = value.get(length..)?;
            let line_ends =
                rest.is_empty() || rest.starts_with(b"\n") || rest.starts_with(b"\r") || rest.starts_with(b"\\n");
            (length >= bare_least && line_ends && is_secret(value))
                .then_some(Secret { from: at, ending: Ending::Value })
        }
        _ => None,
    }
}

/// Whether a value may be a secret: not one that is black already, or stands for one that is elsewhere.
fn is_secret(value: &[u8]) -> bool {
    !matches!(value.first(), None | Some(b'*' | b'$' | b'{' | b'<' | b'%'))
        && !value.get(..8).is_some_and(|start| start.eq_ignore_ascii_case(b"redacted"))
}
