//! The past of metrics, as a stream.

use tokio::runtime::Handle;
use tokio::sync::mpsc::{self, error::SendTimeoutError};
use tonic::{Response, Status};

use super::super::proto::v1 as pb;
use super::super::{status, views as wire};
use super::read::answers;
use super::{Answers, SUBSCRIBER_STALL};
use crate::app::Views;
use crate::app::metrics::history::{self, Window};

/// How much text one message holds, about.
const PIECE_BYTES: usize = 64 << 10;

pub(super) fn export(
    views: &Views,
    request: pb::ExportMetricsRequest,
) -> Result<Response<Answers<pb::ExportMetricsResponse>>, Status> {
    let window = Window {
        from: wire::instant_from_proto("from", request.from)?,
        to: wire::instant_from_proto("to", request.to)?,
    };
    let (views, asked) = (views.clone(), request.asked.unwrap_or_default());
    Ok(answers(|pages| async move {
        let written = wire::ask(&views, asked, history::NEEDS, move |snapshot, basis| {
            let mut out = Out { text: String::new(), pages, runtime: Handle::current(), stalled: false };
            history::write(snapshot, basis, window, &mut |piece| out.take(&piece))?;
            out.send();
            Ok(out.stalled)
        });
        match written.await {
            Ok(stalled) => stalled.into_inner().then(status::too_slow),
            Err(status) => Some(status),
        }
    }))
}

/// Text on its way to the reader.
struct Out {
    text: String,
    pages: mpsc::Sender<pb::ExportMetricsResponse>,
    runtime: Handle,
    /// Nobody read for too long.
    stalled: bool,
}

impl Out {
    /// Takes a piece; false when nobody reads any more.
    fn take(&mut self, piece: &str) -> bool {
        self.text.push_str(piece);
        self.text.len() < PIECE_BYTES || self.send()
    }

    /// The thread that writes holds a state of the views, so it does not wait for ever.
    fn send(&mut self) -> bool {
        let page = pb::ExportMetricsResponse { text: std::mem::take(&mut self.text) };
        let sent = self.runtime.block_on(self.pages.send_timeout(page, SUBSCRIBER_STALL));
        self.stalled |= matches!(sent, Err(SendTimeoutError::Timeout(_)));
        sent.is_ok()
    }
}
