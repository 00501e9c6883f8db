//! What people were told. Streams `notification/<id>`.

use super::payload::{payload, words};
use super::private::Private;
use super::{EventId, Timestamp, U64};

words! {
    /// By what way.
    pub enum Channel {
        /// Slack.
        Slack = "slack",
        /// E-mail.
        Email = "email",
        /// PagerDuty.
        Pagerduty = "pagerduty",
        /// An HTTP request.
        Webhook = "webhook",
        /// Grafana annotations.
        Grafana = "grafana",
    }
}

payload! {
    /// The receiving system took it.
    pub struct NotificationSent {
        /// The event it tells of.
        about: Option<EventId>,
        /// Which attempt, from 1.
        attempt: u32,
        /// By what way.
        channel: Channel,
        /// Key by which the receiver recognises a repetition.
        dedup_key: Option<String>,
        /// To whom: an address, a room, a routing key's name.
        destination: Private,
        /// How long the receiver took, in milliseconds.
        latency_ms: Option<U64>,
        /// The receiver's own id for it.
        receipt: Option<String>,
        /// The receiver's status code.
        status: Option<u32>,
        /// The template it was made from.
        template: Option<String>,
    }

    /// The receiving system did not take it.
    pub struct NotificationFailed {
        /// The event it tells of.
        about: Option<EventId>,
        /// Which attempt, from 1.
        attempt: u32,
        /// By what way.
        channel: Channel,
        /// Stable code of the reason: `refused`, `unreachable`.
        code: String,
        /// Key by which the receiver recognises a repetition.
        dedup_key: Option<String>,
        /// To whom.
        destination: Private,
        /// What went wrong.
        error: Option<Private>,
        /// When it is tried again; absent when it is given up.
        next_attempt_at: Option<Timestamp>,
        /// The receiver's status code.
        status: Option<u32>,
        /// The template it was made from.
        template: Option<String>,
    }
}
