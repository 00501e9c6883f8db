//! The client's own watcher, as the ledger uses it.

use futures::{StreamExt as _, stream::BoxStream};
use kube::api::DynamicObject;
use kube::runtime::{WatchStreamExt as _, watcher};
use serde_json::json;

use super::{PATIENCE, everywhere, options, stand_in_only};

type Events = BoxStream<'static, Result<watcher::Event<DynamicObject>, watcher::Error>>;

/// The next thing that the watcher says, in a word or two.
async fn next(events: &mut Events) -> String {
    let named = |word: &str, object: &DynamicObject| {
        let revision = object.data["operation"]["sync"]["revision"].as_str().unwrap_or("-");
        format!("{word} {} {revision}", object.metadata.name.as_deref().unwrap())
    };
    match tokio::time::timeout(PATIENCE, events.next()).await.expect("the watcher says nothing").unwrap() {
        Ok(watcher::Event::Init) => "init".to_owned(),
        Ok(watcher::Event::InitApply(object)) => named("init-apply", &object),
        Ok(watcher::Event::InitDone) => "init-done".to_owned(),
        Ok(watcher::Event::Apply(object)) => named("apply", &object),
        Ok(watcher::Event::Delete(object)) => named("delete", &object),
        Err(watcher::Error::WatchError(status)) => format!("watch error {}", status.code),
        Err(watcher::Error::WatchStartFailed(_)) => "watch start failed".to_owned(),
        Err(watcher::Error::InitialListFailed(_)) => "list failed".to_owned(),
        Err(error) => format!("error {error}"),
    }
}

#[tokio::test]
async fn a_watcher_lists_and_then_tells_each_change() {
    everywhere("watcher", async |place| {
        place.make("a").await;
        place.make("b").await;
        for config in [watcher::Config::default(), watcher::Config::default().streaming_lists()] {
            let mut events = watcher(place.applications(), config).boxed();
            assert_eq!(next(&mut events).await, "init");
            let mut listed = [next(&mut events).await, next(&mut events).await];
            listed.sort();
            assert_eq!(listed, ["init-apply a -", "init-apply b -"]);
            assert_eq!(next(&mut events).await, "init-done");
            place.merged("a", json!({"operation": {"sync": {"revision": "1"}}})).await;
            assert_eq!(next(&mut events).await, "apply a 1");
            place.merged("a", json!({"operation": null})).await;
            assert_eq!(next(&mut events).await, "apply a -");
        }
    })
    .await;
}

/// What a watcher says of a server that was away: that it may have missed something, and then only how things ended.
async fn comes_back(events: &mut Events) {
    let mut words = Vec::new();
    while words.last().is_none_or(|last| last != "init-done") {
        words.push(next(events).await);
    }
    let failed = words.iter().take_while(|word| *word == "watch start failed").count();
    assert_eq!(words[failed..], ["watch error 410", "init", "init-apply a 3", "init-done"]);
}

#[tokio::test]
async fn what_happens_while_the_server_is_away_is_seen_only_as_it_ended() {
    stand_in_only("away", "it needs to kill the server", options(), async |place| {
        place.make("a").await;
        let api = place.stand_in.as_ref().unwrap();
        let begin = async |config: watcher::Config| {
            let mut events = watcher(place.applications(), config).default_backoff().boxed();
            for expected in ["init", "init-apply a -", "init-done"] {
                assert_eq!(next(&mut events).await, expected);
            }
            events
        };
        let mut listing = begin(watcher::Config::default()).await;
        let mut streaming = begin(watcher::Config::default().streaming_lists()).await;
        place.merged("a", json!({"operation": {"sync": {"revision": "1"}}})).await;
        for events in [&mut listing, &mut streaming] {
            assert_eq!(next(events).await, "apply a 1");
        }
        api.kill().await;
        for events in [&mut listing, &mut streaming] {
            assert_eq!(next(events).await, "watch start failed");
        }
        api.restart_warm();
        for revision in ["2", "3"] {
            place.merged("a", json!({"operation": {"sync": {"revision": revision}}})).await;
        }
        futures::join!(comes_back(&mut listing), comes_back(&mut streaming));
    })
    .await;
}
