//! The watch over clusters: what arrives is compared with what is known, and what is new is appended.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::StreamExt;
use kube::api::DynamicObject;
use kube::runtime::watcher::Event;
use serde_json::Value;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use super::cluster::Cluster;
use super::known::Known;
use super::object::{self, Document};
use super::project::{self, SeenProject};
use super::relist::{AGAIN, Feed, Item, Listing, QUIET, What, run};
use super::seen::Seen;
use super::sight::Sight;
use super::workload::{self, SeenWorkload};
use crate::event::ledger::{ObservationGap, ReconcileCompleted};
use crate::event::target::Observation;
use crate::event::{Draft, EvidenceRef, Source, StreamName, Timestamp, U64};
use crate::ingest::{Intake, Refusal, Rejection};
use crate::ledger::{self, Kind};

/// Drafts that are appended together while a listing is read: a commit costs as much for one as for all of them.
const BATCH: usize = 500;

/// Blobs that are stored at once.
const PUTS: usize = 8;

/// How long a watch may be interrupted, and nothing found missing afterwards, without a word about it: a server that
/// restarts is away for seconds.
const GAP_MICROS: i64 = 60_000_000;

/// Pause before the ledger is tried again that cannot write.
const RETRY: Duration = Duration::from_secs(5);

/// Clusters that are being watched.
#[derive(Debug)]
pub struct Watches {
    stop: watch::Sender<bool>,
    listings: watch::Receiver<u64>,
    tasks: Vec<JoinHandle<()>>,
}

impl Watches {
    /// How many listings were completed so far, each of one kind in one namespace.
    #[must_use]
    pub fn listings(&self) -> watch::Receiver<u64> {
        self.listings.clone()
    }

    /// Stops watching. What was being appended is appended.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        for task in self.tasks {
            if let Err(error) = task.await {
                tracing::error!("the watch of a cluster ended: {error}");
            }
        }
    }
}

/// Begins to watch clusters.
#[must_use]
pub fn start(intake: &Intake, clusters: Vec<Cluster>) -> Watches {
    let (stop, stopped) = watch::channel(false);
    let (count, listings) = watch::channel(0);
    let count = std::sync::Arc::new(count);
    let follow =
        |cluster: Cluster| tokio::spawn(Follower::follow(intake.clone(), cluster, stopped.clone(), count.clone()));
    let tasks = clusters.into_iter().map(follow).collect();
    Watches { stop, listings, tasks }
}

/// What becomes known when drafts are recorded.
enum Update {
    Application(Box<Seen>),
    Project(SeenProject),
    Workload(SeenWorkload),
    GoneApplication(String),
    GoneProject(String),
    GoneWorkload(String),
}

/// Drafts about one object, with the object.
struct Pending {
    drafts: Vec<Draft>,
    document: Option<Document>,
    update: Update,
}

