//! The way in over HTTP: who sent it, how large it is, and that the same thing twice is one thing.

use serde_json::Value;

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
