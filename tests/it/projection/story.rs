//! Hand-made histories: a few lines each, so that a test reads like the case it is about.

use plimsoll::event::Draft;
use serde_json::{Value, json};

use super::history::{BEGIN, HOUR, event, stamp};
use super::model::Model;

/// The repository and the target that hand-made histories are about.
pub const REPO: &str = "repo/example.com/app";
pub const TARGET: &str = "target/production/app";

/// An instant by the hours since the beginning.
pub fn at(hours: i64) -> i64 {
    BEGIN + hours * HOUR
}

/// A commit's id by its name.
pub fn oid(name: &str) -> String {
    blake3::hash(name.as_bytes()).to_hex()[..40].to_owned()
}

/// An artifact's digest by its name.
pub fn digest(name: &str) -> String {
    format!("sha256:{}", blake3::hash(name.as_bytes()).to_hex())
}

/// A history that grows.
#[derive(Default, Clone)]
pub struct Story(pub Vec<Draft>);

impl Story {
    /// An event with whatever payload.
    pub fn say(&mut self, type_name: &str, stream: &str, hours: i64, data: &Value) -> &mut Self {
        let dedup = format!("e{}", self.0.len());
        self.0.push(event(type_name, stream, "test", &dedup, at(hours), data));
        self
    }

    /// A commit that was written when it was made.
    pub fn commit(&mut self, name: &str, parents: &[&str], hours: i64) -> &mut Self {
        self.commit_with(name, parents, hours, &json!({}))
    }

    /// A commit, with more fields or others.
    pub fn commit_with(&mut self, name: &str, parents: &[&str], hours: i64, more: &Value) -> &mut Self {
        let parents: Vec<_> = parents.iter().map(|parent| oid(parent)).collect();
        let data = json!({
            "author": "Jane", "commit": oid(name), "parents": parents, "authored_at": stamp(at(hours)),
        });
        self.say("commit.recorded", REPO, hours, &with(data, more))
    }

    /// An artifact, built of the commit of the same name.
    pub fn build(&mut self, name: &str, hours: i64) -> &mut Self {
        let data = json!({"conclusion": "success", "commit": oid(name)});
        self.say("build.finished", &format!("artifact/{}", digest(name)), hours, &data)
    }

    /// A deployment of the commit of that name that succeeded at once.
    pub fn deploy(&mut self, id: &str, commit: &str, hours: i64) -> &mut Self {
        self.sync("succeeded", id, hours, &json!({"commit": oid(commit)}))
    }

    /// The end of a rollout: `succeeded`, `failed`, `terminated`.
    pub fn sync(&mut self, how: &str, id: &str, hours: i64, more: &Value) -> &mut Self {
        let data = json!({"deployment": id, "finished_at": stamp(at(hours))});
        self.say(&format!("sync.{how}"), TARGET, hours, &with(data, more))
    }

    /// The end of a rollout of the artifact of that name in a cluster.
    pub fn cluster(&mut self, how: &str, id: &str, cluster: &str, image: &str, hours: i64) -> &mut Self {
        let data = json!({
            "application": {"name": "app", "cluster": cluster},
            "images": [{"name": "example.com/app", "digest": digest(image)}],
        });
        self.sync(how, id, hours, &data)
    }

    pub fn health(&mut self, cluster: &str, after: &str, hours: i64) -> &mut Self {
        let data = json!({"after": after, "application": {"name": "app", "cluster": cluster}});
        self.say("health.changed", TARGET, hours, &data)
    }

    pub fn incident(&mut self, id: &str, hours: i64, more: &Value) -> &mut Self {
        let data = json!({"kind": "outage", "opened_at": stamp(at(hours)), "targets": [TARGET]});
        self.say("incident.opened", &format!("incident/{id}"), hours, &with(data, more))
    }

    pub fn resolved(&mut self, id: &str, hours: i64) -> &mut Self {
        let data = json!({"resolved_at": stamp(at(hours))});
        self.say("incident.resolved", &format!("incident/{id}"), hours, &data)
    }

    pub fn linked(&mut self, id: &str, link: &str, deployment: &str, hours: i64) -> &mut Self {
        let data = json!({"link": link, "deployments": [{"deployment": deployment}]});
        self.say("incident.linked", &format!("incident/{id}"), hours, &data)
    }

    pub fn model(&self) -> Model {
        Model::of_drafts(&self.0)
    }
}

/// An object with the members of another one in it.
fn with(mut data: Value, more: &Value) -> Value {
    data.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    data
}
