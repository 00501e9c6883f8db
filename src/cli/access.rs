//! A ledger by either way: its data directory, or a running server.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Channel, Endpoint};

use super::Settings;
use super::exit::Exit;
use crate::api::proto::v1 as pb;
use crate::api::proto::v1::ledger_service_client::LedgerServiceClient;
use crate::api::{draft_to_proto, filter_to_proto};
use crate::event::{Draft, EventId, Recorded};
use crate::ledger::{self, Creation, Filter, Ledger, PageLimit, Pending, Receipt};

/// Largest message that is taken from a server.
const MESSAGE_BYTES_MAX: usize = 64 << 20;

/// Requests that may wait for their answers.
const IN_FLIGHT: usize = 8;

/// A ledger to read, or to append to.
pub(super) enum Access {
    Local(Ledger),
    Remote(LedgerServiceClient<Channel>),
}

/// An event and the private values that belong to it.
pub(super) struct Shown {
    pub(super) event: Recorded,
    /// Id of a sealed value or pseudonym, and what it stands for.
    pub(super) private: Vec<(String, String)>,
}

/// Position or id.
#[derive(Debug, Clone)]
pub(super) enum Key {
    Position(u64),
    Id(EventId),
}

impl std::str::FromStr for Key {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match (text.parse(), text.parse()) {
            (Ok(position), _) => Ok(Self::Position(position)),
            (_, Ok(id)) => Ok(Self::Id(id)),
            _ => Err("neither a position nor an event id".to_owned()),
        }
    }
}

/// A connection to a server.
pub(super) async fn channel(url: &str) -> Result<Channel, Exit> {
    let url = if url.contains("://") { url.to_owned() } else { format!("http://{url}") };
    let endpoint =
        Endpoint::from_shared(url.clone()).map_err(|error| Exit::usage(format!("--server {url}: {error}")))?;
    endpoint
        .connect_timeout(std::time::Duration::from_secs(10))
        .tcp_nodelay(true)
        .connect()
        .await
        .map_err(|error| Exit::busy(format!("cannot reach {url}: {}", super::exit::chain(&error))))
}

async fn connect(url: &str) -> Result<LedgerServiceClient<Channel>, Exit> {
    Ok(LedgerServiceClient::new(channel(url).await?).max_decoding_message_size(MESSAGE_BYTES_MAX))
}

impl Access {
    /// To read from.
    pub(super) async fn reader(settings: &Settings) -> Result<Self, Exit> {
        match &settings.server {
            Some(url) => Ok(Self::Remote(connect(url).await?)),
            None => {
                let data = settings.data.clone();
                let opened = tokio::task::spawn_blocking(move || Ledger::open_read_only(&data)).await;
                Ok(Self::Local(opened.map_err(|error| Exit::no(error.to_string()))??))
            }
        }
    }

    /// To append to. A data directory is made where there is none and `create` says so.
    pub(super) async fn writer(settings: &Settings, purpose: &str, create: bool) -> Result<Self, Exit> {
        if let Some(url) = &settings.server {
            return Ok(Self::Remote(connect(url).await?));
        }
        let options = settings.options(purpose);
        let opened = if create {
            Ledger::open_or_create(options, Creation::default()).await
        } else {
            Ledger::open(options).await
        };
        let ledger = opened.map_err(|error| match error {
            ledger::Error::Busy { .. } => {
                Exit::busy(format!("{error}: if that is a server, go through it (--server URL)"))
            }
            error => error.into(),
        })?;
        Ok(Self::Local(ledger))
    }

    /// One event.
    pub(super) async fn get(&mut self, key: &Key) -> Result<Shown, Exit> {
        match self {
            Self::Local(ledger) => {
                let key = key.clone();
                Ok(ledger
                    .blocking(move |ledger| {
                        let leaf = match key {
                            Key::Position(position) => ledger.leaf(position)?,
                            Key::Id(id) => ledger.leaf_by_id(&id)?.1,
                        };
                        shown(ledger, leaf)
                    })
                    .await?)
            }
            Self::Remote(client) => {
                let key = match key {
                    Key::Position(position) => pb::get_event_request::Key::Position(*position),
                    Key::Id(id) => pb::get_event_request::Key::Id(id.to_string()),
                };
                let request = pb::GetEventRequest { key: Some(key), view: Some(private_view()) };
                let event = client.get_event(request).await?.into_inner().event.unwrap_or_default();
                remote_shown(event)
            }
        }
    }

