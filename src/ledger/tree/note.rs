//! C2SP signed-note: keys, notes and their signatures; and the Ed25519 cosignatures of C2SP tlog-cosignature.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signature, Signer as _, VerifyingKey};
use sha2::{Digest as _, Sha256};

/// Largest note that is read.
pub const NOTE_BYTES_MAX: usize = 1_000_000;

/// Most signatures a note may carry to be read.
const SIGNATURES_MAX: usize = 100;

/// Algorithm byte of an Ed25519 signature over the note's text.
const ED25519: u8 = 0x01;

/// Algorithm byte of a timestamped Ed25519 cosignature.
const COSIGNATURE_V1: u8 = 0x04;

/// What is wrong with a key, note or signature.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// A key that is not one.
    #[error("not a key: {0}")]
    Key(&'static str),
    /// Text that is not a signed note.
    #[error("not a signed note: {0}")]
    Note(&'static str),
    /// No signature by the key.
    #[error("there is no signature by {0}")]
    Unsigned(String),
    /// A signature that does not verify.
    #[error("the signature by {0} does not verify")]
    BadSignature(String),
    /// Text that is not a checkpoint.
    #[error("not a checkpoint: {0}")]
    Checkpoint(&'static str),
    /// A checkpoint of another log.
    #[error("the checkpoint is of {found}, not of {expected}")]
    Origin {
        /// The origin it names.
        found: String,
        /// The origin that was expected.
        expected: String,
    },
}

/// Names of keys are printed in notes and must not be mistaken for anything else there.
fn check_name(name: &str) -> Result<(), NoteError> {
    if name.is_empty() {
        return Err(NoteError::Key("its name is empty"));
    }
    if name.len() > 255 {
        return Err(NoteError::Key("its name is longer than 255 bytes"));
    }
    if name.chars().any(|c| c.is_whitespace() || c.is_control() || c == '+') {
        return Err(NoteError::Key("its name holds white space, a control character or a plus sign"));
    }
    Ok(())
}

/// First 4 bytes of SHA-256 over name, line feed, algorithm and key.
fn key_id(name: &str, algorithm: u8, key: &[u8]) -> [u8; 4] {
    let digest =
        Sha256::new().chain_update(name.as_bytes()).chain_update([b'\n', algorithm]).chain_update(key).finalize();
    digest.first_chunk().copied().unwrap_or_default()
}

/// Name, id, algorithm and key.
type KeyParts<'a> = (&'a str, [u8; 4], u8, [u8; 32]);

/// Takes `<name>+<8 hex digits>+<base64>` apart; base64 may hold plus signs.
fn split_key(text: &str) -> Result<KeyParts<'_>, NoteError> {
    let mut parts = text.splitn(3, '+');
    let (Some(name), Some(id), Some(encoded)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(NoteError::Key("it does not have three parts"));
    };
    check_name(name)?;
    let mut bytes = [0; 4];
    let lower_case = id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if !lower_case || hex::decode_to_slice(id, &mut bytes).is_err() {
        return Err(NoteError::Key("its id is not 8 lower-case hexadecimal digits"));
    }
    let decoded = STANDARD.decode(encoded).map_err(|_why| NoteError::Key("it is not base64"))?;
    match decoded.split_first() {
        Some((algorithm, key)) => {
            let key = key.try_into().map_err(|_why| NoteError::Key("an Ed25519 key has 32 bytes"))?;
            Ok((name, bytes, *algorithm, key))
        }
        None => Err(NoteError::Key("it is empty")),
    }
}

/// A public key and its name: `<name>+<8 hex id>+<base64>`.
#[derive(Clone, PartialEq, Eq)]
pub struct VerifierKey {
    name: String,
    id: [u8; 4],
    algorithm: u8,
    key: VerifyingKey,
}

impl VerifierKey {
    /// Reads a key.
    ///
    /// # Errors
    /// [`NoteError::Key`]: malformed, an algorithm other than Ed25519, or an id that is not that of the key.
    pub fn parse(text: &str) -> Result<Self, NoteError> {
        let (name, id, algorithm, key) = split_key(text)?;
        if !matches!(algorithm, ED25519 | COSIGNATURE_V1) {
            return Err(NoteError::Key("its algorithm is not Ed25519"));
        }
        if key_id(name, algorithm, &key) != id {
            return Err(NoteError::Key("its id is not that of its name and key"));
        }
        let key = VerifyingKey::from_bytes(&key).map_err(|_why| NoteError::Key("it is not a point of the curve"))?;
        if key.is_weak() {
            return Err(NoteError::Key("it is of small order: such a key signs anything"));
        }
        Ok(Self { name: name.to_owned(), id, algorithm, key })
    }

