//! CloudEvents 1.0 over HTTP, in all three modes: one event as JSON (structured), one event with its attributes in headers
//! (binary), or several as JSON (batch). Also a bare CDEvent, without an envelope.
//!
//! What speaks CDEvents becomes events of the vocabulary where that has a word; everything else is kept as it came. Every
//! event of a batch is evidence by itself, and a batch is taken as a whole or not at all.

use bytes::Bytes;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::authentication::Authentication;
use super::git::name_of;
use super::{Asked, Delivery, Events, Headers, Reason, Rejection, System, delivery};
use crate::cdevents::{self, CUSTOM_PREFIX, CdEvent, PREFIX, Place, Said};
use crate::event::foreign::ForeignReceived;
use crate::event::{Data, Dedup, Draft, EvidenceRef, MediaType, Private, StreamName, Timestamp};
use crate::report::{Shape, Sketch, value};

/// The name of the system, and of the webhook that `/v1/events` is another path of.
pub(super) const NAME: &str = "cloudevents";

/// CloudEvents.
pub(super) const SYSTEM: System = System {
    name: NAME,
    about: "CloudEvents 1.0, CDEvents 0.3 to 0.5 among them; also at /v1/events",
    events: &["CDEvents", "any other CloudEvent, as it came"],
    authentication: Authentication::Shared,
    secret_members: &[],
    recognise,
    normalise,
};

/// Longest type or subject that goes into an event.
const NAME_BYTES_MAX: usize = 512;

fn recognise(headers: &Headers, sketch: &Sketch) -> bool {
    let enveloped = sketch.has("specversion") && sketch.has("type") && sketch.has("source");
    let bare = sketch.get("context.type");
    mode_by_headers(headers).is_some() || enveloped || bare.starts_with(PREFIX) || bare.starts_with(CUSTOM_PREFIX)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Structured,
    Binary,
    Batch,
    /// A CDEvent without an envelope.
    Bare,
}

/// How events are sent, as the content type says, or else that there are attributes in headers.
fn mode_by_headers(headers: &Headers) -> Option<Mode> {
    let essence = essence(headers);
    if essence.starts_with("application/cloudevents-batch") {
        return Some(Mode::Batch);
    }
    if essence.starts_with("application/cloudevents") {
        return Some(Mode::Structured);
    }
    headers.iter().any(|(name, _)| name.starts_with("ce-")).then_some(Mode::Binary)
}

/// How events are sent, as the beginning of a body shows.
fn mode_by_sketch(sketch: &Sketch) -> Option<Mode> {
    match sketch.shape {
        Shape::Array if sketch.has("specversion") => Some(Mode::Batch),
        Shape::Object if sketch.has("specversion") => Some(Mode::Structured),
        Shape::Object if sketch.has("context") => Some(Mode::Bare),
        _ => None,
    }
}

/// What the whole body shows, where its beginning did not.
fn mode_within(delivery: &Delivery<'_>) -> Result<Mode, Rejection> {
    let body: Value = serde_json::from_str(text(delivery)?).map_err(|error| Rejection::json(&error))?;
    let first = body.get(0).unwrap_or(&body);
    match (first.get("specversion"), first.get("context")) {
        (Some(_), _) if body.is_array() => Ok(Mode::Batch),
        (Some(_), _) => Ok(Mode::Structured),
        (None, Some(_)) if body.is_object() => Ok(Mode::Bare),
        _ => {
            let what = "no CloudEvent: neither ce- headers, nor a content type of CloudEvents, nor the members of one";
            Err(Rejection::new(Reason::UnknownFormat, what))
        }
    }
}

