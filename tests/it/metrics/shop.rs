//! A small shop with some days behind it, recorded by the real program.

use plimsoll::event::Timestamp;
use plimsoll::ledger::{Clock, SystemClock};
use serde_json::{Value, json};

use crate::support::program::Desk;

pub const SERVICES: [&str; 2] = ["churn-api", "churn-ml"];
pub const ENVIRONMENTS: [&str; 2] = ["staging", "production"];

/// Days of work.
pub const DAYS: i64 = 10;

const MINUTE: i64 = 60_000_000;
const HOUR: i64 = 60 * MINUTE;
pub const DAY: i64 = 24 * HOUR;

/// What is told, and when it all began.
pub struct Shop {
    pub begin: i64,
    pub drafts: Vec<Value>,
}

pub fn stamp(at: i64) -> String {
    Timestamp::from_micros(at).unwrap().to_string()
}

fn hex(name: &str, digits: usize) -> String {
    blake3::hash(name.as_bytes()).to_hex()[..digits].to_owned()
}

pub fn digest(service: &str, version: &str) -> String {
    format!("sha256:{}", hex(&format!("{service} {version}"), 64))
}

impl Shop {
    /// Ten days up to now: every day each service is changed, built, and deployed to staging and to production.
    ///
    /// What is special: the sixth release of the API to production fails, with an incident, and is rolled back; the
    /// last one of the model to production fails and stays so; the API is being deployed to staging, differs from Git in
    /// production, and has critical vulnerabilities; nobody scanned the model; an incident is open.
    pub fn until_now() -> Self {
        let now = SystemClock.now().micros();
        Self::from(now - DAYS * DAY)
    }

    /// The same from another instant on.
    pub fn from(begin: i64) -> Self {
        let mut shop = Self { begin, drafts: Vec::new() };
        for day in 0..DAYS {
            for service in SERVICES {
                shop.release(service, day);
            }
        }
        shop.trouble();
        shop
    }

    fn say(&mut self, type_name: &str, stream: &str, at: i64, data: Value) {
        let dedup = format!("e{}", self.drafts.len());
        self.drafts.push(json!({
            "type": type_name, "stream": stream, "source": "test", "dedup": dedup, "occurred_at": stamp(at), "data": data,
        }));
    }

    fn release(&mut self, service: &str, day: i64) {
        let (begin, version) = (self.begin + day * DAY, format!("v{day}"));
        let repository = format!("repo/example.com/{service}");
        let commit = hex(&format!("commit {service} {day}"), 40);
        let parents: Vec<_> =
            (day > 0).then(|| hex(&format!("commit {service} {}", day - 1), 40)).into_iter().collect();
        // Somebody's clock is ahead.
        let authored = if (service, day) == ("churn-ml", 3) { begin + 4 * HOUR } else { begin };
        let written = json!({"author": "Jane", "commit": commit, "parents": parents, "authored_at": stamp(authored)});
        self.say("commit.recorded", &repository, begin, written);
        let artifact = format!("artifact/{}", digest(service, &version));
        let built = json!({"conclusion": "success", "commit": commit, "repository": repository});
        self.say("build.finished", &artifact, begin + 10 * MINUTE, built);
        if service == "churn-api" {
            let severities = json!({"critical": 2, "high": 5, "medium": 0, "low": 1, "info": 0, "unknown": 0});
            let scanned =
                json!({"kind": "vulnerability", "status": "completed", "tool": "trivy", "severities": severities});
            self.say("scan.finished", &artifact, begin + 11 * MINUTE, scanned);
        }
        for (n, environment) in (0..).zip(ENVIRONMENTS) {
            let at = begin + (1 + n) * HOUR;
            let failed = environment == "production" && (service, day) == ("churn-ml", DAYS - 1);
            self.sync(if failed { "failed" } else { "succeeded" }, (environment, service), &version, at, &version);
        }
    }

    /// The end of a rollout that took five minutes.
    fn sync(&mut self, how: &str, (environment, service): (&str, &str), id: &str, at: i64, version: &str) {
        let image =
            json!({"name": format!("example.com/{service}"), "tag": version, "digest": digest(service, version)});
        let data = json!({
            "deployment": format!("{service}-{environment}-{id}"), "started_at": stamp(at - 5 * MINUTE),
            "finished_at": stamp(at), "images": [image], "application": {"name": service, "cluster": "c"},
        });
        self.say(&format!("sync.{how}"), &format!("target/{environment}/{service}"), at, data);
    }

    fn trouble(&mut self) {
        let (begin, target) = (self.begin, "target/production/churn-api");
        let bad = begin + 5 * DAY + 2 * HOUR;
        let caused = json!({
            "kind": "outage", "severity": "critical", "opened_at": stamp(bad + HOUR / 2), "targets": [target],
            "caused_by": [{"deployment": "churn-api-production-v5"}],
        });
        self.say("incident.opened", "incident/one", bad + HOUR / 2, caused);
        self.sync("succeeded", ("production", "churn-api"), "back-to-v4", bad + HOUR, "v4");
        let resolved = json!({"resolved_at": stamp(bad + HOUR)});
        self.say("incident.resolved", "incident/one", bad + HOUR, resolved);
        let late = begin + (DAYS - 1) * DAY + 3 * HOUR;
        let opened = json!({"kind": "alert", "severity": "minor", "opened_at": stamp(late), "targets": [target]});
        self.say("incident.opened", "incident/two", late, opened);
        self.say("drift.opened", target, late, json!({"cause": "live_edit", "drift": "d1"}));
        let started = json!({"deployment": "running", "started_at": stamp(late), "application": {"name": "churn-api", "cluster": "c"}});
        self.say("sync.started", "target/staging/churn-api", late, started);
        let gap =
            json!({"from": stamp(begin), "to": stamp(begin + HOUR), "observed": "argocd/prod", "reason": "restart"});
        self.say("observation.gap", "ledger", begin + HOUR, gap);
    }

    /// Everything that is wrong is put right, in a served ledger. Returns how many events that has then.
    pub fn put_right(mut self, desk: &Desk, url: &str) -> u64 {
        let told = self.drafts.len();
        let (target, at) = ("target/production/churn-api", self.begin + DAYS * DAY);
        self.sync("succeeded", ("production", "churn-ml"), "again", at, "v9");
        self.sync("succeeded", ("staging", "churn-api"), "new", at, "v9");
        self.say("drift.closed", target, at, json!({"cause": "self_heal", "drift": "d1"}));
        let none = json!({"critical": 0, "high": 0, "medium": 0, "low": 0, "info": 0, "unknown": 0});
        let scanned = json!({"kind": "vulnerability", "status": "completed", "tool": "trivy", "severities": none});
        self.say("scan.finished", &format!("artifact/{}", digest("churn-ml", "v9")), at, scanned);
        let lines: Vec<_> = self.drafts.iter().skip(told).map(Value::to_string).collect();
        desk.feed(["--server", url, "record", "-"], lines.join("\n").as_bytes()).ok();
        self.events()
    }

    /// A ledger with all of it. How many events it holds is one more.
    pub fn recorded(&self) -> Desk {
        let desk = Desk::with_ledger();
        let lines: Vec<_> = self.drafts.iter().map(Value::to_string).collect();
        desk.feed(["record", "-"], lines.join("\n").as_bytes()).ok();
        desk
    }

    /// How many events a ledger holds that has all of it.
    pub fn events(&self) -> u64 {
        self.drafts.len() as u64 + 1
    }
}
