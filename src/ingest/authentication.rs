//! Whether a delivery is from whom it says: checked over the raw bytes, before anything is parsed.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;

use super::{Headers, Reason, Rejection};

/// Secrets that a sender may use: more than one while they are being exchanged.
#[derive(Clone, Default)]
pub struct Secrets(Vec<String>);

impl Secrets {
    /// These, none of them empty.
    #[must_use]
    pub fn new(secrets: impl IntoIterator<Item = String>) -> Self {
        Self(secrets.into_iter().filter(|secret| !secret.is_empty()).collect())
    }

    /// Whether there are none: then nothing can be checked.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether one of them is `given`; takes as long for a nearly right one as for a wrong one.
    fn holds(&self, given: &str) -> bool {
        self.0.iter().fold(false, |found, secret| found | bool::from(secret.as_bytes().ct_eq(given.as_bytes())))
    }

    /// Whether `signature`, in hexadecimal, is the HMAC-SHA256 of the body under one of them (RFC 2104).
    fn signed(&self, body: &[u8], signature: &str) -> bool {
        let Ok(signature) = hex::decode(signature) else { return false };
        self.0.iter().any(|secret| {
            Hmac::<Sha256>::new_from_slice(secret.as_bytes())
                .is_ok_and(|mac| mac.chain_update(body).verify_slice(&signature).is_ok())
        })
    }
}

impl std::fmt::Debug for Secrets {
    /// Keeps them out of logs.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} secrets", self.0.len())
    }
}

/// How a system shows that it knows the secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Authentication {
    /// `X-Hub-Signature-256: sha256=<hex>`, an HMAC-SHA256 of the body (GitHub).
    HubSignature,
    /// `X-Gitlab-Token: <secret>` (GitLab), which says nothing about the body.
    GitlabToken,
    /// `X-PagerDuty-Signature: v1=<hex>,v1=<hex>`, HMAC-SHA256 of the body, one for each secret (PagerDuty v3).
    PagerdutySignature,
    /// The secret itself, as `Authorization: Bearer <secret>`, as the password of `Authorization: Basic`, or as
    /// `X-Plimsoll-Token: <secret>`; or `X-Signature: sha256=<hex>`, an HMAC-SHA256 of the body (Flux).
    Shared,
}

impl Authentication {
    /// Checks a delivery.
    ///
    /// # Errors
    /// [`Reason::MissingSignature`], [`Reason::BadSignature`].
    pub fn check(self, secrets: &Secrets, headers: &Headers, body: &[u8]) -> Result<(), Rejection> {
        let missing = |what: &str| {
            Rejection::new(Reason::MissingSignature, format!("neither signed nor secret: {what} is missing"))
        };
        let good = match self {
            Self::HubSignature => {
                let header = headers.get("x-hub-signature-256").ok_or_else(|| missing("X-Hub-Signature-256"))?;
                header.strip_prefix("sha256=").is_some_and(|signature| secrets.signed(body, signature))
            }
            Self::GitlabToken => secrets.holds(headers.get("x-gitlab-token").ok_or_else(|| missing("X-Gitlab-Token"))?),
            Self::PagerdutySignature => {
                let header = headers.get("x-pagerduty-signature").ok_or_else(|| missing("X-PagerDuty-Signature"))?;
                let mut signatures = header.split(',').filter_map(|one| one.trim().strip_prefix("v1="));
                signatures.any(|signature| secrets.signed(body, signature))
            }
            Self::Shared => shared(secrets, headers, body).ok_or_else(|| missing("Authorization"))?,
        };
        if good {
            Ok(())
        } else {
            Err(Rejection::new(Reason::BadSignature, "the signature or secret is not the one that is expected"))
        }
    }
}

fn shared(secrets: &Secrets, headers: &Headers, body: &[u8]) -> Option<bool> {
    if let Some(header) = headers.get("x-signature") {
        return Some(header.strip_prefix("sha256=").is_some_and(|signature| secrets.signed(body, signature)));
    }
    if let Some(token) = headers.get("x-plimsoll-token") {
        return Some(secrets.holds(token));
    }
    let (scheme, credentials) = headers.get("authorization")?.split_once(' ')?;
    let credentials = credentials.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(secrets.holds(credentials));
    }
    let decoded =
        data_encoding::BASE64.decode(credentials.as_bytes()).ok().filter(|_| scheme.eq_ignore_ascii_case("basic"));
    let pair = decoded.and_then(|bytes| String::from_utf8(bytes).ok());
    Some(pair.as_deref().and_then(|pair| pair.split_once(':')).is_some_and(|(_, password)| secrets.holds(password)))
}
