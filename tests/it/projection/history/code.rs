//! Commits, branches, tags, changes and builds.

use serde_json::{Value, json};

use super::{Built, MINUTE, SECOND, SERVICES, Story, pick, stamp};

impl Story {
    /// Tells of a commit, or leaves something out as some sources do.
    fn record(&mut self, repo: usize, parents: &[String], dice: u8, more: &Value) -> String {
        let oid = self.oid();
        let stream = self.repos[repo].stream;
        // Clocks of those who write are not ours: a little ahead, far ahead, long ago.
        let written = self.now
            + [0, -90 * MINUTE, 0, 200 * SECOND, 20 * MINUTE, -MINUTE, -3000 * MINUTE, 600 * MINUTE]
                [usize::from(dice % 8)];
        let mut data = json!({
            "author": "Jane <jane@example.com>", "commit": oid, "parents": parents,
            "authored_at": stamp(written), "committed_at": stamp(self.now),
        });
        data.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let mut heard = data.clone();
        for field in ["parents", "authored_at"] {
            heard.as_object_mut().unwrap().remove(field);
        }
        // A forge's webhook tells of the same commit, and knows less of it; of few nobody else tells.
        if dice % 16 == 9 {
            self.say("commit.recorded", stream, "github", self.now, &heard);
        }
        match dice {
            250.. => self.say("commit.recorded", stream, "github", self.now, &heard),
            236..250 => {
                for field in ["authored_at", "committed_at"] {
                    data.as_object_mut().unwrap().remove(field);
                }
                self.say("commit.recorded", stream, "git", self.now, &data);
            }
            _ => self.say("commit.recorded", stream, "git", self.now, &data),
        }
        self.repos[repo].commits.push(oid.clone());
        oid
    }

    fn advance(&mut self, repo: usize, oid: &str) {
        let before = self.repos[repo].main.replace(oid.to_owned());
        let mut data = json!({"branch": "main", "after": oid});
        match before {
            Some(before) => data["before"] = json!(before),
            None => data["created"] = json!(true),
        }
        let stream = self.repos[repo].stream;
        self.say("branch.updated", stream, "git", self.now, &data);
    }

    /// The usual way: written, built, deployed.
    pub(super) fn ship(&mut self, a: u8, b: u8, c: u8) {
        let (service, _) = Self::target(a);
        let which = SERVICES.iter().position(|(name, _)| *name == service).unwrap();
        self.commit([0, 0, 3][which], b);
        self.now += 20 * MINUTE;
        self.build([0, 2, 3][which], 0, 0);
        self.deploy(a, 0, c);
    }

    pub(super) fn commit(&mut self, a: u8, b: u8) {
        let repo = usize::from(a % 4 == 3);
        let parents: Vec<String> = self.repos[repo].main.iter().cloned().collect();
        let reverts = parents.first().filter(|_| a % 16 == 5).cloned();
        let more = reverts.map_or_else(|| json!({}), |reverted| json!({"reverts": reverted}));
        let oid = self.record(repo, &parents, b, &more);
        self.advance(repo, &oid);
    }

    pub(super) fn feature(&mut self, a: u8, b: u8) {
        let repo = usize::from(a % 4 == 3);
        let known = &self.repos[repo];
        let parents: Vec<String> = known.feature.last().or(known.main.as_ref()).into_iter().cloned().collect();
        let oid = self.record(repo, &parents, b, &json!({}));
        self.repos[repo].feature.push(oid);
    }

    pub(super) fn merge(&mut self, a: u8, b: u8) {
        let repo = usize::from(a % 4 == 3);
        let originals = std::mem::take(&mut self.repos[repo].feature);
        let (Some(main), Some(head)) = (self.repos[repo].main.clone(), originals.last().cloned()) else { return };
        let (stream, change) = (self.repos[repo].stream, self.next().to_string());
        let created = json!({
            "author": "Jane <jane@example.com>", "base": "main", "change": change, "head": "feature", "head_commit": head,
        });
        self.say("change.created", stream, "github", self.now - 50 * MINUTE, &created);
        let review =
            json!({"change": change, "commit": head, "reviewer": "John <john@example.com>", "state": "approved"});
        if b.is_multiple_of(2) {
            self.say("change.reviewed", stream, "github", self.now - MINUTE, &review);
        }
        if a % 16 == 15 {
            return self.say("change.abandoned", stream, "github", self.now, &json!({"change": change}));
        }
        let squash = a % 8 < 4;
        let oid = if squash {
            self.record(repo, &[main], b, &json!({}))
        } else {
            self.record(repo, &[main, head.clone()], b, &json!({}))
        };
        let mut data = json!({
            "base": "main", "change": change, "commit": oid, "head": "feature", "head_commit": head,
            "method": if squash { "squash" } else { "merge" },
        });
        if !squash || !b.is_multiple_of(5) {
            data["original_commits"] = json!(originals);
        }
        if a.is_multiple_of(16) {
            data["hotfix"] = json!(true);
        }
        self.say("change.merged", stream, "github", self.now, &data);
        self.advance(repo, &oid);
    }

