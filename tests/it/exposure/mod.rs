//! Exposure through the real binary: packages and vulnerabilities, where they ran, and what is not known.

// Tells clippy that the helpers are tests, too.
#![cfg(test)]

mod erasure;
mod packages;
mod unknown;
mod vulnerabilities;

use serde_json::{Value, json};

use crate::support::program::{Desk, Ran};

/// An artifact's digest by its name.
fn digest(name: &str) -> String {
    format!("sha256:{}", blake3::hash(name.as_bytes()).to_hex())
}

/// An instant by the day of March.
fn day(day: u32) -> String {
    format!("2026-03-{day:02}T00:00:00.000000Z")
}

/// A ledger that is told what a shop deploys and what is in it.
struct Shop(Desk);

impl Shop {
    fn new() -> Self {
        Self(Desk::with_ledger())
    }

    /// Records events: type, stream, day and payload each.
    fn say(&self, events: &[(&str, &str, u32, Value)]) {
        let draft = |(type_name, stream, at, data): &(&str, &str, u32, Value)| {
            let dedup = blake3::hash(format!("{type_name} {stream} {at} {data}").as_bytes()).to_hex();
            let at = day(*at);
            let draft = json!({
                "type": type_name, "stream": stream, "source": "test", "dedup": dedup.as_str(), "occurred_at": at, "data": data,
            });
            draft.to_string()
        };
        let lines: Vec<_> = events.iter().map(draft).collect();
        self.0.feed(["record", "-"], lines.join("\n").as_bytes()).ok();
    }

    /// Deployments: target, day and image each. Their ids are `<target>/<day>`.
    fn deploy(&self, deployments: &[(&str, u32, &str)]) {
        let streams: Vec<_> = deployments.iter().map(|(target, ..)| format!("target/{target}")).collect();
        let events: Vec<_> = deployments
            .iter()
            .zip(&streams)
            .map(|((target, at, image), stream)| ("sync.succeeded", stream.as_str(), *at, synced(target, *at, image)))
            .collect();
        self.say(&events);
    }

    /// Records a document about an artifact, made on a day.
    fn hand_in(&self, kind: &str, artifact: &str, document: &Value) -> Value {
        self.hand_in_bytes(kind, artifact, document.to_string().as_bytes())
    }

    fn hand_in_bytes(&self, kind: &str, artifact: &str, document: &[u8]) -> Value {
        let artifact = digest(artifact);
        let args = ["record", kind, "-", "--artifact", &artifact, "--at", &day(1), "--other-subject", "--json"];
        let told = self.0.feed(args, document).ok();
        serde_json::from_str(told.lines().next().unwrap()).unwrap()
    }

    /// Records a bill of materials.
    fn sbom(&self, artifact: &str, purls: &[&str]) -> Value {
        self.hand_in("sbom", artifact, &bom(purls))
    }

    fn ask(&self, args: &[&str]) -> Value {
        self.run(args).json()
    }

    fn run(&self, args: &[&str]) -> Ran {
        self.0.run(["exposure", "--json"].iter().chain(args))
    }

    /// The times at which it ran, in short.
    fn periods(&self, args: &[&str]) -> Vec<String> {
        periods(&self.ask(args))
    }

    /// The views are what a rebuild gives.
    fn is_rebuilt_the_same(&self) {
        assert!(self.0.run(["rebuild", "--check"]).ok().contains("events folded"));
    }
}

fn synced(target: &str, at: u32, image: &str) -> Value {
    let images = json!([{"name": "example.com/api", "tag": image, "digest": digest(image)}]);
    json!({"deployment": format!("{target}/{at}"), "finished_at": day(at), "images": images})
}

/// A CycloneDX document.
fn bom(purls: &[&str]) -> Value {
    let component = |purl: &&str| {
        let (path, version) = purl.split('?').next().unwrap().rsplit_once('@').unwrap();
        json!({"type": "library", "name": path.rsplit('/').next().unwrap(), "version": version, "purl": purl})
    };
    let components: Vec<_> = purls.iter().map(component).collect();
    json!({"bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1, "components": components})
}

/// A period as `<target> <from day>-<to day> <end>`.
fn periods(answer: &Value) -> Vec<String> {
    let day = |at: &Value| at.as_str().map_or(String::new(), |at| at[8..10].to_owned());
    let period = |period: &Value| {
        let text = |name: &str| period[name].as_str().unwrap_or_default().to_owned();
        let suppressed = if period["suppressed"] == true { " suppressed" } else { "" };
        let (from, to) = (day(&period["from"]), day(&period["to"]));
        let whole = format!("{}/{} {from}-{to} {}", text("environment"), text("service"), text("end"));
        format!("{}{suppressed}", whole.trim_end())
    };
    answer["periods"].as_array().unwrap().iter().map(period).collect()
}

/// Tags of the images of which nothing is known.
fn unknown(answer: &Value) -> Vec<&str> {
    answer["unknown"].as_array().unwrap().iter().map(|it| it["image"]["tag"].as_str().unwrap()).collect()
}
