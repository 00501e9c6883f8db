//! A stand-in for the Kubernetes API server: real sockets, TLS and HTTP, used through an unmodified `kube::Client`.
//!
//! It does what a real one was measured to do, for the kinds and requests that the ledger and its tests make. It has no
//! admission, no controllers, no defaulting beyond replicas, and its schemas are of its own making.
//! `super::conformance` says row by row where it agrees.

mod access;
mod failure;
mod faults;
mod fields;
mod kinds;
mod laws;
mod list;
mod listener;
mod patch;
mod request;
mod schema;
mod selector;
mod store;
mod watch;
mod write;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kube::config::{KubeConfigOptions, Kubeconfig};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

pub use access::Rule;
use access::{Access, User};
use faults::Faults;
use kinds::Kind;
use request::Request;
use store::Store;

/// What `/version` says.
pub const VERSION: &str = "v1.36.2-stand-in";

/// How the stand-in behaves for as long as it is there.
#[derive(Clone)]
pub struct Options {
    /// How long a server second is: of `timeoutSeconds` and of the time between bookmarks.
    pub second: Duration,
    /// Whether etcd can tell of its progress. Old ones cannot, and then no watch may ask for bookmarks.
    pub request_progress: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { second: Duration::from_secs(1), request_progress: true }
    }
}