/// The content type without parameters, in lower case.
fn essence(headers: &Headers) -> String {
    let content_type = headers.get("content-type").unwrap_or_default();
    content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

fn normalise(delivery: &Delivery<'_>) -> Result<Events, Rejection> {
    let mode = mode_by_headers(delivery.headers).or_else(|| mode_by_sketch(&Sketch::of(delivery.body)));
    let mode = mode.map_or_else(|| mode_within(delivery), Ok)?;
    let mut events = Events { by_content: true, ..Events::default() };
    match mode {
        Mode::Binary => binary(delivery, &mut events)?,
        Mode::Structured => {
            let text = text(delivery)?;
            structured(delivery, text, &mut events)?;
        }
        Mode::Batch => {
            let all: Vec<&RawValue> = serde_json::from_str(text(delivery)?).map_err(|error| Rejection::json(&error))?;
            for (n, one) in all.iter().enumerate() {
                structured(delivery, one.get(), &mut events).map_err(|rejection| rejection.at(format!("[{n}]")))?;
            }
            if all.is_empty() {
                events.passed_over.push("an empty batch".to_owned());
            }
        }
        Mode::Bare => bare(delivery, text(delivery)?, &mut events)?,
    }
    Ok(events)
}

/// The body as text of JSON.
fn text<'a>(delivery: &Delivery<'a>) -> Result<&'a str, Rejection> {
    let essence = essence(delivery.headers);
    if essence.starts_with("application/cloudevents") && !essence.ends_with("+json") {
        let what = format!("{essence:?}: of the formats of CloudEvents only JSON is taken");
        return Err(Rejection::new(Reason::UnsupportedEncoding, what).at("content-type"));
    }
    if delivery.body.trim_ascii().is_empty() {
        return Err(Rejection::new(Reason::Empty, "the body is empty"));
    }
    let text = std::str::from_utf8(delivery.body)
        .map_err(|error| Rejection::new(Reason::NotUtf8, format!("byte {} is not UTF-8", error.valid_up_to())))?;
    Ok(text.strip_prefix('\u{feff}').unwrap_or(text))
}

/// What every event has, whichever way it came.
#[derive(Debug, Default)]
struct Attributes {
    id: String,
    source: String,
    kind: String,
    subject: Option<String>,
    time: Option<Timestamp>,
}

impl Attributes {
    /// From wherever attributes are; `field` is how an attribute is called there.
    fn read(
        get: impl Fn(&str) -> Result<Option<String>, Rejection>,
        missing: Reason,
        field: impl Fn(&str) -> String,
    ) -> Result<Self, Rejection> {
        let need = |name: &str| match get(name)? {
            Some(text) if text.is_empty() => Err(Rejection::new(Reason::BadField, "must not be empty").at(field(name))),
            Some(text) => Ok(text),
            None => Err(Rejection::new(missing, "is missing").at(field(name))),
        };
        let version = need("specversion")?;
        if version != "1.0" {
            let what = format!("version {version:?} of CloudEvents is not known here: 1.0 is");
            return Err(Rejection::new(Reason::UnsupportedVersion, what).at(field("specversion")));
        }
        let time = get("time")?.filter(|time| !time.is_empty());
        let time = time.map(|time| value::time(&field("time"), &time)).transpose()?.flatten();
        let subject = get("subject")?.filter(|subject| !subject.is_empty());
        Ok(Self { id: need("id")?, source: need("source")?, kind: need("type")?, subject, time })
    }

    /// Of a bare CDEvent.
    fn of(event: &CdEvent) -> Self {
        let (id, source, kind) = (event.id.clone(), event.source.clone(), event.kind.clone());
        Self { id, source, kind, subject: event.subject.clone(), time: Some(event.time) }
    }

    /// Whether its data is a CDEvent.
    fn is_cdevent(&self) -> bool {
        self.kind.starts_with(PREFIX) || self.kind.starts_with(CUSTOM_PREFIX)
    }

    /// Source, id and type: many senders use an id again for another type.
    fn dedup(&self) -> Result<Dedup, Rejection> {
        let key = format!("{} {} {}", self.source, self.id, self.kind);
        // Where it may name a person, or white space would make two readings of it, it is hashed with lengths before the
        // parts: nothing of a key is ever erased.
        if !is_place(&self.source) || self.id.contains('@') || self.kind.contains(['@', ' ']) {
            let key = format!("{}:{}:{key}", self.source.len(), self.kind.len());
            return Ok(format!("blake3:{}", blake3::hash(key.as_bytes())).parse::<Dedup>()?);
        }
        delivery::short(&key)
    }
}

