//! What is configured of the ways in.

use std::collections::BTreeMap;

use super::authentication::Secrets;
use super::{Hook, TargetRule, webhook};

/// Settings of the ways in.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Webhooks by name, which is the end of their path. Where there are none, every system is served under its own name,
    /// unchecked: only this machine can connect then.
    pub webhooks: BTreeMap<String, WebhookSettings>,
    /// Which target is meant by what sources call it.
    pub targets: Vec<TargetRule>,
    /// Most bytes of a body that are taken, compressed or not.
    pub body_bytes_max: usize,
    /// Most bytes of a document that is handed in, decompressed.
    pub document_bytes_max: u64,
}

/// A webhook.
#[derive(Debug, Clone)]
pub struct WebhookSettings {
    /// The system that reports by it; by default the one of the webhook's name.
    pub system: Option<String>,
    /// What it signs with.
    pub secrets: Secrets,
    /// True when what it says is to be believed without a signature.
    pub unsigned: bool,
}

impl Default for Settings {
    /// Nothing configured; bodies of up to 32 MiB, as forges send up to 25 MiB; documents of up to 512 MiB, which is twice
    /// what the largest bills of materials have.
    fn default() -> Self {
        Self { webhooks: BTreeMap::new(), targets: Vec::new(), body_bytes_max: 32 << 20, document_bytes_max: 512 << 20 }
    }
}

impl WebhookSettings {
    /// The webhook.
    ///
    /// # Errors
    /// In words, naming the setting.
    pub fn hook(&self, name: &str) -> Result<Hook, String> {
        let kind = self.system.as_deref().unwrap_or(name);
        let system = webhook::system(kind).ok_or_else(|| {
            let known: Vec<_> = webhook::SYSTEMS.iter().map(|system| system.name).collect();
            format!("webhooks.{name}.system: {kind:?} is none of {}", known.join(", "))
        })?;
        if self.secrets.is_empty() && !self.unsigned {
            return Err(format!(
                "webhooks.{name}: give a secret (secret_file or secret_env), or say unsigned = true to believe anybody"
            ));
        }
        let source = if name == kind { name.to_owned() } else { format!("{kind}/{name}") };
        let source = source.parse().map_err(|error: crate::event::Error| format!("webhooks.{name}: {error}"))?;
        Ok(Hook { name: name.to_owned(), system, secrets: self.secrets.clone(), source })
    }
}
