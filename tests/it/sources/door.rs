//! The way in over HTTP: who sent it, how large it is, and that the same thing twice is one thing.

use hmac::{Hmac, KeyInit, Mac};
use plimsoll::ingest::authentication::Secrets;
use plimsoll::ingest::{Settings, WebhookSettings};
use serde_json::Value;
use sha2::Sha256;

use super::fixture;
use crate::support::http::post;
use crate::support::served::Served;

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_is_recorded_with_its_body_as_evidence_and_once_only() {
    let served = Served::new().await;
    let body = fixture("alerts/alertmanager/alert.json");
    let sent = || post(served.addresses.http, "/webhooks/alertmanager", &[("content-type", "application/json")], &body);
    let (one, two) = tokio::join!(sent(), sent());
    assert_eq!((one.status, two.status), (200, 200), "{} {}", one.text(), two.text());
    let events = |answer: &crate::support::http::Answer| -> Value { serde_json::from_str(answer.text()).unwrap() };
    let (one, two) = (events(&one), events(&two));
    assert_eq!(one["events"].as_array().unwrap().len(), 2);
    assert_eq!(one["events"][0]["id"], two["events"][0]["id"]);
    assert_eq!(served.ledger.head().size, 3);
    let unknown = post(served.addresses.http, "/webhooks/nobody", &[], b"{}").await;
    assert_eq!(unknown.status, 404, "{}", unknown.text());
    let broken = post(served.addresses.http, "/webhooks/alertmanager", &[], b"{\"version\":\"4\",").await;
    assert_eq!(broken.status, 400, "{}", broken.text());
    assert_eq!(served.ledger.head().size, 3);
    served.stop().await;
}