fn structured(delivery: &Delivery<'_>, text: &str, events: &mut Events) -> Result<(), Rejection> {
    let members: Map<String, Value> = serde_json::from_str(text).map_err(|error| Rejection::json(&error))?;
    let get = |name: &str| match members.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(Rejection::new(Reason::BadField, "must be a string").at(name)),
    };
    let attributes = Attributes::read(get, Reason::MissingField, str::to_owned)?;
    let present = |name: &str| members.get(name).filter(|value| !value.is_null());
    let (data, encoded) = (present("data"), present("data_base64"));
    if data.is_some() && encoded.is_some() {
        return Err(Rejection::new(Reason::BadField, "an event has data or data_base64, not both").at("data_base64"));
    }
    let said = match (attributes.is_cdevent(), data, encoded) {
        (false, _, _) => None,
        (true, Some(data), _) => Some(read(data).map_err(|rejection| rejection.at("data"))?),
        (true, None, Some(encoded)) => {
            let bytes = decoded(encoded)?;
            let data: Value =
                serde_json::from_slice(&bytes).map_err(|error| Rejection::json(&error).at("data_base64"))?;
            Some(read(&data).map_err(|rejection| rejection.at("data_base64"))?)
        }
        (true, None, None) => return Err(Rejection::missing("data")),
    };
    if let Some(said) = said.as_ref().filter(|said| said.kind != attributes.kind) {
        let what = format!("is {:?}, and the event within says {:?}", attributes.kind, said.kind);
        return Err(Rejection::new(Reason::BadField, what).at("type"));
    }
    let one = One { attributes, said, media_type: "application/cloudevents+json", bytes: text.as_bytes() };
    one.add(delivery, events, "time", "data.context.timestamp")
}

/// Bytes of `data_base64`.
fn decoded(encoded: &Value) -> Result<Vec<u8>, Rejection> {
    let bad = |what: &str| Rejection::new(Reason::BadField, what).at("data_base64");
    let text = encoded.as_str().ok_or_else(|| bad("must be a string"))?;
    data_encoding::BASE64.decode(text.as_bytes()).map_err(|error| bad(&format!("is not base64: {error}")))
}

fn binary(delivery: &Delivery<'_>, events: &mut Events) -> Result<(), Rejection> {
    let get = |name: &str| match delivery.headers.get(&format!("ce-{name}")) {
        Some(text) => header(text).map(Some).ok_or_else(|| {
            Rejection::new(Reason::BadField, "what its percent signs stand for is not UTF-8").at(format!("ce-{name}"))
        }),
        None => Ok(None),
    };
    let attributes = Attributes::read(get, Reason::MissingHeader, |name| format!("ce-{name}"))?;
    let said = if attributes.is_cdevent() {
        let data: Value = serde_json::from_str(text(delivery)?).map_err(|error| Rejection::json(&error))?;
        Some(read(&data)?)
    } else {
        None
    };
    if let Some(said) = said.as_ref().filter(|said| said.kind != attributes.kind) {
        let what = format!("is {:?}, and the event within says {:?}", attributes.kind, said.kind);
        return Err(Rejection::new(Reason::BadField, what).at("ce-type"));
    }
    let content_type = delivery.headers.get("content-type").map(str::trim).unwrap_or_default();
    let known = content_type.parse::<MediaType>().is_ok();
    let media_type = if known { content_type } else { "application/octet-stream" };
    let one = One { attributes, said, media_type, bytes: delivery.body };
    one.add(delivery, events, "ce-time", "context.timestamp")
}

/// The value of a header: quotes, which some senders put around it, go; what is percent-encoded is decoded (HTTP binding,
/// 3.1.3.2).
fn header(text: &str) -> Option<String> {
    let quoted = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
    let plain = quoted.map_or_else(
        || text.to_owned(),
        |quoted| {
            let mut escaped = false;
            quoted
                .chars()
                .filter(|c| {
                    escaped = *c == '\\' && !escaped;
                    !escaped
                })
                .collect()
        },
    );
    percent_encoding::percent_decode_str(&plain).decode_utf8().ok().map(std::borrow::Cow::into_owned)
}

