//! Secrets that came in by mistake are blackened at the border, before anything is kept.
//!
//! Each byte of a secret becomes a `*`: the length stays, and what was JSON, XML or text stays so. What is looked for are
//! credentials with a form of their own (tokens of forges, clouds and registries, private keys, JSON Web Tokens, passwords in
//! URLs, `Authorization` headers) and the values of names that mean a secret (`password=...`, `"client_secret": "..."`).
//! It cannot find a password that nothing tells from a word.

mod rules;

use std::sync::OnceLock;

use rules::{Ending, LOOK_AHEAD, Rules, Secret};

/// Blackens secrets, each byte by a `*`, and returns how many there were.
///
/// `members` are names of JSON members whose whole text is a secret.
pub fn redact(bytes: &mut [u8], members: &[&str]) -> u32 {
    let mut scan = Scan::default();
    let own;
    let rules = if members.is_empty() {
        usual()
    } else {
        own = Rules::new(members);
        &own
    };
    scan.run(rules, bytes, true);
    scan.found
}

/// Blackens secrets in a document that comes in pieces, wherever they are cut.
pub struct Redactor {
    rules: Rules,
    scan: Scan,
    /// What came and is not decided yet: at most a little more than `LOOK_AHEAD`.
    held: Vec<u8>,
}

impl Redactor {
    /// A new one; `members` as for [`redact`].
    #[must_use]
    pub fn new(members: &[&str]) -> Self {
        Self { rules: Rules::new(members), scan: Scan::default(), held: Vec::new() }
    }

    /// Takes the next piece, and appends to `out` what is decided.
    pub fn push(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        self.held.extend_from_slice(piece);
        let decided = self.scan.run(&self.rules, &mut self.held, false);
        out.extend(self.held.drain(..decided));
    }

    /// Appends the rest to `out`, and returns how many secrets there were.
    pub fn finish(mut self, out: &mut Vec<u8>) -> u32 {
        self.scan.run(&self.rules, &mut self.held, true);
        out.append(&mut self.held);
        self.scan.found
    }
}

fn usual() -> &'static Rules {
    static USUAL: OnceLock<Rules> = OnceLock::new();
    USUAL.get_or_init(|| Rules::new(&[]))
}

/// How far a scan is.
#[derive(Default)]
struct Scan {
    /// The secret that the last piece ended in.
    open: Option<Ending>,
    /// The last byte that was decided.
    before: u8,
    found: u32,
}

impl Scan {
    /// Blackens what can be told from these bytes, and returns how many of them are decided: all, if they are the last.
    fn run(&mut self, rules: &Rules, bytes: &mut [u8], last: bool) -> usize {
        let mut at = 0;
        if let Some(ending) = self.open.take() {
            at = self.blacken(bytes, 0, ending);
        }
        let decided = loop {
            let Some((rule, anchor)) = rules.next(bytes, at) else {
                // An anchor may have begun.
                let kept = if last { 0 } else { rules.anchor_max().saturating_sub(1) };
                break bytes.len().saturating_sub(kept).max(at);
            };
            if !last && bytes.len() - anchor.start < LOOK_AHEAD {
                break anchor.start;
            }
            let before = anchor.start.checked_sub(1).and_then(|n| bytes.get(n).copied()).unwrap_or(self.before);
            let rest = bytes.get(anchor.start..).unwrap_or_default();
            match rules.secret(rule, rest, before) {
                Some(Secret { from, ending }) => {
                    self.found = self.found.saturating_add(1);
                    at = self.blacken(bytes, anchor.start + from, ending);
                }
                None => at = anchor.start + 1,
            }
        };
        if let Some(byte) = decided.checked_sub(1).and_then(|n| bytes.get(n)) {
            self.before = *byte;
        }
        decided
    }

