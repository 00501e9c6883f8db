//! A cluster that is watched: what is configured of it, and the connection to it.

use std::path::PathBuf;
use std::time::Duration;

use kube::config::{KubeConfigOptions, Kubeconfig};
use serde::Deserialize;

use crate::event::Source;

/// How long nothing may arrive before everything is listed again. Bookmarks are consumed by the watcher, so a quiet
/// cluster cannot be told from a watch that the server forgot; a listing that changes nothing costs a page of 500
/// objects each, and nothing in the ledger.
const RELIST_SECONDS: u64 = 600;

/// A cluster, as it is configured.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClusterSettings {
    /// Its name: its events are from `argocd/<name>` and `kubernetes/<name>`.
    pub name: String,
    /// The kubeconfig that leads to it; by default the environment's, or that of the pod this runs in.
    pub kubeconfig: Option<PathBuf>,
    /// The context in it; by default the current one.
    pub context: Option<String>,
    /// Namespaces whose Applications and `AppProject`s are watched; by default all.
    #[serde(default)]
    pub namespaces: Vec<String>,
    /// Namespaces whose workloads are watched; by default all.
    #[serde(default)]
    pub workload_namespaces: Vec<String>,
    /// Whether Argo CD's Applications and `AppProject`s are watched; by default they are.
    #[serde(default = "yes")]
    pub argocd: bool,
    /// Whether Deployments and `StatefulSets` that belong to Applications are watched; by default they are.
    #[serde(default = "yes")]
    pub workloads: bool,
    /// List everything again when nothing arrived for so many seconds; by default 600.
    pub relist_seconds: Option<u64>,
}

fn yes() -> bool {
    true
}

impl ClusterSettings {
    /// Everything of a cluster of that name.
    #[must_use]
    pub fn named(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            kubeconfig: None,
            context: None,
            namespaces: Vec::new(),
            workload_namespaces: Vec::new(),
            argocd: true,
            workloads: true,
            relist_seconds: None,
        }
    }
}

/// A cluster that can be watched.
#[derive(Clone)]
pub struct Cluster {
    pub(super) settings: ClusterSettings,
    pub(super) client: kube::Client,
    /// Who says what Argo CD's objects tell.
    pub(super) argocd: Source,
    /// Who says what workloads tell.
    pub(super) kubernetes: Source,
    /// How long nothing may arrive.
    pub(super) quiet: Duration,
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.settings.name)
    }
}

impl Cluster {
    /// Makes ready to connect. Whether the cluster answers is not asked: it may come up later.
    ///
    /// # Errors
    /// In words, naming the setting.
    pub async fn new(settings: ClusterSettings) -> Result<Self, String> {
        let at = format!("kubernetes.{}", settings.name);
        let options = KubeConfigOptions { context: settings.context.clone(), ..KubeConfigOptions::default() };
        let wrong = |error: &dyn std::fmt::Display| format!("{at}: {error}");
        let config = match &settings.kubeconfig {
            Some(path) => {
                let file = Kubeconfig::read_from(path).map_err(|error| wrong(&error))?;
                kube::Config::from_custom_kubeconfig(file, &options).await.map_err(|error| wrong(&error))?
            }
            None if settings.context.is_some() => {
                kube::Config::from_kubeconfig(&options).await.map_err(|error| wrong(&error))?
            }
            None => kube::Config::infer().await.map_err(|error| wrong(&error))?,
        };
        let client = kube::Client::try_from(config).map_err(|error| wrong(&error))?;
        Self::with_client(settings, client)
    }

    /// A cluster behind a client.
    ///
    /// # Errors
    /// In words, for a name that makes no source.
    pub fn with_client(settings: ClusterSettings, client: kube::Client) -> Result<Self, String> {
        let source = |kind: &str| {
            format!("{kind}/{}", settings.name)
                .parse::<Source>()
                .map_err(|error| format!("kubernetes.{}: name: {error}", settings.name))
        };
        if settings.name.is_empty() {
            return Err("kubernetes: name: is empty".to_owned());
        }
        Ok(Self {
            argocd: source("argocd")?,
            kubernetes: source("kubernetes")?,
            quiet: Duration::from_secs(settings.relist_seconds.unwrap_or(RELIST_SECONDS).max(1)),
            client,
            settings,
        })
    }
}

/// Makes ready to connect to every cluster.
///
/// # Errors
/// In words, naming the setting.
pub async fn clusters(settings: &[ClusterSettings]) -> Result<Vec<Cluster>, String> {
    let mut clusters: Vec<Cluster> = Vec::with_capacity(settings.len());
    for settings in settings {
        if clusters.iter().any(|other| other.settings.name == settings.name) {
            return Err(format!("kubernetes: two clusters are named {:?}", settings.name));
        }
        clusters.push(Cluster::new(settings.clone()).await?);
    }
    Ok(clusters)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_cannot_be_watched_is_refused_by_name() {
        let missing =
            ClusterSettings { kubeconfig: Some("/nowhere/kubeconfig".into()), ..ClusterSettings::named("prod") };
        let error = clusters(&[missing]).await.unwrap_err();
        assert!(error.starts_with("kubernetes.prod: ") && error.contains("/nowhere/kubeconfig"), "{error}");
    }
}
