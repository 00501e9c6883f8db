//! What is found, in which order, and in which pages.

use plimsoll::api::proto::v1 as pb;
use serde_json::json;

use super::{ask, by, commit, incident, names, question, search, texts, told};
use crate::projection::story::{REPO, digest, oid};
use crate::provenance::instant;
use crate::support::served::{Served, field};

async fn shop() -> Served {
    told(vec![
        commit("Jane Doe <jane@example.com>", "a", "Mend the cart\n\nIt lost what was put into it.", 1),
        commit("Bob <bob@example.com>", "b", "Sell Schuhe für große Füße", 2),
        incident("Jane Doe <jane@example.com>", "7", "The cart is empty again", 3),
        by("Bob <bob@example.com>", "check.finished", REPO, 4, &json!({"commit": oid("b"), "conclusion": "failure", "kind": "lint", "name": "ci / cart-lint", "summary": "3 lines are too long", "tool": "ruff"})),
        by("Bob <bob@example.com>", "tag.created", REPO, 5, &json!({"message": "The release with the cart", "tag": "v1.4.0", "target": oid("b")})),
    ])
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn texts_are_found_by_words_phrases_and_beginnings_newest_first() {
    let served = shop().await;
    let found = search(&served, "cart").await;
    assert_eq!(
        texts(&found),
        ["The release with the cart", "The cart is empty again", "Mend the cart  It lost what was put into it."]
    );
    let hit = &found.hits[1];
    assert_eq!(
        (hit.r#type.as_str(), hit.stream.as_str(), hit.field.as_str()),
        ("incident.opened", "incident/7", "title")
    );
    assert_eq!((hit.position, hit.at), (3, instant(3)));
    assert_eq!(hit.actor.as_ref().unwrap().identity.as_deref(), Some("Jane Doe <jane@example.com>"));
    for (query, n) in [
        ("CART lost", 1),
        ("\"the cart\"", 3),
        ("\"cart the\"", 0),
        ("emp*", 1),
        ("\"cart is emp\"*", 1),
        ("fuße", 1),
        ("GROSSE", 0),
        ("große füße", 1),
        ("type:incident.* cart", 1),
        ("type:commit.recorded cart", 1),
        ("cart stream:repo/", 2),
        ("customer", 1),
        ("nowhere", 0),
    ] {
        assert_eq!(search(&served, query).await.hits.len(), n, "{query}");
    }
    served.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn names_people_and_things_are_found() {
    let served = shop().await;
    let of = async |query: &str| names(&search(&served, query).await);
    assert_eq!(of("app").await, ["stream repo/example.com/app"]);
    assert_eq!(of("jane").await, ["person Jane Doe <jane@example.com>"]);
    assert_eq!(of("ruff").await, ["tool ruff"]);
    assert_eq!(of("cart").await, ["check ci / cart-lint"]);
    assert_eq!(of("CVE-2026-4711").await, ["vulnerability CVE-2026-4711"]);
    let tag = search(&served, "v1.4.0").await;
    assert_eq!((names(&tag), tag.things[0].kind.as_str()), (vec!["tag v1.4.0".to_owned()], "tag"));
    let found = search(&served, &oid("a")[..12]).await;
    assert_eq!((found.things[0].kind.as_str(), found.things[0].id.as_str()), ("commit", oid("a").as_str()));
    assert!(search(&served, &digest("a")).await.things.is_empty());
    // What restricts to events leaves names out.
    assert!(of("cart type:check.finished").await.is_empty());
    served.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_follow_each_other_and_stay_of_one_state() {
    let drafts = (0..25).map(|n| commit("Jane", &format!("c{n}"), &format!("number {n} of many"), n)).collect();
    let served = told(drafts).await;
    let mut request = pb::SearchRequest { page_size: 10, ..question(&served, "many") };
    let mut all = Vec::new();
    loop {
        let page = ask(&served, request.clone()).await.unwrap();
        all.extend(page.hits.iter().map(|hit| hit.position));
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
        served
            .ledger
            .append(vec![commit("Jane", &format!("later{}", all.len()), "one more of many", 30)])
            .await
            .unwrap();
    }
    assert_eq!(all, (1..=25).rev().collect::<Vec<u64>>());
    let known = pb::SearchRequest {
        asked: Some(pb::Asked { min_position: 0, known_at: Some(6) }),
        ..question(&served, "many")
    };
    assert_eq!(ask(&served, known).await.unwrap().hits.len(), 5);
    let window = pb::SearchRequest { from: instant(3), to: instant(6), ..question(&served, "many") };
    let found = ask(&served, window).await.unwrap();
    assert_eq!(texts(&found), ["number 5 of many", "number 4 of many", "number 3 of many"]);
    served.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_is_of_the_first_event_that_has_it() {
    let served =
        told(vec![commit("Jane", "a", "one", 1), commit("Bob", "b", "two", 2), commit("Jane", "c", "three", 3)]).await;
    let jane = search(&served, "jane").await.names[0].clone();
    let bob = search(&served, "bob").await.names[0].clone();
    assert_eq!((jane.position, bob.position), (1, 2));
    let known =
        pb::SearchRequest { asked: Some(pb::Asked { min_position: 0, known_at: Some(2) }), ..question(&served, "bob") };
    assert!(ask(&served, known).await.unwrap().names.is_empty());
    served.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_typed_is_a_question_or_is_refused_by_field() {
    let served = shop().await;
    for query in [
        "a OR b",
        "NOT a",
        "\"",
        "a\"",
        "NEAR(a b)",
        "text : a",
        "{x} y",
        "a* AND",
        "(((",
        "^cart",
        "cart AND",
        "'; DROP TABLE name; --",
        "\u{0}",
        "🛒",
        "type:x",
    ] {
        match ask(&served, question(&served, query)).await {
            Ok(_) => {}
            Err(status) => {
                assert_eq!(
                    (status.code(), field(&status).as_str()),
                    (tonic::Code::InvalidArgument, "query"),
                    "{query}"
                );
            }
        }
    }
    assert_eq!(search(&served, "^cart").await.hits.len(), 3);
    served.finish().await;
}