    /// The receipt of an event.
    pub(super) async fn receipt(&mut self, key: &Key) -> Result<Receipt, Exit> {
        match self {
            Self::Local(ledger) => {
                let key = key.clone();
                Ok(ledger
                    .blocking(move |ledger| match key {
                        Key::Position(position) => ledger.receipt(position),
                        Key::Id(id) => ledger.receipt(ledger.leaf_by_id(&id)?.0),
                    })
                    .await?)
            }
            Self::Remote(client) => {
                let key = match key {
                    Key::Position(position) => pb::get_receipt_request::Key::Position(*position),
                    Key::Id(id) => pb::get_receipt_request::Key::Id(id.to_string()),
                };
                let answer = client.get_receipt(pb::GetReceiptRequest { key: Some(key) }).await?.into_inner();
                Ok(Receipt::parse(&answer.receipt.unwrap_or_default().tlog_proof)?)
            }
        }
    }

    /// The verifier key of the log.
    pub(super) async fn key(&mut self) -> Result<String, Exit> {
        match self {
            Self::Local(ledger) => Ok(ledger.key().to_string()),
            Self::Remote(client) => {
                Ok(client.get_checkpoint(pb::GetCheckpointRequest::default()).await?.into_inner().verifier_key)
            }
        }
    }

    /// Name of the log: a URL without scheme.
    pub(super) async fn origin(&mut self) -> Result<String, Exit> {
        let key = self.key().await?;
        Ok(key.split('+').next().unwrap_or_default().to_owned())
    }

    /// How many events there are.
    pub(super) async fn size(&mut self) -> Result<u64, Exit> {
        match self {
            Self::Local(ledger) => Ok(ledger.blocking(Ledger::refresh).await?.size),
            Self::Remote(client) => {
                Ok(client.get_checkpoint(pb::GetCheckpointRequest::default()).await?.into_inner().size)
            }
        }
    }

    /// A page of events from a position on (backwards: before it), and where to go on.
    pub(super) async fn page(
        &mut self,
        from: u64,
        backwards: bool,
        filter: &Filter,
        events_max: usize,
    ) -> Result<(Vec<Shown>, u64), Exit> {
        match self {
            Self::Local(ledger) => {
                let filter = filter.clone();
                let limit = PageLimit { events_max, ..PageLimit::default() };
                Ok(ledger
                    .blocking(move |ledger| {
                        let range = if backwards { (0, from) } else { (from, u64::MAX) };
                        let page = ledger.page(range.0, range.1, backwards, &filter, limit)?;
                        let next = if backwards { page.covered.start } else { page.covered.end };
                        let shown: Result<Vec<_>, _> =
                            page.entries.into_iter().map(|entry| shown(ledger, entry.leaf)).collect();
                        Ok((shown?, next))
                    })
                    .await?)
            }
            Self::Remote(client) => {
                let request = pb::ReadAllRequest {
                    from_position: from,
                    backwards,
                    max_events: events_max as u64,
                    filter: Some(filter_to_proto(filter)),
                    view: Some(private_view()),
                };
                let mut pages = client.read_all(request).await?.into_inner();
                let Some(page) = pages.next().await.transpose()? else { return Ok((Vec::new(), from)) };
                let events: Result<Vec<_>, _> = page.events.into_iter().map(remote_shown).collect();
                Ok((events?, page.next_position))
            }
        }
    }

    /// Appends drafts together and waits. Returns their positions, and whether each was known.
    pub(super) async fn append(&mut self, drafts: Vec<Draft>) -> Result<Vec<(u64, String, bool)>, Exit> {
        match self {
            Self::Local(ledger) => {
                let done = ledger.append(drafts).await?;
                Ok(done.placed.iter().map(|at| (at.position.0, at.id.to_string(), at.duplicate)).collect())
            }
            Self::Remote(client) => {
                let request = append_request(&drafts)?;
                let done = client.append(request).await?.into_inner();
                Ok(done.placed.into_iter().map(|at| (at.position, at.id, at.duplicate)).collect())
            }
        }
    }

