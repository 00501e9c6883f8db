//! Who asks, and what they may.

use http::HeaderMap;

use super::failure::Failure;
use super::request::Request;

/// What somebody may do. `*` stands for everything.
#[derive(Clone)]
pub struct Rule {
    verbs: Vec<String>,
    group: String,
    /// Plural names; of subresources with them: `deployments/scale`.
    resources: Vec<String>,
    namespace: Option<String>,
}

impl Rule {
    pub fn new(verbs: &[&str], group: &str, resources: &[&str]) -> Self {
        let owned = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
        Self { verbs: owned(verbs), group: group.to_owned(), resources: owned(resources), namespace: None }
    }

    /// In one namespace only.
    pub fn within(mut self, namespace: &str) -> Self {
        self.namespace = Some(namespace.to_owned());
        self
    }

    fn allows(&self, request: &Request) -> bool {
        let any = |words: &[String], word: &str| words.iter().any(|other| other == "*" || other == word);
        any(&self.verbs, request.verb)
            && (self.group == "*" || self.group == request.kind.group)
            && any(&self.resources, &request.resource())
            && (self.namespace.is_none() || self.namespace == request.namespace)
    }
}

/// A user with a bearer token.
#[derive(Clone)]
pub struct User {
    pub name: String,
    pub token: String,
    /// `None`: everything.
    pub rules: Option<Vec<Rule>>,
}

/// Everybody who is known.
#[derive(Default)]
pub struct Access {
    pub users: Vec<User>,
}

impl Access {
    /// Who sent these headers.
    pub fn authenticate(&self, headers: &HeaderMap) -> Result<User, Failure> {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let nobody = |name: &str| User { name: name.to_owned(), token: String::new(), rules: Some(Vec::new()) };
        let Some(authorization) = text("authorization") else { return Ok(nobody("system:anonymous")) };
        let token = authorization.strip_prefix("Bearer ");
        let user = self.users.iter().find(|user| Some(user.token.as_str()) == token);
        let user = user.ok_or_else(|| Failure::new(401, "Unauthorized", "Unauthorized"))?;
        let Some(other) = text("impersonate-user") else { return Ok(user.clone()) };
        if user.rules.is_some() {
            let message = format!(
                "users \"{other}\" is forbidden: User \"{}\" cannot impersonate resource \"users\" in API group \"\" \
                 at the cluster scope",
                user.name
            );
            return Err(Failure::new(403, "Forbidden", message));
        }
        Ok(self.users.iter().find(|user| user.name == other).cloned().unwrap_or_else(|| nobody(other)))
    }

    /// Whether a user may do what is asked.
    pub fn authorize(user: &User, request: &Request) -> Result<(), Failure> {
        if user.rules.as_ref().is_none_or(|rules| rules.iter().any(|rule| rule.allows(request))) {
            return Ok(());
        }
        let (kind, name) = (request.kind, request.name.as_deref().unwrap_or_default());
        let scope = match &request.namespace {
            Some(namespace) => format!("in the namespace \"{namespace}\""),
            None => "at the cluster scope".to_owned(),
        };
        let subject = if name.is_empty() { kind.resource() } else { format!("{} \"{name}\"", kind.resource()) };
        let message = format!(
            "{subject} is forbidden: User \"{}\" cannot {} resource \"{}\" in API group \"{}\" {scope}",
            user.name,
            request.verb,
            request.resource(),
            kind.group
        );
        Err(Failure::new(403, "Forbidden", message).about(kind.plural, kind, name))
    }
}
