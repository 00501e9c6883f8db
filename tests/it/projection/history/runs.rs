//! What runs: rollouts in all their forms, health, drift, removal.

use serde_json::{Value, json};

use super::{HOUR, MINUTE, SECOND, SERVICES, Story, pick, stamp};

/// How a rollout names itself.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// By an id of the source's.
    Deployment,
    /// By the application and when its operation began.
    Operation,
    /// By what it deploys and when it began.
    Bare,
}

/// A rollout that is to be told of.
struct Rollout {
    target: String,
    form: Form,
    id: String,
    began: i64,
    images: Option<Value>,
    commit: Option<String>,
    more: Value,
}

impl Rollout {
    /// The fields that every event of it has, as cluster `cluster` tells them.
    fn fields(&self, cluster: u8, uid: u32) -> Value {
        let name = self.target.rsplit('/').next().unwrap();
        let mut data = json!({
            "application": {"cluster": format!("c{cluster}"), "name": name, "uid": format!("{name}-{uid}")},
            "started_at": stamp(self.began),
        });
        match self.form {
            Form::Deployment => data["deployment"] = json!(self.id),
            Form::Operation => data["operation"] = json!({"started_at": stamp(self.began), "automated": true}),
            Form::Bare => {}
        }
        data
    }
}

impl Story {
    pub(super) fn deploy(&mut self, a: u8, b: u8, c: u8) {
        let (service, target) = Self::target(a);
        let own: Vec<_> = self.built.iter().filter(|built| built.service == service).cloned().collect();
        let Some(built) = pick(&own, b) else { return };
        let mut digests = vec![built.digest];
        // Two images in one rollout, each from a commit of its own.
        digests.extend(
            pick(&self.built, b / 8)
                .filter(|other| b % 16 == 14 && other.digest != digests[0])
                .map(|other| other.digest),
        );
        self.roll_out(&target, digests, b, c);
    }

    /// The same once more: a restart, or a sync that changes nothing.
    pub(super) fn again(&mut self, a: u8, b: u8, c: u8) {
        let target = self.somewhere(a);
        let Some(image) = self.places.get(&target).and_then(|place| place.images.last().cloned()) else { return };
        self.roll_out(&target, vec![image], b, c);
    }

    /// Something that ran before; sometimes it is said what for.
    pub(super) fn back(&mut self, a: u8, b: u8, c: u8) {
        let target = self.somewhere(a);
        let images = self.places.get(&target).map(|place| place.images.clone()).unwrap_or_default();
        let Some(image) = images.len().checked_sub(2).and_then(|last| pick(&images[..=last], b)) else { return };
        self.roll_out(&target, vec![image], b, c);
    }

    fn roll_out(&mut self, target: &str, digests: Vec<String>, b: u8, c: u8) {
        let name = format!("registry.example.com/{}", target.rsplit('/').next().unwrap());
        let mut images: Vec<Value> = digests.iter().map(|digest| json!({"name": name, "digest": digest})).collect();
        // A sidecar that is known by its tag alone.
        if b % 16 == 15 {
            images.push(json!({"name": "registry.example.com/proxy", "tag": "1"}));
        }
        let form = [Form::Deployment, Form::Deployment, Form::Operation, Form::Bare][usize::from(b / 8 % 4)];
        let id = format!("d{}", self.next());
        let mut more = json!({});
        let place = self.places.entry(target.to_owned()).or_default();
        match b / 32 {
            5 => more["hotfix"] = json!(true),
            6 if !place.deployments.is_empty() => {
                let repaired = place.deployments.last().unwrap();
                more["remediates_deployments"] = json!([{"deployment": repaired, "target": target}]);
            }
            7 if !self.incidents.is_empty() => {
                more["remediates_incidents"] = json!([format!("incident/{}", self.incidents.last().unwrap())]);
            }
            _ => {}
        }
        if form == Form::Deployment {
            place.deployments.push(id.clone());
        }
        place.images.push(digests[0].clone());
        let (target, began) = (target.to_owned(), self.now);
        let rollout = Rollout { target, form, id, began, images: Some(json!(images)), commit: None, more };
        self.play(&rollout, c);
    }

    /// Lets a rollout happen.
    fn play(&mut self, rollout: &Rollout, c: u8) {
        let clusters = if c >= 128 && rollout.form == Form::Deployment { 2 } else { 1 };
        for cluster in 0..clusters {
            let how = if cluster == 0 { c % 16 } else { c / 8 % 16 };
            self.in_cluster(rollout, cluster, how);
        }
        self.now += 3 * MINUTE;
    }