    /// Appends batches as they come, several under way at once. Returns how many events were new.
    pub(super) async fn append_all(&mut self, mut batches: mpsc::Receiver<Vec<Draft>>) -> Result<u64, Exit> {
        let mut n_new = 0;
        match self {
            Self::Local(ledger) => {
                let mut pending = std::collections::VecDeque::<Pending>::new();
                while let Some(batch) = batches.recv().await {
                    pending.push_back(ledger.submit(batch).await?);
                    if pending.len() >= IN_FLIGHT
                        && let Some(first) = pending.pop_front()
                    {
                        n_new += new_among(first.wait().await?.placed.iter().map(|at| at.duplicate));
                    }
                }
                for rest in pending {
                    n_new += new_among(rest.wait().await?.placed.iter().map(|at| at.duplicate));
                }
            }
            Self::Remote(client) => {
                let unfit = Arc::new(OnceLock::new());
                let told = unfit.clone();
                let requests = ReceiverStream::new(batches).map_while(move |drafts| match append_request(&drafts) {
                    Ok(request) => Some(pb::AppendStreamRequest { request: Some(request) }),
                    Err(exit) => {
                        told.get_or_init(|| exit);
                        None
                    }
                });
                let mut answers = client.append_stream(requests).await?.into_inner();
                while let Some(answer) = answers.next().await.transpose()? {
                    n_new += new_among(answer.response.unwrap_or_default().placed.iter().map(|at| at.duplicate));
                }
                if let Some(exit) = unfit.get() {
                    return Err(exit.clone());
                }
            }
        }
        Ok(n_new)
    }

    /// Shows every event of a stream, which need not exist.
    pub(super) async fn stream(
        &mut self,
        stream: &str,
        take: &mut (dyn FnMut(&Recorded) -> Result<(), Exit> + Send),
    ) -> Result<(), Exit> {
        let corrupt = |error: crate::event::Error| Exit::no(error.to_string());
        match self {
            Self::Local(ledger) => {
                let mut from_seq = 0;
                loop {
                    let name = stream.to_owned();
                    let entries = match ledger.blocking(move |ledger| ledger.stream(&name, from_seq, 1000)).await {
                        Err(error) if error.kind() == crate::ledger::Kind::NotFound => return Ok(()),
                        entries => entries?,
                    };
                    if entries.is_empty() {
                        return Ok(());
                    }
                    from_seq += entries.len() as u64;
                    for entry in entries {
                        take(&Recorded::parse(entry.leaf).map_err(corrupt)?)?;
                    }
                }
            }
            Self::Remote(client) => {
                let request = pb::ReadStreamRequest { stream: stream.to_owned(), ..pb::ReadStreamRequest::default() };
                let mut pages = match client.read_stream(request).await {
                    Err(status) if status.code() == tonic::Code::NotFound => return Ok(()),
                    pages => pages?.into_inner(),
                };
                while let Some(page) = pages.next().await.transpose()? {
                    for event in page.events {
                        take(&Recorded::parse(event.leaf).map_err(corrupt)?)?;
                    }
                }
                Ok(())
            }
        }
    }
}

fn new_among(duplicates: impl Iterator<Item = bool>) -> u64 {
    duplicates.filter(|duplicate| !duplicate).count() as u64
}

fn append_request(drafts: &[Draft]) -> Result<pb::AppendRequest, Exit> {
    let drafts: Result<Vec<_>, _> = drafts.iter().map(draft_to_proto).collect();
    Ok(pb::AppendRequest { drafts: drafts?, with_receipts: false })
}

fn private_view() -> pb::EventView {
    pb::EventView { envelope: false, private_values: true }
}

fn shown(ledger: &Ledger, leaf: Bytes) -> crate::ledger::Result<Shown> {
    let event = Recorded::parse(leaf).map_err(|error| crate::ledger::Error::Corrupt(error.to_string()))?;
    let sealed = ledger.private_values(&event)?.into_iter().map(|row| (row.id.to_string(), row.value));
    let subjects = ledger.subjects_of(&event)?.into_iter().map(|row| (row.id.to_string(), row.identity));
    let private = sealed.chain(subjects).collect();
    Ok(Shown { event, private })
}

fn remote_shown(event: pb::Event) -> Result<Shown, Exit> {
    let private = event.private_values.into_iter().map(|row| (row.id, row.value)).collect();
    let event = Recorded::parse(event.leaf).map_err(|error| Exit::no(error.to_string()))?;
    Ok(Shown { event, private })
}
