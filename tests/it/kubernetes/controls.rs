//! The stand-in's own controls: what tests of the product rest on.

use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _};
use kube::api::{Api, DynamicObject, ListParams, Patch, PatchParams, PostParams, WatchEvent, WatchParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::runtime::watcher;
use serde_json::{Value, json};

use super::argocd;
use super::server::{ApiServer, Rule, client};

/// Long enough for anything here to happen on a busy machine; nothing waits for it in the good case.
const PATIENCE: Duration = Duration::from_secs(30);

fn applications(client: &kube::Client) -> Api<DynamicObject> {
    argocd::applications(client, "argocd")
}

fn application(name: &str) -> Value {
    argocd::application("argocd", name)
}

fn typed(object: Value) -> DynamicObject {
    serde_json::from_value(object).unwrap()
}

fn sync(revision: &str) -> Patch<Value> {
    Patch::Merge(json!({"operation": {"sync": {"revision": revision}}}))
}

/// The next event of a watch, in one word.
async fn next<S, E>(stream: &mut S) -> Option<String>
where
    S: futures::Stream<Item = Result<WatchEvent<DynamicObject>, E>> + Unpin,
    E: std::fmt::Debug,
{
    let named = |word: &str, object: DynamicObject| format!("{word} {}", object.metadata.name.unwrap());
    let event = tokio::time::timeout(PATIENCE, stream.next()).await.expect("no event came")?;
    Some(match event.unwrap() {
        WatchEvent::Added(object) => named("added", object),
        WatchEvent::Modified(object) => named("modified", object),
        WatchEvent::Deleted(object) => named("deleted", object),
        WatchEvent::Bookmark(bookmark) => format!("bookmark {}", bookmark.metadata.resource_version),
        WatchEvent::Error(status) => format!("error {}", status.code),
    })
}

#[tokio::test]
async fn an_unmodified_client_sees_what_is_done() {
    let api = ApiServer::start().await;
    let web = applications(&api.client().await);
    let mut events = watcher(web.clone(), watcher::Config::default()).boxed();
    let made = web.create(&PostParams::default(), &typed(application("web"))).await.unwrap();
    assert_eq!(made.metadata.generation, Some(1));
    let mut words = Vec::new();
    while words.last() != Some(&"apply 1".to_owned()) && words.last() != Some(&"init 1".to_owned()) {
        let event = tokio::time::timeout(PATIENCE, events.try_next()).await.unwrap().unwrap().unwrap();
        words.push(match event {
            watcher::Event::Init => "start".to_owned(),
            watcher::Event::InitApply(object) => format!("init {}", object.metadata.generation.unwrap()),
            watcher::Event::InitDone => "done".to_owned(),
            watcher::Event::Apply(object) => format!("apply {}", object.metadata.generation.unwrap()),
            watcher::Event::Delete(_) => "delete".to_owned(),
        });
    }
    let patched = web.patch("web", &PatchParams::default(), &sync("abc")).await.unwrap();
    assert_eq!(
        (patched.data["operation"]["sync"]["revision"].as_str(), patched.metadata.generation),
        (Some("abc"), Some(2))
    );
    loop {
        let event = tokio::time::timeout(PATIENCE, events.try_next()).await.unwrap().unwrap().unwrap();
        if let watcher::Event::Apply(object) = event
            && object.metadata.generation == Some(2)
        {
            break;
        }
    }
    web.delete("web", &Default::default()).await.unwrap();
    let event = tokio::time::timeout(PATIENCE, events.try_next()).await.unwrap().unwrap().unwrap();
    assert!(matches!(event, watcher::Event::Delete(_)));
    assert_eq!(web.list(&ListParams::default()).await.unwrap().items.len(), 0);
    let words: Vec<&str> = vec!["create", "patch", "delete"];
    let seen = api.requests();
    assert_eq!(seen.iter().map(|seen| seen.verb).filter(|verb| words.contains(verb)).collect::<Vec<_>>(), words);
    let patch = seen.iter().find(|seen| seen.verb == "patch").unwrap();
    assert_eq!((patch.name.as_deref(), patch.agent.as_str()), (Some("web"), ""), "the client names no agent");
    let watch = seen.iter().find(|seen| seen.verb == "watch").unwrap();
    assert_eq!(watch.query["allowWatchBookmarks"], "true");
    assert!(seen.iter().all(|seen| seen.resource == "applications" && seen.namespace.as_deref() == Some("argocd")));
}

#[tokio::test]
async fn streams_break_end_and_stall_when_they_are_told() {
    let api = ApiServer::start().await;
    api.seed(vec![application("web")]);
    let web = applications(&api.client().await);
    let begin = async |from: u64| web.watch(&WatchParams::default(), &from.to_string()).await.unwrap().boxed();

    let mut events = begin(api.revision()).await;
    api.bookmark_now();
    assert_eq!(next(&mut events).await, Some(format!("bookmark {}", api.revision())));
    web.patch("web", &PatchParams::default(), &sync("a")).await.unwrap();
    assert_eq!(next(&mut events).await.as_deref(), Some("modified web"));
    api.end_streams();
    assert_eq!(next(&mut events).await, None, "ends as its timeout would");

    let mut events = begin(api.revision()).await;
    api.drop_streams();
    assert_eq!(next(&mut events).await, None, "the client takes a broken stream for one to resume");

    let mut events = begin(api.revision()).await;
    api.tear_streams();
    assert_eq!(next(&mut events).await, None, "and one that broke within a line, too");

    api.stall_streams(true);
    let mut events = begin(api.revision()).await;
    web.patch("web", &PatchParams::default(), &sync("b")).await.unwrap();
    api.bookmark_now();
    let silent = tokio::time::timeout(Duration::from_millis(100), events.next()).await;
    assert!(silent.is_err(), "nothing comes");
    api.stall_streams(false);
    assert_eq!(next(&mut events).await.as_deref(), Some("modified web"));

    let old = api.revision();
    web.patch("web", &PatchParams::default(), &sync("c")).await.unwrap();
    api.compact_now();
    assert_eq!(next(&mut events).await, Some(format!("bookmark {old}")));
    assert_eq!(next(&mut events).await.as_deref(), Some("modified web"), "open streams go on");
    let mut events = begin(old).await;
    assert_eq!(next(&mut events).await.as_deref(), Some("error 410"));
    assert_eq!(next(&mut events).await, None);
}

/// The HTTP status of an error, if it is an answer at all.
fn status<T: std::fmt::Debug>(result: kube::Result<T>) -> Option<u16> {
    match result {
        Err(kube::Error::Api(status)) => Some(status.code),
        Err(_) => None,
        Ok(value) => panic!("not refused: {value:?}"),
    }
}

#[tokio::test]
async fn requests_are_cut_refused_and_delayed_when_they_are_told() {
    let api = ApiServer::start().await;
    api.seed(vec![application("web")]);
    let web = applications(&api.client().await);

    api.refuse(1);
    assert_eq!(status(web.get("web").await), None, "no answer");
    web.get("web").await.unwrap();
    api.answer(500, None, 1);
    assert_eq!(status(web.get("web").await), Some(500));
    api.answer(503, Some(0), 2);
    web.get("web").await.expect("the client tries again by itself");

    api.lose_answers(1);
    assert_eq!(status(web.patch("web", &PatchParams::default(), &sync("lost")).await), None);
    let found = web.get("web").await.unwrap();
    assert_eq!(found.data["operation"]["sync"]["revision"], "lost", "what is not answered may be done");

    api.delay(Duration::from_millis(50));
    let delayed = tokio::time::timeout(Duration::from_millis(5), web.get("web")).await;
    assert!(delayed.is_err());
    api.delay(Duration::ZERO);

    api.kill().await;
    assert_eq!(status(web.get("web").await), None, "nobody listens");
    api.restart_warm();
    web.get("web").await.unwrap();
}

#[tokio::test]
async fn a_restart_forgets_old_revisions_and_is_cold_at_first() {
    let api = ApiServer::start().await;
    api.seed(vec![application("web")]);
    let web = applications(&api.client().await);
    let old = api.revision();
    let mut open = web.watch(&WatchParams::default(), &old.to_string()).await.unwrap().boxed();
    web.patch("web", &PatchParams::default(), &sync("a")).await.unwrap();
    assert_eq!(next(&mut open).await.as_deref(), Some("modified web"));
    api.kill().await;
    assert_eq!(next(&mut open).await, None);
    api.restart();

    let impatient = {
        let options = Default::default();
        let mut config = kube::Config::from_custom_kubeconfig(api.kubeconfig(), &options).await.unwrap();
        config.default_retry = false;
        applications(&kube::Client::try_from(config).unwrap())
    };
    let cold = impatient.watch(&WatchParams::default(), "0").await;
    assert_eq!(status(cold.map(|_| ())), Some(429));
    let mut events = impatient.watch(&WatchParams::default(), &old.to_string()).await.unwrap().boxed();
    assert_eq!(next(&mut events).await.as_deref(), Some("error 410"));
    let mut events = impatient.watch(&WatchParams::default(), "0").await.unwrap().boxed();
    assert_eq!(next(&mut events).await.as_deref(), Some("added web"));
}

#[tokio::test]
async fn a_backup_that_is_put_back_takes_revisions_back_and_old_watches_hear_nothing() {
    let api = ApiServer::start().await;
    api.seed(vec![application("web")]);
    let web = applications(&api.client().await);
    web.patch("web", &PatchParams::default(), &sync("a")).await.unwrap();
    let backup = api.revision();
    web.patch("web", &PatchParams::default(), &sync("b")).await.unwrap();
    api.seed((0..20).map(|n| application(&format!("lost-{n}"))).collect());
    let newest = api.revision();
    api.kill().await;
    api.restore_backup(backup);
    api.restart_warm();
    let list = web.list(&ListParams::default()).await.unwrap();
    assert_eq!(list.items.len(), 1);
    assert_eq!(list.items[0].data["operation"]["sync"]["revision"], "a");
    assert!(api.revision() < newest);
    let mut events = web.watch(&WatchParams::default(), &newest.to_string()).await.unwrap().boxed();
    web.patch("web", &PatchParams::default(), &sync("c")).await.unwrap();
    api.bookmark_now();
    let silent = tokio::time::timeout(Duration::from_millis(100), events.next()).await;
    assert!(silent.is_err(), "its revision is in the future");
}

#[tokio::test]
async fn users_may_do_what_their_rules_say() {
    let api = ApiServer::start().await;
    api.seed(vec![application("web")]);
    let directory = tempfile::tempdir().unwrap();
    let written = kube::config::Kubeconfig::read_from(api.kubeconfig_file(directory.path())).unwrap();
    applications(&client(written).await).get("web").await.unwrap();

    let rule = Rule::new(&["get", "list", "watch"], "argoproj.io", &["applications"]).within("argocd");
    let reader = client(api.user("reader", vec![rule])).await;
    let web = applications(&reader);
    web.get("web").await.unwrap();
    assert_eq!(status(web.patch("web", &PatchParams::default(), &sync("a")).await), Some(403));
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("argoproj.io", "v1alpha1", "Application"));
    let everywhere: Api<DynamicObject> = Api::all_with(reader, &resource);
    let refused = everywhere.list(&ListParams::default()).await.unwrap_err();
    let expected = "applications.argoproj.io is forbidden: User \"reader\" cannot list resource \"applications\" in API \
        group \"argoproj.io\" at the cluster scope";
    assert!(refused.to_string().contains(expected), "{refused}");
    api.forget("reader");
    assert_eq!(status(web.get("web").await), Some(401));
}

