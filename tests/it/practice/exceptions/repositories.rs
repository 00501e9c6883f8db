//! Tags, branches, and tags in registries.

use serde_json::json;

use super::super::tale::{REPO, TARGET, Tale, at, digest, image, oid};
use super::{contain, of, told};

#[test]
fn a_tag_that_was_moved() {
    let mut tale = Tale::new();
    tale.say("tag.created", REPO, 1, &json!({"tag": "v1", "target": oid("one")}));
    tale.say("tag.moved", REPO, 2, &json!({"tag": "v1", "before": oid("one"), "after": oid("two"), "tagger": "Eve"}));
    let (found, looked) = of(&mut tale, "tag_moved");
    assert_eq!((found.len(), &looked["examined"]), (1, &1.into()));
    assert_eq!((&found[0]["repository"], &found[0]["who"]["identity"]), (&"example.com/shop".into(), &"Eve".into()));
    assert_eq!(found[0]["at"], at(2));
    assert!(found[0]["what"].as_str().unwrap().contains(&format!("from commit {} to {}", oid("one"), oid("two"))));
}

#[test]
fn a_tag_that_was_deleted_matters_if_it_is_of_a_release_or_was_deployed() {
    let mut tale = Tale::new();
    for (hours, tag, commit) in [(1, "released", "a"), (2, "deployed", "b"), (3, "built", "c"), (4, "mere", "d")] {
        tale.say("tag.created", REPO, hours, &json!({"tag": tag, "target": oid(commit)}));
        // Only that a tag object went is told.
        tale.say("tag.deleted", REPO, 10 + hours, &json!({"tag": tag, "before": oid("object")}));
    }
    tale.say("release.published", REPO, 1, &json!({"tag": "released", "published_at": at(1)}));
    tale.say("sync.succeeded", TARGET, 5, &json!({"commit": oid("b"), "repository": REPO, "finished_at": at(5)}));
    tale.build("c", 5).deploy(TARGET, "c", 6, &json!({}));
    let (found, looked) = of(&mut tale, "tag_deleted");
    let sentences = super::said(&found);
    contain(
        &sentences,
        &["tag released, of a release", "tag deployed, of a commit that was", "tag built, of a commit that was"],
    );
    assert_eq!(looked["examined"], 4);
}

#[test]
fn a_forced_push_is_none_where_changes_only_come_from() {
    let mut tale = Tale::new();
    let push = |branch: &str, forced: bool| json!({"branch": branch, "before": oid("old"), "after": oid("new"), "forced": forced});
    let change = |id: &str, head: &str, base: &str| json!({"author": "Ada", "base": base, "change": id, "head": head, "head_commit": oid(head)});
    tale.say("change.created", REPO, 1, &change("1", "feature", "main"));
    tale.say("change.created", REPO, 1, &change("2", "develop", "main"));
    tale.say("change.created", REPO, 1, &change("3", "topic", "develop"));
    for (hours, branch) in [(2, "main"), (3, "feature"), (4, "develop"), (5, "topic"), (6, "lonely")] {
        tale.say("branch.updated", REPO, hours, &push(branch, true));
        tale.say("branch.updated", REPO, hours + 10, &push(branch, false));
    }
    let (found, looked) = of(&mut tale, "forced_push");
    contain(&super::said(&found), &["branch main", "branch develop", "branch lonely"]);
    assert_eq!(looked["examined"], 5);
}

#[test]
fn a_tag_in_a_registry_that_was_pointed_elsewhere_while_it_was_deployed() {
    let mut tale = Tale::new();
    let by_tag = |tag: &str| json!({"images": [{"name": "example.com/shop", "tag": tag}]});
    let found_out =
        json!({"images": [{"name": "example.com/shop", "tag": "1", "digest": digest("old"), "digest_origin": "live"}]});
    tale.deploy(TARGET, "a", 1, &by_tag("1")).deploy("target/staging/shop", "a", 1, &found_out);
    // Pinned, of another tag, gone by then, and of the new artifact already.
    tale.deploy(
        "target/pinned/shop",
        "1",
        1,
        &json!({"images": [{"name": "example.com/shop", "tag": "1", "digest": digest("old")}]}),
    );
    tale.deploy("target/other/shop", "a", 1, &by_tag("2"));
    tale.deploy("target/gone/shop", "a", 1, &by_tag("1")).deploy("target/gone/shop", "b", 2, &by_tag("2"));
    let new =
        json!({"images": [{"name": "example.com/shop", "tag": "1", "digest": digest("new"), "digest_origin": "live"}]});
    tale.deploy("target/new/shop", "a", 1, &new);
    let stream = format!("artifact/{}", digest("new"));
    tale.say("tag.repointed", &stream, 5, &json!({"name": "example.com/shop", "tag": "1", "before": digest("old")}));
    // Pointed for the first time, and before anything was deployed.
    tale.say("tag.repointed", &stream, 6, &json!({"name": "example.com/shop", "tag": "2"}));
    tale.say("tag.repointed", &stream, 0, &json!({"name": "example.com/shop", "tag": "1", "before": digest("older")}));
    contain(&told(&mut tale, "image_tag_repointed"), &["while production/shop ran it", "while staging/shop ran it"]);
    let answer = tale.ask(["exceptions", "--kind", "image_tag_repointed", "--environment", "staging"]);
    assert_eq!(answer["exceptions"].as_array().unwrap().len(), 1);
    assert_eq!(answer["exceptions"][0]["evidence"].as_array().unwrap().len(), 2);
}

#[test]
fn an_image_with_nothing_behind_it() {
    let mut tale = Tale::new();
    let cache = json!({"name": "example.com/cache", "digest": digest("cache")});
    let with_cache = |name: &str| json!({"images": [image(name), cache]});
    tale.build("one", 1).build("three", 1).deploy(TARGET, "one", 2, &with_cache("one"));
    // Nobody built `two`; the cache stays and is somebody else's.
    tale.deploy(TARGET, "two", 3, &with_cache("two"));
    tale.deploy(TARGET, "three", 4, &with_cache("three"));
    // Everything that was built here is replaced.
    tale.deploy(
        TARGET,
        "evil",
        5,
        &json!({"images": [{"name": "elsewhere.example/miner", "digest": digest("miner")}]}),
    );
    tale.deploy(TARGET, "tag", 6, &json!({"images": [{"name": "example.com/shop", "tag": "latest"}]}));
    // A target of which nothing was ever built here.
    tale.deploy(
        "target/production/proxy",
        "proxy",
        3,
        &json!({"images": [{"name": "example.com/proxy", "digest": digest("p")}]}),
    );
    // Provenance and labels are something, too.
    let document = "0".repeat(64);
    let attested = json!({"commit": oid("one"), "document": document, "format": "dsse", "predicate_type": "https://slsa.dev/provenance/v1", "signatures": 1});
    tale.say("attestation.attached", &format!("artifact/{}", digest("four")), 6, &attested).deploy(
        TARGET,
        "four",
        7,
        &json!({}),
    );
    let (found, looked) = of(&mut tale, "image_without_build");
    contain(
        &super::said(&found),
        &[&digest("two"), "elsewhere.example/miner", "example.com/shop:latest with no build"],
    );
    assert!(found[0]["missing"][0].as_str().unwrap().starts_with("a build of sha256:"), "{}", found[0]);
    let mut names = super::not_judged(&looked).into_iter().map(|(subject, _)| subject).collect::<Vec<_>>();
    names.sort();
    assert_eq!(names, ["example.com/cache", "example.com/proxy"]);
}
