//! C2SP tlog-checkpoint: what a log signs.

use super::hash::Hash;
use super::note::{NoteError, SignedNote, SigningKey, VerifierKey};

/// The size and root of a log's tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Which log: its name, which is also its key's.
    pub origin: String,
    /// How many entries it has.
    pub size: u64,
    /// The root of the tree over them.
    pub root: Hash,
    /// Lines after the root. We write none, and keep what others write.
    pub extensions: Vec<String>,
}

impl Checkpoint {
    /// A checkpoint without extensions.
    #[must_use]
    pub fn new(origin: String, size: u64, root: Hash) -> Self {
        Self { origin, size, root, extensions: Vec::new() }
    }

    /// The text that is signed.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = format!("{}\n{}\n{}\n", self.origin, self.size, self.root);
        for line in &self.extensions {
            text.push_str(line);
            text.push('\n');
        }
        text
    }

    /// Reads the text of a checkpoint.
    ///
    /// # Errors
    /// [`NoteError::Checkpoint`], saying what is wrong.
    pub fn parse(text: &str) -> Result<Self, NoteError> {
        let body = text.strip_suffix('\n').ok_or(NoteError::Checkpoint("it does not end in a line feed"))?;
        let mut lines = body.split('\n');
        let origin = lines.next().filter(|line| !line.is_empty()).ok_or(NoteError::Checkpoint("no origin"))?;
        let size = lines.next().ok_or(NoteError::Checkpoint("no size"))?;
        let plain = size == "0" || (!size.starts_with('0') && size.bytes().all(|byte| byte.is_ascii_digit()));
        let size =
            size.parse().ok().filter(|_| plain).ok_or(NoteError::Checkpoint("its size is not a decimal number"))?;
        let root = lines.next().and_then(Hash::from_base64);
        let root = root.ok_or(NoteError::Checkpoint("its root is not 32 bytes in base64"))?;
        let extensions: Vec<String> = lines.map(str::to_owned).collect();
        if extensions.iter().any(String::is_empty) {
            return Err(NoteError::Checkpoint("an empty extension line"));
        }
        Ok(Self { origin: origin.to_owned(), size, root, extensions })
    }

    /// Signs the checkpoint with the key of its log.
    ///
    /// # Errors
    /// [`NoteError::Origin`] for the key of another log.
    pub fn sign(&self, key: &SigningKey) -> Result<SignedNote, NoteError> {
        if key.name() != self.origin {
            return Err(NoteError::Origin { found: self.origin.clone(), expected: key.name().to_owned() });
        }
        key.sign(self.to_text())
    }

    /// Reads a signed checkpoint and checks that the log of `key` signed it as its own.
    ///
    /// # Errors
    /// [`NoteError`].
    pub fn verify(note: &[u8], key: &VerifierKey) -> Result<Self, NoteError> {
        let note = SignedNote::parse(note)?;
        note.verify(key)?;
        let checkpoint = Self::parse(note.text())?;
        if checkpoint.origin != key.name() {
            return Err(NoteError::Origin { found: checkpoint.origin, expected: key.name().to_owned() });
        }
        Ok(checkpoint)
    }
}

#[cfg(test)]
mod tests {
    use super::super::hash::empty_root;
    use super::*;

    #[test]
    fn reads_back_what_it_signed() {
        let key = SigningKey::from_seed("log.example", [1; 32]).unwrap();
        let checkpoint = Checkpoint::new("log.example".to_owned(), 0, empty_root());
        let note = checkpoint.sign(&key).unwrap().to_string();
        assert_eq!(Checkpoint::verify(note.as_bytes(), &key.verifier_key()), Ok(checkpoint.clone()));
        let stranger = SigningKey::from_seed("other.example", [1; 32]).unwrap();
        assert!(matches!(checkpoint.sign(&stranger), Err(NoteError::Origin { .. })));
        assert!(matches!(Checkpoint::verify(note.as_bytes(), &stranger.verifier_key()), Err(NoteError::Unsigned(_))));
    }

    #[test]
    fn refuses_a_checkpoint_signed_under_its_key_for_another_origin() {
        let key = SigningKey::from_seed("log.example", [1; 32]).unwrap();
        let text = Checkpoint::new("other.example".to_owned(), 0, empty_root()).to_text();
        let note = key.sign(text).unwrap().to_string();
        assert!(matches!(Checkpoint::verify(note.as_bytes(), &key.verifier_key()), Err(NoteError::Origin { .. })));
    }

    #[test]
    fn refuses_other_spellings() {
        let root = empty_root();
        for bad in [
            format!("o\n01\n{root}\n"),
            format!("o\n+1\n{root}\n"),
            format!("o\n1\n{root}"),
            format!("\n1\n{root}\n"),
            format!("o\n1\n{root}\n\n"),
            "o\n1\nAAAA\n".to_owned(),
            "o\n1\n".to_owned(),
        ] {
            assert!(Checkpoint::parse(&bad).is_err(), "{bad:?}");
        }
        let extended = Checkpoint::parse(&format!("o\n1\n{root}\nmore\n")).unwrap();
        assert_eq!(extended.extensions, ["more"]);
    }
}