    /// Lets a rollout happen in one cluster, in one of the ways there are.
    fn in_cluster(&mut self, rollout: &Rollout, cluster: u8, how: u8) {
        let uid = self.places.get(&rollout.target).map_or(0, |place| place.removed);
        let source = format!("argocd/c{cluster}");
        let mut fields = rollout.fields(cluster, uid);
        if let Some(commit) = &rollout.commit {
            fields["commit"] = json!(commit);
        }
        let mut full = fields.clone();
        if let Some(images) = &rollout.images {
            full["images"] = images.clone();
        }
        let end = rollout.began + SECOND * 30 * i64::from(cluster + 1);
        let mut ended = full.clone();
        ended["finished_at"] = json!(stamp(end));
        let mut succeeded = ended.clone();
        succeeded.as_object_mut().unwrap().extend(rollout.more.as_object().unwrap().clone());
        let said = |effective: bool, data: &Value| {
            let mut data = data.clone();
            data["effective"] = json!(effective);
            data
        };
        if how.is_multiple_of(3) {
            self.say("sync.started", &rollout.target, &source, rollout.began, &full);
        }
        let terminal = |story: &mut Self, kind: &str, at: i64, data: &Value| {
            story.say(&format!("sync.{kind}"), &rollout.target, &source, at, data);
        };
        match how {
            8 => terminal(self, "failed", end, &ended),
            9 => terminal(self, "failed", end, &said(true, &ended)),
            10 => {
                let mut stopped = fields.clone();
                stopped.as_object_mut().unwrap().remove("commit");
                stopped["finished_at"] = json!(stamp(end));
                terminal(self, "terminated", end, &if rollout.began % 2 == 0 { stopped } else { said(true, &stopped) });
            }
            11 => {
                let mut retrying = ended.clone();
                retrying["will_retry"] = json!(true);
                terminal(self, "failed", end, &retrying);
                succeeded["finished_at"] = json!(stamp(end + MINUTE));
                terminal(self, "succeeded", end + MINUTE, &succeeded);
            }
            12 => {}
            13 => {
                terminal(self, "succeeded", end, &succeeded);
                self.feel(&rollout.target, cluster, end + SECOND, "degraded");
                self.feel(&rollout.target, cluster, end + 20 * MINUTE, "healthy");
            }
            14 => {
                succeeded["health"] = json!("progressing");
                terminal(self, "succeeded", end, &succeeded);
            }
            15 => {
                terminal(self, "failed", end, &ended);
                succeeded["finished_at"] = json!(stamp(end + MINUTE));
                terminal(self, "succeeded", end + MINUTE, &said(true, &succeeded));
            }
            7 => terminal(self, "succeeded", end, &said(false, &succeeded)),
            _ => {
                if how == 5 {
                    succeeded["health"] = json!("healthy");
                }
                terminal(self, "succeeded", end, &succeeded);
            }
        }
    }

    /// A release tag that stands for a deployment: a commit and an instant.
    pub(super) fn release(&mut self, a: u8, b: u8) {
        let (service, target) = Self::target(a);
        let repo = SERVICES.iter().find(|(name, _)| *name == service).unwrap().1;
        let Some(commit) = pick(&self.repos[repo].commits, b) else { return };
        let tag = format!("v{}", self.next());
        let data = json!({
            "commit": commit, "finished_at": stamp(self.now), "git_ref": format!("refs/tags/{tag}"),
            "repository": self.repos[repo].stream, "version": tag,
        });
        self.say("sync.succeeded", &target, "git", self.now, &data);
    }

    fn feel(&mut self, target: &str, cluster: u8, at: i64, after: &str) {
        let name = target.rsplit('/').next().unwrap();
        let data = json!({"after": after, "application": {"cluster": format!("c{cluster}"), "name": name}});
        self.say("health.changed", target, &format!("argocd/c{cluster}"), at, &data);
    }

    pub(super) fn health(&mut self, a: u8, b: u8) {
        let target = self.somewhere(a);
        let after = ["healthy", "degraded", "progressing", "healthy"][usize::from(b % 4)];
        // A cluster's clock may be behind or ahead.
        let at = self.now + [0, 0, -4 * MINUTE, 4 * MINUTE][usize::from(b / 4 % 4)];
        self.feel(&target, b / 16 % 2, at, after);
    }

    pub(super) fn drift(&mut self, a: u8, b: u8) {
        let target = self.somewhere(a);
        let id = format!("drift-{}", self.next());
        let place = self.places.entry(target.clone()).or_default();
        match place.drift.take() {
            Some(drift) => {
                let cause = ["self_heal", "sync", "undone", "accepted"][usize::from(b % 4)];
                let data = json!({"cause": cause, "drift": drift});
                self.say("drift.closed", &target, "argocd/c0", self.now, &data);
            }
            None => {
                place.drift = Some(id.clone());
                let cause = ["live_edit", "deployer_edit", "prune_off", "unknown"][usize::from(b % 4)];
                let data = json!({"cause": cause, "drift": id});
                self.say("drift.opened", &target, "argocd/c0", self.now, &data);
            }
        }
    }

    /// The target goes. What comes next there is another application of the same name.
    pub(super) fn remove(&mut self, a: u8) {
        let target = self.somewhere(a);
        let Some(place) = self.places.get_mut(&target) else { return };
        place.removed += 1;
        self.say("target.removed", &target, "argocd/c0", self.now, &json!({"cause": "deleted"}));
        self.now += HOUR;
    }

    pub(super) fn manifest(&mut self, a: u8, b: u8) {
        let target = self.somewhere(a);
        let Some(commit) = pick(&self.repos[0].commits, b) else { return };
        let data = json!({
            "commit": commit, "repository": self.repos[0].stream,
            "files": [{"path": "deploy/values.yaml", "after": commit}],
        });
        self.say("manifest.committed", &target, "git", self.now, &data);
    }
}
