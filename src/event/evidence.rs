//! References to evidence: content too large, or too foreign, for a leaf.

use serde::{Deserialize, Serialize};

use super::Error;
use super::ids::{Hex32, U64, checked_string, string_value};
use sha2::{Digest as _, Sha256};

checked_string!(
    /// A media type as in RFC 6838, parameters allowed: `application/vnd.cyclonedx+json; version=1.6`.
    MediaType,
    "^[A-Za-z0-9!#$&^_.+-]{1,127}/[A-Za-z0-9!#$&^_.+-]{1,127}(; ?[A-Za-z0-9_.+/=;\" -]*)?$",
    "a media type (type/subtype, printable ASCII, at most 255 bytes)",
    |text| {
        let (essence, _) = text.split_once(';').unwrap_or((text, ""));
        let token = |part: &str| {
            !part.is_empty() && part.len() <= 127
                && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$&^_.+-".contains(&byte))
        };
        text.len() <= 255
            && text.bytes().all(|byte| matches!(byte, b' '..=b'~') && byte != b'\\')
            && essence.split_once('/').is_some_and(|(kind, subtype)| token(kind) && token(subtype))
    }
);

/// Names a blob in the evidence store by its content. BLAKE3 is its address there; SHA-256 is what other tools speak.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EvidenceRef {
    /// BLAKE3 of the bytes, as `b3sum` prints it.
    pub blake3: Hex32,
    /// What the bytes are.
    pub media_type: MediaType,
    /// SHA-256 of the bytes.
    pub sha256: Hex32,
    /// Length in bytes.
    pub size: U64,
}

impl EvidenceRef {
    /// The reference of a blob that is in memory.
    #[must_use]
    pub fn of(media_type: MediaType, bytes: &[u8]) -> Self {
        Self {
            blake3: Hex32::from_bytes(*blake3::hash(bytes).as_bytes()),
            media_type,
            sha256: Hex32::from_bytes(Sha256::digest(bytes).into()),
            size: U64(bytes.len() as u64),
        }
    }
}