#[tokio::test]
async fn thousands_of_applications_are_listed_in_pages() {
    let api = ApiServer::start().await;
    api.seed((0..5_000).map(|n| application(&format!("app-{n:04}"))).collect());
    let mut events = watcher(applications(&api.client().await), watcher::Config::default()).boxed();
    let mut names = Vec::new();
    loop {
        match tokio::time::timeout(PATIENCE, events.try_next()).await.unwrap().unwrap().unwrap() {
            watcher::Event::InitApply(object) => names.push(object.metadata.name.unwrap()),
            watcher::Event::InitDone => break,
            _ => {}
        }
    }
    assert_eq!(names.len(), 5_000);
    assert!(names.is_sorted());
    assert_eq!(api.requests().iter().filter(|seen| seen.verb == "list").count(), 10);
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_and_harms_nobody() {
    let api = ApiServer::start().await;
    api.seed(vec![application("web")]);
    let client = api.client().await;
    let path = "/apis/argoproj.io/v1alpha1/namespaces/argocd/applications";
    let web = format!("{path}/web");
    let (merge, json, apply) =
        ("application/merge-patch+json", "application/json-patch+json", "application/apply-patch+yaml");
    let apply_path = format!("{web}?fieldManager=a");
    let unnamed = application("Not_A_Name").to_string();
    for (method, path, content_type, body) in [
        ("PATCH", web.as_str(), merge, "[1]"),
        ("PATCH", &web, merge, r#"{"metadata": 7}"#),
        ("PATCH", &web, merge, r#"{"metadata": {"labels": 7}}"#),
        ("PATCH", &web, merge, r#"{"spec": "x"}"#),
        ("PATCH", &web, merge, r#"{"status": {"reconciledAt": "yesterday"}}"#),
        ("PATCH", &web, merge, r#"{"metadata": {"uid": "another"}}"#),
        ("PATCH", &web, merge, "{"),
        ("PATCH", &web, json, r#"{"op": "add"}"#),
        ("PATCH", &web, json, r#"[{"op": "replace", "path": "", "value": 1}]"#),
        ("PATCH", &web, json, r#"[{"op": "remove", "path": "/nothing"}]"#),
        ("PATCH", &apply_path, apply, "- a: list"),
        ("PATCH", &apply_path, apply, r#"{"kind": "Secret"}"#),
        ("PATCH", &web, "text/plain", "{}"),
        ("POST", path, "application/json", "7"),
        ("POST", path, "application/json", r#"{"apiVersion": "argoproj.io/v1alpha1", "kind": "Application"}"#),
        ("POST", path, "application/json", unnamed.as_str()),
        ("PUT", &web, "application/json", r#"{"metadata": {"name": "other"}}"#),
        ("GET", &format!("{path}?continue=x"), "", ""),
        ("GET", &format!("{path}?resourceVersion=x"), "", ""),
        ("GET", &format!("{path}?labelSelector=a%20b"), "", ""),
        ("GET", "/apis/argoproj.io/v1alpha1/namespaces/argocd/rollouts", "", ""),
        ("GET", "/elsewhere", "", ""),
        ("PUT", path, "application/json", "{}"),
    ] {
        let request = http::Request::builder().method(method).uri(path).header("content-type", content_type);
        let request = request.body(kube::client::Body::from(body.as_bytes().to_vec())).unwrap();
        let response = client.send(request).await.unwrap();
        assert!(response.status().is_client_error(), "{method} {path} {body}: {}", response.status());
        let kept: Value = client.request(http::Request::get(&web).body(Vec::new()).unwrap()).await.unwrap();
        assert_eq!(kept["metadata"]["generation"], 1, "{body}");
    }
}
