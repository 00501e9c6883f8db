//! Webhooks: signed pushes, each recorded with its body as evidence, durably, before it is answered; against a route of
//! the same server that reads the same bodies and does nothing with them.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::Context as _;
use axum::response::IntoResponse as _;
use bytes::Bytes;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use tokio::sync::oneshot;

use super::http::{Connection, post, spread};
use super::report::Spread;
use super::{Result, append::rate};
use crate::api::{Addresses, ServerOptions, serve};
use crate::ingest::authentication::Secrets;
use crate::ingest::{Intake, Settings, WebhookSettings};
use crate::ledger::{Creation, DataDir, Ledger, Options};

/// Connections that deliver at once.
const CONNECTIONS: usize = 32;

/// The system whose webhook it is.
const SYSTEM: &str = "github";

/// What it signs with.
const SECRET: &str = "a secret of the bench";

/// What the route that does nothing answers: as much as the other one does.
const NO_OP_ANSWER: &str = "{\"events\":[{\"position\":\"1000\",\"id\":\"019cb7a5-5a00-7000-8000-000000000000\",\
    \"type\":\"commit.recorded\",\"stream\":\"repo/github.com/acme/service-000\",\"duplicate\":false},\
    {\"position\":\"1001\",\"id\":\"019cb7a5-5a00-7000-8000-000000000000\",\"type\":\"branch.updated\",\
    \"stream\":\"repo/github.com/acme/service-000\",\"duplicate\":false}]}";

pub(super) async fn measure(scratch: &Path, deliveries: u64) -> Result<Spread> {
    let data = DataDir::new(scratch.join("webhooks"));
    let ledger = Ledger::open_or_create(Options::new(data, "plimsoll bench"), Creation::default()).await?;
    let webhook = WebhookSettings { system: None, secrets: Secrets::new([SECRET.to_owned()]), unsigned: false };
    let settings = Settings { webhooks: [(SYSTEM.to_owned(), webhook)].into(), ..Settings::default() };
    let intake = Intake::new(ledger.clone(), settings).map_err(anyhow::Error::msg)?;
    intake.prepare().await?;
    let doors = crate::ingest::http::router(intake).route("/no-op", axum::routing::post(no_op));
    let (stop, stopped) = oneshot::channel::<()>();
    let (ready, addresses) = oneshot::channel::<Addresses>();
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let options = ServerOptions { grpc: any, http: any, views: None, intakes: None, doors, floor: None };
    let tell = move |addresses| {
        let _nobody_waits = ready.send(addresses).is_err();
    };
    let server = tokio::spawn(serve(ledger.clone(), options, tell, async { drop(stopped.await) }));
    let address = addresses.await.context("the server did not start")?.http;
    let spread = rounds(address, &ledger, deliveries).await;
    drop(stop);
    server.await??;
    tokio::task::spawn_blocking(move || drop(ledger)).await?;
    spread
}

async fn rounds(address: SocketAddr, ledger: &Ledger, deliveries: u64) -> Result<Spread> {
    let mut connections = Vec::new();
    for _ in 0..CONNECTIONS {
        connections.push(Connection::open(address).await?);
    }
    let mut rounds = Vec::new();
    let mut next = 0;
    // One before those that count: everybody who pushes is known afterwards, as they are in a ledger that is in use.
    for round in 0..=super::rounds(deliveries) {
        let bodies: Vec<Bytes> = (next..next + deliveries).map(push).collect();
        next += deliveries;
        let signed: Vec<Bytes> = bodies.iter().map(|body| signed(body)).collect::<Result<_>>()?;
        let plain: Vec<Bytes> = bodies.iter().map(|body| post("/no-op", &[], body)).collect();
        let before = ledger.head().size;
        let (ours, back) = spread(connections, &signed).await?;
        anyhow::ensure!(ledger.head().size >= before + deliveries, "not every delivery was recorded");
        let (floor, back) = spread(back, &plain).await?;
        connections = back;
        if round > 0 {
            rounds.push((rate(deliveries, ours), rate(deliveries, floor)));
        }
    }
    Ok(Spread::of(&rounds))
}

/// Reads a body and answers.
async fn no_op(body: axum::body::Body) -> axum::response::Response {
    use http_body_util::BodyExt as _;
    match body.collect().await {
        Ok(body) => {
            std::hint::black_box(body.to_bytes());
            ([(axum::http::header::CONTENT_TYPE, "application/json")], NO_OP_ANSWER).into_response()
        }
        Err(_) => axum::http::StatusCode::BAD_REQUEST.into_response(),
    }
}

fn signed(body: &[u8]) -> Result<Bytes> {
    let mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes())?.chain_update(body).finalize().into_bytes();
    let signature = format!("sha256={}", hex::encode(mac));
    let delivery = blake3::hash(body).to_hex();
    let headers = [
        ("content-type", "application/json"),
        ("x-github-event", "push"),
        ("x-github-delivery", delivery.get(..36).unwrap_or_default()),
        ("x-hub-signature-256", &signature),
    ];
    Ok(post(&format!("/webhooks/{SYSTEM}"), &headers, body))
}

/// People who push.
const PEOPLE: u64 = 40;

