//! What the ledger records of a cluster that it watches, while things happen there and while it cannot see them.

use std::time::Duration;

use kube::api::{Api, DynamicObject, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use plimsoll::event::Timestamp;
use plimsoll::ingest::kubernetes::{Cluster, ClusterSettings, Watches, start};
use plimsoll::ingest::{Intake, Settings};
use plimsoll::ledger::{Clock as _, DataDir, Ledger};
use serde_json::{Value, json};

use super::argocd::{ArgoCd, Outcome, application};
use super::conformance::{PATIENCE, Place, everywhere, stand_in_only};
use super::server::{ApiServer, Options};
use crate::support::House;
use crate::support::program::Desk;
use crate::support::rig::scratch;
use crate::support::served::{audit, within};

/// A server second, so that what takes a server seconds takes a test none.
const SECOND: Duration = Duration::from_millis(25);

/// A ledger that watches.
struct Watching {
    house: House,
    ledger: Ledger,
    watches: Watches,
}

/// A house whose clock is two hours past the time at which the stand-in controller's begins.
fn house() -> House {
    // Nothing here is about outliving the machine, and thousands of objects are stored one by one.
    let house = House { dir: scratch(), clock: std::sync::Arc::new(crate::support::FixedClock::new()) };
    let at: Timestamp = "2026-11-25T12:00:00Z".parse().unwrap();
    house.clock.advance(at.micros() - house.clock.now().micros());
    house
}

fn settings(name: &str, namespace: &str) -> ClusterSettings {
    ClusterSettings {
        namespaces: vec![namespace.to_owned()],
        workload_namespaces: vec![namespace.to_owned()],
        ..ClusterSettings::named(name)
    }
}

impl Watching {
    /// Begins to watch, and waits until everything was listed.
    async fn new(house: House, clusters: Vec<(ClusterSettings, kube::Client)>) -> Self {
        let ledger = house.open().await;
        let intake = Intake::new(ledger.clone(), Settings::default()).unwrap();
        let n = 4 * clusters.len() as u64;
        let clusters = clusters.into_iter().map(|(settings, client)| Cluster::with_client(settings, client).unwrap());
        let watches = start(&intake, clusters.collect());
        let mut listings = watches.listings();
        within("everything to be listed", listings.wait_for(|listed| *listed >= n)).await.unwrap();
        drop(listings);
        Self { house, ledger, watches }
    }

    async fn of(place: &Place, house: House) -> Self {
        Self::new(house, vec![(settings("c", &place.namespace), place.client.clone())]).await
    }

    /// Every event but the first: type, source, stream and data.
    fn events(&self) -> Vec<Value> {
        let leaves = (1..self.ledger.head().size).map(|position| self.ledger.leaf(position).unwrap());
        leaves.map(|leaf| serde_json::from_slice(&leaf).unwrap()).collect()
    }

    fn types(&self) -> Vec<String> {
        self.events().iter().map(|event| event["type"].as_str().unwrap().to_owned()).collect()
    }

    /// Waits until there are events of those types in that order after the first `from`, and gives them.
    async fn wait(&self, from: usize, types: &[&str]) -> Vec<Value> {
        let enough = from + types.len();
        let waited = tokio::time::timeout(PATIENCE, async {
            while self.events().len() < enough {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        });
        let _late = waited.await.is_err();
        let found = self.types();
        assert_eq!(&found[from.min(found.len())..], types, "after {from}");
        self.events()[from..].to_vec()
    }

    async fn stop(self) -> House {
        within("the end of watching", self.watches.stop()).await;
        let Self { house, ledger, .. } = self;
        tokio::task::spawn_blocking(move || drop(ledger)).await.unwrap();
        // Away from the runtime, which has a task that reads thousands of blobs at once wait for ever.
        tokio::task::spawn_blocking(move || {
            let report = audit(&house);
            assert!(report.ok, "{:#?}", report.findings);
            house
        })
        .await
        .unwrap()
    }
}

fn api(place: &Place, group: &str, version: &str, kind: &str) -> Api<DynamicObject> {
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
    Api::namespaced_with(place.client.clone(), &place.namespace, &resource)
}

async fn create(api: &Api<DynamicObject>, object: Value) {
    api.create(&PostParams::default(), &serde_json::from_value(object).unwrap()).await.unwrap();
}

async fn patch(api: &Api<DynamicObject>, name: &str, manager: &str, patch: Value) {
    let parameters = PatchParams { field_manager: Some(manager.to_owned()), ..PatchParams::default() };
    api.patch(name, &parameters, &Patch::Merge(patch)).await.unwrap();
}

fn data<'a>(event: &'a Value, path: &str) -> &'a Value {
    path.split('.').fold(&event["data"], |value, member| &value[member])
}

