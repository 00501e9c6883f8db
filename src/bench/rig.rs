//! The ledger under test, served over loopback, and where its floors live.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use tokio::sync::oneshot;
use tonic::transport::Channel;

use super::floor::RawTable;
use super::{Result, material};
use crate::api::proto::bench::v1::floor_service_client::FloorServiceClient;
use crate::api::proto::v1::ledger_service_client::LedgerServiceClient;
use crate::api::{Addresses, FloorBench, ServerOptions, serve};
use crate::ledger::{Creation, DataDir, Ledger, Options};

/// Connections that clients share: enough for both cores to have one.
const CONNECTIONS: usize = 2;

/// Answers of several pages come in messages this large at most.
const MESSAGE_BYTES_MAX: usize = 64 << 20;

/// A directory that is removed when this is dropped.
pub(super) struct Scratch(PathBuf);

impl Scratch {
    pub(super) fn new(parent: &Path) -> Result<Self> {
        let path = parent.join(format!("plimsoll-bench-{}", std::process::id()));
        std::fs::create_dir_all(&path).with_context(|| format!("cannot create {}", path.display()))?;
        Ok(Self(path))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            tracing::warn!(%error, dir = %self.0.display(), "cannot remove");
        }
    }
}

/// What stays when the server is down.
pub(super) struct Site {
    pub(super) data: DataDir,
    /// The number of the next draft.
    pub(super) next: u64,
    pub(super) raw: RawTable,
}

/// A running server with its clients.
pub(super) struct Rig {
    pub(super) site: Site,
    pub(super) ledger: Ledger,
    pub(super) clients: Vec<LedgerServiceClient<Channel>>,
    pub(super) floors: Vec<FloorServiceClient<Channel>>,
    stop: oneshot::Sender<()>,
    server: tokio::task::JoinHandle<crate::ledger::Result<()>>,
}

impl Rig {
    /// A new ledger in `scratch`, served.
    pub(super) async fn start(scratch: &Path) -> Result<Self> {
        let raw = RawTable::create(&scratch.join("raw.db"))?;
        Site { data: DataDir::new(scratch.join("data")), next: 0, raw }.restart().await
    }

    /// Ends the server and closes the ledger.
    pub(super) async fn stop(self) -> Result<Site> {
        let Self { site, ledger, clients, floors, stop, server } = self;
        drop((clients, floors));
        drop(stop);
        server.await??;
        tokio::task::spawn_blocking(move || drop(ledger)).await?;
        Ok(site)
    }

    /// A client.
    pub(super) fn client(&self) -> Result<LedgerServiceClient<Channel>> {
        self.clients.first().cloned().context("there is no client")
    }

    /// A directory on the disk under test.
    pub(super) fn dir(&self) -> &Path {
        self.site.data.root()
    }
}

impl Site {
    /// Opens the ledger and serves it.
    pub(super) async fn restart(self) -> Result<Rig> {
        let ledger =
            Ledger::open_or_create(Options::new(self.data.clone(), "plimsoll bench"), Creation::default()).await?;
        let (stop, stopped) = oneshot::channel::<()>();
        let (ready, addresses) = oneshot::channel::<Addresses>();
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let floor = FloorBench { leaf: material::draft(0).data_json.repeat(2).into_bytes().into() };
        let options = ServerOptions {
            grpc: any,
            http: any,
            views: None,
            intakes: None,
            doors: axum::Router::new(),
            floor: Some(floor),
        };
        let tell = move |addresses| {
            let _nobody_waits = ready.send(addresses).is_err();
        };
        let until = async { drop(stopped.await) };
        let server = tokio::spawn(serve(ledger.clone(), options, tell, until));
        let grpc = addresses.await.context("the server did not start")?.grpc;
        let mut clients = Vec::new();
        let mut floors = Vec::new();
        for _ in 0..CONNECTIONS {
            let channel = channel(grpc).await?;
            clients.push(LedgerServiceClient::new(channel.clone()).max_decoding_message_size(MESSAGE_BYTES_MAX));
            floors.push(FloorServiceClient::new(channel));
        }
        Ok(Rig { site: self, ledger, clients, floors, stop, server })
    }
}

/// A connection as a client makes one.
pub(super) async fn channel(address: SocketAddr) -> Result<Channel> {
    let endpoint = tonic::transport::Endpoint::from_shared(format!("http://{address}"))?;
    let endpoint = endpoint.initial_stream_window_size(4 << 20).initial_connection_window_size(8 << 20);
    endpoint.tcp_nodelay(true).connect().await.context("cannot connect")
}
