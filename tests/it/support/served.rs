//! A ledger served in this process, over real sockets.

use std::sync::Arc;
use std::time::Duration;

use plimsoll::api::proto::v1 as pb;
use plimsoll::api::proto::v1::ledger_service_client::LedgerServiceClient;
use plimsoll::api::{Addresses, IntakeCounts, ServerOptions, draft_to_proto, serve};
use plimsoll::app::Views;
use plimsoll::event::Draft;
use plimsoll::ingest::{Intake, Settings};
use plimsoll::ledger::Ledger;
use plimsoll::ledger::verify::{Checks, Report, verify};
use plimsoll::projection::all;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tonic::transport::{Channel, Endpoint};

use super::http::{self, Answer};
use super::{House, draft};

/// The client of the service.
pub type Client = LedgerServiceClient<Channel>;

/// Longest that a test waits for something that must come.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Waits for what must come, and says what did not.
pub async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(value) => value,
        Err(_) => panic!("waited in vain: {what}"),
    }
}

/// A house whose ledger is served.
pub struct Served {
    pub house: House,
    pub ledger: Ledger,
    pub addresses: Addresses,
    pub intake: Intake,
    pub views: Views,
    stop: oneshot::Sender<()>,
    server: JoinHandle<plimsoll::ledger::Result<()>>,
}

impl Served {
    /// A new ledger, served.
    pub async fn new() -> Self {
        Self::with_settings(Settings::default()).await
    }

    /// The same with settings of the ways in.
    pub async fn with_settings(settings: Settings) -> Self {
        let house = House::new();
        let ledger = house.open().await;
        let any = ([127, 0, 0, 1], 0).into();
        let intake = Intake::new(ledger.clone(), settings).unwrap();
        let doors = plimsoll::ingest::http::router(intake.clone());
        let counters = intake.counters().clone();
        let counts = IntakeCounts(Arc::new(move || counters.all()));
        let views = Views::open(&ledger, &house.data(), all).unwrap();
        let options = ServerOptions {
            grpc: any,
            http: any,
            views: Some(views.clone()),
            intakes: Some(counts),
            doors,
            floor: None,
        };
        let (stop, stopped) = oneshot::channel::<()>();
        let (ready, addresses) = oneshot::channel();
        let tell = move |addresses| assert!(ready.send(addresses).is_ok());
        let until = async move {
            let _dropped = stopped.await.is_err();
        };
        let server = tokio::spawn(serve(ledger.clone(), options, tell, until));
        let addresses = within("the server's addresses", addresses).await.unwrap();
        Self { house, ledger, addresses, intake, views, stop, server }
    }

    /// The same with `n` small events after `ledger.created`.
    pub async fn with_events(n: u64) -> Self {
        let served = Self::new().await;
        for first in (0..n).step_by(1000) {
            let drafts = (first..n.min(first + 1000)).map(|n| draft(&format!("repo/example.com/{}", n % 7), n));
            served.ledger.append(drafts.collect()).await.unwrap();
        }
        served
    }

    /// Where gRPC is.
    pub fn endpoint(&self) -> Endpoint {
        Endpoint::from_shared(format!("http://{}", self.addresses.grpc)).unwrap()
    }

    /// A connection of its own.
    pub async fn channel(&self) -> Channel {
        self.endpoint().connect().await.unwrap()
    }

    /// A client with a connection of its own.
    pub async fn client(&self) -> Client {
        Client::new(self.channel().await).max_decoding_message_size(64 << 20)
    }

    /// `GET` from the HTTP port.
    pub async fn get(&self, path: &str) -> Answer {
        http::get(self.addresses.http, path).await
    }

    /// Stops the server as a signal would. The ledger stays open.
    pub async fn stop(self) -> (House, Ledger) {
        let Self { house, ledger, intake, views, stop, server, .. } = self;
        drop(intake);
        let _already_gone = stop.send(()).is_err();
        within("the end of the server", server).await.unwrap().unwrap();
        views.close().await.unwrap();
        (house, ledger)
    }

    /// Stops the server, closes the ledger, and verifies all of it: every test is an audit too.
    pub async fn finish(self) -> Report {
        let (house, ledger) = self.stop().await;
        tokio::task::spawn_blocking(move || drop(ledger)).await.unwrap();
        let report = audit(&house);
        assert!(report.ok, "{:#?}", report.findings);
        report
    }
}

/// Reads every byte of a house's ledger again.
pub fn audit(house: &House) -> Report {
    let ledger = Ledger::open_read_only(&house.data()).unwrap();
    let now = plimsoll::ledger::Clock::now(&*house.clock);
    let checks = Checks {
        engine: Arc::clone(ledger.engine()),
        key: ledger.key().clone(),
        index: Some(Arc::clone(ledger.index())),
        evidence: Some(ledger.evidence().clone()),
        guard: None,
        remembered: None,
        threads: 2,
        now,
    };
    verify(&checks, &mut |_, _| {}).unwrap()
}

/// A draft as it goes over the wire.
pub fn wire(draft: &Draft) -> pb::Draft {
    draft_to_proto(draft).unwrap()
}

/// A request of small events of one stream.
pub fn request(stream: &str, numbers: std::ops::Range<u64>) -> pb::AppendRequest {
    pb::AppendRequest { drafts: numbers.map(|n| wire(&draft(stream, n))).collect(), with_receipts: false }
}

/// What a status says to scripts: the reason, and its metadata.
pub fn reason(status: &tonic::Status) -> (String, std::collections::HashMap<String, String>) {
    use tonic_types::StatusExt;
    let info = status.get_details_error_info().unwrap_or_else(|| panic!("no ErrorInfo: {status:?}"));
    assert_eq!(info.domain, "plimsoll");
    (info.reason, info.metadata)
}

/// The field that a status finds fault with.
pub fn field(status: &tonic::Status) -> String {
    use tonic_types::StatusExt;
    let request = status.get_details_bad_request().unwrap_or_else(|| panic!("no BadRequest: {status:?}"));
    assert_eq!(request.field_violations.len(), 1);
    assert!(!request.field_violations[0].description.is_empty());
    request.field_violations[0].field.clone()
}
