//! What a test can make go wrong.

use std::collections::BTreeSet;
use std::time::Duration;

use super::failure::Failure;

/// Faults that are on. The counters of streams are compared with what a stream saw when it began.
#[derive(Default)]
pub struct Faults {
    pub delay: Duration,
    /// So many requests are cut without an answer.
    pub refusals: u32,
    /// Status, `retry-after` in seconds, and how many requests are answered so.
    pub answers: Option<(u16, Option<u32>, u32)>,
    /// So many writes are done and not answered.
    pub lost: u32,
    pub breaks: u64,
    /// Whether a stream that breaks does so within a line.
    pub torn: bool,
    pub ends: u64,
    pub bookmarks: u64,
    pub stalled: bool,
    /// Kinds whose next watch finds the server starting.
    pub cold: BTreeSet<&'static str>,
}

impl Faults {
    /// What becomes of a request before it is looked at: nothing, no answer (`Some(None)`), or this answer.
    pub fn intercept(&mut self) -> Option<Option<Failure>> {
        if self.refusals > 0 {
            self.refusals -= 1;
            return Some(None);
        }
        let (status, retry_after, left) = self.answers.as_mut().filter(|(_, _, left)| *left > 0)?;
        *left -= 1;
        let reason = match *status {
            401 => "Unauthorized",
            403 => "Forbidden",
            429 => "TooManyRequests",
            500 => "InternalError",
            503 => "ServiceUnavailable",
            504 => "Timeout",
            _ => "Unknown",
        };
        let mut failure = Failure::new(*status, reason, "a test of the stand-in asked for this answer");
        failure.retry_after = *retry_after;
        Some(Some(failure))
    }

    /// Whether the answer to a write that was done is lost.
    pub fn loses(&mut self) -> bool {
        let loses = self.lost > 0;
        self.lost -= u32::from(loses);
        loses
    }
}
