//! A stand-in for Argo CD's application controller: what it writes to an Application, in which order.
//!
//! A model, made from the controller's documented and published behaviour; it applies no manifests. It works through
//! any client, so it runs against the stand-in server and a real one alike. Each step can be made by hand, or all by
//! themselves.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};

use chrono::{DateTime, Utc};
use futures::StreamExt as _;
use kube::api::{Api, DynamicObject, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::runtime::{WatchStreamExt as _, watcher};
use serde_json::{Value, json};

/// Who Argo CD is in `managedFields`.
pub const MANAGER: &str = "argocd-application-controller";
/// What asks for a comparison, and is taken away when it was made.
pub const REFRESH: &str = "argocd.argoproj.io/refresh";
/// How many entries of history are kept where the spec does not say.
const HISTORY: usize = 10;

/// Applications of a namespace, as any client sees them.
pub fn applications(client: &kube::Client, namespace: &str) -> Api<DynamicObject> {
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("argoproj.io", "v1alpha1", "Application"));
    Api::namespaced_with(client.clone(), namespace, &resource)
}

/// A small Application.
pub fn application(namespace: &str, name: &str) -> Value {
    json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "Application",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "project": "default",
            "source": {"repoURL": "https://git.example.com/shop.git", "path": name, "targetRevision": "main"},
            "destination": {"server": "https://kubernetes.default.svc", "namespace": name},
        },
    })
}

/// How an attempt to sync ends.
#[derive(Clone, Debug)]
pub enum Outcome {
    Succeeded,
    Failed(String),
    Error(String),
}

/// The controller, of one namespace.
pub struct ArgoCd {
    pub api: Api<DynamicObject>,
    clock: Mutex<DateTime<Utc>>,
    /// What comes next for an Application that is synced by `run`; without an entry it succeeds.
    plans: Mutex<BTreeMap<String, VecDeque<Outcome>>>,
}

/// A controller at work. It stops when this is dropped.
pub struct Working(tokio::task::JoinHandle<()>);

impl Drop for Working {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl ArgoCd {
    /// Its clock begins at a fixed time and goes on by a second whenever it is read, as times in Applications have no
    /// parts of seconds.
    pub fn new(client: &kube::Client, namespace: &str) -> Self {
        let start = "2026-11-25T10:00:00Z".parse().unwrap();
        Self { api: applications(client, namespace), clock: Mutex::new(start), plans: Mutex::default() }
    }

    /// Now, by its clock.
    pub fn now(&self) -> String {
        let mut clock = self.clock.lock().unwrap();
        *clock += chrono::TimeDelta::seconds(1);
        clock.format("%Y-%m-%dT%H:%M:%SZ").to_string()
    }

    async fn get(&self, name: &str) -> Value {
        serde_json::to_value(persistent(|| self.api.get(name)).await).unwrap()
    }

    /// A merge patch without a lock, as the controller makes them.
    async fn write(&self, name: &str, patch: Value) -> Value {
        let parameters = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
        let patch = Patch::Merge(patch);
        serde_json::to_value(persistent(|| self.api.patch(name, &parameters, &patch)).await).unwrap()
    }

    async fn write_state(&self, name: &str, state: Value) -> Value {
        self.write(name, json!({"status": {"operationState": state}})).await
    }

    /// Requests an operation as Argo CD's own API server does: the whole object, with the last operation's state away.
    /// Panics where one is there already, which that server refuses.
    pub async fn request(&self, name: &str, operation: Value) -> Value {
        let mut object = self.get(name).await;
        assert!(object["operation"].is_null(), "another operation is in progress");
        object["operation"] = operation;
        if let Some(status) = object.get_mut("status").and_then(Value::as_object_mut) {
            status.remove("operationState");
        }
        let parameters = PostParams { field_manager: Some("argocd-server".to_owned()), ..PostParams::default() };
        let object = self.api.replace(name, &parameters, &serde_json::from_value(object).unwrap()).await.unwrap();
        serde_json::to_value(object).unwrap()
    }

    /// Takes up the operation that was requested. The new state is merged over the old one, and what is in both keeps
    /// members of the old: whoever sets `operation` must null the state.
    pub async fn begin(&self, name: &str) -> Value {
        let object = self.get(name).await;
        let operation = object["operation"].clone();
        assert!(operation.is_object(), "no operation was requested");
        let started_at = self.now();
        self.write_state(
            name,
            json!({
                "operation": operation, "phase": "Running", "startedAt": started_at, "finishedAt": null,
            }),
        )
        .await
    }

    /// Says how far the operation is. `resources` are what was applied so far, as in `syncResult.resources`.
    pub async fn progress(&self, name: &str, message: &str, resources: Value) -> Value {
        let result = result(&self.get(name).await, resources);
        self.write_state(name, json!({"message": message, "syncResult": result})).await
    }

    /// Holds the operation until a window opens.
    pub async fn hold(&self, name: &str) -> Value {
        let message = "Sync operation blocked by sync window";
        self.write_state(name, json!({"phase": "Running", "message": message})).await
    }