    pub(super) fn cherry_pick(&mut self, a: u8, b: u8) {
        let repo = usize::from(a % 4 == 3);
        let Some(origin) = pick(&self.repos[repo].commits, a / 4) else { return };
        let parents: Vec<String> = self.repos[repo].main.iter().cloned().collect();
        let oid = self.record(repo, &parents, b, &json!({"cherry_picked_from": origin}));
        self.advance(repo, &oid);
    }

    /// A commit on top of an old one: what is built of it does not descend from what is newest.
    pub(super) fn release_branch(&mut self, a: u8, b: u8) {
        let repo = usize::from(a % 4 == 3);
        let Some(parent) = pick(&self.repos[repo].commits, 7 - a / 4 % 4) else { return };
        self.record(repo, &[parent], b, &json!({}));
    }

    pub(super) fn refs(&mut self, a: u8, b: u8) {
        let repo = usize::from(a % 4 == 3);
        let stream = self.repos[repo].stream;
        let Some(oid) = pick(&self.repos[repo].commits, b) else { return };
        let tag = format!("v1.{}", a / 4 % 3);
        match (a % 3, self.repos[repo].tags.get(&tag).cloned()) {
            (0, _) => {
                let before = self.repos[repo].main.replace(oid.clone());
                let mut data = json!({"branch": "main", "after": oid, "forced": before.is_some()});
                if let Some(before) = before {
                    data["before"] = json!(before);
                }
                self.say("branch.updated", stream, "git", self.now, &data);
            }
            (_, None) => {
                let data = json!({"tag": tag, "target": oid, "target_kind": "commit"});
                self.say("tag.created", stream, "git", self.now, &data);
                self.repos[repo].tags.insert(tag, oid);
            }
            (1, Some(before)) => {
                self.say("tag.deleted", stream, "git", self.now, &json!({"tag": tag, "before": before}));
                self.repos[repo].tags.remove(&tag);
            }
            (_, Some(before)) => {
                let data = json!({"tag": tag, "after": oid, "before": before});
                self.say("tag.moved", stream, "git", self.now, &data);
                self.repos[repo].tags.insert(tag, oid);
            }
        }
    }

    /// An artifact is built; which leads to its commit by one of the ways there are, or by none.
    pub(super) fn build(&mut self, a: u8, b: u8, c: u8) {
        let (service, repo) = SERVICES[[0, 0, 1, 2][usize::from(a % 4)]];
        let digest = format!("sha256:{}", blake3::hash(&self.next().to_le_bytes()).to_hex());
        let commit = pick(&self.repos[repo].commits, b);
        let stream = format!("artifact/{digest}");
        let name = format!("registry.example.com/{service}");
        let mut data = json!({"conclusion": "success", "name": name, "service": service});
        if let Some(commit) = &commit {
            data["commit"] = json!(commit);
        }
        // Most builds are told of when they are done, some long after what they built was deployed.
        let at = self.now + if c % 8 == 7 { 300 * MINUTE } else { 0 };
        match c % 16 {
            1 => {
                let index = format!("sha256:{}", blake3::hash(&self.next().to_le_bytes()).to_hex());
                data["platforms"] = json!([{"digest": digest, "platform": "linux/amd64"}]);
                self.say("build.finished", &format!("artifact/{index}"), "github", at, &data);
            }
            2 => {
                let index = format!("sha256:{}", blake3::hash(&self.next().to_le_bytes()).to_hex());
                self.say("build.finished", &format!("artifact/{index}"), "github", at, &data);
                let published = json!({"name": name, "tags": [], "index": index});
                self.say("artifact.published", &stream, "registry", self.now, &published);
            }
            3 => {
                let mut attested = json!({
                    "document": "a".repeat(64), "format": "dsse", "predicate_type": "https://slsa.dev/provenance/v1",
                    "signatures": 1,
                });
                attested["commit"] = data["commit"].clone();
                if commit.is_some() {
                    self.say("attestation.attached", &stream, "github", at, &attested);
                }
            }
            4 => {
                let mut published = json!({"name": name, "tags": ["latest"]});
                if let Some(commit) = commit {
                    published["labelled_commit"] = json!(commit);
                }
                self.say("artifact.published", &stream, "registry", at, &published);
            }
            5 => {}
            6 => {
                // A try that failed said something else before.
                let mut failed = data.clone();
                failed["conclusion"] = json!("failure");
                if let Some(other) = pick(&self.repos[repo].commits, 7) {
                    failed["commit"] = json!(other);
                }
                self.say("build.finished", &stream, "github", self.now, &failed);
                self.say("build.finished", &stream, "github", at + SECOND, &data);
            }
            _ => self.say("build.finished", &stream, "github", at, &data),
        }
        self.built.push(Built { digest, service });
    }

    pub(super) fn publish(&mut self, a: u8, b: u8) {
        let (Some(built), before) = (pick(&self.built, a), pick(&self.built, b)) else { return };
        let name = format!("registry.example.com/{}", built.service);
        let stream = format!("artifact/{}", built.digest);
        if a.is_multiple_of(2) {
            let mut data = json!({"name": name, "tag": "stable"});
            if let Some(before) = before.filter(|before| before.digest != built.digest) {
                data["before"] = json!(before.digest);
            }
            self.say("tag.repointed", &stream, "registry", self.now, &data);
        } else {
            let data = json!({"name": name, "tags": [format!("build-{}", self.n)]});
            self.say("artifact.published", &stream, "registry", self.now, &data);
        }
    }
}