fn bare(delivery: &Delivery<'_>, text: &str, events: &mut Events) -> Result<(), Rejection> {
    let event: Value = serde_json::from_str(text).map_err(|error| Rejection::json(&error))?;
    let said = read(&event)?;
    let attributes = Attributes::of(&said);
    let one = One { attributes, said: Some(said), media_type: "application/json", bytes: text.as_bytes() };
    one.add(delivery, events, "context.timestamp", "context.timestamp")
}

/// A CDEvent.
fn read(event: &Value) -> Result<CdEvent, Rejection> {
    CdEvent::read(event).map_err(|error| {
        let what = error.to_string();
        let (reason, field) = match error {
            cdevents::Error::Missing { field } => (Reason::MissingField, field),
            cdevents::Error::Unsupported { field, .. } => (Reason::UnsupportedVersion, field),
            cdevents::Error::Time { field, .. } => (Reason::BadTime, field),
            cdevents::Error::Schema { field, .. } => (Reason::Schema, field),
        };
        let rejection = Rejection::new(reason, what);
        if field.is_empty() { rejection } else { rejection.at(field) }
    })
}

/// An event, and its bytes as they came.
struct One<'a> {
    attributes: Attributes,
    said: Option<CdEvent>,
    media_type: &'a str,
    bytes: &'a [u8],
}

impl One<'_> {
    /// Adds what it becomes. `time` and `within` are where its times stand.
    fn add(self, delivery: &Delivery<'_>, events: &mut Events, time: &str, within: &str) -> Result<(), Rejection> {
        let evidence = EvidenceRef::of(self.media_type(delivery)?, self.bytes);
        let at = match &self.said {
            Some(said) => Some((said.time, within)),
            None => self.attributes.time.map(|at| (at, time)),
        };
        if let Some((at, field)) = at {
            value::not_ahead(field, at, delivery.received_at)?;
        }
        let (data, stream) = match self.placed(delivery) {
            Some(placed) => placed,
            None => (self.foreign(&evidence).into(), StreamName::of("foreign", &[delivery.source.as_str()])?),
        };
        let occurred_at = at.map_or(delivery.received_at, |(at, _)| at);
        let mut draft = Draft::new(data, stream, delivery.source.clone(), self.attributes.dedup()?, occurred_at);
        draft.correlation = self.said.as_ref().and_then(|said| said.chain.as_deref()?.parse().ok());
        draft.evidence = vec![evidence.clone()];
        events.evidence.push((evidence, Bytes::copy_from_slice(self.bytes)));
        events.drafts.push(draft);
        Ok(())
    }

    /// Its media type, which also says what was blackened in the delivery.
    fn media_type(&self, delivery: &Delivery<'_>) -> Result<MediaType, Rejection> {
        let whole = delivery.evidence.media_type.as_str();
        let blackened = whole.split_once("; redactions=").map(|(_, n)| format!("; redactions={n}"));
        Ok(format!("{}{}", self.media_type, blackened.unwrap_or_default()).parse::<MediaType>()?)
    }

    /// What it says in words of the vocabulary, and the stream for it. None where the vocabulary has no word, or it does
    /// not tell enough for one.
    fn placed(&self, delivery: &Delivery<'_>) -> Option<(Data, StreamName)> {
        let Said { place, mut data } = self.said.as_ref()?.said()?;
        let target = |target: cdevents::Target<'_>| {
            let asked =
                Asked { environment: Some(target.environment), service: Some(target.service), ..Asked::default() };
            delivery.targets.stream(&asked).ok()
        };
        let stream = match place {
            Place::Artifact(digest) => StreamName::of("artifact", &[digest.as_str()]).ok()?,
            Place::Repository { source, id } => name_of(&repository(source, id)?, None).ok()?.stream,
            Place::Target(named) => target(named)?,
            Place::Incident { source, id, target: named } => {
                if let (Data::IncidentOpened(incident), Some(named)) = (&mut data, named) {
                    incident.targets = target(named).map(|stream| vec![stream]);
                }
                let source = if is_place(without_user(source)) { segment(source) } else { hashed(source) };
                let id = if id.contains('@') { hashed(id) } else { segment(id) };
                StreamName::of("incident", &[delivery.source.as_str(), &source, &id]).ok()?
            }
        };
        Some((data, stream))
    }

    fn foreign(&self, evidence: &EvidenceRef) -> ForeignReceived {
        let said = self.said.as_ref();
        let subject = said.and_then(|said| said.subject.as_deref()).or(self.attributes.subject.as_deref());
        ForeignReceived {
            chain: said.and_then(|said| said.chain.as_deref()?.parse().ok()),
            document: evidence.blake3.clone(),
            kind: value::cut(&self.attributes.kind, NAME_BYTES_MAX),
            spec_version: Some(said.map_or_else(|| "1.0".to_owned(), |said| value::cut(&said.spec_version, 32))),
            subject: subject.map(|subject| Private::plain(value::cut(subject, NAME_BYTES_MAX))),
        }
    }
}