    /// An attempt failed and there will be another one: still running, but finished.
    pub async fn attempt_failed(&self, name: &str, message: &str) -> Value {
        let object = self.get(name).await;
        let count = object["status"]["operationState"]["retryCount"].as_u64().unwrap_or(0) + 1;
        let finished_at = self.now();
        self.write_state(
            name,
            json!({
                "phase": "Running", "finishedAt": finished_at, "retryCount": count,
                "message": format!("{message}. Retrying attempt #{count} at 10:00AM."),
            }),
        )
        .await
    }

    /// The next attempt begins.
    pub async fn retry(&self, name: &str) -> Value {
        self.write_state(name, json!({"finishedAt": null, "message": "Retrying operation"})).await
    }

    /// Adds the entry of a sync that went well, in a write of its own, before the operation is complete. Partial syncs
    /// and dry runs have none.
    pub async fn record_history(&self, name: &str) -> Value {
        let object = self.get(name).await;
        let (state, spec) = (&object["status"]["operationState"], &object["spec"]);
        let sync = &state["operation"]["sync"];
        let limit = spec["revisionHistoryLimit"].as_u64().map_or(HISTORY, |limit| usize::try_from(limit).unwrap());
        let partial = sync["resources"].as_array().is_some_and(|resources| !resources.is_empty());
        if partial || sync["dryRun"] == true {
            return object;
        }
        let mut history = object["status"]["history"].as_array().cloned().unwrap_or_default();
        let id = history.last().and_then(|entry| entry["id"].as_u64()).map_or(0, |id| id + 1);
        let result = &state["syncResult"];
        let mut entry = json!({
            "id": id, "deployStartedAt": state["startedAt"], "deployedAt": self.now(),
            "initiatedBy": state["operation"]["initiatedBy"].as_object().cloned().unwrap_or_default(),
        });
        for field in ["revision", "revisions", "source", "sources"] {
            if !result[field].is_null() {
                entry[field] = result[field].clone();
            }
        }
        history.push(entry);
        history.drain(..history.len().saturating_sub(limit));
        self.write(name, json!({"status": {"history": history}})).await
    }

    /// The write that completes the operation and takes the request away.
    pub async fn complete(&self, name: &str, phase: &str, message: &str) -> Value {
        let finished_at = self.now();
        self.write(
            name,
            json!({
                "operation": null,
                "status": {"operationState": {"phase": phase, "message": message, "finishedAt": finished_at}},
            }),
        )
        .await
    }

    /// All that comes after `begin`: result, history, completion.
    pub async fn finish(&self, name: &str, outcome: &Outcome) -> Value {
        match outcome {
            Outcome::Succeeded => {
                let resources = synced(&self.get(name).await);
                self.progress(name, "successfully synced", resources).await;
                self.record_history(name).await;
                self.complete(name, "Succeeded", "successfully synced (all tasks run)").await
            }
            Outcome::Failed(message) => {
                self.progress(name, message, json!([])).await;
                self.complete(name, "Failed", message).await
            }
            Outcome::Error(message) => self.complete(name, "Error", message).await,
        }
    }

    /// Asks a running operation to end, as Argo CD's API server does.
    pub async fn terminate(&self, name: &str) -> Value {
        self.write_state(name, json!({"phase": "Terminating"})).await
    }

    /// A comparison of what is live with what is wanted: sync, health and the time of it, in one write.
    pub async fn compare(&self, name: &str, sync: &str, health: &str, revision: &str) -> Value {
        let object = self.get(name).await;
        let reconciled_at = self.now();
        let mut status = json!({
            "reconciledAt": reconciled_at,
            "sync": {
                "status": sync, "revision": revision,
                "comparedTo": {
                    "source": object["spec"]["source"], "sources": object["spec"]["sources"],
                    "destination": object["spec"]["destination"],
                },
            },
        });
        if object["status"]["health"]["status"] != health {
            status["health"] = json!({"status": health, "lastTransitionTime": reconciled_at});
        }
        let mut patch = json!({"status": status});
        if !object["metadata"]["annotations"][REFRESH].is_null() {
            patch["metadata"] = json!({"annotations": {REFRESH: null}});
        }
        self.write(name, patch).await
    }

    /// Puts back what somebody changed: an automated sync of these resources only, without an entry in history.
    pub async fn self_heal(&self, name: &str, resources: Value) -> Value {
        let object = self.get(name).await;
        let revision = object["status"]["sync"]["revision"].clone();
        self.request(
            name,
            json!({
                "sync": {"revision": revision, "resources": resources, "autoHealAttemptsCount": 1},
                "initiatedBy": {"automated": true}, "retry": {"limit": 5},
            }),
        )
        .await;
        self.begin(name).await;
        self.finish(name, &Outcome::Succeeded).await
    }

    /// How the next attempts of an Application end under `run`.
    pub fn plan(&self, name: &str, outcomes: &[Outcome]) {
        self.plans.lock().unwrap().insert(name.to_owned(), outcomes.iter().cloned().collect());
    }

