//! Sockets, TLS and HTTP: from connections to answers.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode, Uri};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, Limited, StreamBody};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_stream::wrappers::ReceiverStream;

use super::access::Access;
use super::failure::Failure;
use super::kinds;
use super::list;
use super::request::Request;
use super::watch::Watch;
use super::write::{Write, Written};
use super::{Seen, Shared, State};

/// In bytes, of a request's body.
const BODY_MAX: usize = 3_145_728;

type Body = UnsyncBoxBody<Bytes, std::io::Error>;

/// A certificate authority of the test run's own, and what it vouches for. One for all servers: keys take time to make.
pub struct Identity {
    pub authority_pem: String,
    acceptor: TlsAcceptor,
}

pub static IDENTITY: LazyLock<Identity> = LazyLock::new(|| {
    let authority_key = rcgen::KeyPair::generate().unwrap();
    let mut authority = rcgen::CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    authority.distinguished_name.push(rcgen::DnType::CommonName, "stand-in authority");
    let authority_pem = authority.self_signed(&authority_key).unwrap().pem();
    let issuer = rcgen::Issuer::new(authority, authority_key);
    let key = rcgen::KeyPair::generate().unwrap();
    let server = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned(), "localhost".to_owned()]).unwrap();
    let certificate = server.signed_by(&key, &issuer).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Identity { authority_pem, acceptor: TlsAcceptor::from(Arc::new(config)) }
});

/// Serves until it is told to stop, or nobody is left to tell it. Then every connection breaks where it is.
pub async fn accept(listener: TcpListener, shared: Arc<Shared>, mut stop: oneshot::Receiver<()>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            _ = &mut stop => break,
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else { continue };
                let shared = shared.clone();
                connections.spawn(async move {
                    let _undelayed = stream.set_nodelay(true).is_ok();
                    let Ok(stream) = IDENTITY.acceptor.accept(stream).await else { return };
                    let service = service_fn(move |request| answer(shared.clone(), request));
                    let builder = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
                    let _broken = builder.serve_connection(TokioIo::new(stream), service).await.is_err();
                });
            }
            Some(_) = connections.join_next() => {}
        }
    }
    drop(listener);
    connections.shutdown().await;
}

fn cut() -> std::io::Error {
    std::io::Error::new(std::io::ErrorKind::ConnectionAborted, "the connection was cut")
}

fn whole(status: u16, body: impl Into<Bytes>) -> Response<Body> {
    let body = Full::new(body.into()).map_err(|never| match never {}).boxed_unsync();
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    response.headers_mut().insert("content-type", "application/json".parse().unwrap());
    response
}

fn refused(failure: &Failure) -> Response<Body> {
    let mut response = whole(failure.code, failure.status().to_string());
    if let Some(after) = failure.retry_after {
        response.headers_mut().insert("retry-after", after.into());
    }
    response
}

fn written(written: &Written) -> Response<Body> {
    let mut response = whole(written.status, written.body.to_string());
    for warning in &written.warnings {
        let text = format!("299 - \"{}\"", warning.replace('\\', "\\\\").replace('"', "\\\""));
        response.headers_mut().append("warning", text.parse().unwrap());
    }
    response
}

async fn answer(shared: Arc<Shared>, request: http::Request<Incoming>) -> Result<Response<Body>, std::io::Error> {
    let delay = shared.state().faults.delay;
    if delay > Duration::ZERO {
        tokio::time::sleep(delay).await;
    }
    let (parts, body) = request.into_parts();
    let body = match Limited::new(body, BODY_MAX).collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) if error.is::<http_body_util::LengthLimitError>() => {
            let message = format!("Request entity too large: limit is {BODY_MAX}");
            return Ok(refused(&Failure::new(413, "RequestEntityTooLarge", message)));
        }
        Err(_) => return Err(cut()),
    };
    {
        let mut state = shared.state();
        state.note(&parts.method, &parts.uri, &parts.headers);
        if let Some(outcome) = state.faults.intercept() {
            return outcome.map(|failure| refused(&failure)).ok_or_else(cut);
        }
    }
    match respond(&shared, &parts, &body) {
        Ok(Some(response)) => Ok(response),
        Ok(None) => Err(cut()),
        Err(failure) => Ok(refused(&failure)),
    }
}