/// Whether a source is a path, a host or a URL, and so no person. Any URI may be one, as `mailto:alice@example.com` is.
fn is_place(source: &str) -> bool {
    let rest = source.split_once("://").map_or(source, |(_, rest)| rest).trim_start_matches("//");
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let port = host.rsplit_once(':').filter(|(_, port)| port.parse::<u16>().is_ok());
    let host = port.map_or(host, |(host, _)| host);
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte);
    host.bytes().chain(path.bytes()).all(plain)
}

/// What stands in a stream's name for what may be a person.
fn hashed(text: &str) -> String {
    blake3::hash(text.as_bytes()).to_hex().to_string()
}

/// The URL of a repository. Its id is one, or leads there from its source; else nobody knows at which host it is.
fn repository(source: Option<&str>, id: &str) -> Option<String> {
    let is_url = |text: &str| text.contains("://") && !text.starts_with("file:");
    let scp = id.split_once('@').is_some_and(|(user, rest)| !user.contains('/') && rest.contains(':'));
    if is_url(id) || scp {
        return Some(id.to_owned());
    }
    let source = source
        .map(|source| source.strip_prefix("//").map_or_else(|| source.to_owned(), |rest| format!("https://{rest}")))?;
    if !is_url(&source) {
        return None;
    }
    let (source, id) = (source.trim_end_matches('/').trim_end_matches(".git"), id.trim_matches('/'));
    let path = source.split_once("://").and_then(|(_, rest)| rest.split_once('/')).map_or("", |(_, path)| path);
    let whole = path == id || path.ends_with(&format!("/{id}"));
    // Some name the owner in both.
    let joint = id.split_once('/').is_some_and(|(owner, _)| path == owner);
    if whole {
        return Some(source.to_owned());
    }
    let base = if joint { source.strip_suffix(path).unwrap_or(source).trim_end_matches('/') } else { source };
    Some(format!("{base}/{id}"))
}

/// Whether two forms of an event, each as it came, say the same: brokers hand events on in another mode than they got them.
pub(super) fn same(before: &[u8], now: &[u8]) -> bool {
    before == now || content(before).agrees(&content(now))
}

/// What an event says, without its form.
struct Content {
    /// Attributes, of an event in structured form.
    attributes: Option<Map<String, Value>>,
    /// The data: as canonical JSON where it is JSON, else its bytes.
    data: Vec<u8>,
}

impl Content {
    fn agrees(&self, other: &Self) -> bool {
        let attributes = match (&self.attributes, &other.attributes) {
            (Some(one), Some(two)) => one == two,
            // Those of an event in binary form were headers.
            _ => true,
        };
        attributes && self.data == other.data
    }
}

fn content(bytes: &[u8]) -> Content {
    let plain = |bytes: &[u8]| match serde_json::from_slice::<Value>(bytes) {
        Ok(value) => value.to_string().into_bytes(),
        Err(_) => bytes.to_vec(),
    };
    let Ok(Value::Object(mut members)) = serde_json::from_slice::<Value>(bytes) else {
        return Content { attributes: None, data: plain(bytes) };
    };
    if !members.contains_key("specversion") {
        return Content { attributes: None, data: plain(bytes) };
    }
    let (data, encoded) = (members.remove("data"), members.remove("data_base64"));
    members.retain(|_, value| !value.is_null());
    let json = members.get("datacontenttype").and_then(Value::as_str).is_none_or(|kind| kind.contains("json"));
    let encoded = encoded
        .as_ref()
        .and_then(Value::as_str)
        .map(|text| data_encoding::BASE64.decode(text.as_bytes()).unwrap_or_else(|_why| text.as_bytes().to_vec()));
    let data = match (data, encoded) {
        (Some(Value::String(text)), _) if !json => plain(text.as_bytes()),
        (Some(Value::Null) | None, Some(bytes)) => plain(&bytes),
        (Some(Value::Null) | None, None) => Vec::new(),
        (Some(value), _) => value.to_string().into_bytes(),
    };
    Content { attributes: Some(members), data }
}

