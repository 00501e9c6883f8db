//! `trace` as users run it, on what real sources tell.

use plimsoll::ingest::authentication::Secrets;
use plimsoll::ingest::{Settings, WebhookSettings};

use super::{links, shown, trace};
use crate::support::http::post;
use crate::support::program::Desk;
use crate::support::repo::Repo;
use crate::support::served::Served;

#[test]
fn a_commit_of_an_imported_repository_leads_to_the_release_it_went_with() {
    let (desk, repo) = (Desk::new(), Repo::new());
    let commits: Vec<_> = ["one", "two", "three"].iter().map(|message| repo.commit(message)).collect();
    repo.git(["tag", "v1", &commits[2]]);
    let name = ["--repository-name", "example.com/acme/shop", "--releases", "^v", "--environment", "production"];
    desk.run(["import", "git", &repo.location()].into_iter().chain(name)).ok();
    let text = desk.run(["trace", &commits[0][..10]]).ok();
    for part in [&commits[2][..12], "contained", "\"one\"", "production/shop/", "no change is known"] {
        assert!(text.contains(part), "no {part} in\n{text}");
    }
    let json = desk.run(["trace", "v1", "--json"]).json();
    assert_eq!(
        (&json["things"][0]["kind"], &json["things"][0]["id"]),
        (&"tag".into(), &"example.com/acme/shop@v1".into())
    );
    assert_eq!(json["deployments"][0]["deployment"]["status"], "succeeded");
    let server = desk.serve(&[]);
    assert_eq!(desk.run(["--server", &server.url(), "trace", "v1", "--json"]).json(), json);
    assert!(desk.run(["trace", "0123456789"]).fails(1).contains("not found"));
    assert!(desk.run(["trace", &commits[0], "--known-at", "1"]).fails(1).contains("not found"));
    drop(server);
    assert!(desk.run(["rebuild", "--check"]).ok().contains("events folded"));
}

#[test]
fn candidates_are_named_and_the_answer_is_no() {
    let desk = Desk::with_ledger();
    for (n, stream) in ["repo/example.com/a", "repo/example.com/b"].into_iter().enumerate() {
        let (dedup, target) = (format!("d{n}"), format!("target=\"{n:040}\""));
        desk.run(["record", "tag.created", "--stream", stream, "--dedup", &dedup, "-f", "tag=v1", "-f", &target]).ok();
    }
    let said = desk.run(["trace", "v1"]).fails(1);
    assert!(said.contains("tag:example.com/a@v1") && said.contains("tag:example.com/b@v1"), "{said}");
    desk.run(["trace", "tag:example.com/b@v1"]).ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_as_github_tells_it_is_traced_to_its_commits() {
    let secrets = Secrets::new(std::iter::empty::<String>());
    let hook = WebhookSettings { system: Some("github".to_owned()), secrets, unsigned: true };
    let settings = Settings { webhooks: [("github".to_owned(), hook)].into(), ..Settings::default() };
    let served = Served::with_settings(settings).await;
    let fixtures = [
        ("pull_request", "pull_request.opened.json"),
        ("pull_request_review", "pull_request_review.submitted.json"),
        ("pull_request", "pull_request.closed.merged.DERIVED.json"),
    ];
    for (event, file) in fixtures {
        let body = crate::sources::fixture(&format!("github/{file}"));
        let headers = [("X-GitHub-Event", event), ("X-GitHub-Delivery", file)];
        let answer = post(served.addresses.http, "/webhooks/github", &headers, &body).await;
        assert_eq!(answer.status, 200, "{file}: {}", answer.text());
    }
    let answer = trace(&served, "github.com/Codertocat/Hello-World#2").await;
    let change = &answer.changes[0];
    assert_eq!((change.state.as_str(), change.reviews.len()), ("merged", 1), "{change:#?}");
    assert!(links(&answer).iter().any(|link| link.contains("-merged->")) && shown(&answer).len() > 2);
    assert!(answer.missing.iter().any(|missing| missing.what == "approval"), "its only review is a comment");
    let commit = answer.links.iter().find(|link| link.evidence == "merged").unwrap().to.clone().unwrap().id;
    assert_eq!(trace(&served, &commit).await.changes, answer.changes);
    served.finish().await;
}