/// `None`: it was done, and the answer is lost.
fn respond(
    shared: &Arc<Shared>,
    parts: &http::request::Parts,
    body: &Bytes,
) -> Result<Option<Response<Body>>, Failure> {
    let segments: Vec<&str> = parts.uri.path().split('/').filter(|segment| !segment.is_empty()).collect();
    if let ["healthz" | "livez" | "readyz", ..] = segments.as_slice() {
        return Ok(Some(whole(200, "ok")));
    }
    let mut guard = shared.state();
    let state = &mut *guard;
    let user = state.access.authenticate(&parts.headers)?;
    if let Some(document) = kinds::discovery(&segments) {
        return Ok(Some(whole(200, document.to_string())));
    }
    let request = Request::parse(&parts.method, &parts.uri, &parts.headers)?;
    Access::authorize(&user, &request)?;
    match request.verb {
        "get" => return list::get(&request, &state.store).map(|object| Some(whole(200, object.to_string()))),
        "list" => return list::list(&request, &state.store).map(|list| Some(whole(200, list.to_string()))),
        "watch" => {
            let watch = Watch::begin(request, state, shared.second)?;
            let (to, from) = mpsc::channel(16);
            tokio::spawn(watch.run(shared.clone(), to));
            let mut response = Response::new(StreamBody::new(ReceiverStream::new(from)).boxed_unsync());
            response.headers_mut().insert("content-type", "application/json".parse().unwrap());
            return Ok(Some(response));
        }
        _ => {}
    }
    let body = parse(body, &parts.headers, &parts.uri)?;
    let done = write(state, &request, &body)?;
    drop(guard);
    shared.changed();
    Ok(if shared.state().faults.loses() { None } else { Some(written(&done)) })
}

fn parse(body: &Bytes, headers: &HeaderMap, uri: &Uri) -> Result<Value, Failure> {
    if body.is_empty() {
        return Ok(Value::Null);
    }
    let json = serde_json::from_slice(body);
    let yaml = headers.get("content-type").is_some_and(|value| value.to_str().unwrap_or_default().contains("yaml"));
    match json {
        Err(_) if yaml => serde_saphyr::from_slice(body).map_err(|error| Failure::bad_request(error.to_string())),
        other => other.map_err(|error| {
            Failure::bad_request(format!("{}: couldn't get version/kind; json parse error: {error}", uri.path()))
        }),
    }
}

/// Carries out one write.
pub fn write(state: &mut State, request: &Request, body: &Value) -> Result<Written, Failure> {
    if request.verb == "deletecollection" {
        return delete_all(state, request, body);
    }
    let State { store, serial, .. } = state;
    let write = Write { request, body, serial };
    match request.verb {
        "create" => write.create(store),
        "update" => write.replace(store),
        "patch" => write.patch(store),
        _ => write.delete(store),
    }
}

fn delete_all(state: &mut State, request: &Request, body: &Value) -> Result<Written, Failure> {
    let listed = list::list(request, &state.store)?;
    for item in listed["items"].as_array().into_iter().flatten() {
        let text = |name: &str| item["metadata"][name].as_str().map(str::to_owned);
        let one = Request {
            verb: "delete",
            kind: request.kind,
            namespace: text("namespace"),
            name: text("name"),
            subresource: None,
            parameters: request.parameters.clone(),
            content_type: String::new(),
            agent: request.agent.clone(),
            partial: false,
        };
        write(state, &one, body)?;
    }
    Ok(Written { status: 200, body: Arc::new(listed), warnings: Vec::new() })
}

impl State {
    /// Keeps what was asked, for tests to look at.
    fn note(&mut self, method: &http::Method, uri: &Uri, headers: &HeaderMap) {
        if let Ok(request) = Request::parse(method, uri, headers) {
            self.seen.push(Seen {
                verb: request.verb,
                resource: request.resource(),
                namespace: request.namespace,
                name: request.name,
                query: request.parameters,
                agent: request.agent,
            });
        }
    }
}
