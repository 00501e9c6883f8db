//! Identifiers and small values that cannot be swapped for one another by accident.

use std::fmt;
use std::str::FromStr;

use super::Error;

/// Implements string (de)serialisation through `Display` and `FromStr`, and a JSON Schema with a pattern.
macro_rules! string_value {
    ($name:ident, $pattern:expr, $about:expr) => {
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Visitor;
                impl serde::de::Visitor<'_> for Visitor {
                    type Value = $name;
                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str($about)
                    }
                    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<$name, E> {
                        text.parse().map_err(|error: Error| match error {
                            Error::Field { what, .. } => E::custom(what),
                            other => E::custom(other),
                        })
                    }
                }
                deserializer.deserialize_str(Visitor)
            }
        }

        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }
            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "type": "string", "pattern": $pattern, "description": $about })
            }
        }
    };
}
pub(super) use string_value;

/// Index of an event in the ledger's one total order, from 0 and without gaps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Position(pub u64);

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Position {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self, Error> {
        parse_u64(text).map(Self)
    }
}

string_value!(Position, "^(0|[1-9][0-9]{0,19})$", "a position: a decimal number from 0, as a string");

/// A 64-bit quantity. JSON numbers are doubles in too many parsers, so it travels as a decimal string.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct U64(pub u64);

impl fmt::Display for U64 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for U64 {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self, Error> {
        parse_u64(text).map(Self)
    }
}

string_value!(U64, "^(0|[1-9][0-9]{0,19})$", "a 64-bit number in decimal, as a string");

fn parse_u64(text: &str) -> Result<u64, Error> {
    let canonical = text == "0" || (!text.starts_with(['0', '+']) && !text.is_empty());
    text.parse().ok().filter(|_| canonical).ok_or_else(|| {
        Error::field("number", format!("{text:?} is not a 64-bit number in decimal without leading zeros"))
    })
}

/// Identity of an event: a UUID of version 7 made by the ledger.
///
/// The 42 bits after the millisecond timestamp are the event's position, used as the dedicated counter
/// of RFC 9562 section 6.2, method 1; the last 32 bits are random. So ids ascend with positions, and an
/// id leads to its event without an index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventId(uuid::Uuid);

impl EventId {
    /// Positions from here on no longer fit an id's counter (2^42, about 4.4 million million events).
    pub const POSITION_LIMIT: u64 = 1 << 42;

    /// The id of the event at `position`, recorded at `at`; `random` should come from the system's generator.
    #[must_use]
    pub fn new(at: Timestamp, position: Position, random: u32) -> Self {
        let millis = u64::try_from(at.micros().div_euclid(1000)).unwrap_or(0) & 0xffff_ffff_ffff;
        let counter = position.0 % Self::POSITION_LIMIT;
        let high = (millis << 16) | 0x7000 | (counter >> 30);
        let low = (0b10 << 62) | ((counter & 0x3fff_ffff) << 32) | u64::from(random);
        Self(uuid::Uuid::from_u64_pair(high, low))
    }

    /// The position that this id claims; only the event there tells whether it is so.
    #[must_use]
    pub fn position(&self) -> Position {
        let (high, low) = self.0.as_u64_pair();
        Position(((high & 0xfff) << 30) | ((low >> 32) & 0x3fff_ffff))
    }

    /// Writes the usual hyphenated lower-case form into `buffer`.
    pub fn encode<'a>(&self, buffer: &'a mut [u8; 36]) -> &'a str {
        self.0.as_hyphenated().encode_lower(buffer)
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_hyphenated().fmt(f)
    }
}

impl FromStr for EventId {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self, Error> {
        let id = uuid::Uuid::try_parse(text).ok().filter(|id| text.len() == 36 && id.get_version_num() == 7);
        id.map(Self).ok_or_else(|| Error::field("id", format!("{text:?} is not an event id (a UUID of version 7)")))
    }
}

string_value!(
    EventId,
    "^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$",
    "an event id: a UUID of version 7"
);

/// An instant in UTC with microseconds, between the years 0 and 9999.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    const MIN: i64 = -62_167_219_200_000_000;
    const MAX: i64 = 253_402_300_799_999_999;

    /// From microseconds since 1970-01-01T00:00:00Z.
    ///
    /// # Errors
    /// [`Error::Field`] when the instant is outside the years 0 to 9999, which RFC 3339 cannot write.
    pub fn from_micros(micros: i64) -> Result<Self, Error> {
        if (Self::MIN..=Self::MAX).contains(&micros) {
            Ok(Self(micros))
        } else {
            Err(Error::field("time", format!("{micros} microseconds since 1970 is outside the years 0 to 9999")))
        }
    }

    /// From microseconds since 1970, drawn to the nearest instant that can be written.
    #[must_use]
    pub fn from_micros_clamped(micros: i64) -> Self {
        Self(micros.clamp(Self::MIN, Self::MAX))
    }

    /// Microseconds since 1970-01-01T00:00:00Z.
    #[must_use]
    pub fn micros(self) -> i64 {
        self.0
    }

    /// The 27 ASCII bytes of the canonical form, `2026-03-04T12:00:00.000000Z`.
    #[must_use]
    pub fn encode(self) -> [u8; 27] {
        let (days, of_day) = (self.0.div_euclid(86_400_000_000), self.0.rem_euclid(86_400_000_000));
        let (year, month, day) = civil(days);
        let seconds = of_day / 1_000_000;
        let mut text = *b"0000-00-00T00:00:00.000000Z";
        let mut put = |digits: std::ops::Range<usize>, mut value: i64| {
            for slot in text.get_mut(digits).into_iter().flatten().rev() {
                *slot = b'0' + u8::try_from(value % 10).unwrap_or(0);
                value /= 10;
            }
        };
        put(0..4, year);
        put(5..7, month);
        put(8..10, day);
        put(11..13, seconds / 3600);
        put(14..16, seconds / 60 % 60);
        put(17..19, seconds % 60);
        put(20..26, of_day % 1_000_000);
        text
    }
}

