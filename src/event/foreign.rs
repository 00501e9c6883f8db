//! What others say that the vocabulary has no word for. Streams `foreign/<source>`.

use super::payload::payload;
use super::{Correlation, Hex32, Private};

payload! {
    /// Something said something that is kept as it came: its words are in the evidence.
    pub struct ForeignReceived {
        /// Id of the chain of events that it says it belongs to (CDEvents `chainId`).
        chain: Option<Correlation>,
        /// BLAKE3 of the evidence that is the event, as it came.
        document: Hex32,
        /// What it is, in the source's words: `dev.cdevents.taskrun.queued.0.2.0`.
        kind: String,
        /// Version of the specification that it keeps to, where it names one.
        spec_version: Option<String>,
        /// Id of what it is about, which may be a person.
        subject: Option<Private>,
    }
}
