//! `google.protobuf.Timestamp`, which can be printed.

use crate::event;

/// An instant on the wire: seconds since 1970-01-01T00:00:00Z, and nanoseconds of the second (0 to 999,999,999). As JSON
/// it is text in RFC 3339 with microseconds, as everywhere else.
#[derive(Clone, Copy, PartialEq, Eq, Hash, prost::Message)]
pub struct Timestamp {
    /// Whole seconds, downwards.
    #[prost(int64, tag = "1")]
    pub seconds: i64,
    /// Nanoseconds of the second.
    #[prost(int32, tag = "2")]
    pub nanos: i32,
}

impl Timestamp {
    /// The instant, with what is below a microsecond cut off.
    ///
    /// # Errors
    /// `Field` outside the years 0 to 9999, and for nanoseconds that are none.
    pub fn to_event(self) -> Result<event::Timestamp, event::Error> {
        let nanos = u32::try_from(self.nanos).ok().filter(|nanos| *nanos < 1_000_000_000);
        let nanos = nanos.ok_or_else(|| event::Error::field("nanos", "not between 0 and 999999999"))?;
        let micros = self.seconds.saturating_mul(1_000_000).saturating_add(i64::from(nanos / 1000));
        event::Timestamp::from_micros(micros)
    }
}

impl From<event::Timestamp> for Timestamp {
    fn from(at: event::Timestamp) -> Self {
        let micros = at.micros();
        let nanos = i32::try_from(micros.rem_euclid(1_000_000) * 1000).unwrap_or_default();
        Self { seconds: micros.div_euclid(1_000_000), nanos }
    }
}

impl serde::Serialize for Timestamp {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.to_event() {
            Ok(at) => serializer.collect_str(&at),
            Err(error) => Err(serde::ser::Error::custom(error)),
        }
    }
}