struct Follower {
    intake: Intake,
    cluster: Cluster,
    known: Known,
    feeds: Vec<Feed>,
    tasks: Vec<JoinHandle<()>>,
    pending: Vec<Pending>,
    /// Whose watch the pending drafts are from: what a listing found is counted as its own.
    pending_of: usize,
    stopped: watch::Receiver<bool>,
    to: mpsc::Sender<(usize, Item)>,
    listings: std::sync::Arc<watch::Sender<u64>>,
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl Follower {
    async fn follow(
        intake: Intake,
        cluster: Cluster,
        mut stopped: watch::Receiver<bool>,
        listings: std::sync::Arc<watch::Sender<u64>>,
    ) {
        let known = loop {
            match Known::read(intake.ledger(), &cluster, intake.targets()).await {
                Ok(known) => break known,
                Err(error) => tracing::error!(?cluster, "cannot read what is known of it: {error}"),
            }
            tokio::select! {
                () = tokio::time::sleep(RETRY) => {}
                _ = stopped.changed() => return,
            }
        };
        let (to, mut from) = mpsc::channel(BATCH);
        let (feeds, tasks, pending) = (Vec::new(), Vec::new(), Vec::new());
        let mut follower = Self { intake, cluster, known, feeds, tasks, pending, pending_of: 0, stopped, to, listings };
        follower.watch_argocd();
        loop {
            // Workloads are told by their applications, so those come first.
            if follower.feeds.iter().all(|feed| feed.ready) {
                follower.watch_workloads();
            }
            let (number, item) = tokio::select! {
                Some(arrived) = from.recv() => arrived,
                _ = stopped_of(&mut follower.stopped) => return,
            };
            follower.arrived(number, item).await;
        }
    }

    fn watch_argocd(&mut self) {
        if self.cluster.settings.argocd {
            let namespaces = self.cluster.settings.namespaces.clone();
            self.watch(&[What::Applications, What::Projects], namespaces);
        }
    }

    fn watch_workloads(&mut self) {
        let watched = |feed: &Feed| feed.what == What::Deployments;
        if self.cluster.settings.workloads && !self.feeds.iter().any(watched) {
            let namespaces = self.cluster.settings.workload_namespaces.clone();
            self.watch(&[What::Deployments, What::StatefulSets], namespaces);
        }
    }

    fn watch(&mut self, kinds: &[What], namespaces: Vec<String>) {
        let mut namespaces: Vec<_> = namespaces.into_iter().map(Some).collect();
        if namespaces.is_empty() {
            namespaces.push(None);
        }
        for what in kinds {
            for namespace in &namespaces {
                let number = self.feeds.len();
                self.feeds.push(Feed::new(*what, namespace.clone(), self.known.until));
                let watch = run(self.cluster.clone(), *what, namespace.clone(), number, self.to.clone());
                self.tasks.push(tokio::spawn(watch));
            }
        }
    }

    fn now(&self) -> Timestamp {
        self.intake.ledger().clock().now()
    }

    async fn arrived(&mut self, number: usize, item: Item) {
        if self.pending_of != number {
            let recorded = self.flush().await;
            self.count(self.pending_of, recorded);
            self.pending_of = number;
        }
        let now = self.now();
        let cluster = self.cluster.settings.name.clone();
        let Some(feed) = self.feeds.get_mut(number) else { return };
        let what = feed.what;
        match item {
            Item::Trouble(error) => {
                tracing::warn!(cluster, what = what.plural(), "the watch is interrupted: {error}");
                feed.loses(now, "the watch was interrupted");
            }
            Item::Quiet => {
                let since = feed.heard.unwrap_or(now);
                feed.loses(since, QUIET);
            }
            Item::Event(event) => self.told(number, what, *event, now).await,
        }
    }

    async fn told(&mut self, number: usize, what: What, event: Event<DynamicObject>, now: Timestamp) {
        let Some(feed) = self.feeds.get_mut(number) else { return };
        match event {
            Event::Init => feed.begins(),
            Event::InitApply(object) => self.listed(number, object).await,
            Event::InitDone => self.completed(number).await,
            Event::Apply(object) => {
                feed.hears(now);
                self.sees(what, &object, Observation::Watch, None);
                self.flush().await;
            }
            Event::Delete(object) => {
                feed.hears(now);
                self.sees_end(what, &object);
                self.flush().await;
            }
        }
    }

    async fn listed(&mut self, number: usize, object: DynamicObject) {
        let Some(feed) = self.feeds.get_mut(number) else { return };
        let what = feed.what;
        let listing = feed.listing.get_or_insert_default();
        let since = listing.since;
        let differs = self.sees(what, &object, Observation::Relist, since);
        let identity = match what {
            What::Applications | What::Projects => object.metadata.uid.clone().unwrap_or_default(),
            What::Deployments | What::StatefulSets => self::workload_key(what, &object),
        };
        if let Some(listing) = self.feeds.get_mut(number).and_then(|feed| feed.listing.as_mut()) {
            listing.listed.insert(identity);
            listing.differ += u64::from(differs);
        }
        if self.pending.iter().map(|pending| pending.drafts.len()).sum::<usize>() >= BATCH {
            let recorded = self.flush().await;
            self.count(number, recorded);
        }
    }

    fn count(&mut self, number: usize, recorded: u64) {
        if let Some(listing) = self.feeds.get_mut(number).and_then(|feed| feed.listing.as_mut()) {
            listing.recorded += recorded;
        }
    }

    /// A listing is complete: what is known and was not listed is gone.
    async fn completed(&mut self, number: usize) {
        let now = self.now();
        let (listing, gone) = {
            let Some(feed) = self.feeds.get(number) else { return };
            let Some(listing) = &feed.listing else { return };
            (listing.since, self.gone(feed, &listing.listed))
        };
        let missing = u64::try_from(gone.len()).unwrap_or(u64::MAX);
        for update in gone {
            self.ends(update, Observation::Relist, listing, None);
        }
        let recorded = self.flush().await;
        self.count(number, recorded);
        let Some(feed) = self.feeds.get_mut(number) else { return };
        let Some(listing) = feed.listing.take() else { return };
        let (what, first) = (feed.what, !feed.ready);
        feed.hears(now);
        feed.ready = true;
        let listed = listing.listed.len();
        tracing::info!(cluster = self.cluster.settings.name, what = what.plural(), listed, missing, "listed");
        self.account(what, number, &listing, missing, first, now).await;
        self.listings.send_modify(|n| *n += 1);
    }

    /// Says what could not be seen, and what the listing found.
    async fn account(
        &mut self,
        what: What,
        number: usize,
        listing: &Listing,
        missing: u64,
        first: bool,
        now: Timestamp,
    ) {
        let Some(from) = listing.since else { return };
        let found = listing.recorded > 0;
        let blind = !first && listing.why != AGAIN && listing.why != QUIET;
        let long = now.micros().saturating_sub(from.micros()) >= GAP_MICROS;
        if !(found || blind && long) {
            return;
        }
        let source = self.source(what);
        let gap = ObservationGap {
            from,
            observed: Some(source.clone()),
            reason: format!("{}: {}", what.plural(), listing.why),
            to: now,
        };
        let key = format!("{} {number} {from} {now}", what.plural());
        let mut drafts = vec![(format!("gap {key}"), crate::event::Data::from(gap))];
        if found {
            let listed = u64::try_from(listing.listed.len()).unwrap_or(u64::MAX);
            let completed = ReconcileCompleted {
                compared: U64(listed.saturating_add(missing)),
                matched: U64(listed.saturating_sub(listing.differ)),
                observed: source.clone(),
                unmatched: U64(listing.differ.saturating_add(missing)),
            };
            drafts.push((format!("reconcile {key}"), completed.into()));
        }
        let draft = |(key, data): (String, crate::event::Data)| -> Result<Draft, Rejection> {
            let stream: StreamName = "ledger".parse()?;
            Ok(Draft::new(data, stream, source.clone(), object::dedup(&key)?, now))
        };
        match drafts.into_iter().map(draft).collect::<Result<Vec<_>, _>>() {
            Ok(drafts) => drop(self.append(&drafts).await),
            Err(rejection) => self.refused(&source, rejection),
        }
    }

    fn source(&self, what: What) -> Source {
        match what {
            What::Applications | What::Projects => self.cluster.argocd.clone(),
            What::Deployments | What::StatefulSets => self.cluster.kubernetes.clone(),
        }
    }

    fn refused(&self, source: &Source, rejection: Rejection) {
        self.intake.refused(source.as_str(), &Refusal::Rejected(rejection));
    }

    /// What a watch would have told of that is known and was not listed.
    fn gone(&self, feed: &Feed, listed: &BTreeSet<String>) -> Vec<Update> {
        let missing = |identity: &String, namespace: Option<&str>| !listed.contains(identity) && feed.covers(namespace);
        match feed.what {
            What::Applications => {
                let all = self.known.applications.iter();
                let gone = all.filter(|(uid, seen)| missing(uid, seen.namespace.as_deref()));
                gone.map(|(uid, _)| Update::GoneApplication(uid.clone())).collect()
            }
            What::Projects => {
                let gone = self.known.projects.iter().filter(|(uid, seen)| missing(uid, seen.namespace.as_deref()));
                gone.map(|(uid, _)| Update::GoneProject(uid.clone())).collect()
            }
            What::Deployments | What::StatefulSets => {
                let (_, kind) = feed.what.kind();
                let of_kind = self.known.workloads.iter().filter(|(_, seen)| seen.workload.kind == kind);
                let gone = of_kind.filter(|(key, seen)| missing(key, seen.workload.namespace.as_deref()));
                gone.map(|(key, _)| Update::GoneWorkload(key.clone())).collect()
            }
        }
    }

    /// Compares an object with what is known of it; true when it differs.
    fn sees(&mut self, what: What, object: &DynamicObject, observation: Observation, since: Option<Timestamp>) -> bool {
        let source = self.source(what);
        let pending = self.compared(what, object, observation, since, &source);
        match pending {
            Ok(None) => false,
            Ok(Some(pending)) if pending.drafts.is_empty() => {
                self.learn(pending.update);
                false
            }
            Ok(Some(pending)) => {
                self.pending.push(pending);
                true
            }
            Err(rejection) => {
                let name = object.metadata.name.as_deref().unwrap_or_default();
                self.refused(&source, rejection.at(format!("{}/{name}", what.plural())));
                false
            }
        }
    }

    fn compared(
        &self,
        what: What,
        object: &DynamicObject,
        observation: Observation,
        since: Option<Timestamp>,
        source: &Source,
    ) -> Result<Option<Pending>, Rejection> {
        let whole = value(what, object)?;
        let (document, redacted) = Document::of(&whole)?;
        let managed = whole.pointer("/metadata/managedFields").cloned();
        let mut value = redacted.unwrap_or(whole);
        // What is kept does not have them, but they tell who wrote what.
        if let (Some(managed), Some(meta)) = (managed, value.get_mut("metadata").and_then(Value::as_object_mut)) {
            meta.insert("managedFields".to_owned(), managed);
        }
        let sight = self.sight(source, observation, since);
        let uid = object.metadata.uid.clone().unwrap_or_default();
        let (drafts, update) = match what {
            What::Applications => {
                let (drafts, seen) = super::transition(self.known.applications.get(&uid), &value, &sight)?;
                (drafts, Update::Application(Box::new(seen)))
            }
            What::Projects => {
                let blake3 = crate::event::Hex32::from_bytes(*blake3::hash(&document.bytes).as_bytes());
                let (drafts, seen) = project::transition(self.known.projects.get(&uid), &value, &blake3, &sight)?;
                (drafts, Update::Project(seen))
            }
            What::Deployments | What::StatefulSets => {
                let previous = self.known.workloads.get(&workload_key(what, object));
                match workload::transition(previous, &value, &self.known.applications, &sight)? {
                    Some((drafts, seen)) => (drafts, Update::Workload(seen)),
                    None => return Ok(None),
                }
            }
        };
        Ok(Some(Pending { drafts, document: Some(document), update }))
    }

    fn sight<'a>(&'a self, source: &'a Source, observation: Observation, since: Option<Timestamp>) -> Sight<'a> {
        Sight {
            source,
            targets: self.intake.targets(),
            cluster: Some(&self.cluster.settings.name),
            observation,
            at: self.now(),
            since,
        }
    }

    fn sees_end(&mut self, what: What, object: &DynamicObject) {
        // The last state comes with the end, and may hold what no event had told.
        self.sees(what, object, Observation::Watch, None);
        let uid = object.metadata.uid.clone().unwrap_or_default();
        let update = match what {
            What::Applications => Update::GoneApplication(uid),
            What::Projects => Update::GoneProject(uid),
            What::Deployments | What::StatefulSets => Update::GoneWorkload(workload_key(what, object)),
        };
        let document = value(what, object).and_then(|value| Document::of(&value)).ok().map(|(document, _)| document);
        self.ends(update, Observation::Watch, None, document);
    }

    fn ends(&mut self, update: Update, observation: Observation, since: Option<Timestamp>, document: Option<Document>) {
        // What the last state told is not known yet.
        let told = self.pending.iter().rev().find_map(|pending| match (&pending.update, &update) {
            (Update::Application(seen), Update::GoneApplication(uid)) if seen.identity == *uid => {
                Some((**seen).clone())
            }
            _ => None,
        });
        let source = self.cluster.argocd.clone();
        let sight = self.sight(&source, observation, since);
        let drafts = match &update {
            Update::GoneApplication(uid) => {
                let seen = told.as_ref().or_else(|| self.known.applications.get(uid));
                seen.map(|seen| super::removed(seen, &sight)).transpose()
            }
            Update::GoneProject(uid) => {
                self.known.projects.get(uid).map(|seen| project::removed(seen, &sight)).transpose()
            }
            _ => Ok(None),
        };
        match drafts {
            Ok(Some(drafts)) => self.pending.push(Pending { drafts, document, update }),
            Ok(None) => self.learn(update),
            Err(rejection) => self.refused(&source, rejection),
        }
    }

    fn learn(&mut self, update: Update) {
        let known = &mut self.known;
        match update {
            Update::Application(seen) => drop(known.applications.insert(seen.identity.clone(), *seen)),
            Update::Project(seen) => drop(known.projects.insert(seen.identity.clone(), seen)),
            Update::Workload(seen) => drop(known.workloads.insert(workload::key(&seen.workload), seen)),
            Update::GoneApplication(uid) => drop(known.applications.remove(&uid)),
            Update::GoneProject(uid) => drop(known.projects.remove(&uid)),
            Update::GoneWorkload(key) => drop(known.workloads.remove(&key)),
        }
    }

    /// Records what is pending, and returns how many events of it are new.
    async fn flush(&mut self) -> u64 {
        let mut pending = std::mem::take(&mut self.pending);
        if pending.is_empty() {
            return 0;
        }
        let Some(()) = self.store(&mut pending).await else { return 0 };
        let drafts: Vec<Draft> = pending.iter().flat_map(|one| one.drafts.iter().cloned()).collect();
        let mut new = 0;
        match self.append(&drafts).await {
            Some(Ok(n)) => new = n,
            // One of them cannot be recorded, and is not to take the others with it.
            Some(Err(_)) => {
                for one in &pending {
                    match self.append(&one.drafts).await {
                        Some(Ok(n)) => new += n,
                        Some(Err(error)) => {
                            let source = one.drafts.first().map(|draft| draft.source.to_string()).unwrap_or_default();
                            self.intake.refused(&source, &Refusal::Ledger(error));
                        }
                        None => return new,
                    }
                }
            }
            None => return 0,
        }
        for one in pending {
            self.learn(one.update);
        }
        new
    }

    /// Stores the objects, and has the drafts name them. None when told to stop.
    async fn store(&mut self, pending: &mut [Pending]) -> Option<()> {
        loop {
            let evidence = self.intake.ledger().evidence();
            let put = |document: &Option<Document>| {
                let document = document.clone();
                async move {
                    match document {
                        Some(Document { media_type, bytes }) => evidence.put(media_type, &bytes).await.map(Some),
                        None => Ok(None),
                    }
                }
            };
            let puts: Vec<_> = pending.iter().map(|one| put(&one.document)).collect();
            let stored: Vec<ledger::Result<Option<EvidenceRef>>> =
                futures::stream::iter(puts).buffered(PUTS).collect().await;
            match stored.into_iter().collect::<ledger::Result<Vec<_>>>() {
                Ok(references) => {
                    for (one, reference) in pending.iter_mut().zip(references) {
                        one.drafts.iter_mut().for_each(|draft| draft.evidence = reference.iter().cloned().collect());
                    }
                    return Some(());
                }
                Err(error) => self.wait(&error).await?,
            }
        }
    }

    /// Appends, again and again while the ledger cannot write: nothing that was seen is let go of. How many events are
    /// new; what is wrong with the drafts; or none when told to stop.
    async fn append(&mut self, drafts: &[Draft]) -> Option<Result<u64, ledger::Error>> {
        loop {
            match self.intake.append_new(drafts.to_vec()).await {
                Ok(recorded) => {
                    let new = recorded.iter().filter(|event| !event.duplicate).count();
                    if let (Some(first), true) = (drafts.first(), new > 0) {
                        self.intake.counters().count(first.source.as_str(), "recorded");
                    }
                    return Some(Ok(u64::try_from(new).unwrap_or(u64::MAX)));
                }
                Err(error) if matches!(error.kind(), Kind::Invalid | Kind::Conflict | Kind::NotFound) => {
                    return Some(Err(error));
                }
                Err(error) => self.wait(&error).await?,
            }
        }
    }

    /// Waits before the next attempt; none when told to stop.
    async fn wait(&mut self, error: &ledger::Error) -> Option<()> {
        tracing::error!(
            cluster = self.cluster.settings.name,
            "cannot record what was seen, and will try again: {error}"
        );
        tokio::select! {
            () = tokio::time::sleep(RETRY) => Some(()),
            _ = stopped_of(&mut self.stopped) => None,
        }
    }
}

/// Completes when watching is to stop.
async fn stopped_of(stopped: &mut watch::Receiver<bool>) {
    // An error means that nobody is left to say so.
    let _gone = stopped.wait_for(|stop| *stop).await.is_err();
}

/// An object with its kind, which items of a list do not repeat.
fn value(what: What, object: &DynamicObject) -> Result<Value, Rejection> {
    let unreadable = |error: serde_json::Error| Rejection::json(&error);
    let mut value = serde_json::to_value(object).map_err(unreadable)?;
    if let Some(members) = value.as_object_mut() {
        let (version, kind) = what.kind();
        members.entry("apiVersion").or_insert_with(|| version.into());
        members.entry("kind").or_insert_with(|| kind.into());
    }
    Ok(value)
}

/// What a workload is known by.
fn workload_key(what: What, object: &DynamicObject) -> String {
    let (version, kind) = what.kind();
    workload::key(&crate::event::target::Resource {
        group: version.split_once('/').map(|(group, _)| group.to_owned()),
        kind,
        name: object.metadata.name.clone().unwrap_or_default(),
        namespace: object.metadata.namespace.clone(),
    })
}
