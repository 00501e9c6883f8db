//! Small values as documents write them: times, digests, counts. Each error names the field.

use super::{Reason, Rejection};
use crate::event::{Digest, GitOid, Timestamp};

/// How far a source's clock may be ahead of ours: a day, which also covers a wrong zone.
pub const AHEAD_MAX_MICROS: i64 = 86_400_000_000;

/// A time that must have a zone. `0001-01-01T00:00:00Z`, which Go programs write for "none", is none.
///
/// # Errors
/// [`Reason::BadTime`].
pub fn time(field: &str, text: &str) -> Result<Option<Timestamp>, Rejection> {
    if text.is_empty() || text.starts_with("0001-01-01T00:00:00") {
        return Ok(None);
    }
    zoned(text).map(Some).ok_or_else(|| {
        Rejection::new(Reason::BadTime, format!("{text:?} is not a time with a zone as in RFC 3339")).at(field)
    })
}

/// A time where the document may be one that does not say its zone: then it is none, as nobody can tell when it was.
#[must_use]
pub fn zoned_time(text: &str) -> Option<Timestamp> {
    zoned(text).filter(|_| !text.starts_with("0001-01-01T00:00:00"))
}

/// RFC 3339, and what real tools write in its place: a space for the `T`, ` UTC` or ` +0200` for the offset.
fn zoned(text: &str) -> Option<Timestamp> {
    if let Ok(at) = text.parse() {
        return Some(at);
    }
    let text = text.trim();
    let text = text.strip_suffix(" UTC").map_or_else(|| text.to_owned(), |text| format!("{text} +0000"));
    ["%Y-%m-%d %H:%M:%S%.f %z", "%Y-%m-%dT%H:%M:%S%.f%z", "%Y-%m-%dT%H:%M:%S%.f %z", "%Y-%m-%d %H:%M:%S%.f%z"]
        .iter()
        .find_map(|form| chrono::DateTime::parse_from_str(&text, form).ok())
        .and_then(|at| Timestamp::from_micros(at.timestamp_micros()).ok())
}

/// A time in seconds since 1970.
///
/// # Errors
/// [`Reason::BadTime`].
pub fn unix_seconds(field: &str, seconds: i64) -> Result<Timestamp, Rejection> {
    let micros = seconds.checked_mul(1_000_000).and_then(|micros| Timestamp::from_micros(micros).ok());
    micros.ok_or_else(|| {
        Rejection::new(Reason::BadTime, format!("{seconds} seconds since 1970 are beyond the calendar")).at(field)
    })
}

/// That a time is not in the future, as seen at `now`.
///
/// # Errors
/// [`Reason::FutureTime`].
pub fn not_ahead(field: &str, at: Timestamp, now: Timestamp) -> Result<(), Rejection> {
    if at.micros() > now.micros().saturating_add(AHEAD_MAX_MICROS) {
        let what = format!("{at} lies more than a day in the future: it is {now} here");
        return Err(Rejection::new(Reason::FutureTime, what).at(field));
    }
    Ok(())
}

/// A digest with its algorithm, alone (`sha256:...`) or after a name (`name@sha256:...`), in any case, also percent-encoded.
///
/// # Errors
/// [`Reason::BadDigest`]: never padded, never cut.
pub fn digest(field: &str, text: &str) -> Result<Digest, Rejection> {
    let plain = percent_encoding::percent_decode_str(text).decode_utf8_lossy();
    let digest = plain.rsplit('@').next().unwrap_or(&plain).to_ascii_lowercase();
    digest.parse().map_err(|_why| {
        let what = format!("{text:?} is no digest (an algorithm, a colon, and as many hexadecimal digits as it gives)");
        Rejection::new(Reason::BadDigest, what).at(field)
    })
}

/// An object id of git in full.
///
/// # Errors
/// [`Reason::BadDigest`].
pub fn git_oid(field: &str, text: &str) -> Result<GitOid, Rejection> {
    text.to_ascii_lowercase().parse().map_err(|_why| {
        Rejection::new(Reason::BadDigest, format!("{text:?} is no commit id in full (40 or 64 hexadecimal digits)"))
            .at(field)
    })
}

/// A count that fits into an event.
///
/// # Errors
/// [`Reason::BadNumber`].
pub fn count(field: &str, n: u64) -> Result<u32, Rejection> {
    u32::try_from(n).map_err(|_why| Rejection::new(Reason::BadNumber, format!("{n} is beyond counting")).at(field))
}

/// At most so many bytes of a text, cut at a character: names that a document may make as long as it likes.
#[must_use]
pub fn cut(text: &str, bytes_max: usize) -> String {
    text.get(..text.floor_char_boundary(bytes_max)).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_real_tools_write_them_and_never_guessed() {
        for (text, utc) in [
            ("2026-03-04T12:00:00Z", "2026-03-04T12:00:00.000000Z"),
            ("2016-08-12 15:23:28 UTC", "2016-08-12T15:23:28.000000Z"),
            ("2021-04-28 21:50:00 +0200", "2021-04-28T19:50:00.000000Z"),
            ("2026-03-04T12:00:00.123456789+05:30", "2026-03-04T06:30:00.123456Z"),
        ] {
            assert_eq!(time("t", text).unwrap().unwrap().to_string(), utc);
        }
        assert_eq!(time("t", "0001-01-01T00:00:00Z"), Ok(None));
        let naive = time("meta.timestamp", "2026-03-04T12:00:00").unwrap_err();
        assert_eq!((naive.reason, naive.field.as_deref()), (Reason::BadTime, Some("meta.timestamp")));
        assert_eq!(zoned_time("2026-03-04T12:00:00"), None);
    }

    #[test]
    fn digests_are_neither_padded_nor_cut() {
        let hex = "AB".repeat(32);
        let lower = format!("sha256:{}", hex.to_lowercase());
        for text in [format!("sha256:{hex}"), format!("ghcr.io/a/b@sha256:{hex}"), format!("sha256%3A{hex}")] {
            assert_eq!(digest("d", &text).unwrap().as_str(), lower);
        }
        for text in ["", "sha256:", "sha256:abcd", &format!("sha256:{hex}0"), &format!("md5:{hex}"), &hex] {
            assert_eq!(digest("d", text).unwrap_err().reason, Reason::BadDigest, "{text}");
        }
    }
}