async fn sync(argo: &ArgoCd, revision: &str) {
    argo.request("web", json!({"sync": {"revision": revision}, "initiatedBy": {"username": "jane"}})).await;
    argo.begin("web").await;
    argo.finish("web", &Outcome::Succeeded).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn operations_health_and_drift_are_told_as_they_happen() {
    everywhere("operations", async |place| {
        place.make("web").await;
        let watching = Watching::of(place, house()).await;
        let argo = ArgoCd::new(&place.client, &place.namespace);
        argo.compare("web", "Synced", "Healthy", "r1").await;
        let info = json!([{"name": "plimsoll-command", "value": "p-7"}]);
        argo.request("web", json!({"sync": {"revision": "r1"}, "info": info, "initiatedBy": {"username": "jane"}}))
            .await;
        argo.begin("web").await;
        argo.finish("web", &Outcome::Succeeded).await;
        let told = watching.wait(0, &["health.changed", "sync.started", "sync.succeeded"]).await;
        assert_eq!(
            (data(&told[1], "operation.command"), data(&told[1], "operation.automated")),
            (&json!("p-7"), &json!(false))
        );
        assert_eq!((data(&told[2], "history_id"), data(&told[2], "observation")), (&json!("0"), &json!("watch")));
        assert_eq!(
            (told[2]["source"].as_str(), told[2]["stream"].as_str()),
            (Some("argocd/c"), Some("target/web/web"))
        );
        assert_eq!(told[2]["evidence"].as_array().unwrap().len(), 1);

        argo.compare("web", "Synced", "Healthy", "r1").await;
        argo.compare("web", "OutOfSync", "Healthy", "r1").await;
        argo.self_heal("web", json!([{"group": "apps", "kind": "Deployment", "name": "web"}])).await;
        let told = watching.wait(3, &["drift.opened", "sync.started", "sync.succeeded", "drift.closed"]).await;
        assert_eq!(
            (data(&told[2], "operation.partial"), data(&told[2], "operation.self_heal_attempts")),
            (&json!(true), &json!(1))
        );
        assert_eq!((data(&told[3], "cause"), data(&told[3], "drift")), (&json!("self_heal"), data(&told[0], "drift")));

        // A new revision is a change that waits, and no drift.
        argo.compare("web", "Synced", "Healthy", "r1").await;
        argo.compare("web", "OutOfSync", "Healthy", "r2").await;
        argo.request(
            "web",
            json!({"sync": {"revision": "r2"}, "initiatedBy": {"automated": true}, "retry": {"limit": 2}}),
        )
        .await;
        argo.begin("web").await;
        argo.attempt_failed("web", "a hook failed").await;
        argo.retry("web").await;
        argo.finish("web", &Outcome::Failed("a hook failed again".to_owned())).await;
        let told = watching.wait(7, &["sync.started", "sync.failed", "sync.failed"]).await;
        assert_eq!((data(&told[1], "will_retry"), data(&told[2], "will_retry")), (&json!(true), &Value::Null));
        assert_eq!(data(&told[0], "operation.automated"), &json!(true));

        argo.request("web", json!({"sync": {"revision": "r2"}})).await;
        argo.begin("web").await;
        argo.hold("web").await;
        argo.terminate("web").await;
        argo.complete("web", "Failed", "Operation terminated").await;
        let told = watching.wait(10, &["sync.started", "sync.started", "sync.terminated"]).await;
        assert_eq!(data(&told[1], "operation.blocked_by_window"), &json!(true));
        assert_eq!(data(&told[0], "operation.started_at"), data(&told[2], "operation.started_at"));

        sync(&argo, "r2").await;
        argo.compare("web", "Synced", "Degraded", "r2").await;
        argo.compare("web", "OutOfSync", "Degraded", "r2").await;
        argo.compare("web", "Synced", "Degraded", "r2").await;
        let types = ["sync.started", "sync.succeeded", "health.changed", "drift.opened", "drift.closed"];
        let told = watching.wait(13, &types).await;
        assert_eq!((data(&told[2], "before"), data(&told[2], "after")), (&json!("healthy"), &json!("degraded")));
        assert_eq!((data(&told[3], "cause"), data(&told[4], "cause")), (&json!("unknown"), &json!("undone")));
        watching.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn guards_projects_workloads_and_ends_are_told_as_they_happen() {
    everywhere("guards", async |place| {
        place.make("web").await;
        let argo = ArgoCd::new(&place.client, &place.namespace);
        argo.compare("web", "Synced", "Healthy", "r1").await;
        let watching = Watching::of(place, house()).await;
        watching.wait(0, &["health.changed"]).await;
        patch(&argo.api, "web", "kubectl", json!({"spec": {"syncPolicy": {"automated": {"selfHeal": true}}}})).await;
        patch(&argo.api, "web", "kubectl", json!({"spec": {"syncPolicy": {"automated": {"enabled": false}}}})).await;
        patch(&argo.api, "web", "kubectl", json!({"metadata": {"annotations": {"argocd.argoproj.io/skip-reconcile": "true"}}})).await;
        let parameters = json!([{"name": "image.tag", "value": "v2"}]);
        patch(&argo.api, "web", "kubectl", json!({"spec": {"source": {"targetRevision": "hotfix", "helm": {"parameters": parameters}}}})).await;
        let told = watching.wait(1, &["guard.changed"; 6]).await;
        let guards: Vec<_> = told.iter().map(|event| data(event, "guard").as_str().unwrap()).collect();
        assert_eq!(guards, ["automated_sync", "self_heal", "automated_sync", "skip_reconcile", "target_revision", "parameters"]);
        assert_eq!((data(&told[4], "before"), data(&told[4], "after")), (&json!("main"), &json!("hotfix")));
        assert_eq!((data(&told[2], "before"), data(&told[2], "after")), (&json!("true"), &json!("false")));

        let projects = api(place, "argoproj.io", "v1alpha1", "AppProject");
        let spec = json!({"sourceRepos": ["*"], "destinations": [{"server": "*", "namespace": "*"}]});
        create(&projects, json!({"apiVersion": "argoproj.io/v1alpha1", "kind": "AppProject", "metadata": {"name": "shop"}, "spec": spec})).await;
        let window = json!({"kind": "deny", "schedule": "0 9 * * 1-5", "duration": "8h", "applications": ["*"], "manualSync": true});
        patch(&projects, "shop", "kubectl", json!({"spec": {"syncWindows": [window]}})).await;
        projects.delete("shop", &kube::api::DeleteParams::default()).await.unwrap();
        let told = watching.wait(7, &["project.changed"; 3]).await;
        assert_eq!((data(&told[1], "fields"), data(&told[1], "before")), (&json!(["syncWindows"]), data(&told[0], "after")));
        assert_eq!((data(&told[1], "sync_windows").as_array().unwrap().len(), data(&told[2], "after")), (1, &Value::Null));

        let deployments = api(place, "apps", "v1", "Deployment");
        let tracking = format!("{}_web:apps/Deployment:{}/api", place.namespace, place.namespace);
        let template = json!({"metadata": {"labels": {"app": "api"}}, "spec": {"containers": [{"name": "api", "image": "ghcr.io/acme/api:v1"}]}});
        create(
            &deployments,
            json!({"apiVersion": "apps/v1", "kind": "Deployment",
                "metadata": {"name": "api", "annotations": {"argocd.argoproj.io/tracking-id": tracking}},
                "spec": {"replicas": 2, "selector": {"matchLabels": {"app": "api"}}, "template": template}}),
        )
        .await;
        patch(&deployments, "api", "kubectl-scale", json!({"spec": {"replicas": 0}})).await;
        let told = watching.wait(10, &["workload.scaled"; 2]).await;
        assert_eq!((data(&told[0], "after"), data(&told[0], "before")), (&json!(2), &Value::Null));
        assert_eq!((data(&told[1], "after"), data(&told[1], "before"), data(&told[1], "cause")), (&json!(0), &json!(2), &json!("manual")));
        assert_eq!((told[1]["stream"].as_str(), told[1]["source"].as_str()), (Some("target/web/web"), Some("kubernetes/c")));

        argo.api.delete("web", &kube::api::DeleteParams::default()).await.unwrap();
        let told = watching.wait(12, &["target.removed"]).await;
        assert_eq!((data(&told[0], "cause"), data(&told[0], "cascade")), (&json!("deleted"), &json!(false)));
        watching.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happened_while_the_program_did_not_run_is_found_afterwards_and_nothing_twice() {
    everywhere("restart", async |place| {
        for name in ["web", "old"] {
            place.make(name).await;
        }
        let argo = ArgoCd::new(&place.client, &place.namespace);
        sync(&argo, "r1").await;
        argo.compare("web", "OutOfSync", "Healthy", "r1").await;
        argo.compare("old", "Synced", "Healthy", "r1").await;
        let watching = Watching::of(place, house()).await;
        let mut first = watching.types();
        first.sort();
        assert_eq!(first, ["drift.opened", "health.changed", "health.changed", "sync.started", "sync.succeeded"]);
        // An unchanged cluster adds nothing, however often it is listed.
        let house = watching.stop().await;
        let watching = Watching::of(place, house).await;
        assert_eq!(watching.events().len(), 5);
        let house = watching.stop().await;

        house.clock.advance(3_600_000_000);
        sync(&argo, "r2").await;
        sync(&argo, "r3").await;
        argo.compare("web", "Synced", "Healthy", "r3").await;
        patch(&argo.api, "web", "kubectl", json!({"spec": {"syncPolicy": {"automated": {"prune": true}}}})).await;
        argo.api.delete("old", &kube::api::DeleteParams::default()).await.unwrap();
        place.make("old").await;
        argo.compare("old", "Synced", "Missing", "r1").await;
        let watching = Watching::of(place, house).await;
        let events = watching.events()[5..].to_vec();
        let of = |word: &str| events.iter().filter(|event| event["type"] == word).cloned().collect::<Vec<_>>();
        let (succeeded, closed, removed) = (of("sync.succeeded"), of("drift.closed"), of("target.removed"));
        let how: Vec<_> = succeeded.iter().map(|event| data(event, "observation").as_str().unwrap()).collect();
        assert_eq!(how, ["history", "relist"]);
        assert_eq!((data(&succeeded[0], "sources")[0]["revision"].as_str(), closed.len()), (Some("r2"), 1));
        assert_eq!(
            (data(&closed[0], "cause"), data(&removed[0], "cause")),
            (&json!("sync"), &json!("missing_at_relist"))
        );
        let between = data(&removed[0], "observed_between");
        assert_eq!(
            (&between["from"], &between["to"]),
            (&json!("2026-11-25T12:00:00.000000Z"), &json!("2026-11-25T13:00:00.000000Z"))
        );
        assert_eq!(of("guard.changed").len(), 2);
        let gaps = of("observation.gap");
        assert_eq!((gaps.len(), data(&gaps[0], "from")), (1, &between["from"]), "{gaps:#?}");
        let reconciled = of("reconcile.completed");
        assert_eq!((data(&reconciled[0], "compared"), data(&reconciled[0], "unmatched")), (&json!("3"), &json!("3")));
        watching.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_broken_watch_missed_is_repaired_from_a_listing_and_the_history() {
    let why = "only the stand-in forgets on demand";
    stand_in_only("missed", why, Options { second: SECOND, ..Options::default() }, async |place| {
        let server = place.stand_in.as_ref().unwrap();
        for name in ["web", "gone", "again"] {
            place.make(name).await;
        }
        let argo = ArgoCd::new(&place.client, &place.namespace);
        for name in ["web", "gone", "again"] {
            argo.compare(name, "Synced", "Healthy", "r1").await;
        }
        let watching = Watching::of(place, house()).await;
        argo.request("web", json!({"sync": {"revision": "r1"}})).await;
        argo.begin("web").await;
        watching.wait(3, &["sync.started"]).await;
        server.stall_streams(true);
        watching.house.clock.advance(600_000_000);
        argo.finish("web", &Outcome::Succeeded).await;
        sync(&argo, "r2").await;
        // Made anew under its old name, it is another.
        for name in ["gone", "again"] {
            argo.api.delete(name, &kube::api::DeleteParams::default()).await.unwrap();
        }
        place.make("again").await;
        argo.compare("again", "Synced", "Progressing", "r1").await;
        server.compact_now();
        server.drop_streams();
        server.stall_streams(false);
        let mut found = within("a gap", async {
            loop {
                let events = watching.events();
                if events.iter().any(|event| event["type"] == "reconcile.completed") {
                    return events[4..].to_vec();
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
        found.sort_by_key(|event| {
            (event["type"].as_str().unwrap().to_owned(), event["occurred_at"].as_str().unwrap().to_owned())
        });
        let types: Vec<_> = found.iter().map(|event| event["type"].as_str().unwrap()).collect();
        let expected = [
            "health.changed",
            "observation.gap",
            "reconcile.completed",
            "sync.started",
            "sync.succeeded",
            "sync.succeeded",
            "target.removed",
            "target.removed",
        ];
        assert_eq!(types, expected);
        assert_eq!(
            (data(&found[4], "observation"), data(&found[5], "observation")),
            (&json!("history"), &json!("relist"))
        );
        assert_eq!(data(&found[6], "cause"), &json!("missing_at_relist"));
        watching.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_dies_during_an_operation_costs_nothing_but_time() {
    let why = "only the stand-in dies on demand";
    stand_in_only("killed", why, Options { second: SECOND, ..Options::default() }, async |place| {
        let server = place.stand_in.as_ref().unwrap();
        place.make("web").await;
        let argo = ArgoCd::new(&place.client, &place.namespace);
        let watching = Watching::of(place, house()).await;
        argo.request("web", json!({"sync": {"revision": "r1"}})).await;
        argo.begin("web").await;
        watching.wait(0, &["sync.started"]).await;
        server.kill().await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        server.restart();
        argo.finish("web", &Outcome::Succeeded).await;
        let told = within("the end of the operation", async {
            loop {
                let events = watching.events();
                if let Some(event) = events.iter().find(|event| event["type"] == "sync.succeeded") {
                    return event.clone();
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
        assert_eq!(data(&told, "history_id"), &json!("0"));
        watching.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_that_the_server_forgot_is_made_anew() {
    let why = "only the stand-in falls silent on demand";
    stand_in_only("silent", why, Options { second: Duration::from_secs(1), ..Options::default() }, async |place| {
        let server = place.stand_in.as_ref().unwrap();
        place.make("web").await;
        let argo = ArgoCd::new(&place.client, &place.namespace);
        let settings = ClusterSettings { relist_seconds: Some(1), ..settings("c", &place.namespace) };
        let watching = Watching::new(house(), vec![(settings, place.client.clone())]).await;
        server.stall_streams(true);
        argo.compare("web", "Synced", "Healthy", "r1").await;
        let told = within("what a silent watch hides", async {
            while watching.events().is_empty() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            watching.events().remove(0)
        })
        .await;
        assert_eq!((told["type"].as_str(), data(&told, "observation")), (Some("health.changed"), &json!("relist")));
        watching.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_clusters_are_told_apart() {
    let (one, two) = (ApiServer::start().await, ApiServer::start().await);
    let mut clusters = Vec::new();
    for (name, server) in [("one", &one), ("two", &two)] {
        server.seed(vec![application("argocd", "web")]);
        let client = server.client().await;
        ArgoCd::new(&client, "argocd").compare("web", "Synced", "Healthy", "r1").await;
        clusters.push((settings(name, "argocd"), client));
    }
    let watching = Watching::new(house(), clusters).await;
    let told = watching.wait(0, &["health.changed"; 2]).await;
    let mut sources: Vec<_> = told.iter().map(|event| event["source"].as_str().unwrap()).collect();
    sources.sort_unstable();
    assert_eq!(sources, ["argocd/one", "argocd/two"]);
    watching.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn five_thousand_applications_are_listed_again_and_only_what_changed_is_recorded() {
    let server = ApiServer::start().await;
    let many: Vec<Value> = (0..5_000)
        .map(|n| {
            let mut object = application("argocd", &format!("app-{n}"));
            object["status"] = json!({"health": {"status": "Healthy"}, "reconciledAt": "2026-11-25T10:00:00Z",
                "sync": {"status": "Synced", "revision": "r1"}});
            object
        })
        .collect();
    server.seed(many);
    let client = server.client().await;
    let watch = |house| Watching::new(house, vec![(settings("c", "argocd"), client.clone())]);
    let watching = watch(house()).await;
    assert_eq!(watching.events().len(), 5_000);
    let house = watching.stop().await;
    let argo = ArgoCd::new(&client, "argocd");
    argo.compare("app-7", "Synced", "Degraded", "r1").await;
    let watching = watch(house).await;
    let told = watching.wait(5_000, &["health.changed", "observation.gap", "reconcile.completed"]).await;
    assert_eq!((data(&told[0], "after"), data(&told[2], "matched")), (&json!("degraded"), &json!("4999")));
    watching.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_program_watches_what_its_settings_name_and_stops_when_told() {
    let server = ApiServer::start().await;
    let mut object = application("argocd", "web");
    object["status"] = json!({"health": {"status": "Healthy"}, "sync": {"status": "Synced", "revision": "r1"}});
    server.seed(vec![object]);
    let desk = Desk::new();
    let kubeconfig = server.kubeconfig_file(desk.path());
    let cluster = format!("[[kubernetes]]\nname = \"c\"\nkubeconfig = {kubeconfig:?}\nnamespaces = [\"argocd\"]\n");
    std::fs::write(desk.path().join("plimsoll.toml"), &cluster).unwrap();
    let twice = format!("{cluster}{cluster}");
    std::fs::write(desk.path().join("twice.toml"), twice).unwrap();
    let complaint = desk.run(["--config", "twice.toml", "serve", "--grpc", "127.0.0.1:0", "--http", "127.0.0.1:0"]);
    assert!(complaint.err.contains("two clusters are named \"c\""), "{complaint:?}");
    let mut served = desk.serve(&["--config", "plimsoll.toml"]);
    let ledger = Ledger::open_read_only(&DataDir::new(desk.data())).unwrap();
    within("what the cluster holds", async {
        while ledger.refresh().unwrap().size < 2 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    let event: Value = serde_json::from_slice(&ledger.leaf(1).unwrap()).unwrap();
    assert_eq!((event["type"].as_str(), event["source"].as_str()), (Some("health.changed"), Some("argocd/c")));
    // Also while the cluster is away.
    server.kill().await;
    served.signal("TERM");
    assert!(served.child.wait().unwrap().success());
}