/// Webhooks of forges under those names, each with the secrets that it may sign with.
fn forges() -> Settings {
    let webhook = |system: &str, secrets: &[&str]| WebhookSettings {
        system: Some(system.to_owned()),
        secrets: Secrets::new(secrets.iter().map(|secret| (*secret).to_owned())),
        unsigned: false,
    };
    let webhooks = [
        ("github".to_owned(), webhook("github", &["an older one", "It's a Secret to Everybody"])),
        ("gitlab".to_owned(), webhook("gitlab", &["glpat"])),
    ];
    Settings { webhooks: webhooks.into(), ..Settings::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn github_is_believed_for_its_signature_only() {
    let served = Served::with_settings(forges()).await;
    let vectors: Value = serde_json::from_slice(&fixture("github/signature-vectors.json")).unwrap();
    let send = async |event: &str, delivery: &str, signature: Option<&str>, body: &[u8]| {
        let mut headers = vec![("X-GitHub-Event", event), ("X-GitHub-Delivery", delivery)];
        headers.extend(signature.map(|signature| ("X-Hub-Signature-256", signature)));
        post(served.addresses.http, "/webhooks/github", &headers, body).await
    };
    let mut n_files = 0;
    for vector in vectors["computed"].as_array().unwrap() {
        let signature = vector["signature"].as_str().unwrap();
        let Some(file) = vector["file"].as_str() else {
            // Rightly signed, and then not what it must be.
            let answer = send("push", "1", Some(signature), vector["body_utf8"].as_str().unwrap().as_bytes()).await;
            assert!(matches!(answer.status, 400 | 422), "{vector} {}", answer.text());
            continue;
        };
        n_files += 1;
        let body = fixture(&format!("github/{file}"));
        let Some(event) = super::github::event(file) else { continue };
        let mut tampered = body.clone();
        let at = tampered.iter().position(u8::is_ascii_digit).unwrap();
        tampered[at] = if tampered[at] == b'1' { b'2' } else { b'1' };
        let size = served.ledger.head().size;
        for (signature, body, reason) in [
            (Some(signature), &tampered, "bad_signature"),
            (Some("sha256=00"), &body, "bad_signature"),
            (None, &body, "missing_signature"),
        ] {
            let answer = send(event, "1", signature, body).await;
            assert_eq!(answer.status, 401, "{file} {}", answer.text());
            assert!(answer.text().contains(reason), "{}", answer.text());
        }
        assert_eq!(served.ledger.head().size, size, "what is refused leaves nothing behind");
        let answer = send(event, "1", Some(signature), &body).await;
        assert_eq!(answer.status, 200, "{file} {}", answer.text());
        // The forge delivers it again, and somebody replays it under another number: nothing new.
        let size = served.ledger.head().size;
        for delivery in ["1", "2"] {
            let again = send(event, delivery, Some(signature), &body).await;
            assert_eq!(again.status, 200, "{file} {}", again.text());
            assert!(!again.text().contains("\"duplicate\":false"), "{}", again.text());
        }
        assert_eq!(served.ledger.head().size, size, "{file}");
    }
    assert_eq!(n_files, 27);
    for vector in vectors["must_fail"].as_array().unwrap() {
        let signature = vector["signature"].as_str().unwrap();
        let answer = send("push", "1", Some(signature), vector["body_utf8"].as_str().unwrap().as_bytes()).await;
        assert_eq!(answer.status, 401, "{vector} {}", answer.text());
    }
    let counts = served.intake.counters().all();
    let counted =
        |outcome: &str| counts.iter().find(|row| row.0 == "github" && row.1 == outcome).map_or(0, |row| row.2);
    assert_eq!(counted("missing_signature"), 26);
    assert!(counted("passed_over") >= 12, "each of four, three times: {counts:?}");
    served.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn githubs_forms_are_signed_whole_and_kept_as_what_is_in_them() {
    let served = Served::with_settings(forges()).await;
    let body = fixture("github/push.commits.json");
    let coded =
        percent_encoding::utf8_percent_encode(std::str::from_utf8(&body).unwrap(), percent_encoding::NON_ALPHANUMERIC);
    let form = format!("payload={}", coded.to_string().replace("%20", "+"));
    let mac = Hmac::<Sha256>::new_from_slice(b"an older one").unwrap().chain_update(&form);
    let send = async |content_type: &str, signature: &str, body: &[u8]| {
        let headers = [("X-GitHub-Event", "push"), ("Content-Type", content_type), ("X-Hub-Signature-256", signature)];
        post(served.addresses.http, "/webhooks/github", &headers, body).await
    };
    let signature = format!("sha256={}", hex::encode(mac.finalize().into_bytes()));
    let answer = send("application/x-www-form-urlencoded", &signature, form.as_bytes()).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let mac = Hmac::<Sha256>::new_from_slice(b"an older one").unwrap().chain_update(&body);
    let signature = format!("sha256={}", hex::encode(mac.finalize().into_bytes()));
    let again = send("application/json", &signature, &body).await;
    assert!(again.status == 200 && !again.text().contains("\"duplicate\":false"), "{}", again.text());
    served.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_delivery_twice_at_once_is_one_event() {
    let served = Served::with_settings(forges()).await;
    let body = fixture("gitlab/push.json");
    let send = |token: &'static str| {
        let headers = [("X-Gitlab-Event", "Push Hook"), ("X-Gitlab-Token", token)];
        let (address, body) = (served.addresses.http, body.clone());
        async move { post(address, "/webhooks/gitlab", &headers, &body).await }
    };
    let all = tokio::join!(send("glpat"), send("glpat"), send("glpat"), send("glpat"), send("glpa"), send("glpat "));
    let (a, b, c, d, wrong, space) = all;
    for answer in [&a, &b, &c, &d] {
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    // Header values are trimmed by HTTP itself.
    assert_eq!((wrong.status, space.status), (401, 200));
    let missing = post(served.addresses.http, "/webhooks/gitlab", &[], &body).await;
    assert_eq!(missing.status, 401);
    assert_eq!(served.ledger.head().size, 4, "ledger.created, two commits and the branch");
    let unknown = br#"{"object_kind":"emoji","event_type":"award","user":{"username":"jsmith"}}"#;
    let answer = post(served.addresses.http, "/webhooks/gitlab", &[("x-gitlab-token", "glpat")], unknown).await;
    assert_eq!((answer.status, answer.text()), (200, r#"{"events":[],"passed_over":["emoji"]}"#));
    let counts = served.intake.counters().all();
    let counted =
        |outcome: &str| counts.iter().find(|row| row.0 == "gitlab" && row.1 == outcome).map_or(0, |row| row.2);
    assert_eq!((counted("recorded") + counted("known"), counted("passed_over"), counted("bad_signature")), (5, 1, 1));
    served.finish().await;
}