    /// The key's name; of a log's key, the log's origin.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    fn signature<'a>(&self, note: &'a SignedNote) -> Result<&'a [u8], NoteError> {
        let mine = |line: &&SignatureLine| line.name == self.name && line.id == self.id;
        let line = note.signatures.iter().find(mine).ok_or_else(|| NoteError::Unsigned(self.name.clone()))?;
        Ok(&line.signature)
    }

    fn check(&self, message: &[u8], signature: &[u8]) -> Result<(), NoteError> {
        let bad = || NoteError::BadSignature(self.name.clone());
        let signature = Signature::from_slice(signature).map_err(|_why| bad())?;
        self.key.verify_strict(message, &signature).map_err(|_why| bad())
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key: Vec<u8> = std::iter::once(self.algorithm).chain(*self.key.as_bytes()).collect();
        write!(f, "{}+{}+{}", self.name, hex::encode(self.id), STANDARD.encode(key))
    }
}

impl fmt::Debug for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for VerifierKey {
    type Err = NoteError;
    fn from_str(text: &str) -> Result<Self, NoteError> {
        Self::parse(text)
    }
}

/// A private Ed25519 key and its name. Wiped from memory when dropped.
pub struct SigningKey {
    name: String,
    key: ed25519_dalek::SigningKey,
}

impl SigningKey {
    /// The key of a seed.
    ///
    /// # Errors
    /// [`NoteError::Key`] for a name that notes cannot carry.
    pub fn from_seed(name: &str, seed: [u8; 32]) -> Result<Self, NoteError> {
        check_name(name)?;
        Ok(Self { name: name.to_owned(), key: ed25519_dalek::SigningKey::from_bytes(&seed) })
    }

    /// Reads a key from the form that Go's note package has for it: `PRIVATE+KEY+<name>+<8 hex id>+<base64>`.
    ///
    /// # Errors
    /// [`NoteError::Key`]. Never shows the key.
    pub fn parse(text: &str) -> Result<Self, NoteError> {
        let rest = text.strip_prefix("PRIVATE+KEY+").ok_or(NoteError::Key("it does not begin with PRIVATE+KEY+"))?;
        let (name, id, algorithm, seed) = split_key(rest)?;
        if algorithm != ED25519 {
            return Err(NoteError::Key("its algorithm is not Ed25519"));
        }
        let key = Self::from_seed(name, seed)?;
        if key.verifier_key().id != id {
            return Err(NoteError::Key("its id is not that of its name and key"));
        }
        Ok(key)
    }

    /// The form that [`SigningKey::parse`] reads. A secret.
    #[must_use]
    pub fn to_secret_string(&self) -> String {
        let secret: Vec<u8> = std::iter::once(ED25519).chain(self.key.to_bytes()).collect();
        format!("PRIVATE+KEY+{}+{}+{}", self.name, hex::encode(self.verifier_key().id), STANDARD.encode(secret))
    }

    /// The key's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its public half, for signatures over text.
    #[must_use]
    pub fn verifier_key(&self) -> VerifierKey {
        self.public(ED25519)
    }

    /// Its public half, for cosignatures. A key must not be used for both.
    #[must_use]
    pub fn cosigner_key(&self) -> VerifierKey {
        self.public(COSIGNATURE_V1)
    }

    fn public(&self, algorithm: u8) -> VerifierKey {
        let key = self.key.verifying_key();
        VerifierKey { name: self.name.clone(), id: key_id(&self.name, algorithm, key.as_bytes()), algorithm, key }
    }

    /// Signs a text, which must end in a line feed.
    ///
    /// # Errors
    /// [`NoteError::Note`] for a text that no note can have.
    pub fn sign(&self, text: String) -> Result<SignedNote, NoteError> {
        check_text(&text)?;
        let signature = self.key.sign(text.as_bytes()).to_bytes().to_vec();
        let line = SignatureLine { name: self.name.clone(), id: self.verifier_key().id, signature };
        Ok(SignedNote { text, signatures: vec![line] })
    }

