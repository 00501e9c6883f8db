//! Settings: flags, then the environment (`PLIMSOLL_*`), then the file of `--config`, then defaults.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::ingest::TargetRule;
use crate::ingest::kubernetes::ClusterSettings;

/// The settings file, in TOML. Every key can also be given as `PLIMSOLL_<KEY>`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The data directory.
    pub data: Option<PathBuf>,
    /// The server that commands talk to.
    pub server: Option<String>,
    /// Where `serve` listens for gRPC.
    pub grpc: Option<SocketAddr>,
    /// Where `serve` listens for HTTP.
    pub http: Option<SocketAddr>,
    /// Where the rollback guard is kept.
    pub guard: Option<PathBuf>,
    /// Commit to the heads of all streams after so many events.
    pub heads_events: Option<u64>,
    /// Commit to the heads of all streams after so many seconds.
    pub heads_seconds: Option<u64>,
    /// Most bytes of a body that a webhook may send, compressed or not.
    pub body_bytes_max: Option<usize>,
    /// Most bytes of a document that is handed in, decompressed.
    pub document_bytes_max: Option<u64>,
    /// Webhooks by name, which is the end of their path.
    #[serde(default)]
    pub webhooks: BTreeMap<String, Webhook>,
    /// Which target is meant by what sources call it: the first rule that matches holds.
    #[serde(default)]
    pub targets: Vec<TargetRule>,
    /// Git repositories that are followed.
    #[serde(default)]
    pub git: Vec<GitRepository>,
    /// Clusters that are watched.
    #[serde(default)]
    pub kubernetes: Vec<ClusterSettings>,
}

/// A git repository that is followed by polling, and by webhooks that say that something is new.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GitRepository {
    /// Path or URL.
    pub url: String,
    /// What it is called, `host/path`; by default from the URL.
    pub name: Option<String>,
    /// Seconds from one look to the next; 60 where absent.
    pub interval_seconds: Option<u64>,
    /// A private key for SSH, without a passphrase.
    pub ssh_key: Option<PathBuf>,
    /// The user for HTTPS; forges that take tokens take any.
    pub user: Option<String>,
    /// A file that holds the password or token for HTTPS.
    pub password_file: Option<PathBuf>,
    /// A variable of the environment that holds the password or token for HTTPS.
    pub password_env: Option<String>,
    /// Tags that match stand for deployments.
    pub releases: Option<String>,
    /// Where those tags were deployed.
    pub environment: Option<String>,
    /// What was deployed; by default the last part of the name.
    pub service: Option<String>,
    /// The branch that a deployer follows; `main` where absent.
    pub branch: Option<String>,
    /// Files of desired state.
    #[serde(default)]
    pub manifests: Vec<Manifest>,
}

/// Files of desired state, and what they are for.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The files, e.g. `apps/{service}/values-{environment}.yaml`; `*` and `**` are wildcards.
    pub path: String,
    /// The environment, where the path does not say it.
    pub environment: Option<String>,
    /// The service, where the path does not say it.
    pub service: Option<String>,
}

impl GitRepository {
    /// User and password for HTTPS, where there are any.
    ///
    /// # Errors
    /// In words, naming the setting that cannot be had.
    pub fn password(&self) -> Result<Option<(String, String)>, String> {
        let at = format!("git {:?}", crate::ingest::git::without_password(&self.url));
        let password = match (&self.password_file, &self.password_env) {
            (Some(_), Some(_)) => return Err(format!("{at}: give password_file or password_env, not both")),
            (Some(path), None) => secret_in_file(&at, path)?,
            (None, Some(name)) => secret_in_env(&at, name)?,
            (None, None) => return Ok(None),
        };
        Ok(Some((self.user.clone().unwrap_or_else(|| "git".to_owned()), password)))
    }
}

/// A webhook.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Webhook {
    /// The system that reports by it; by default the one of the webhook's name.
    pub system: Option<String>,
    /// A file that holds the secret.
    pub secret_file: Option<PathBuf>,
    /// A variable of the environment that holds the secret.
    pub secret_env: Option<String>,
    /// A file that holds another secret, which counts as well: for the time in which it is exchanged.
    pub next_secret_file: Option<PathBuf>,
    /// True when what comes is to be believed without a signature.
    #[serde(default)]
    pub unsigned: bool,
}

impl Config {
    /// Reads a settings file.
    ///
    /// # Errors
    /// In words, with the line for what is not TOML or not a setting.
    pub fn load(path: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
        toml::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))
    }

    /// Settings of the ways in, with the secrets that files and the environment hold.
    ///
    /// # Errors
    /// In words, naming the setting whose secret cannot be had.
    pub fn intake(&self) -> Result<crate::ingest::Settings, String> {
        let mut settings = crate::ingest::Settings { targets: self.targets.clone(), ..Default::default() };
        settings.body_bytes_max = self.body_bytes_max.unwrap_or(settings.body_bytes_max);
        settings.document_bytes_max = self.document_bytes_max.unwrap_or(settings.document_bytes_max);
        for (name, webhook) in &self.webhooks {
            let at = format!("webhooks.{name}");
            let files = [&webhook.secret_file, &webhook.next_secret_file].into_iter().flatten();
            let mut secrets = files.map(|path| secret_in_file(&at, path)).collect::<Result<Vec<_>, _>>()?;
            secrets.extend(webhook.secret_env.as_deref().map(|name| secret_in_env(&at, name)).transpose()?);
            let (system, unsigned) = (webhook.system.clone(), webhook.unsigned);
            let secrets = crate::ingest::authentication::Secrets::new(secrets);
            settings.webhooks.insert(name.clone(), crate::ingest::WebhookSettings { system, secrets, unsigned });
        }
        Ok(settings)
    }
}

/// The secret in a file, without the line break after it.
///
/// # Errors
/// In words, for a file that cannot be read or is empty.
pub fn secret_in_file(setting: &str, path: &Path) -> Result<String, String> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| format!("{setting}: cannot read the secret in {}: {error}", path.display()))?;
    let secret = text.trim_end_matches(['\n', '\r']).to_owned();
    if secret.is_empty() { Err(format!("{setting}: the secret in {} is empty", path.display())) } else { Ok(secret) }
}

/// The secret in a variable of the environment.
///
/// # Errors
/// In words, for a variable that is not set or empty.
#[expect(clippy::disallowed_methods, reason = "this is where settings come from")]
pub fn secret_in_env(setting: &str, name: &str) -> Result<String, String> {
    match std::env::var(name) {
        Ok(secret) if !secret.is_empty() => Ok(secret),
        _ => Err(format!("{setting}: the variable {name} is not set, or empty")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_setting_is_refused_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("plimsoll.toml");
        std::fs::write(&path, "grpc = \"127.0.0.1:1\"\nhtpp = \"127.0.0.1:2\"\n").unwrap();
        assert!(Config::load(&path).unwrap_err().contains("htpp"));
        std::fs::write(&path, "grpc = \"127.0.0.1:1\"\n").unwrap();
        std::fs::write(&path, "[[kubernetes]]\nname = \"a\"\nnamespace = [\"b\"]\n").unwrap();
        assert!(Config::load(&path).unwrap_err().contains("namespace"));
        std::fs::write(&path, "grpc = \"127.0.0.1:1\"\n[[kubernetes]]\nname = \"a\"\n").unwrap();
        let clusters = Config::load(&path).unwrap().kubernetes;
        assert_eq!(clusters, [ClusterSettings::named("a")]);
        assert_eq!(Config::load(&path).unwrap().grpc, Some(([127, 0, 0, 1], 1).into()));
    }
}
