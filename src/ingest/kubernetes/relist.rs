//! One watch of one kind in one namespace: the task that keeps it going, and what is known of its health.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use kube::api::{Api, ApiResource, DynamicObject};
use kube::core::GroupVersionKind;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event};
use tokio::sync::mpsc;

use super::cluster::Cluster;
use crate::event::Timestamp;

/// What is watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    Applications,
    Projects,
    Deployments,
    StatefulSets,
}

impl What {
    fn resource(self) -> ApiResource {
        let (group, version, kind, plural) = match self {
            Self::Applications => ("argoproj.io", "v1alpha1", "Application", "applications"),
            Self::Projects => ("argoproj.io", "v1alpha1", "AppProject", "appprojects"),
            Self::Deployments => ("apps", "v1", "Deployment", "deployments"),
            Self::StatefulSets => ("apps", "v1", "StatefulSet", "statefulsets"),
        };
        ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind), plural)
    }

    /// The kind, which items of a list do not repeat.
    pub(super) fn kind(self) -> (String, String) {
        let resource = self.resource();
        (resource.api_version, resource.kind)
    }

    /// What is watched, for people.
    pub(super) fn plural(self) -> &'static str {
        match self {
            Self::Applications => "applications",
            Self::Projects => "projects",
            Self::Deployments => "deployments",
            Self::StatefulSets => "statefulsets",
        }
    }
}

/// What a watch tells.
#[derive(Debug)]
pub(super) enum Item {
    /// Something about objects.
    Event(Box<Event<DynamicObject>>),
    /// It is interrupted; in which way, for logs.
    Trouble(String),
    /// Nothing arrived for so long that everything is listed again.
    Quiet,
}

/// Keeps a watch going until nobody listens any more. It never ends by itself: after an error the watcher backs off and
/// tries again, and where it does so in vain, or in silence, it is made anew, which lists everything.
pub(super) async fn run(
    cluster: Cluster,
    what: What,
    namespace: Option<String>,
    number: usize,
    to: mpsc::Sender<(usize, Item)>,
) {
    let resource = what.resource();
    let api: Api<DynamicObject> = match &namespace {
        Some(namespace) => Api::namespaced_with(cluster.client.clone(), namespace, &resource),
        None => Api::all_with(cluster.client.clone(), &resource),
    };
    loop {
        let stream = watcher::watcher(api.clone(), watcher::Config::default()).default_backoff().into_stream();
        let mut stream = std::pin::pin!(stream);
        let mut heard = tokio::time::Instant::now();
        loop {
            let item = match tokio::time::timeout_at(heard + cluster.quiet, stream.next()).await {
                Ok(Some(Ok(event))) => {
                    heard = tokio::time::Instant::now();
                    Item::Event(Box::new(event))
                }
                Ok(Some(Err(error))) => Item::Trouble(error.to_string()),
                Ok(None) | Err(_) => Item::Quiet,
            };
            let again = matches!(item, Item::Quiet);
            if to.send((number, item)).await.is_err() {
                return;
            }
            if again {
                break;
            }
        }
        // A server that closes every watch at once is not to be asked without pause.
        tokio::time::sleep(PAUSE).await;
    }
}

/// Pause before a watch is made anew.
const PAUSE: Duration = Duration::from_millis(100);

/// Why a listing was made that nothing but silence called for: a quiet cluster is no gap.
pub(super) const QUIET: &str = "nothing arrived for long";

/// Why a listing was made that the server did not say a word about before.
pub(super) const AGAIN: &str = "listed again";

/// What is known of one watch.
#[derive(Debug)]
pub(super) struct Feed {
    pub(super) what: What,
    pub(super) namespace: Option<String>,
    /// Since when something may have been missed, and why.
    pub(super) blind: Option<(Timestamp, &'static str)>,
    /// When something last arrived.
    pub(super) heard: Option<Timestamp>,
    /// The listing that is under way.
    pub(super) listing: Option<Listing>,
    /// Whether a listing was completed.
    pub(super) ready: bool,
}

/// A listing that is under way.
#[derive(Debug, Default)]
pub(super) struct Listing {
    /// Until when nothing was missed; none where nothing was known.
    pub(super) since: Option<Timestamp>,
    /// Why something may have been missed since.
    pub(super) why: &'static str,
    /// What was listed, by identity.
    pub(super) listed: BTreeSet<String>,
    /// How many objects are not as they were known.
    pub(super) differ: u64,
    /// How many events that made.
    pub(super) recorded: u64,
}

impl Feed {
    pub(super) fn new(what: What, namespace: Option<String>, known_until: Option<Timestamp>) -> Self {
        let blind = known_until.map(|until| (until, "not watched: the program did not run"));
        Self { what, namespace, blind, heard: None, listing: None, ready: false }
    }

    /// Whether an object of that namespace is its to tell about.
    pub(super) fn covers(&self, namespace: Option<&str>) -> bool {
        self.namespace.is_none() || self.namespace.as_deref() == namespace
    }

    /// Something arrived that follows what arrived before without a gap.
    pub(super) fn hears(&mut self, now: Timestamp) {
        self.heard = Some(now);
        self.blind = None;
    }

    /// It is interrupted.
    pub(super) fn loses(&mut self, since: Timestamp, why: &'static str) {
        self.blind.get_or_insert((since, why));
    }

    /// A listing begins, perhaps in place of one that came to nothing.
    pub(super) fn begins(&mut self) {
        let (since, why) = match (self.blind, self.heard) {
            (Some((since, why)), _) => (Some(since), why),
            (None, heard) => (heard, AGAIN),
        };
        self.listing = Some(Listing { since, why, ..Listing::default() });
    }
}
