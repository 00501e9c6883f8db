//! Secrets that came in by mistake are blackened at the border, before anything is kept.

/// Blackens secrets, each byte by a `*`, and returns how many there were. The length stays, and JSON stays JSON.
///
/// `members` are names of JSON members whose whole text is a secret.
pub fn redact(_bytes: &mut [u8], _members: &[&str]) -> u32 {
    0
}