/// Year, month and day of a number of days since 1970-01-01 (Hinnant's `civil_from_days`).
fn civil(days: i64) -> (i64, i64, i64) {
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let day_of_era = z.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(std::str::from_utf8(&self.encode()).unwrap_or_default())
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Timestamp {
    type Err = Error;

    /// Reads RFC 3339 with any offset; digits beyond microseconds are cut off. A time without an offset is refused.
    fn from_str(text: &str) -> Result<Self, Error> {
        let instant = chrono::DateTime::parse_from_rfc3339(text).map_err(|error| {
            Error::field("time", format!("{text:?} is not a time with an offset as in RFC 3339 ({error})"))
        })?;
        Self::from_micros(instant.timestamp_micros())
    }
}

string_value!(
    Timestamp,
    "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\\.[0-9]+)?(Z|[+-][0-9]{2}:[0-9]{2})$",
    "an instant as in RFC 3339, recorded in UTC with microseconds"
);

/// Declares a newtype over a string with one checked constructor.
macro_rules! checked_string {
    ($(#[$meta:meta])* $name:ident, $pattern:expr, $about:expr, $check:expr) => {
        $(#[$meta])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Box<str>);

        impl $name {
            /// The text of it.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(&self.0)
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                std::fmt::Debug::fmt(&self.0, f)
            }
        }

        impl std::str::FromStr for $name {
            type Err = Error;
            fn from_str(text: &str) -> Result<Self, Error> {
                let check: fn(&str) -> bool = $check;
                if check(text) {
                    Ok(Self(text.into()))
                } else {
                    let shown: String = text.chars().take(80).collect();
                    Err(Error::field(stringify!($name), format!("{shown:?} is not {}", $about)))
                }
            }
        }

        string_value!($name, $pattern, $about);
    };
}
pub(super) use checked_string;

fn is_lower_hex(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

checked_string!(
    /// Name of a git object: 40 lower-case hexadecimal digits (SHA-1) or 64 (SHA-256).
    GitOid,
    "^([0-9a-f]{40}|[0-9a-f]{64})$",
    "a git object id (40 or 64 lower-case hexadecimal digits)",
    |text| matches!(text.len(), 40 | 64) && is_lower_hex(text)
);

checked_string!(
    /// A content digest with its algorithm, as OCI writes it: `sha256:<64 hex>`, `sha512:<128 hex>` or `blake3:<64 hex>`.
    Digest,
    "^(sha256:[0-9a-f]{64}|sha384:[0-9a-f]{96}|sha512:[0-9a-f]{128}|blake3:[0-9a-f]{64})$",
    "a digest (sha256:, sha384:, sha512: or blake3: and lower-case hexadecimal digits)",
    |text| match text.split_once(':') {
        Some(("sha256" | "blake3", hex)) => hex.len() == 64 && is_lower_hex(hex),
        Some(("sha384", hex)) => hex.len() == 96 && is_lower_hex(hex),
        Some(("sha512", hex)) => hex.len() == 128 && is_lower_hex(hex),
        _ => false,
    }
);

checked_string!(
    /// 32 bytes in lower-case hexadecimal: a bare SHA-256 or BLAKE3 whose algorithm the field's name tells.
    Hex32,
    "^[0-9a-f]{64}$",
    "64 lower-case hexadecimal digits",
    |text| text.len() == 64 && is_lower_hex(text)
);

impl Hex32 {
    /// From the 32 bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(hex::encode(bytes).into())
    }

    /// The 32 bytes.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; 32] {
        let mut bytes = [0; 32];
        // The constructor let nothing else in than 64 hexadecimal digits.
        hex::decode_to_slice(self.0.as_bytes(), &mut bytes).unwrap_or_default();
        bytes
    }
}

fn is_word(text: &str, longest: usize) -> bool {
    !text.is_empty()
        && text.len() <= longest
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._~:@+%/-".contains(&byte))
}

checked_string!(
    /// Who says so: the tool and the instance of it, as in `argocd/prod-cluster`. First half of the idempotency key.
    Source,
    "^[A-Za-z0-9._~:@+%/-]{1,256}$",
    "a source: 1 to 256 of A-Z a-z 0-9 . _ ~ : @ + % / -",
    |text| is_word(text, 256)
);

checked_string!(
    /// Name of an environment or service: one segment of a stream's name.
    Name,
    "^[A-Za-z0-9._~:@+%-]{1,200}$",
    "a name: 1 to 200 of A-Z a-z 0-9 . _ ~ : @ + % -",
    |text| is_word(text, 200) && !text.contains('/')
);

checked_string!(
    /// The source's own id of what happened. Second half of the idempotency key.
    Dedup,
    "^[^\\u0000-\\u001f\\u007f]{1,512}$",
    "a dedup key: 1 to 512 bytes without control characters",
    |text| !text.is_empty() && text.len() <= 512 && !text.chars().any(char::is_control)
);

checked_string!(
    /// Id that ties the events of one undertaking together, usually a promotion's.
    Correlation,
    "^[A-Za-z0-9._~:@+%/-]{1,256}$",
    "a correlation id: 1 to 256 of A-Z a-z 0-9 . _ ~ : @ + % / -",
    |text| is_word(text, 256)
);

checked_string!(
    /// Name of the stream an event belongs to: a kind, a slash and what identifies the thing, as in
    /// `target/production/churn-api`. The singletons `policy` and `ledger` are a kind alone.
    StreamName,
    "^[a-z]+(/[A-Za-z0-9._~:@+%/-]+)?$",
    "a stream name (kind/identity, 3 to 512 of A-Z a-z 0-9 . _ ~ : @ + % / -)",
    |text| {
        let (kind, rest) = text.split_once('/').unwrap_or((text, "-"));
        is_word(text, 512)
            && !kind.is_empty()
            && kind.bytes().all(|byte| byte.is_ascii_lowercase())
            && rest.split('/').all(|segment| !segment.is_empty() && segment != "." && segment != "..")
    }
);

impl StreamName {
    /// The stream of `kind` whose identity is made of `segments`; bytes that a name cannot hold are percent-encoded.
    ///
    /// # Errors
    /// [`Error::Field`] when a segment is empty, `.` or `..`, or the whole is too long.
    pub fn of(kind: &str, segments: &[&str]) -> Result<Self, Error> {
        let mut name = kind.to_owned();
        for segment in segments {
            name.push('/');
            for byte in segment.bytes() {
                if byte.is_ascii_alphanumeric() || b"._~:@+-/".contains(&byte) {
                    name.push(char::from(byte));
                } else {
                    name.push_str(&format!("%{byte:02X}"));
                }
            }
        }
        name.parse()
    }

    /// The part before the first slash.
    #[must_use]
    pub fn kind(&self) -> &str {
        self.0.split('/').next().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn event_id_carries_its_position_and_is_a_version_7_uuid() {
        let at = Timestamp::from_micros(1_772_625_600_123_456).unwrap();
        for position in [0, 1, 1042, (1 << 42) - 1] {
            let id = EventId::new(at, Position(position), 0xdead_beef);
            assert_eq!(id.position(), Position(position));
            assert_eq!(id.to_string().parse::<EventId>().unwrap(), id);
        }
        assert!(EventId::new(at, Position(1), u32::MAX) < EventId::new(at, Position(2), 0));
    }

    #[test]
    fn timestamp_is_written_in_utc_with_microseconds() {
        let at: Timestamp = "2026-03-04T14:00:00.1234567+02:00".parse().unwrap();
        assert_eq!(at.to_string(), "2026-03-04T12:00:00.123456Z");
        for text in [
            "0000-01-01T00:00:00.000000Z",
            "1969-12-31T23:59:59.999999Z",
            "2000-02-29T00:00:00.000001Z",
            "9999-12-31T23:59:59.999999Z",
        ] {
            assert_eq!(text.parse::<Timestamp>().unwrap().to_string(), text);
        }
        assert!("2026-03-04T12:00:00".parse::<Timestamp>().is_err());
        assert!(Timestamp::from_micros(i64::MAX).is_err());
    }

    #[test]
    fn stream_name_encodes_what_it_cannot_hold_and_refuses_dots() {
        assert_eq!(StreamName::of("repo", &["github.com", "o/r é"]).unwrap().as_str(), "repo/github.com/o/r%20%C3%A9");
        for bad in ["", "repo/", "/x", "repo//x", "repo/../x", "Repo/x", "repo/a b", "repo/\"x"] {
            assert!(bad.parse::<StreamName>().is_err(), "{bad}");
        }
        assert_eq!("ledger".parse::<StreamName>().unwrap().kind(), "ledger");
    }

    #[test]
    fn numbers_as_strings_have_one_form() {
        assert_eq!("18446744073709551615".parse::<U64>().unwrap(), U64(u64::MAX));
        for bad in ["", "00", "01", "+1", "-1", "1.0", "18446744073709551616"] {
            assert!(bad.parse::<U64>().is_err(), "{bad}");
        }
    }
}
