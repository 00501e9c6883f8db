//! What must hold of the product's figures: the checks of section 2.8 of their definitions.

use std::ops::Range;

use plimsoll::event::{Data, Draft, Timestamp};
use serde_json::json;

use super::super::history::{BEGIN, HOUR, event, history, stamp};
use super::super::model::{Class, Dora, Model};
use super::super::properties::{AGES, check};
use super::Product;

fn all_time() -> Range<i64> {
    BEGIN - HOUR..BEGIN + AGES
}

/// The product's figures of production.
fn figures(drafts: &[Draft]) -> Dora {
    Product::of(drafts).figures(&all_time()).0
}

#[test]
fn ratios_are_between_none_and_all_and_counts_of_parts_add_up() {
    check(&history(), 40, |drafts| {
        let (all, parts) = Product::of(&drafts).figures(&all_time());
        assert!(all.failed <= all.effective && all.rework <= all.effective);
        assert!(all.deployments.unwrap_or(0) <= all.effective);
        let sum = |of: fn(&Dora) -> u64| parts.iter().map(of).sum::<u64>();
        assert_eq!(sum(|part| part.deployments.unwrap_or(0)), all.deployments.unwrap_or(0));
        assert_eq!(sum(|part| part.effective), all.effective);
        assert_eq!(sum(|part| part.failed), all.failed);
        assert_eq!(sum(|part| part.rework), all.rework);
        assert_eq!(sum(|part| part.recovery.open), all.recovery.open);
        let pooled = |of: fn(&Dora) -> &Vec<i64>| {
            let mut samples: Vec<i64> = parts.iter().flat_map(|part| of(part).clone()).collect();
            samples.sort_unstable();
            samples
        };
        assert_eq!(pooled(|part| &part.lead_time.samples), all.lead_time.samples);
        assert_eq!(pooled(|part| &part.recovery.samples), all.recovery.samples);
    });
}

/// Moves every instant in a payload.
fn moved(draft: &Draft, micros: i64) -> Draft {
    fn walk(value: &mut serde_json::Value, micros: i64) {
        if let Some(at) = value.as_str().and_then(|text| text.parse::<Timestamp>().ok()) {
            *value = json!(stamp(at.micros() + micros));
        } else if let Some(members) = value.as_object_mut() {
            members.values_mut().for_each(|member| walk(member, micros));
        } else if let Some(items) = value.as_array_mut() {
            items.iter_mut().for_each(|item| walk(item, micros));
        }
    }
    let mut data = serde_json::from_str(&draft.data.to_json().unwrap()).unwrap();
    walk(&mut data, micros);
    let mut moved = draft.clone();
    moved.data = Data::parse(draft.data.event_type().unwrap(), data.to_string().as_bytes()).unwrap();
    moved.occurred_at = Timestamp::from_micros(draft.occurred_at.micros() + micros).unwrap();
    moved
}

#[test]
fn moving_all_times_moves_windows_and_no_figure() {
    check(&(history(), -AGES..AGES), 25, |(drafts, micros)| {
        let later: Vec<_> = drafts.iter().map(|draft| moved(draft, micros)).collect();
        let window = BEGIN - HOUR..BEGIN + 50 * HOUR;
        let (mut here, _) = Product::of(&drafts).figures(&window);
        let (there, _) = Product::of(&later).figures(&(window.start + micros..window.end + micros));
        // Days of the calendar do not move with it.
        here.deployment_days = there.deployment_days;
        assert_eq!(here, there);
    });
}

/// The instant after everything in a history.
fn end(drafts: &[Draft]) -> i64 {
    drafts.iter().map(|draft| draft.occurred_at.micros()).max().unwrap() + 6 * HOUR
}

fn deployed(id: &str, target: &str, at: i64, images: &serde_json::Value) -> Draft {
    let data = json!({"deployment": id, "finished_at": stamp(at), "images": images, "application": {"name": "new", "cluster": "new"}});
    event("sync.succeeded", target, "test", id, at, &data)
}

/// What runs in a target in the end, if digests tell.
fn images(model: &Model, target: &str, at: i64) -> Option<serde_json::Value> {
    let set = model.live(target, at)?.set;
    let images = set.iter().map(|digest| json!({"name": "n", "digest": digest})).collect::<Vec<_>>();
    set.iter().all(|digest| digest.starts_with("sha256:")).then(|| json!(images))
}

#[test]
fn a_redeploy_changes_nothing() {
    let tried = std::cell::Cell::new(0);
    check(&history(), 30, |mut drafts| {
        let (model, at) = (Model::of_drafts(&drafts), end(&drafts));
        let Some((target, images)) =
            model.production().into_iter().find_map(|target| Some((target.clone(), images(&model, &target, at)?)))
        else {
            return;
        };
        tried.set(tried.get() + 1);
        let before = figures(&drafts);
        drafts.push(deployed("again", &target, at, &images));
        let after = Model::of_drafts(&drafts);
        assert_eq!(after.deployments(&target).iter().find(|known| known.id == "again").unwrap().class, Class::Redeploy);
        assert_eq!(before, figures(&drafts));
    });
    assert!(tried.get() > 10, "{tried:?}");
}

#[test]
fn an_incident_without_a_link_changes_the_mean_time_of_incidents_alone() {
    check(&history(), 25, |mut drafts| {
        let (before, at) = (figures(&drafts), end(&drafts));
        let target = Model::of_drafts(&drafts).production().into_iter().next().unwrap();
        let opened = json!({"kind": "outage", "opened_at": stamp(at), "targets": [target]});
        drafts.push(event("incident.opened", "incident/new", "test", "opened", at, &opened));
        let resolved = json!({"resolved_at": stamp(at + HOUR)});
        drafts.push(event("incident.resolved", "incident/new", "test", "resolved", at + HOUR, &resolved));
        let mut after = figures(&drafts);
        assert_eq!(after.mttr.n(), before.mttr.n() + 1);
        after.mttr = before.mttr.clone();
        assert_eq!(before, after);
    });
}

#[test]
fn rolling_back_and_forward_again_brings_no_change_twice() {
    let tried = std::cell::Cell::new(0);
    check(&history(), 100, |mut drafts| {
        let (before, at) = (Model::of_drafts(&drafts), end(&drafts));
        for target in before.production() {
            let Some(now) = images(&before, &target, at) else { continue };
            let live = before.live(&target, at).unwrap();
            let all = before.deployments(&target);
            // Only what succeeded is sure to have brought its changes already; a deployment that failed has not.
            let earlier = all.iter().find(|other| other.succeeded() && other.set != live.set);
            let Some(earlier) = earlier.filter(|_| all.iter().any(|other| other.succeeded() && other.set == live.set))
            else {
                continue;
            };
            let Some(then) = images(&before, &target, earlier.effect.unwrap().0) else { continue };
            tried.set(tried.get() + 1);
            let brought = figures(&drafts).lead_time;
            drafts.push(deployed("back", &target, at, &then));
            drafts.push(deployed("forth", &target, at + HOUR, &now));
            assert_eq!(brought, figures(&drafts).lead_time);
            return;
        }
    });
    assert!(tried.get() > 20, "{tried:?}");
}
