//! Who may ask for what, and what is not there.

use serde_json::{Value, json};

use super::{Place, everywhere, refused};

/// The place as somebody else sees it.
fn as_somebody(place: &Place, change: impl Fn(&mut kube::Config)) -> Place {
    let mut config = place.config.clone();
    change(&mut config);
    let client = kube::Client::try_from(config.clone()).unwrap();
    Place { config, client, namespace: place.namespace.clone(), stand_in: None }
}

#[tokio::test]
async fn what_is_missing_forbidden_or_from_nobody_is_said_apart() {
    everywhere("access", async |place| {
        let missing = place.send("GET", &place.path("web"), "", &Value::Null).await;
        assert_eq!(refused(&missing, 404, "NotFound"), "applications.argoproj.io \"web\" not found");
        assert_eq!(missing.body["details"], json!({"name": "web", "group": "argoproj.io", "kind": "applications"}));

        let other = as_somebody(place, |config| config.auth_info.impersonate = Some("plimsoll-nobody".to_owned()));
        let forbidden = other.send("GET", &place.path("web"), "", &Value::Null).await;
        let message = refused(&forbidden, 403, "Forbidden");
        let expected = format!(
            "applications.argoproj.io \"web\" is forbidden: User \"plimsoll-nobody\" cannot get resource \
             \"applications\" in API group \"argoproj.io\" in the namespace \"{}\"",
            place.namespace
        );
        assert_eq!(message, expected);
        let everywhere = other.send("GET", "/apis/argoproj.io/v1alpha1/applications", "", &Value::Null).await;
        let message = refused(&everywhere, 403, "Forbidden");
        assert!(message.contains("cannot list resource \"applications\""), "{message}");
        assert!(message.contains("at the cluster scope"), "{message}");

        let nobody = as_somebody(place, |config| {
            config.auth_info = serde_json::from_value(json!({"token": "a-token-of-nobody"})).unwrap();
        });
        let unknown = nobody.send("GET", &place.path("web"), "", &Value::Null).await;
        assert_eq!(refused(&unknown, 401, "Unauthorized"), "Unauthorized");
    })
    .await;
}

#[tokio::test]
async fn the_server_says_what_it_serves() {
    everywhere("discovery", async |place| {
        let served = place.send("GET", "/apis/argoproj.io/v1alpha1", "", &Value::Null).await.body;
        let resources = served["resources"].as_array().unwrap();
        let find = |name: &str| resources.iter().find(|resource| resource["name"] == name);
        assert_eq!(find("applications").unwrap()["kind"], "Application");
        assert!(find("applications/status").is_none());
        let workloads = place.send("GET", "/apis/apps/v1", "", &Value::Null).await.body;
        let workloads = workloads["resources"].as_array().unwrap();
        for name in ["deployments", "deployments/status", "deployments/scale"] {
            assert!(workloads.iter().any(|resource| resource["name"] == name), "{name}");
        }
        let groups = place.client.list_api_groups().await.unwrap().groups;
        assert!(groups.iter().any(|group| group.name == "argoproj.io"));
        assert!(place.client.list_core_api_versions().await.unwrap().versions.contains(&"v1".to_owned()));
        assert!(!place.client.apiserver_version().await.unwrap().git_version.is_empty());
    })
    .await;
}