    /// Adds a cosignature to a checkpoint: this key saw it at `time` (seconds since 1970), and saw it consistent.
    pub fn cosign(&self, note: &mut SignedNote, time: u64) {
        let signature = self.key.sign(&cosigned_message(&note.text, time)).to_bytes();
        let signature = time.to_be_bytes().into_iter().chain(signature).collect();
        note.signatures.push(SignatureLine { name: self.name.clone(), id: self.cosigner_key().id, signature });
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.name)
    }
}

fn cosigned_message(text: &str, time: u64) -> Vec<u8> {
    format!("cosignature/v1\ntime {time}\n{text}").into_bytes()
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct SignatureLine {
    name: String,
    id: [u8; 4],
    signature: Vec<u8>,
}

/// A text and signatures over it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedNote {
    text: String,
    signatures: Vec<SignatureLine>,
}

/// What a witness says with its cosignature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cosignature {
    /// When it saw the checkpoint, in seconds since 1970.
    pub time: u64,
}

fn check_text(text: &str) -> Result<(), NoteError> {
    if !text.ends_with('\n') {
        return Err(NoteError::Note("its text does not end in a line feed"));
    }
    if text.chars().any(|c| c.is_control() && c != '\n') {
        return Err(NoteError::Note("a control character"));
    }
    Ok(())
}

impl SignedNote {
    /// Reads a note. Nothing is verified yet.
    ///
    /// # Errors
    /// [`NoteError::Note`], saying what is wrong.
    pub fn parse(bytes: &[u8]) -> Result<Self, NoteError> {
        if bytes.len() > NOTE_BYTES_MAX {
            return Err(NoteError::Note("it is larger than a million bytes"));
        }
        let whole = std::str::from_utf8(bytes).map_err(|_why| NoteError::Note("it is not UTF-8"))?;
        check_text(whole)?;
        let at = whole.rfind("\n\n").ok_or(NoteError::Note("no blank line before the signatures"))?;
        let (text, lines) = whole.split_at(at + 1);
        let mut signatures = Vec::new();
        for line in lines.lines().skip(1) {
            let line = line.strip_prefix("\u{2014} ").ok_or(NoteError::Note("a signature line without an em dash"))?;
            let (name, encoded) =
                line.split_once(' ').ok_or(NoteError::Note("a signature line without a signature"))?;
            check_name(name).map_err(|_why| NoteError::Note("a signature line with an impossible name"))?;
            let decoded = STANDARD.decode(encoded).map_err(|_why| NoteError::Note("a signature that is not base64"))?;
            let (id, signature) =
                decoded.split_first_chunk::<4>().ok_or(NoteError::Note("a signature without a key id"))?;
            signatures.push(SignatureLine { name: name.to_owned(), id: *id, signature: signature.to_vec() });
        }
        match signatures.len() {
            0 => Err(NoteError::Note("no signatures")),
            1..=SIGNATURES_MAX => Ok(Self { text: text.to_owned(), signatures }),
            _ => Err(NoteError::Note("more than 100 signatures")),
        }
    }

    /// The signed text, with its final line feed.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Checks the signature by `key` over the text.
    ///
    /// # Errors
    /// [`NoteError::Unsigned`], [`NoteError::BadSignature`].
    pub fn verify(&self, key: &VerifierKey) -> Result<(), NoteError> {
        if key.algorithm != ED25519 {
            return Err(NoteError::Key("it is for cosignatures, not for notes"));
        }
        key.check(self.text.as_bytes(), key.signature(self)?)
    }

    /// Checks the cosignature by `key`, of the timestamped form.
    ///
    /// # Errors
    /// [`NoteError::Unsigned`], [`NoteError::BadSignature`], [`NoteError::Key`].
    pub fn verify_cosignature(&self, key: &VerifierKey) -> Result<Cosignature, NoteError> {
        if key.algorithm != COSIGNATURE_V1 {
            return Err(NoteError::Key("it is not for cosignatures"));
        }
        let payload = key.signature(self)?;
        let (time, signature) =
            payload.split_first_chunk::<8>().ok_or_else(|| NoteError::BadSignature(key.name.clone()))?;
        let time = u64::from_be_bytes(*time);
        key.check(&cosigned_message(&self.text, time), signature)?;
        Ok(Cosignature { time })
    }
}

