//! Asking the views: of a running server, or of a data directory, by the same services.

use tonic::transport::Channel;

use super::Settings;
use super::access::channel;
use super::exit::Exit;
use crate::api;
use crate::api::proto::v1 as pb;
use crate::app::Views;
use crate::event::Timestamp;
use crate::ledger::{self, Ledger};
use crate::projection;

/// Where questions go, and of which events they are asked.
pub(super) struct Questions {
    pub(super) channel: Channel,
    pub(super) asked: pb::Asked,
}

/// What questions have in common.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Known {
    /// Answer from the first so many events alone: what the ledger knew then
    #[arg(long, value_name = "POSITION")]
    known_at: Option<u64>,
    /// Wait until the views hold so many events [default: all there are]
    #[arg(long, value_name = "POSITION")]
    min_position: Option<u64>,
}

impl Known {
    /// Whether anything of it was said.
    pub(super) const fn is_given(&self) -> bool {
        self.known_at.is_some() || self.min_position.is_some()
    }
}

impl Questions {
    /// Opens what is asked. A data directory is read as it is now: the views are brought up to the head of the log first,
    /// by whoever keeps them.
    pub(super) async fn open(settings: &Settings, known: &Known) -> Result<Self, Exit> {
        let (channel, head) = match &settings.server {
            Some(url) => (channel(url).await?, 0),
            None => {
                let data = settings.data.clone();
                let opened = tokio::task::spawn_blocking(move || Ledger::open_read_only(&data)).await;
                let ledger = opened.map_err(|error| Exit::no(error.to_string()))??;
                let head = ledger.head().size;
                let views = match Views::open(&ledger, &settings.data, projection::all) {
                    Err(projection::Error::Ledger(ledger::Error::Busy { .. })) => {
                        Views::open_read_only(&ledger, &settings.data, projection::all)?
                    }
                    views => views?,
                };
                super::progress::until(&views, known.min_position.unwrap_or(head)).await?;
                (api::local(views).await?, head)
            }
        };
        let asked = pb::Asked { min_position: known.min_position.unwrap_or(head), known_at: known.known_at };
        Ok(Self { channel, asked })
    }
}

/// How to go on where an answer was a full page: the flag with its token. Empty after the last.
pub(super) fn more(flag: &str, token: &str) -> String {
    if token.is_empty() { String::new() } else { format!("more: {flag} {token}\n") }
}

/// An instant of the command line: RFC 3339, or a day, which begins at midnight UTC.
pub(super) fn instant(text: &str) -> Result<Timestamp, String> {
    let whole = if text.len() == 10 { format!("{text}T00:00:00Z") } else { text.to_owned() };
    whole.parse().map_err(|error| format!("{error}: give a day or RFC 3339"))
}
