//! What happened, event by event, recorded by the real program.

use plimsoll::event::Timestamp;
use serde_json::{Value, json};

use crate::support::program::Desk;

/// The repository and the target that tales are about.
pub const REPO: &str = "repo/example.com/shop";
pub const TARGET: &str = "target/production/shop";

const HOUR: i64 = 3_600_000_000;

/// An instant by the hours since the beginning, the 1st of February 2026.
pub fn at(hours: i64) -> String {
    Timestamp::from_micros(1_769_904_000_000_000 + hours * HOUR).unwrap().to_string()
}

/// A commit's id by its name.
pub fn oid(name: &str) -> String {
    blake3::hash(name.as_bytes()).to_hex()[..40].to_owned()
}

/// An artifact's digest by its name.
pub fn digest(name: &str) -> String {
    format!("sha256:{}", blake3::hash(name.as_bytes()).to_hex())
}

/// An image by its name.
pub fn image(name: &str) -> Value {
    json!({"name": "example.com/shop", "tag": name, "digest": digest(name)})
}

/// An object with the members of another one in it.
pub fn with(mut data: Value, more: &Value) -> Value {
    data.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    data
}

/// An answer without what depends on the order of arrival: positions, pseudonyms, and when things were recorded.
pub fn without_positions(mut answer: Value) -> Value {
    match &mut answer {
        Value::Object(members) => {
            members.retain(|name, _| {
                !["position", "closed_by", "basis", "subject", "next_page_token"].contains(&name.as_str())
            });
            members.values_mut().for_each(|member| *member = without_positions(member.take()));
        }
        Value::Array(list) => list.iter_mut().for_each(|one| *one = without_positions(one.take())),
        _ => {}
    }
    answer
}

/// A ledger, and what is yet to be recorded in it.
pub struct Tale {
    pub desk: Desk,
    waiting: String,
    told: usize,
}

impl Tale {
    pub fn new() -> Self {
        Self { desk: Desk::with_ledger(), waiting: String::new(), told: 0 }
    }

    /// An event with whatever payload.
    pub fn say(&mut self, type_name: &str, stream: &str, hours: i64, data: &Value) -> &mut Self {
        self.say_as("test", type_name, stream, hours, data)
    }

    /// The same, of another source.
    pub fn say_as(&mut self, source: &str, type_name: &str, stream: &str, hours: i64, data: &Value) -> &mut Self {
        let dedup = format!("e{}", self.told);
        self.told += 1;
        let draft = json!({
            "type": type_name, "stream": stream, "source": source, "dedup": dedup, "occurred_at": at(hours),
            "data": data,
        });
        self.waiting += &format!("{draft}\n");
        self
    }

    /// A commit of somebody.
    pub fn commit(&mut self, name: &str, parents: &[&str], hours: i64, more: &Value) -> &mut Self {
        let parents: Vec<_> = parents.iter().map(|parent| oid(parent)).collect();
        let data = json!({
            "author": "Ada <ada@example.com>", "commit": oid(name), "parents": parents, "authored_at": at(hours),
            "committed_at": at(hours), "message": format!("{name}\n\nmore of it"),
        });
        self.say("commit.recorded", REPO, hours, &with(data, more))
    }

    /// An artifact, built of the commit of the same name.
    pub fn build(&mut self, name: &str, hours: i64) -> &mut Self {
        let data = json!({"conclusion": "success", "commit": oid(name), "repository": REPO});
        self.say("build.finished", &format!("artifact/{}", digest(name)), hours, &data)
    }

    /// A deployment of the artifact of that name that succeeded at once.
    pub fn deploy(&mut self, stream: &str, name: &str, hours: i64, more: &Value) -> &mut Self {
        let data = json!({"deployment": format!("{name}@{hours}"), "finished_at": at(hours), "images": [image(name)]});
        self.say("sync.succeeded", stream, hours, &with(data, more))
    }

    /// A change of Ada's that was merged.
    pub fn merged(&mut self, change: &str, commit: &str, hours: i64, more: &Value) -> &mut Self {
        let data = json!({
            "author": "Ada <ada@example.com>", "base": "main", "change": change, "commit": oid(commit),
            "head_commit": oid(&format!("{commit}-head")), "merged_by": "Cleo <cleo@example.com>",
            "title": format!("Change {change}"),
        });
        self.say("change.merged", REPO, hours, &with(data, more))
    }

    /// A review.
    pub fn reviewed(&mut self, change: &str, by: &str, state: &str, commit: &str, hours: i64) -> &mut Self {
        let reviewer = format!("{by} <{}@example.com>", by.to_lowercase());
        let data = json!({"change": change, "reviewer": reviewer, "state": state, "commit": oid(commit)});
        self.say("change.reviewed", REPO, hours, &data)
    }

    /// What is waiting comes in the other way round.
    pub fn backwards(&mut self) {
        self.waiting = self.waiting.lines().rev().map(|line| format!("{line}\n")).collect();
    }

    /// Records what is waiting, and returns how many events there are.
    pub fn record(&mut self) -> u64 {
        if !self.waiting.is_empty() {
            self.desk.feed(["record", "-"], std::mem::take(&mut self.waiting).as_bytes()).ok();
        }
        self.desk.run(["log", "--json", "-n", "100000"]).ok().lines().count() as u64
    }

    /// Asks, of everything there is.
    pub fn ask<'a>(&mut self, args: impl IntoIterator<Item = &'a str>) -> Value {
        self.record();
        self.desk.run(args.into_iter().chain(["--json"])).json()
    }
}