impl fmt::Display for SignedNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        for line in &self.signatures {
            let payload: Vec<u8> = line.id.iter().chain(&line.signature).copied().collect();
            writeln!(f, "\u{2014} {} {}", line.name, STANDARD.encode(payload))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "ledger.example/prod+e4b26f64+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop";
    const CHECKPOINT: &str = "ledger.example/prod\n70000\nRM3ADqGDUEte6WCBjcKYz9F9UPdjy6RHA3G5tU4PYeE=\n";
    const SIGNATURE: &str =
        "5LJvZLeOdx5TB0fTHqC3h3gPIpT5ZUNZWRz0N9RLBjKfw1LKGtnzO74vw86DGsFTKFquWQAKdOmDWonRhMiOoM1sSQ0=";
    const WITNESS: &str = "witness.example/w1+24b5d9fe+BP0XJDhaoMdbZPt4zWAvodmR/ev3axPFjtcC6sg16fYY";
    const COSIGNATURE: &str =
        "JLXZ/gAAAAAAAAAB6XFdeEy3RTATXKxB+esJgtMYi88uAQRmivY/RPeUwVs5szdWCcCXNCWy0VTOQhQ+TUqlyaN2hrarUeAM8uqECA==";

    fn cosigned() -> String {
        format!("{CHECKPOINT}\n\u{2014} ledger.example/prod {SIGNATURE}\n\u{2014} witness.example/w1 {COSIGNATURE}\n")
    }

    #[test]
    fn signs_what_foreign_code_signed_with_the_same_key() {
        let key = SigningKey::from_seed("ledger.example/prod", [0; 32]).unwrap();
        assert_eq!(key.verifier_key().to_string(), KEY);
        let note = key.sign(CHECKPOINT.to_owned()).unwrap();
        assert_eq!(note.to_string(), format!("{CHECKPOINT}\n\u{2014} ledger.example/prod {SIGNATURE}\n"));
        let again = SigningKey::parse(&key.to_secret_string()).unwrap();
        assert_eq!(again.verifier_key(), key.verifier_key());
        assert!(!format!("{again:?}").contains("AAAA"));
    }

    #[test]
    fn verifies_a_foreign_note_and_cosignature() {
        let note = SignedNote::parse(cosigned().as_bytes()).unwrap();
        assert_eq!(note.to_string(), cosigned());
        note.verify(&KEY.parse().unwrap()).unwrap();
        assert_eq!(note.verify_cosignature(&WITNESS.parse().unwrap()), Ok(Cosignature { time: 1 }));
        let other = cosigned().replace("70000", "70001");
        let other = SignedNote::parse(other.as_bytes()).unwrap();
        assert!(matches!(other.verify(&KEY.parse().unwrap()), Err(NoteError::BadSignature(_))));
        assert!(matches!(other.verify_cosignature(&WITNESS.parse().unwrap()), Err(NoteError::BadSignature(_))));
    }

    #[test]
    fn a_witness_can_cosign() {
        let witness = SigningKey::from_seed("w.example", [3; 32]).unwrap();
        let mut note = SignedNote::parse(cosigned().as_bytes()).unwrap();
        witness.cosign(&mut note, 1_771_605_822);
        let note = SignedNote::parse(note.to_string().as_bytes()).unwrap();
        assert_eq!(note.verify_cosignature(&witness.cosigner_key()), Ok(Cosignature { time: 1_771_605_822 }));
    }

    #[test]
    fn accepts_the_key_of_the_specification() {
        let key: VerifierKey = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k".parse().unwrap();
        assert_eq!(key.name(), "example.com/foo");
    }

    #[test]
    fn refuses_malformed_keys() {
        for bad in [
            "",
            "a+b",
            "ledger.example/prod+e4b26f65+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop",
            "ledger.example/prod+E4B26F64+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop",
            "ledger example+e4b26f64+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop",
            "x+00000000+AQ==",
            "x+00000000+!",
        ] {
            assert!(VerifierKey::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn refuses_malformed_notes() {
        let good = cosigned();
        for bad in [
            good.trim_end().to_owned(),
            good.replace('\u{2014}', "-"),
            good.replace("\n\n", "\n"),
            good.replace("prod 5LJ", "prod !LJ"),
            good.replace("ledger", "led\tger"),
            good.replace("prod 5LJ", "pr+od 5LJ"),
            format!("{CHECKPOINT}\n"),
            format!("{good}{}", "\u{2014} x AAAAAAAA\n".repeat(100)),
            "x".repeat(NOTE_BYTES_MAX + 1),
        ] {
            assert!(SignedNote::parse(bad.as_bytes()).is_err(), "{}", bad.chars().take(200).collect::<String>());
        }
        assert!(SignedNote::parse(&[0xff, b'\n', b'\n']).is_err());
    }
}
