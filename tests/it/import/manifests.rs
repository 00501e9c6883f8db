//! Commits of desired state.

use serde_json::{Value, json};

use super::{both, import, of_type, open};
use crate::support::program::Desk;
use crate::support::repo::Repo;

const PATH: &str = "apps/{service}/values-{environment}.yaml";

fn write(repo: &Repo, path: &str, text: &str, message: &str) -> String {
    let file = repo.dir.path().join("app").join(path);
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(file, text).unwrap();
    repo.git(["add", "-A"]);
    repo.git(["commit", "-q", "-m", message]);
    repo.git(["rev-parse", "HEAD"])
}

fn imported(desk: &Desk, repo: &Repo) -> Vec<Value> {
    import(desk, &repo.location(), &["--manifests", PATH, "--branch", "main"]);
    of_type(desk, "manifest.committed")
}

#[test]
fn each_step_of_the_followed_branch_tells_which_images_it_asks_for_and_where() {
    let (desk, repo) = both();
    let first =
        write(&repo, "apps/api/values-staging.yaml", "image:\n  repository: ghcr.io/a/api\n  tag: v1\n", "begin");
    let bump = "Release v2\n\nPlimsoll-Promotion: 01JNGS6Y3QK2";
    let second =
        write(&repo, "apps/api/values-staging.yaml", "image:\n  repository: ghcr.io/a/api\n  tag: v2 # x\n", bump);
    write(&repo, "README.md", "no manifest", "docs");
    // A merge counts once, by what it brings in.
    repo.git(["checkout", "-q", "-b", "feature"]);
    write(&repo, "apps/api/values-production.yaml", "image: {repository: ghcr.io/a/api, tag: v1}\n", "prod");
    write(&repo, "apps/ml/values-production.yaml", "replicas: 2\n", "ml");
    repo.git(["checkout", "-q", "main"]);
    repo.git(["merge", "-q", "--no-ff", "-m", "Merge", "feature"]);
    let merge = repo.git(["rev-parse", "HEAD"]);
    let events = imported(&desk, &repo);
    let told: Vec<_> =
        events.iter().map(|event| (event["stream"].as_str().unwrap(), &event["data"]["commit"])).collect();
    assert_eq!(
        told,
        [
            ("target/staging/api", &json!(first)),
            ("target/staging/api", &json!(second)),
            ("target/production/api", &json!(merge)),
            ("target/production/ml", &json!(merge)),
        ]
    );
    let data = open(&events[1]);
    assert_eq!(data["images"][0]["before"], json!({"name": "ghcr.io/a/api", "tag": "v1"}));
    assert_eq!(data["images"][0]["after"], json!({"name": "ghcr.io/a/api", "tag": "v2"}));
    assert_eq!(data["files"][0]["keys"], json!(["image.tag"]));
    assert_eq!((&data["command"], &data["reason"]), (&json!("01JNGS6Y3QK2"), &json!("Release v2")));

    assert_eq!(imported(&desk, &repo).len(), 4, "nothing is new");
    repo.git(["revert", "--no-edit", &second]);
    let events = imported(&desk, &repo);
    assert_eq!((events.len(), &events[4]["data"]["reverts"]), (5, &json!(second)));
    // Pushed by force: what stays was recorded, what goes stays recorded.
    repo.git(["reset", "-q", "--hard", &second]);
    write(&repo, "apps/api/values-staging.yaml", "image:\n  repository: ghcr.io/a/api\n  tag: v3\n", "forced");
    assert_eq!(imported(&desk, &repo).len(), 6);
    desk.run(["verify"]).ok();
}

#[test]
fn a_path_that_does_not_say_what_it_is_for_is_refused() {
    let (desk, repo) = both();
    repo.commit("one");
    let err = desk.run(["import", "git", &repo.location(), "--manifests", "values.yaml"]).fails(2);
    assert!(err.contains("{environment}"), "{err}");
}