    fn next_outcome(&self, name: &str) -> Outcome {
        let mut plans = self.plans.lock().unwrap();
        plans.get_mut(name).and_then(VecDeque::pop_front).unwrap_or(Outcome::Succeeded)
    }

    /// Does what Applications ask for, as a controller does: operations with their retries, terminations, comparisons.
    pub fn run(self: &Arc<Self>) -> Working {
        let argo = self.clone();
        Working(tokio::spawn(async move {
            let mut events = watcher(argo.api.clone(), watcher::Config::default()).default_backoff().boxed();
            while let Some(event) = events.next().await {
                if let Ok(watcher::Event::Apply(object) | watcher::Event::InitApply(object)) = event {
                    argo.reconcile(&object.metadata.name.unwrap()).await;
                }
            }
        }))
    }

    /// One look at an Application. What came meanwhile is seen, because it looks anew.
    async fn reconcile(&self, name: &str) {
        let Ok(Some(object)) = self.api.get_opt(name).await else { return };
        let object = serde_json::to_value(object).unwrap();
        let phase = object["status"]["operationState"]["phase"].as_str().unwrap_or_default();
        if phase == "Terminating" && object["operation"].is_object() {
            self.complete(name, "Failed", "Operation terminated").await;
        } else if object["operation"].is_object() {
            if phase != "Running" {
                self.begin(name).await;
            }
            self.attempts(name).await;
            let revision = revision(&self.get(name).await);
            self.compare(name, "Synced", "Healthy", &revision).await;
        } else if !object["metadata"]["annotations"][REFRESH].is_null() {
            let revision =
                object["status"]["sync"]["revision"].as_str().map_or_else(|| revision(&object), str::to_owned);
            let sync = object["status"]["sync"]["status"].as_str().unwrap_or("OutOfSync");
            let health = object["status"]["health"]["status"].as_str().unwrap_or("Missing");
            self.compare(name, sync, health, &revision).await;
        }
    }

    async fn attempts(&self, name: &str) {
        loop {
            let outcome = self.next_outcome(name);
            let state = self.get(name).await["status"]["operationState"].clone();
            let limit = state["operation"]["retry"]["limit"].as_i64().unwrap_or(0);
            let again = limit < 0 || state["retryCount"].as_i64().unwrap_or(0) < limit;
            match &outcome {
                Outcome::Failed(message) | Outcome::Error(message) if again => {
                    self.attempt_failed(name, message).await;
                    self.retry(name).await;
                }
                _ => {
                    self.finish(name, &outcome).await;
                    return;
                }
            }
        }
    }
}

/// Tries again while no server answers, as the controller does: a server that was killed comes back.
async fn persistent<F>(attempt: impl Fn() -> F) -> DynamicObject
where
    F: Future<Output = kube::Result<DynamicObject>>,
{
    loop {
        match attempt().await {
            Ok(object) => return object,
            Err(error @ kube::Error::Api(_)) => panic!("{error}"),
            Err(_) => tokio::time::sleep(std::time::Duration::from_millis(10)).await,
        }
    }
}

/// The revision that an operation leads to. Branches are resolved by nobody here: a name stays a name.
fn revision(object: &Value) -> String {
    let sync = &object["status"]["operationState"]["operation"]["sync"];
    let wanted = sync["revision"].as_str().or_else(|| object["spec"]["source"]["targetRevision"].as_str());
    wanted.unwrap_or_default().to_owned()
}

/// `syncResult`, of one source or of several.
fn result(object: &Value, resources: Value) -> Value {
    let sync = &object["status"]["operationState"]["operation"]["sync"];
    let either = |field: &str| if sync[field].is_null() { object["spec"][field].clone() } else { sync[field].clone() };
    let mut result = json!({"resources": resources, "revision": revision(object)});
    let (source, sources) = (either("source"), either("sources"));
    if sources.as_array().is_some_and(|sources| !sources.is_empty()) {
        result["sources"] = sources;
        result["revisions"] = sync["revisions"].as_array().cloned().unwrap_or_default().into();
    } else if !source.is_null() {
        result["source"] = source;
    }
    result
}

/// The resources that a sync was for: the ones it lists, or a workload named like the Application.
fn synced(object: &Value) -> Value {
    let namespace = &object["spec"]["destination"]["namespace"];
    let workload = json!({"group": "apps", "kind": "Deployment", "name": object["metadata"]["name"]});
    let listed = object["status"]["operationState"]["operation"]["sync"]["resources"].as_array();
    let resources = listed.filter(|listed| !listed.is_empty()).cloned().unwrap_or_else(|| vec![workload]);
    let done = resources.into_iter().map(|mut resource| {
        let group = resource["group"].as_str().unwrap_or_default().to_owned();
        resource["group"] = json!(group);
        resource["version"] = json!("v1");
        resource["namespace"] = namespace.clone();
        resource["status"] = json!("Synced");
        resource["message"] = json!("configured");
        resource["hookPhase"] = json!("Running");
        resource["syncPhase"] = json!("Sync");
        resource
    });
    Value::Array(done.collect())
}
