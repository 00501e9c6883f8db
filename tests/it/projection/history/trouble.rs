//! Incidents, and what is found out about them.

use serde_json::{Value, json};

use super::{HOUR, MINUTE, Story, pick, stamp};

impl Story {
    /// A reference to a deployment, by one of the ways there are.
    fn reference(&self, target: &str, dice: u8) -> Value {
        let deployments = self.places.get(target).map(|place| place.deployments.clone()).unwrap_or_default();
        match pick(&deployments, dice / 4) {
            Some(id) if dice.is_multiple_of(4) => json!({"deployment": id}),
            Some(id) if dice % 4 < 3 => json!({"deployment": id, "target": target}),
            _ => json!({"target": target}),
        }
    }

    pub(super) fn incident(&mut self, a: u8, b: u8, c: u8) {
        let target = self.somewhere(a);
        let id = format!("i{}", self.next());
        let mut data = json!({"kind": "outage", "opened_at": stamp(self.now)});
        if c % 4 != 3 {
            data["targets"] = json!([target]);
        }
        if c % 8 < 3 {
            data["caused_by"] = json!([self.reference(&target, b)]);
        }
        if c.is_multiple_of(3) {
            data["started_at"] = json!(stamp(self.now - 30 * MINUTE));
        }
        if c % 5 == 1 {
            data["detected_at"] = json!(stamp(self.now - 5 * MINUTE));
        }
        if c >= 220 {
            data["external"] = json!(true);
        }
        if b >= 240 {
            data["kind"] = json!("maintenance");
        }
        self.say("incident.opened", &format!("incident/{id}"), "pagerduty", self.now, &data);
        self.incidents.push(id);
    }

    pub(super) fn resolve(&mut self, a: u8, b: u8) {
        let Some(id) = pick(&self.incidents, a) else { return };
        let mut data = json!({"resolved_at": stamp(self.now)});
        if b % 8 == 7 {
            data["external"] = json!(b >= 128);
        }
        if b % 8 == 6 {
            data["started_at"] = json!(stamp(self.now - 2 * HOUR));
        }
        self.say("incident.resolved", &format!("incident/{id}"), "pagerduty", self.now, &data);
        self.resolved.insert(id);
    }

    pub(super) fn reopen(&mut self, a: u8) {
        let resolved: Vec<_> = self.resolved.iter().cloned().collect();
        let Some(id) = pick(&resolved, a) else { return };
        let data = json!({"reopened_at": stamp(self.now)});
        self.say("incident.reopened", &format!("incident/{id}"), "pagerduty", self.now, &data);
        self.resolved.remove(&id);
    }

    /// What a post-mortem finds, often long after.
    pub(super) fn link(&mut self, a: u8, b: u8, c: u8) {
        let target = self.somewhere(a);
        let Some(id) = pick(&self.incidents, c) else { return };
        let link = ["caused_by", "caused_by", "unrelated", "remediated_by"][usize::from(c / 8 % 4)];
        let mut data = json!({"link": link, "deployments": [self.reference(&target, b)]});
        if c % 16 == 2 {
            data = json!({"link": "duplicate_of", "incidents": ["incident/another"]});
        }
        if c % 16 == 15 {
            data["started_at"] = json!(stamp(self.now - HOUR));
        }
        if c % 32 == 31 {
            data["external"] = json!(true);
        }
        if c % 32 == 30 {
            data["targets"] = json!([target]);
        }
        self.say("incident.linked", &format!("incident/{id}"), "postmortem", self.now, &data);
    }
}