/// Repositories that are pushed to.
const REPOSITORIES: u64 = 200;

/// What a repository has links to.
const LINKS: &[&str] = &[
    "forks",
    "keys{/key_id}",
    "collaborators{/collaborator}",
    "teams",
    "hooks",
    "issues/events{/number}",
    "events",
    "assignees{/user}",
    "branches{/branch}",
    "tags",
    "git/blobs{/sha}",
    "git/tags{/sha}",
    "git/refs{/sha}",
    "git/trees{/sha}",
    "statuses/{sha}",
    "languages",
    "stargazers",
    "contributors",
    "subscribers",
    "subscription",
    "commits{/sha}",
    "git/commits{/sha}",
    "comments{/number}",
    "issues/comments{/number}",
    "contents/{+path}",
    "compare/{base}...{head}",
    "merges",
    "{archive_format}{/ref}",
    "downloads",
    "issues{/number}",
    "pulls{/number}",
    "milestones{/number}",
    "notifications{?since,all,participating}",
    "labels{/name}",
    "releases{/id}",
    "deployments",
];

/// A repository as GitHub describes it wherever it is named.
fn repository_body(n: u64, repository: &str) -> serde_json::Value {
    let api = format!("https://api.github.com/repos/{repository}");
    let mut repository_body = serde_json::json!({
        "id": 35_129_377 + n % REPOSITORIES, "node_id": "MDEwOlJlcG9zaXRvcnkzNTEyOTM3Nw==", "name": repository.rsplit('/').next(),
        "full_name": repository, "private": true, "fork": false, "default_branch": "main", "master_branch": "main",
        "owner": {"name": "acme", "login": "acme", "id": 1, "type": "Organization", "email": null},
        "html_url": format!("https://github.com/{repository}"), "url": format!("https://github.com/{repository}"),
        "clone_url": format!("https://github.com/{repository}.git"), "ssh_url": format!("git@github.com:{repository}.git"),
        "git_url": format!("git://github.com/{repository}.git"), "description": "One of the services of the shop",
        "created_at": 1_430_869_212, "updated_at": "2026-03-01T23:40:12Z", "pushed_at": 1_772_600_000 + n % 10_000,
        "size": 4096, "stargazers_count": 0, "watchers_count": 0, "language": "Rust", "has_issues": true, "has_wiki": false,
        "archived": false, "disabled": false, "open_issues_count": 3, "visibility": "private", "topics": [],
    });
    if let Some(members) = repository_body.as_object_mut() {
        for (index, link) in LINKS.iter().enumerate() {
            members.insert(format!("link_{index}_url"), format!("{api}/{link}").into());
        }
    }
    repository_body
}

/// The push with the number `n`: one commit to the main branch, about 6 KB, as GitHub sends it without white space.
fn push(n: u64) -> Bytes {
    let repository = format!("acme/service-{:03}", n.wrapping_mul(7919) % REPOSITORIES);
    let person = n % PEOPLE;
    let oid = |what: &str| {
        let hash = blake3::hash(format!("{what} {n}").as_bytes()).to_hex();
        hash.get(..40).unwrap_or_default().to_owned()
    };
    let repository_body = repository_body(n, &repository);
    let who = |role: &str| {
        serde_json::json!({"name": format!("Person {person} the {role}"), "email": format!("person{person}@acme.example"),
            "username": format!("person-{person}")})
    };
    let commit = serde_json::json!({
        "id": oid("commit"), "tree_id": oid("tree"), "distinct": true,
        "message": format!("Change {n} of the service\n\nIt was slow where many came at once; now it is not."),
        "timestamp": "2026-03-04T12:00:00+01:00", "url": format!("https://github.com/{repository}/commit/{}", oid("commit")),
        "author": who("author"), "committer": who("author"), "added": [], "removed": [],
        "modified": ["src/main.rs", format!("src/part_{}.rs", n % 97)],
    });
    let user = format!("https://api.github.com/users/person-{person}");
    let body = serde_json::json!({
        "ref": "refs/heads/main", "before": oid("before"), "after": oid("commit"), "created": false, "deleted": false,
        "forced": false, "base_ref": null, "compare": format!("https://github.com/{repository}/compare/{n}"),
        "commits": [commit.clone()], "head_commit": commit, "repository": repository_body,
        "pusher": {"name": format!("person-{person}"), "email": format!("person{person}@acme.example")},
        "organization": {"login": "acme", "id": 1, "url": "https://api.github.com/orgs/acme"},
        "sender": {"login": format!("person-{person}"), "id": 6_752_317 + person, "type": "User", "site_admin": false,
            "avatar_url": format!("https://avatars.githubusercontent.com/u/{person}?v=4"), "url": user.clone(),
            "followers_url": format!("{user}/followers"), "repos_url": format!("{user}/repos"),
            "events_url": format!("{user}/events{{/privacy}}")},
    });
    body.to_string().into()
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_push_is_as_large_as_real_ones_and_like_no_other() {
        let (one, other) = (super::push(1), super::push(41));
        assert!((5_000..8_500).contains(&one.len()), "{}", one.len());
        assert_ne!(one, other);
    }
}
