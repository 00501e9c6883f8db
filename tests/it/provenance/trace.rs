//! From each thing to all the others.

use std::collections::BTreeSet;

use plimsoll::event::ledger::{ErasureGround, SubjectErased};
use plimsoll::event::{Draft, Subject};
use serde_json::json;

use super::{GITOPS, built, deployed, instant, links, missing, shipped, shown, told, trace, try_trace};
use crate::projection::story::{REPO, Story, TARGET, at, digest, oid};
use crate::support::served::{Served, reason};

fn set<const N: usize>(names: [String; N]) -> BTreeSet<String> {
    names.into()
}

#[tokio::test(flavor = "multi_thread")]
async fn from_each_thing_one_gets_to_the_change_and_to_the_deployment() {
    let served = told(&shipped()).await;
    let (app, change, deployment) =
        (digest("app"), "change:example.com/app#42".to_owned(), "deployment:production/app/d1".to_owned());
    let things = [
        oid("feature"),
        oid("merge"),
        oid("wanted"),
        oid("merge")[..9].to_owned(),
        "example.com/app#42".to_owned(),
        "example.com/app!42".to_owned(),
        app.clone(),
        format!("example.com/app@{app}"),
        app[7..20].to_owned(),
        app[..20].to_owned(),
        "7140".to_owned(),
        "example.com/app/runs/7140".to_owned(),
        "1.4.0".to_owned(),
        "example.com/app:1.4.0".to_owned(),
        "app:1.4.0".to_owned(),
        "d1".to_owned(),
        "production/app/d1".to_owned(),
    ];
    for thing in things {
        let shown = shown(&trace(&served, &thing).await);
        for expected in [&change, &deployment, &format!("artifact:{app}"), &format!("commit:{}", oid("merge"))] {
            assert!(shown.contains(expected), "{thing}: no {expected} among {shown:#?}");
        }
    }
    served.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_link_says_how_it_is_known() {
    let served = told(&shipped()).await;
    let answer = trace(&served, &digest("app")).await;
    let commit = |name: &str| format!("commit:{}", oid(name));
    let (change, app, deployment) =
        ("change:example.com/app#42", format!("artifact:{}", digest("app")), "deployment:production/app/d1");
    let expected = set([
        format!("{change} -merged-> {}", commit("merge")),
        format!("{} -build-> {app}", commit("merge")),
        format!("{app} -asked_for-> {}", commit("wanted")),
        format!("{} -desired_state-> {deployment}", commit("wanted")),
        format!("{app} -image-> {deployment}"),
    ]);
    assert_eq!(links(&answer), expected);
    let position = |evidence: &str| answer.links.iter().find(|link| link.evidence == evidence).unwrap().position;
    for (evidence, kind) in
        [("merged", "change.merged"), ("build", "build.finished"), ("asked_for", "manifest.committed")]
    {
        let leaf = served.ledger.leaf(position(evidence)).unwrap();
        assert!(String::from_utf8_lossy(&leaf).contains(kind), "{evidence}");
    }
    let desired: Vec<_> = answer.commits.iter().filter(|commit| commit.desired_state).collect();
    assert_eq!(desired.len(), 1, "a commit of desired state is not taken for the change");
    assert_eq!(desired[0].commit, oid("wanted"));
    served.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_belongs_to_each_thing_is_told_with_it() {
    let served = told(&shipped()).await;
    let answer = trace(&served, "d1").await;
    let change = &answer.changes[0];
    let who = |person: &Option<plimsoll::api::proto::v1::Person>| person.as_ref().unwrap().identity.clone().unwrap();
    assert_eq!((change.state.as_str(), change.approved, change.method.as_deref()), ("merged", true, Some("merge")));
    assert_eq!(change.title.as_deref(), Some("The cart holds what was put into it"));
    assert_eq!((who(&change.author), who(&change.merged_by)), ("Jane".to_owned(), "Bob".to_owned()));
    assert_eq!((change.created_at, change.merged_at), (instant(2), instant(4)));
    assert_eq!((who(&change.reviews[0].reviewer), change.reviews[0].state.as_str()), ("Bob".to_owned(), "approved"));
    let artifact = &answer.artifacts[0];
    assert_eq!(artifact.tags[0].image, "example.com/app:1.4.0");
    assert_eq!(
        (artifact.builds[0].run.as_deref(), artifact.builds[0].version.as_deref()),
        (Some("7140"), Some("1.4.0"))
    );
    assert_eq!((artifact.scans[0].critical, artifact.scans[0].findings), (Some(1), Some(3)));
    assert_eq!((artifact.sboms.len(), artifact.attestations.len()), (1, 1));
    let running = answer.deployments[0].deployment.as_ref().unwrap();
    assert_eq!((running.class.as_deref(), running.from, running.to), (Some("forward"), instant(9), None));
    // Of the commit that the artifact is of, the run; the check was of the change's own commit.
    let merge = answer.commits.iter().find(|commit| commit.commit == oid("merge")).unwrap();
    assert!(merge.merge && merge.checks.iter().any(|check| check.kind == "run" && check.name == "build"));
    let feature = trace(&served, &oid("feature")).await;
    let commit = feature.commits.iter().find(|commit| commit.commit == oid("feature")).unwrap();
    assert_eq!((commit.message.as_deref(), commit.checks[0].name.as_str()), (Some("Mend the cart"), "ci / lint"));
    assert_eq!(missing(&answer), set([]));
    let wanted = answer.commits.iter().find(|commit| commit.commit == oid("wanted")).unwrap();
    assert_eq!((wanted.committed_at, wanted.position.is_some()), (instant(8), true), "what it asked for was recorded");
    served.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_only_shares_a_deployment_is_not_part_of_the_history() {
    let mut story = shipped();
    story.commit("other", &["merge"], 10);
    built(&mut story, "other", "other", "2.0.0", 10);
    deployed(&mut story, "d2", "other", "wanted2", 11);
    let both = json!([{"digest": digest("app"), "name": "a"}, {"digest": digest("other"), "name": "b"}]);
    story.sync("succeeded", "d3", 14, &json!({"images": both}));
    let served = told(&story).await;
    let answer = trace(&served, &oid("merge")).await;
    let ids: Vec<_> = answer.deployments.iter().map(|it| it.deployment.as_ref().unwrap().id.as_str()).collect();
    assert_eq!(ids, ["d3", "d1"], "newest first");
    assert!(!shown(&answer).contains(&format!("artifact:{}", digest("other"))));
    let from_deployment = trace(&served, "d3").await;
    assert!(shown(&from_deployment).contains(&format!("artifact:{}", digest("other"))));
    served.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_was_never_built_itself_went_with_the_next_one_that_was() {
    let mut story = Story::default();
    story.commit("a", &[], 0).commit("b", &["a"], 1).commit("c", &["b"], 2).commit("lonely", &["a"], 2);
    story.deploy("release", "c", 3);
    let served = told(&story).await;
    let answer = trace(&served, &oid("a")).await;
    assert!(links(&answer).contains(&format!("commit:{} -contained-> commit:{}", oid("a"), oid("c"))));
    assert!(links(&answer).contains(&format!("commit:{} -deployer-> deployment:production/app/release", oid("c"))));
    let lonely = trace(&served, &oid("lonely")).await;
    assert_eq!((lonely.deployments.len(), missing(&lonely).len()), (0, 1));
    assert!(missing(&lonely).contains(&format!("build commit:{}", oid("lonely"))));
    served.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_of_an_index_and_a_scan_of_its_platform_are_of_one_artifact() {
    let mut story = Story::default();
    story.commit("a", &[], 0);
    let index = format!("artifact/{}", digest("index"));
    let platforms = json!([{"digest": digest("amd64"), "platform": "linux/amd64"}]);
    let build = json!({"commit": oid("a"), "conclusion": "success", "platforms": platforms, "repository": REPO});
    story.say("build.finished", &index, 1, &build);
    let scan = json!({"kind": "vulnerability", "status": "completed", "tool": "grype"});
    story.say("scan.finished", &format!("artifact/{}", digest("amd64")), 2, &scan);
    story.cluster("succeeded", "d", "prod", "amd64", 3);
    let served = told(&story).await;
    let expected = [digest("index"), digest("amd64")].map(|digest| format!("artifact:{digest}"));
    for thing in ["d".to_owned(), oid("a"), digest("index"), digest("amd64")] {
        let answer = trace(&served, &thing).await;
        let shown = shown(&answer);
        assert!(expected.iter().all(|artifact| shown.contains(artifact)), "{thing}: {shown:#?}");
        assert!(shown.contains(&format!("commit:{}", oid("a"))), "{thing}");
        assert_eq!(answer.deployments.len(), 1, "{thing}");
        let missing = missing(&answer);
        assert!(
            !missing.iter().any(|what| what.starts_with("scan") || what.starts_with("build")),
            "{thing}: {missing:?}"
        );
    }
    served.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_known_by_its_tag_is_what_the_tag_named_then() {
    let mut story = Story::default();
    for (name, hours) in [("old", 1), ("new", 5)] {
        story.build(name, hours);
        let tagged = json!({"name": "example.com/app", "tag": "stable"});
        story.say("tag.repointed", &format!("artifact/{}", digest(name)), hours, &tagged);
    }
    let image = json!([{"name": "example.com/app", "tag": "stable"}]);
    story.sync("succeeded", "before", 2, &json!({"images": image})).sync(
        "succeeded",
        "after",
        6,
        &json!({"images": image}),
    );
    let served = told(&story).await;
    let (old, new) = (trace(&served, &digest("old")).await, trace(&served, &digest("new")).await);
    let deployments = |answer| -> Vec<String> {
        let shown: BTreeSet<String> = shown(answer);
        shown.into_iter().filter(|name| name.starts_with("deployment")).collect()
    };
    assert_eq!(deployments(&old), ["deployment:production/app/before"]);
    assert_eq!(deployments(&new), ["deployment:production/app/after"]);
    let back = trace(&served, "before").await;
    assert!(
        links(&back).contains(&format!("artifact:{} -registry_tag-> deployment:production/app/before", digest("old")))
    );
    let both = trace(&served, "example.com/app:stable").await;
    assert_eq!((both.artifacts.len(), both.deployments.len()), (2, 2));
    served.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_build_is_known_from_its_position_on() {
    let mut story = Story::default();
    story.commit("a", &[], 0).cluster("succeeded", "d", "prod", "late", 3);
    let served = told(&story).await;
    let before = served.ledger.head().size;
    let answer = trace(&served, &digest("late")).await;
    assert!(answer.commits.is_empty() && missing(&answer).contains(&format!("build artifact:{}", digest("late"))));
    let mut more = Story(story.0.clone());
    more.say(
        "build.finished",
        &format!("artifact/{}", digest("late")),
        1,
        &json!({"commit": oid("a"), "conclusion": "success"}),
    );
    served.ledger.append(more.0.split_off(story.0.len())).await.unwrap();
    assert_eq!(trace(&served, &digest("late")).await.commits.len(), 1);
    assert_eq!(trace(&served, &oid("a")).await.deployments.len(), 1);
    let then = try_trace(&served, &digest("late"), Some(before)).await.unwrap();
    assert_eq!(then, answer, "asked as of then, the answer is what it was then");
    let status = try_trace(&served, &digest("late"), Some(1)).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).0.as_str()), (tonic::Code::NotFound, "NOT_FOUND"));
    served.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_erased_is_not_told_any_more_and_what_was_done_is() {
    let mut story = shipped();
    for draft in &mut story.0 {
        if draft.stream.to_string() == REPO {
            draft.actor = Some(Subject::identity("Jane"));
        }
    }
    let served = told(&story).await;
    let before = trace(&served, &oid("feature")).await;
    let jane = before.changes[0].author.clone().unwrap();
    assert_eq!(jane.identity.as_deref(), Some("Jane"));
    erase(&served, &jane.subject).await;
    let after = trace(&served, &oid("feature")).await;
    let change = &after.changes[0];
    assert_eq!((change.author.as_ref().unwrap().identity.as_ref(), change.title.as_ref()), (None, None));
    assert!(after.commits.iter().all(|commit| commit.message.is_none()));
    assert_eq!((links(&after), change.approved), (links(&before), true));
    served.finish().await;
}

/// Erases somebody.
pub async fn erase(served: &Served, subject: &str) {
    let erased = SubjectErased {
        ground: ErasureGround::Request,
        operator: None,
        subject: Some(subject.parse().unwrap()),
        values: Vec::new(),
    };
    let at = plimsoll::event::Timestamp::from_micros(at(100)).unwrap();
    let dedup = format!("erase {subject}").parse().unwrap();
    let draft = Draft::new(erased, "ledger".parse().unwrap(), "test".parse().unwrap(), dedup, at);
    served.ledger.append(vec![draft]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_only_its_author_approved_lacks_an_approval() {
    let mut story = Story::default();
    story.commit("a", &[], 0);
    let reviewed =
        |reviewer: &str, state: &str| json!({"author": "Jane", "change": "1", "reviewer": reviewer, "state": state});
    story.say("change.reviewed", REPO, 1, &reviewed("Jane", "approved"));
    story.say("change.reviewed", REPO, 2, &reviewed("Bob", "approved"));
    story.say("change.reviewed", REPO, 3, &reviewed("Bob", "dismissed"));
    story.say("change.merged", REPO, 4, &json!({"base": "main", "change": "1", "commit": oid("a"), "author": "Jane"}));
    let served = told(&story).await;
    let answer = trace(&served, "example.com/app#1").await;
    assert!(!answer.changes[0].approved && answer.changes[0].reviews[0].own);
    assert!(missing(&answer).contains("approval change:example.com/app#1"));
    served.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn in_whatever_order_things_come_to_be_known_the_answer_is_the_same() {
    let story = shipped();
    let (forth, mut back) = (told(&story).await, Story(story.0.clone()));
    back.0.reverse();
    let back = told(&back).await;
    for thing in [oid("feature"), digest("app"), "d1".to_owned(), oid("wanted"), "1.4.0".to_owned()] {
        let (one, other) = (trace(&forth, &thing).await, trace(&back, &thing).await);
        assert_eq!(
            (shown(&one), links(&one), missing(&one)),
            (shown(&other), links(&other), missing(&other)),
            "{thing}"
        );
    }
    forth.finish().await;
    back.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_in_two_repositories_is_one_commit() {
    let mut story = Story::default();
    story.commit("a", &[], 0);
    let told_again = json!({"author": "Jane", "commit": oid("a"), "parents": []});
    story.say("commit.recorded", "repo/example.com/fork", 1, &told_again);
    story.say("manifest.committed", TARGET, 2, &json!({"commit": oid("b"), "files": [], "repository": GITOPS}));
    let served = told(&story).await;
    let answer = trace(&served, &oid("a")).await;
    assert_eq!(answer.commits[0].repositories, ["example.com/app", "example.com/fork"]);
    assert!(trace(&served, &oid("b")).await.commits[0].desired_state);
    served.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_incident_leads_to_the_deployment_that_caused_it_and_to_the_change() {
    let mut story = shipped();
    story.incident("7", 10, &json!({"severity": "P1", "title": "The cart is empty"}));
    story.linked("7", "caused_by", "d1", 11).resolved("7", 12);
    story.incident("8", 10, &json!({"caused_by": [{"deployment": "d1"}]})).linked("8", "unrelated", "d1", 11);
    let served = told(&story).await;
    let down = trace(&served, &oid("feature")).await;
    assert_eq!(down.incidents.len(), 1, "what was found to be unrelated is not told: {:#?}", down.incidents);
    let incident = &down.incidents[0];
    assert_eq!((incident.id.as_str(), incident.severity.as_deref()), ("7", Some("P1")));
    assert_eq!((incident.title.as_deref(), incident.resolved_at), (Some("The cart is empty"), instant(12)));
    for thing in ["incident/7", "incident:7"] {
        let up = trace(&served, thing).await;
        assert!(links(&up).contains("deployment:production/app/d1 -cause-> incident:7"), "{:#?}", links(&up));
        assert!(shown(&up).contains("change:example.com/app#42"), "{thing}");
    }
    served.finish().await;
}
