//! What a request asks for: verb, kind, object, parameters.

use std::collections::BTreeMap;

use http::{HeaderMap, Method, Uri};

use super::failure::Failure;
use super::fields::Writer;
use super::kinds::Kind;
use super::selector::Selector;

/// A request for objects.
pub struct Request {
    pub verb: &'static str,
    pub kind: &'static Kind,
    pub namespace: Option<String>,
    pub name: Option<String>,
    pub subresource: Option<&'static str>,
    pub parameters: BTreeMap<String, String>,
    pub content_type: String,
    pub agent: String,
    /// Whether only metadata is wanted.
    pub partial: bool,
}

/// The name and value pairs of a query.
pub fn parameters(uri: &Uri) -> BTreeMap<String, String> {
    let decode =
        |text: &str| percent_encoding::percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned();
    let pairs = uri.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (decode(name), decode(value)))
        .collect()
}

impl Request {
    /// Reads method, path and headers. A path that leads nowhere is not found.
    pub fn parse(method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<Self, Failure> {
        let segments: Vec<&str> = uri.path().split('/').filter(|segment| !segment.is_empty()).collect();
        let (group, version, rest) = match segments.as_slice() {
            ["api", version, rest @ ..] => ("", *version, rest),
            ["apis", group, version, rest @ ..] => (*group, *version, rest),
            _ => return Err(Failure::no_such_resource()),
        };
        let (namespace, plural, name, subresource) = match *rest {
            ["namespaces"] => (None, "namespaces", None, None),
            ["namespaces", name] => (Some(name), "namespaces", Some(name), None),
            ["namespaces", name, sub @ ("status" | "finalize")] => (Some(name), "namespaces", Some(name), Some(sub)),
            ["namespaces", namespace, plural] => (Some(namespace), plural, None, None),
            ["namespaces", namespace, plural, name] => (Some(namespace), plural, Some(name), None),
            ["namespaces", namespace, plural, name, sub] => (Some(namespace), plural, Some(name), Some(sub)),
            [plural] => (None, plural, None, None),
            _ => return Err(Failure::no_such_resource()),
        };
        let kind = Kind::find(group, version, plural).ok_or_else(Failure::no_such_resource)?;
        let subresource = match subresource {
            None => None,
            Some("status") if kind.status => Some("status"),
            Some("scale") if kind.scale => Some("scale"),
            Some("finalize") if !kind.namespaced => Some("finalize"),
            Some(_) => return Err(Failure::no_such_resource()),
        };
        let parameters = parameters(uri);
        let watch = parameters.get("watch").is_some_and(|value| matches!(value.as_str(), "true" | "1" | ""));
        let verb = match (method.as_str(), name) {
            ("GET", Some(_)) => "get",
            ("GET", None) if watch => "watch",
            ("GET", None) => "list",
            ("POST", None) if kind.namespaced == namespace.is_some() => "create",
            ("PUT", Some(_)) => "update",
            ("PATCH", Some(_)) => "patch",
            ("DELETE", Some(_)) => "delete",
            ("DELETE", None) => "deletecollection",
            _ => {
                let message = "the server does not allow this method on the requested resource";
                return Err(Failure::new(405, "MethodNotAllowed", message));
            }
        };
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        Ok(Self {
            verb,
            kind,
            namespace: namespace.map(str::to_owned),
            name: name.map(str::to_owned),
            subresource,
            parameters,
            content_type: header("content-type").split(';').next().unwrap_or_default().trim().to_owned(),
            agent: header("user-agent").to_owned(),
            partial: header("accept").split(',').next().is_some_and(|first| first.contains("as=PartialObjectMetadata")),
        })
    }

    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    pub fn flag(&self, name: &str) -> bool {
        self.parameter(name).is_some_and(|value| matches!(value, "true" | "1"))
    }

    /// `applications`, or `deployments/scale`: as access rules name it.
    pub fn resource(&self) -> String {
        self.subresource.map_or_else(|| self.kind.plural.to_owned(), |sub| format!("{}/{sub}", self.kind.plural))
    }

    /// The namespace part of keys: namespaces themselves have none.
    pub fn scope(&self) -> Option<&str> {
        self.namespace.as_deref().filter(|_| self.kind.namespaced)
    }

    pub fn selector(&self) -> Result<Selector, Failure> {
        Selector::parse(self.parameter("labelSelector"), self.parameter("fieldSelector"))
    }

    /// Whether nothing is to be stored.
    pub fn dry_run(&self) -> Result<bool, Failure> {
        match self.parameter("dryRun") {
            None => Ok(false),
            Some("All") => Ok(true),
            Some(other) => Err(Failure::new(
                422,
                "Invalid",
                format!("dryRun: Unsupported value: \"{other}\": supported values: \"All\""),
            )),
        }
    }

    /// In whose name fields are written: what the parameter says, else the first word of the user agent.
    pub fn writer(&self) -> Writer {
        let agent = self.agent.split('/').next().filter(|agent| !agent.is_empty()).unwrap_or("unknown");
        Writer {
            manager: self.parameter("fieldManager").unwrap_or(agent).to_owned(),
            subresource: self.subresource,
            now: super::now(),
        }
    }
}
