//! How things are named, and names that several things have.

use serde_json::json;

use super::{shipped, told, trace, try_trace};
use crate::projection::story::{REPO, Story, digest, oid};
use crate::support::served::reason;

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_several_things_have_is_answered_with_the_candidates() {
    let mut story = Story::default();
    let oids = ["1234567a", "1234567b"].map(|head| format!("{head}{}", "0".repeat(32)));
    for oid in &oids {
        let commit = json!({"author": "Jane", "commit": oid, "parents": []});
        story.say("commit.recorded", REPO, 0, &commit);
    }
    story.say("tag.created", REPO, 1, &json!({"tag": "v1", "target": oids[0]}));
    story.say("tag.created", "repo/example.com/other", 1, &json!({"tag": "v1", "target": oids[1]}));
    let served = told(&story).await;
    let status = try_trace(&served, "1234567", None).await.unwrap_err();
    let (why, metadata) = reason(&status);
    assert_eq!((status.code(), why.as_str()), (tonic::Code::InvalidArgument, "AMBIGUOUS"));
    let candidates: Vec<String> = serde_json::from_str(&metadata["candidates"]).unwrap();
    assert_eq!(candidates, oids.each_ref().map(|oid| format!("commit:{oid}")));
    assert!(status.message().contains(&candidates[1]), "{}", status.message());
    let status = try_trace(&served, "v1", None).await.unwrap_err();
    let candidates: Vec<String> = serde_json::from_str(&reason(&status).1["candidates"]).unwrap();
    assert_eq!(candidates, ["tag:example.com/app@v1", "tag:example.com/other@v1"]);
    for candidate in candidates {
        assert_eq!(trace(&served, &candidate).await.things.len(), 1, "{candidate}");
    }
    // What came later does not make ambiguous what was known before.
    assert_eq!(try_trace(&served, "1234567", Some(2)).await.unwrap().commits[0].commit, oids[0]);
    served.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tag_in_git_and_the_version_of_the_same_name_are_asked_about_together() {
    let mut story = shipped();
    story.say("tag.created", REPO, 5, &json!({"tag": "1.4.0", "target": oid("merge")}));
    let served = told(&story).await;
    let answer = trace(&served, "1.4.0").await;
    let kinds: Vec<_> = answer.things.iter().map(|thing| thing.kind.as_str()).collect();
    assert_eq!((kinds, answer.deployments.len()), (vec!["tag", "version"], 1));
    let answer = trace(&served, "version:1.4.0").await;
    assert_eq!((answer.things.len(), answer.artifacts[0].digest.as_str()), (1, digest("app").as_str()));
    served.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_told_of_is_not_found() {
    let served = told(&shipped()).await;
    for thing in
        ["", " ", "abc", "fffffff", "example.com/app#43", "nowhere#42", "run:1", "tag:v9", "x:y", "🙂", "sha256:", "%"]
    {
        let status = try_trace(&served, thing, None).await.unwrap_err();
        assert_eq!(status.code(), tonic::Code::NotFound, "{thing:?}: {status:?}");
    }
    let upper = oid("merge").to_uppercase();
    assert_eq!(trace(&served, &upper).await.things[0].id, oid("merge"));
    served.finish().await;
}