    /// Blackens from there to the secret's end, and returns where that is.
    fn blacken(&mut self, bytes: &mut [u8], from: usize, mut ending: Ending) -> usize {
        let mut at = from;
        for byte in bytes.get_mut(from..).unwrap_or_default() {
            if ending.ends_before(*byte) {
                return at;
            }
            // Lines stay lines.
            if !matches!(*byte, b'\n' | b'\r') {
                *byte = b'*';
            }
            at += 1;
        }
        self.open = Some(ending);
        at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redacted(text: &str, members: &[&str]) -> (String, u32) {
        let mut bytes = text.as_bytes().to_vec();
        let n = redact(&mut bytes, members);
        assert_eq!(bytes.len(), text.len());
        (String::from_utf8(bytes).unwrap(), n)
    }

    /// A token of that form, put together here so that none stands in a file.
    fn token(prefix: &str, n: usize) -> String {
        format!("{prefix}{}", "a1B2c3D4".repeat(n / 8 + 1).get(..n).unwrap())
    }

    #[test]
    fn credentials_of_known_forms_are_blackened_and_nothing_else() {
        for (prefix, n) in [
            ("ghp_", 36),
            ("github_pat_", 82),
            ("glpat-", 20),
            ("xoxb-", 24),
            ("npm_", 36),
            ("sk_live_", 24),
            ("dckr_pat_", 27),
            ("hvs.", 90),
            ("AIza", 35),
        ] {
            let secret = token(prefix, n);
            let (text, found) = redacted(&format!("{{\"a\":\"see {secret}, all\",\"b\":1}}"), &[]);
            assert_eq!(text, format!("{{\"a\":\"see {prefix}{}, all\",\"b\":1}}", "*".repeat(n)));
            assert_eq!(found, 1, "{prefix}");
            assert_eq!(redacted(&text, &[]).1, 0, "what is black stays as it is");
        }
        let jwt = format!("{}.{}.{}", token("eyJ", 30), token("eyJ", 60), token("", 43));
        assert_eq!(redacted(&format!("t {jwt} u"), &[]).0, format!("t eyJ{} u", "*".repeat(jwt.len() - 3)));
        for innocent in [
            "\"payload\":\"eyJfdHlwZSI6Imh0dHBzOi8vaW4tdG90by5pby9TdGF0ZW1lbnQvdjEifQ==\"",
            "the ghp_ prefix, npm_config, xghp_a1B2c3D4a1B2c3D4a1B2c3D4a1B2c3D4a1B2c3D4",
            "https://github.com/owner/repo:tag@sha256:abc ssh://git@host:22/x",
            "\"secret_scanning\":\"enabled\",\"password\":\"\",\"token\":null,\"secret\":{\"name\":\"x\"}",
            "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            "password=${DB_PASSWORD} token=${{ secrets.TOKEN }} \"password\":\"********\"",
        ] {
            assert_eq!(redacted(innocent, &[]), (innocent.to_owned(), 0));
        }
    }

    #[test]
    fn keys_urls_headers_and_named_values_are_blackened() {
        for (text, wanted) in [
            ("https://jane:hunter2@host/x.git", "https://jane:*******@host/x.git"),
            (r#"{"name":"db.password","value":"hunter2"}"#, r#"{"name":"db.password","value":"*******"}"#),
            (r#"{"values":"pg:\n  password: hunter2x\n"}"#, r#"{"values":"pg:\n  password: ********\n"}"#),
            (r#""Authorization":["Basic amFuZTpodW50ZXIy"]"#, r#""Authorization":["Basic ****************"]"#),
            ("Authorization: Basic amFuZTpodW50ZXIy\r\nX: y", "Authorization: Basic ****************\r\nX: y"),
            ("authorization: token 0123456789abcdef", "authorization: token ****************"),
            (r#"{"Password" : "hunt\"er2","b":1}"#, r#"{"Password" : "*********","b":1}"#),
            (r#"{"log":"{\"client_secret\":\"abc123\"}"}"#, r#"{"log":"{\"client_secret\":\"******\"}"}"#),
            ("DB_PASSWORD=correct-horse next", "DB_PASSWORD=************* next"),
            ("aws_secret_access_key = 'wJalrXUtnFEMI/K7MDENG'", "aws_secret_access_key = '*********************'"),
            ("GET /x?private_token=0123456789abcdef&y=1", "GET /x?private_token=****************&y=1"),
        ] {
            assert_eq!(redacted(text, &[]), (wanted.to_owned(), 1), "{text}");
        }
        let pem = |body: &str, dashes: &str| {
            format!("-----BEGIN RSA PRIVATE KEY-----{body}{dashes}END RSA PRIVATE KEY----- b")
        };
        let blackened = |body: &str| redacted(&pem(body, "-----"), &[]).0;
        assert_eq!(blackened("\\nMIIEpAIBAAKC+/=\\n"), pem(&"*".repeat(19), "*****"));
        assert_eq!(blackened("\nMIIE\n"), pem("\n****\n", "*****"));
        assert_eq!(blackened("\nProc-Type: 4\nMI\n"), pem("\n************\n**\n", "*****"));
        let pgp = "-----BEGIN PGP PRIVATE KEY BLOCK-----\nlQOY\n-----END";
        assert_eq!(redacted(pgp, &[]).0, "-----BEGIN PGP PRIVATE KEY BLOCK-----\n****\n*****END");
        let member = r#"{"Match":"x = \"y\"","Other":"Match"}"#;
        assert_eq!(redacted(member, &["Match"]).0, r#"{"Match":"*********","Other":"Match"}"#);
    }

    #[test]
    fn a_document_in_pieces_is_blackened_as_in_one() {
        let secret = token("ghp_", 36);
        let filler = "0123456789 https://host/path \"k\": \"v\" ".repeat(40);
        let long = "x".repeat(3000);
        let text = format!(
            "{filler}{secret}{filler}\"password\": \"{long}\"{filler}-----BEGIN PRIVATE KEY-----\\n{long}\\n-----END \
             PRIVATE KEY-----{filler}https://a:b{long}@c https://a:bcd@e {secret}"
        );
        let (whole, n) = redacted(&text, &["k"]);
        assert!(!whole.contains("xx@") || whole.contains("https://a:bxxx"), "{whole}");
        for size in [1, 7, 64, 511, 512, 513, 4096, text.len()] {
            let (mut redactor, mut out) = (Redactor::new(&["k"]), Vec::new());
            text.as_bytes().chunks(size).for_each(|piece| redactor.push(piece, &mut out));
            assert_eq!(redactor.finish(&mut out), n, "{size}");
            assert_eq!(String::from_utf8(out).unwrap(), whole, "{size}");
        }
    }

    proptest::proptest! {
        #[test]
        fn where_a_document_is_cut_makes_no_difference(
            parts in proptest::collection::vec(
                proptest::sample::select(vec![
                    "ghp_", "a1B2c3D4a1B2c3D4a1B2c3D4a1B2c3D4a1B2c3D4", "\"", "\\", ":", "password", "\"k\"", "=", " ", "://", "u:p@",
                    "-----BEGIN PRIVATE KEY-----", "-----END", "Authorization", "eyJ", ".", "\n", "é", "token",
                ]),
                0..60,
            ),
            size in 1_usize..40,
        ) {
            let text = parts.concat();
            let mut whole = text.clone().into_bytes();
            let n = redact(&mut whole, &["k"]);
            let (mut redactor, mut out) = (Redactor::new(&["k"]), Vec::new());
            text.as_bytes().chunks(size).for_each(|piece| redactor.push(piece, &mut out));
            proptest::prop_assert_eq!(redactor.finish(&mut out), n);
            proptest::prop_assert_eq!(&out, &whole);
            proptest::prop_assert_eq!(whole.len(), text.len());
        }
    }
}