/// A URL from its host on; anything else as it is.
fn without_user(text: &str) -> &str {
    let Some((_, rest)) = text.split_once("://") else { return text };
    let host = rest.split('/').next().unwrap_or(rest);
    rest.get(host.rfind('@').map_or(0, |at| at + 1)..).unwrap_or(rest)
}

/// One segment of a stream's name, without scheme and user.
fn segment(text: &str) -> String {
    let text = without_user(text);
    match text.trim_matches('/') {
        "" | "." | ".." => format!("-{text}").replace('/', ":"),
        text => text.replace('/', ":"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_values_are_decoded() {
        for (text, plain) in [
            ("/mycontext", "/mycontext"),
            ("Euro%20%E2%82%AC%20%F0%9F%98%80", "Euro \u{20ac} \u{1f600}"),
            ("\"a \\\"b\\\" \\\\\"", "a \"b\" \\"),
            ("100%", "100%"),
        ] {
            assert_eq!(header(text).unwrap(), plain, "{text}");
        }
        assert_eq!(header("%FF"), None);
    }

    #[test]
    fn the_same_event_in_another_mode_says_the_same() {
        let structured = br#"{"specversion":"1.0","id":"1","type":"t","source":"s","data":{"b":1,"a":[2]}}"#;
        let encoded = br#"{"specversion":"1.0","id":"1","type":"t","source":"s","data_base64":"eyJhIjpbMl0sImIiOjF9"}"#;
        let xml = br#"{"specversion":"1.0","id":"1","type":"t","source":"s","datacontenttype":"application/xml","data":"<a/>"}"#;
        assert!(same(structured, b"{ \"a\": [2], \"b\": 1 }") && same(structured, encoded) && same(xml, b"<a/>"));
        assert!(!same(structured, b"{\"a\":[2],\"b\":2}") && !same(structured, xml) && !same(xml, b"<b/>"));
        let other = String::from_utf8(structured.to_vec()).unwrap().replace("\"s\"", "\"s\",\"subject\":\"x\"");
        assert!(!same(structured, other.as_bytes()));
    }

    #[test]
    fn only_paths_hosts_and_urls_are_no_persons() {
        for source in ["/mycontext/4", "//ci.example:8080/a", "https://ci.example/a~b", "tekton", "ci.example/job_7"] {
            assert!(is_place(source), "{source}");
        }
        for source in [
            "mailto:alice@example.com",
            "mailto:alice%40example.com",
            "urn:user:alice",
            "tel:+15551234",
            "https://a@b/c",
        ] {
            assert!(!is_place(source), "{source}");
        }
    }

    #[test]
    fn repositories_are_named_only_where_the_host_is_known() {
        let of = |source, id| repository(source, id).and_then(|url| Some(name_of(&url, None).ok()?.stream.to_string()));
        for (source, id) in [
            (Some("https://example.org"), "acme/app"),
            (Some("//example.org"), "acme/app"),
            (Some("https://example.org/acme"), "app"),
            (Some("https://example.org/acme"), "acme/app"),
            (Some("https://example.org/acme/app"), "app"),
            (Some("https://example.org/acme/app.git"), "acme/app"),
            (None, "https://example.org/acme/app.git"),
            (None, "git@example.org:acme/app"),
        ] {
            assert_eq!(of(source, id).as_deref(), Some("repo/example.org/acme/app"), "{source:?} {id}");
        }
        for (source, id) in
            [(None, "acme/app"), (Some("/event/source"), "acme/app"), (Some("my-git.example/acme"), "app")]
        {
            assert_eq!(of(source, id), None, "{source:?} {id}");
        }
    }
}