/// A request that came for objects.
#[derive(Clone, Debug)]
pub struct Seen {
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete` or `deletecollection`.
    pub verb: &'static str,
    /// Plural, with its subresource: `deployments/scale`.
    pub resource: String,
    pub namespace: Option<String>,
    pub name: Option<String>,
    pub query: BTreeMap<String, String>,
    pub agent: String,
}

struct State {
    store: Store,
    access: Access,
    faults: Faults,
    options: Options,
    seen: Vec<Seen>,
    serial: u64,
}

struct Shared {
    state: Mutex<State>,
    /// Moves whenever a watch should look again.
    signal: tokio::sync::watch::Sender<u64>,
    second: Duration,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn changed(&self) {
        self.signal.send_modify(|n| *n += 1);
    }
}

enum Socket {
    /// It stops when it is told to, or this is dropped.
    Serving(oneshot::Sender<()>, JoinHandle<()>),
    /// Bound, so that nobody else gets the port; not listening, so that connections are refused.
    Refusing(TcpSocket),
}

/// The stand-in. It is gone when this is dropped.
pub struct ApiServer {
    shared: Arc<Shared>,
    address: SocketAddr,
    socket: Mutex<Option<Socket>>,
}

/// Now, as Kubernetes writes it.
#[expect(clippy::disallowed_methods, reason = "a server has a clock of its own")]
fn now() -> String {
    chrono::Utc::now().format("%Y-%m-%dT%H:%M:%SZ").to_string()
}

impl ApiServer {
    pub async fn start() -> Self {
        Self::start_with(Options::default()).await
    }

    pub async fn start_with(options: Options) -> Self {
        let admin =
            User { name: "kubernetes-admin".to_owned(), token: "token-of-kubernetes-admin".to_owned(), rules: None };
        let second = options.second;
        let state = State {
            store: Store::new(),
            access: Access { users: vec![admin] },
            faults: Faults::default(),
            options,
            seen: Vec::new(),
            serial: 0,
        };
        let (signal, _) = tokio::sync::watch::channel(0);
        let shared = Arc::new(Shared { state: Mutex::new(state), signal, second });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let socket = Mutex::new(Some(serve(listener, shared.clone())));
        let server = Self { shared, address, socket };
        let namespace = |name: &str| json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        server.seed(["default", "kube-system", "argocd"].map(namespace).into());
        server
    }

    fn kubeconfig_of(&self, name: &str, token: &str) -> Kubeconfig {
        let authority = STANDARD.encode(&listener::IDENTITY.authority_pem);
        let cluster = json!({"server": format!("https://{}", self.address), "certificate-authority-data": authority});
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "stand-in",
            "clusters": [{"name": "stand-in", "cluster": cluster}],
            "users": [{"name": name, "user": {"token": token}}],
            "contexts": [{"name": "stand-in", "context": {"cluster": "stand-in", "user": name, "namespace": "default"}}],
        });
        serde_json::from_value(config).unwrap()
    }

    /// With every right.
    pub fn kubeconfig(&self) -> Kubeconfig {
        self.kubeconfig_of("kubernetes-admin", "token-of-kubernetes-admin")
    }

    /// The same as a file in a directory.
    pub fn kubeconfig_file(&self, directory: &Path) -> PathBuf {
        let path = directory.join(format!("kubeconfig-{}", self.address.port()));
        // Every JSON text is a YAML one.
        std::fs::write(&path, serde_json::to_string_pretty(&self.kubeconfig()).unwrap()).unwrap();
        path
    }

    /// A client with every right.
    pub async fn client(&self) -> kube::Client {
        client(self.kubeconfig()).await
    }

    /// Makes a user who may do just this.
    pub fn user(&self, name: &str, rules: Vec<Rule>) -> Kubeconfig {
        let token = format!("token-of-{name}");
        let user = User { name: name.to_owned(), token: token.clone(), rules: Some(rules) };
        self.shared.state().access.users.push(user);
        self.kubeconfig_of(name, &token)
    }

    /// From now on nobody knows the user's token.
    pub fn forget(&self, name: &str) {
        self.shared.state().access.users.retain(|user| user.name != name);
    }

    /// Creates objects as `POST` would, without the way over the wire.
    pub fn seed(&self, objects: Vec<Value>) {
        for object in objects {
            let kind = Kind::of(&object).unwrap_or_else(|| panic!("not served here: {object}"));
            let namespace = object["metadata"]["namespace"].as_str().unwrap_or("default");
            let request = Request {
                verb: "create",
                kind,
                namespace: kind.namespaced.then(|| namespace.to_owned()),
                name: None,
                subresource: None,
                parameters: BTreeMap::new(),
                content_type: "application/json".to_owned(),
                agent: "stand-in".to_owned(),
                partial: false,
            };
            let written = listener::write(&mut self.shared.state(), &request, &object);
            if let Err(failure) = written {
                panic!("{failure:?}: {object}");
            }
        }
        self.shared.changed();
    }

    /// The newest revision of the store.
    pub fn revision(&self) -> u64 {
        self.shared.state().store.revision()
    }

    /// What was asked so far, oldest first: also what was refused or cut.
    pub fn requests(&self) -> Vec<Seen> {
        self.shared.state().seen.clone()
    }

    /// All revisions before now are gone: a watch from one gets 410 in its stream, a `continue` token 410.
    pub fn compact_now(&self) {
        self.shared.state().store.compact();
    }

    /// Breaks every open watch in the middle of its stream.
    pub fn drop_streams(&self) {
        self.break_streams(false);
    }

    /// The same within a line: what a client has of its last event is no JSON.
    pub fn tear_streams(&self) {
        self.break_streams(true);
    }

    fn break_streams(&self, torn: bool) {
        {
            let mut state = self.shared.state();
            state.faults.breaks += 1;
            state.faults.torn = torn;
        }
        self.shared.changed();
    }

    /// Ends every open watch as its timeout would.
    pub fn end_streams(&self) {
        self.shared.state().faults.ends += 1;
        self.shared.changed();
    }

    /// Whether watches stay open and say nothing: no event, no bookmark, no end. Requests are answered.
    pub fn stall_streams(&self, stalled: bool) {
        self.shared.state().faults.stalled = stalled;
        self.shared.changed();
    }

    /// Sends a bookmark on every watch that asked for them.
    pub fn bookmark_now(&self) {
        self.shared.state().faults.bookmarks += 1;
        self.shared.changed();
    }

    /// How long every request waits from now on.
    pub fn delay(&self, delay: Duration) {
        self.shared.state().faults.delay = delay;
    }

    /// Cuts the connections of the next requests without an answer.
    pub fn refuse(&self, requests: u32) {
        self.shared.state().faults.refusals = requests;
    }

    /// Answers the next requests with a status, and `retry-after` in seconds.
    pub fn answer(&self, status: u16, retry_after: Option<u32>, requests: u32) {
        self.shared.state().faults.answers = Some((status, retry_after, requests));
    }

    /// Carries out the next writes and loses the answers.
    pub fn lose_answers(&self, writes: u32) {
        self.shared.state().faults.lost = writes;
    }

    /// Breaks every connection, and refuses new ones. What is stored stays.
    pub async fn kill(&self) {
        let socket = self.socket.lock().unwrap().take();
        let Some(Socket::Serving(stop, task)) = socket else { panic!("it is not there") };
        stop.send(()).unwrap();
        task.await.unwrap();
        let held = TcpSocket::new_v4().unwrap();
        held.set_reuseaddr(true).unwrap();
        // A process that another test is just starting holds every socket of this one until it is a program of its own.
        let until = std::time::Instant::now() + Duration::from_secs(30);
        while let Err(error) = held.bind(self.address) {
            assert!(error.kind() == std::io::ErrorKind::AddrInUse && std::time::Instant::now() < until, "{error}");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        *self.socket.lock().unwrap() = Some(Socket::Refusing(held));
        // Clients in this process hear of their broken connections before anything else is asked of them.
        tokio::time::sleep(Duration::from_millis(5)).await;
    }

    /// Puts back a backup of the store, as of a revision. Only while the server is killed. What came later is lost, and
    /// revisions that clients remember may be in the future.
    pub fn restore_backup(&self, revision: u64) {
        let down = matches!(*self.socket.lock().unwrap(), Some(Socket::Refusing(_)));
        assert!(down, "the server is not killed");
        self.shared.state().store.restore(revision);
    }

    /// Starts again on the same port, as a new process does: watches from before are too old, and the first watch of
    /// each kind finds it initializing.
    pub fn restart(&self) {
        let cold = kinds::KINDS.iter().map(|kind| kind.plural).collect();
        self.shared.state().faults.cold = cold;
        self.restart_warm();
    }

    /// The same after the first moment.
    pub fn restart_warm(&self) {
        let socket = self.socket.lock().unwrap().take();
        let Some(Socket::Refusing(held)) = socket else { panic!("it is still there") };
        self.shared.state().store.restart();
        let serving = serve(held.listen(1024).unwrap(), self.shared.clone());
        *self.socket.lock().unwrap() = Some(serving);
    }
}

fn serve(listener: TcpListener, shared: Arc<Shared>) -> Socket {
    let (stop, stopped) = oneshot::channel();
    Socket::Serving(stop, tokio::spawn(listener::accept(listener, shared, stopped)))
}

/// An unmodified client.
pub async fn client(kubeconfig: Kubeconfig) -> kube::Client {
    let config = kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap();
    kube::Client::try_from(config).unwrap()
}
