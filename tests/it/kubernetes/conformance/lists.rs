//! Lists and their pages.

use serde_json::{Value, json};

use super::{Answer, Place, everywhere, options, refused, revision, stand_in_only};

async fn page(place: &Place, query: &str) -> Answer {
    place.send("GET", &format!("{}?{query}", place.path("")), "", &Value::Null).await
}

fn names(list: &Value) -> Vec<&str> {
    list["items"].as_array().unwrap().iter().map(|item| item["metadata"]["name"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn lists_are_in_the_order_of_keys_and_of_one_revision() {
    everywhere("list", async |place| {
        for name in ["b", "c", "a-b", "a"] {
            place.make(name).await;
        }
        let labels = json!({"metadata": {"labels": {"tier": "web"}}});
        let last = place.merged("c", labels).await;
        let list = page(place, "").await.body;
        assert_eq!(names(&list), ["a", "a-b", "b", "c"]);
        assert_eq!((&list["kind"], &list["apiVersion"]), (&json!("ApplicationList"), &json!("argoproj.io/v1alpha1")));
        assert_eq!(list["metadata"]["continue"], "");
        assert!(revision(&list) >= revision(&last), "the store's revision");
        for item in list["items"].as_array().unwrap() {
            assert_eq!((&item["kind"], &item["apiVersion"]), (&json!("Application"), &json!("argoproj.io/v1alpha1")));
        }
        for (query, expected) in [
            ("labelSelector=tier%3Dweb", vec!["c"]),
            ("labelSelector=tier%21%3Dweb", vec!["a", "a-b", "b"]),
            ("labelSelector=tier%20in%20%28web,db%29,%21other", vec!["c"]),
            ("labelSelector=%21tier", vec!["a", "a-b", "b"]),
            ("fieldSelector=metadata.name%3Da-b", vec!["a-b"]),
        ] {
            assert_eq!(names(&page(place, query).await.body), expected, "{query}");
        }
        refused(&page(place, "fieldSelector=spec.project%3Ddefault").await, 400, "BadRequest");
    })
    .await;
}

#[tokio::test]
async fn pages_keep_the_first_pages_revision() {
    everywhere("pages", async |place| {
        for name in ["a", "b", "c", "d", "e"] {
            place.make(name).await;
        }
        let first = page(place, "limit=2").await.body;
        assert_eq!((names(&first), &first["metadata"]["remainingItemCount"]), (vec!["a", "b"], &json!(3)));
        place.make("bb").await;
        place.send("DELETE", &place.path("d"), "", &Value::Null).await;
        let token = first["metadata"]["continue"].as_str().unwrap();
        let second = page(place, &format!("limit=2&continue={token}")).await.body;
        assert_eq!((names(&second), &second["metadata"]["remainingItemCount"]), (vec!["c", "d"], &json!(1)));
        let token = second["metadata"]["continue"].as_str().unwrap();
        let third = page(place, &format!("limit=2&continue={token}")).await.body;
        assert_eq!((names(&third), &third["metadata"]["continue"]), (vec!["e"], &json!("")));
        assert_eq!((revision(&second), revision(&third)), (revision(&first), revision(&first)));
        let selected = page(place, "limit=1&labelSelector=%21tier").await.body;
        assert!(selected["metadata"].get("remainingItemCount").is_none(), "not with a selector");
    })
    .await;
}

#[tokio::test]
async fn a_page_of_a_list_that_is_too_old_is_gone() {
    stand_in_only("old-page", "it needs a compaction or a restart", options(), async |place| {
        for name in ["a", "b", "c"] {
            place.make(name).await;
        }
        let api = place.stand_in.as_ref().unwrap();
        let compact = async || api.compact_now();
        let restart = async || {
            api.kill().await;
            api.restart_warm();
        };
        for round in 0..2 {
            let first = page(place, "limit=2").await.body;
            let token = first["metadata"]["continue"].as_str().unwrap();
            place.make(&format!("bb{round}")).await;
            let kept = page(place, &format!("limit=2&continue={token}")).await.body;
            assert_eq!(names(&kept)[0], if round == 0 { "c" } else { "bb0" }, "while it is cached");
            if round == 0 {
                compact().await;
            } else {
                restart().await;
            }
            let gone = page(place, &format!("limit=2&continue={token}")).await;
            refused(&gone, 410, "Expired");
            let token = gone.body["metadata"]["continue"].as_str().unwrap();
            let rest = page(place, &format!("limit=9&continue={token}")).await.body;
            assert!(names(&rest).contains(&format!("bb{round}").as_str()), "the rest as it is now");
        }
    })
    .await;
}
