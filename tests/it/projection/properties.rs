//! What must hold of every history.

use std::collections::BTreeSet;

use plimsoll::event::{Data, Draft, Recorded, Timestamp};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::json;

use super::history::{BEGIN, HOUR, arrivals, event, history, stamp};
use super::model::{Class, Deployment, Dora, Fact, Model, Status};
use crate::support::House;
use crate::support::rig::{leaves, slow};

/// The same cases in every run; more of them with `PLIMSOLL_SLOW`.
#[track_caller]
pub fn check<S: Strategy>(strategy: &S, cases: u32, holds: impl Fn(S::Value)) {
    let cases = if slow() { cases * 50 } else { cases };
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let chance = TestRng::from_seed(RngAlgorithm::ChaCha, &[31; 32]);
    let result = TestRunner::new_with_rng(config, chance).run(strategy, |value| {
        holds(value);
        Ok(())
    });
    result.unwrap_or_else(|error| panic!("{error}"));
}

/// Longer than any history.
const AGES: i64 = 20_000 * HOUR;

fn figures(model: &Model) -> Dora {
    model.dora(&model.production(), &(BEGIN - HOUR..BEGIN + AGES))
}

/// Everything that the model says, without what depends on where an event stands in the log.
fn answers(model: &Model) -> String {
    let mut said = String::new();
    for target in model.targets() {
        let mut deployments = model.deployments(&target);
        deployments.iter_mut().for_each(|deployment| deployment.events.clear());
        said += &format!("{deployments:?}\n{:?}\n", model.changes(&target));
        said += &format!("{:?}\n", model.dora(&BTreeSet::from([target]), &(BEGIN..BEGIN + 48 * HOUR)));
    }
    format!("{said}{:?}", figures(model))
}

#[test]
fn histories_hold_what_makes_deployments_hard_to_tell_of() {
    let types = std::cell::RefCell::new(BTreeSet::new());
    let kinds = std::cell::RefCell::new(BTreeSet::new());
    let reasons = std::cell::RefCell::new(BTreeSet::new());
    let figured = std::cell::RefCell::new([0; 5]);
    check(&history(), 150, |drafts| {
        assert!((3..=60).contains(&drafts.len()));
        types.borrow_mut().extend(drafts.iter().map(|draft| draft.data.event_type().unwrap().as_str()));
        let model = Model::of_drafts(&drafts);
        for target in model.targets() {
            let all = model.deployments(&target);
            kinds.borrow_mut().extend(all.iter().map(|deployment| (deployment.class, deployment.status)));
        }
        let dora = figures(&model);
        reasons.borrow_mut().extend(dora.lead_time.excluded.into_keys());
        let [lead_time, failed, rework, recovery, mttr] = &mut *figured.borrow_mut();
        *lead_time += dora.lead_time.samples.len();
        *failed += usize::try_from(dora.failed).unwrap();
        *rework += usize::try_from(dora.rework).unwrap();
        *recovery += dora.recovery.n();
        *mttr += dora.mttr.n();
    });
    let expected = BTreeSet::from([
        "artifact.published",
        "attestation.attached",
        "branch.updated",
        "build.finished",
        "change.abandoned",
        "change.created",
        "change.merged",
        "change.reviewed",
        "commit.recorded",
        "drift.closed",
        "drift.opened",
        "health.changed",
        "incident.linked",
        "incident.opened",
        "incident.reopened",
        "incident.resolved",
        "manifest.committed",
        "sync.failed",
        "sync.started",
        "sync.succeeded",
        "sync.terminated",
        "tag.created",
        "tag.deleted",
        "tag.moved",
        "tag.repointed",
        "target.removed",
    ]);
    assert_eq!(types.into_inner(), expected);
    let expected: BTreeSet<_> = [Class::Forward, Class::Rollback, Class::Redeploy]
        .into_iter()
        .flat_map(|class| [Status::Succeeded, Status::Failed, Status::Progressing].map(|status| (class, status)))
        .chain(
            [Status::Succeeded, Status::Failed, Status::Terminated, Status::Running]
                .map(|status| (Class::None, status)),
        )
        .collect();
    let kinds = kinds.into_inner();
    assert!(kinds.is_subset(&expected) && kinds.len() + 2 >= expected.len(), "{kinds:?}");
    let expected =
        BTreeSet::from(["baseline", "cherry_pick", "manifest", "merge", "no_author_time", "skew", "unlinked"]);
    assert_eq!(reasons.into_inner(), expected);
    assert!(figured.borrow().iter().all(|n| *n > 20), "{figured:?}");
}

#[test]
fn the_model_does_not_depend_on_the_order_of_arrival_nor_on_duplicates() {
    check(&arrivals(), 60, |(drafts, arriving)| {
        assert_eq!(answers(&Model::of_drafts(&drafts)), answers(&Model::of_drafts(&arriving)));
    });
}

#[test]
fn what_the_ledger_recorded_says_the_same_as_the_drafts() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    check(&arrivals(), 4, |(drafts, arriving)| {
        let (house, n) = (House::new(), drafts.len());
        let recorded = runtime.block_on(async {
            let ledger = house.open().await;
            for some in arriving.chunks(7) {
                ledger.append(some.to_vec()).await.unwrap();
            }
            leaves(&**ledger.engine())
        });
        let facts = recorded.into_iter().map(|leaf| Fact::recorded(&Recorded::parse(leaf.into()).unwrap()));
        let facts: Vec<_> = facts.filter(|fact| fact.stream != "ledger").collect();
        assert_eq!(facts.len(), n, "duplicates are recorded once");
        assert_eq!(answers(&Model::of(facts)), answers(&Model::of_drafts(&drafts)));
    });
}

#[test]
fn what_is_known_at_a_position_is_what_the_events_before_it_say() {
    check(&(arrivals(), any::<prop::sample::Index>()), 60, |((_, arriving), n)| {
        let n = n.index(arriving.len() + 1);
        let whole = Model::of_drafts(&arriving);
        assert_eq!(answers(&whole.known_at(u64::try_from(n).unwrap())), answers(&Model::of_drafts(&arriving[..n])));
    });
}

#[test]
fn ratios_are_between_none_and_all_and_counts_of_parts_add_up() {
    check(&history(), 100, |drafts| {
        let model = Model::of_drafts(&drafts);
        let all = figures(&model);
        assert!(all.failed <= all.effective && all.rework <= all.effective);
        assert!(all.deployments.unwrap_or(0) <= all.effective);
        let parts: Vec<Dora> = model
            .production()
            .into_iter()
            .map(|target| model.dora(&BTreeSet::from([target]), &(BEGIN - HOUR..BEGIN + AGES)))
            .collect();
        let sum = |of: fn(&Dora) -> u64| parts.iter().map(of).sum::<u64>();
        assert_eq!(sum(|part| part.deployments.unwrap_or(0)), all.deployments.unwrap_or(0));
        assert_eq!(sum(|part| part.effective), all.effective);
        assert_eq!(sum(|part| part.failed), all.failed);
        assert_eq!(sum(|part| part.rework), all.rework);
        let mut pooled: Vec<i64> = parts.iter().flat_map(|part| part.lead_time.samples.clone()).collect();
        pooled.sort_unstable();
        assert_eq!(pooled, all.lead_time.samples);
    });
}

#[test]
fn intervals_of_a_target_follow_one_another() {
    check(&history(), 100, |drafts| {
        let model = Model::of_drafts(&drafts);
        for target in model.targets() {
            let mut all = model.deployments(&target);
            all.retain(Deployment::effective);
            for pair in all.windows(2) {
                let (until, next) = (pair[0].until.unwrap(), pair[1].effect.unwrap().0);
                assert!(pair[0].effect.unwrap().0 <= until && until <= next);
            }
            assert!(all.last().is_none_or(|last| last.until.is_none() || last.end == super::model::End::Removed));
        }
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
    check(&(history(), -AGES..AGES), 40, |(drafts, micros)| {
        let later: Vec<_> = drafts.iter().map(|draft| moved(draft, micros)).collect();
        let (model, later) = (Model::of_drafts(&drafts), Model::of_drafts(&later));
        let window = BEGIN - HOUR..BEGIN + 50 * HOUR;
        let mut here = model.dora(&model.production(), &window);
        let there = later.dora(&later.production(), &(window.start + micros..window.end + micros));
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
    check(&history(), 80, |mut drafts| {
        let (before, at) = (Model::of_drafts(&drafts), end(&drafts));
        let Some((target, images)) =
            before.production().into_iter().find_map(|target| Some((target.clone(), images(&before, &target, at)?)))
        else {
            return;
        };
        tried.set(tried.get() + 1);
        drafts.push(deployed("again", &target, at, &images));
        let after = Model::of_drafts(&drafts);
        assert_eq!(after.deployments(&target).iter().find(|known| known.id == "again").unwrap().class, Class::Redeploy);
        assert_eq!(figures(&before), figures(&after));
    });
    assert!(tried.get() > 20, "{tried:?}");
}

#[test]
fn an_incident_without_a_link_changes_the_mean_time_of_incidents_alone() {
    check(&history(), 80, |mut drafts| {
        let (before, at) = (Model::of_drafts(&drafts), end(&drafts));
        let target = before.production().into_iter().next().unwrap();
        let opened = json!({"kind": "outage", "opened_at": stamp(at), "targets": [target]});
        drafts.push(event("incident.opened", "incident/new", "test", "opened", at, &opened));
        let resolved = json!({"resolved_at": stamp(at + HOUR)});
        drafts.push(event("incident.resolved", "incident/new", "test", "resolved", at + HOUR, &resolved));
        let (before, mut after) = (figures(&before), figures(&Model::of_drafts(&drafts)));
        assert_eq!(after.mttr.n(), before.mttr.n() + 1);
        after.mttr = before.mttr.clone();
        assert_eq!(before, after);
    });
}

#[test]
fn rolling_back_and_forward_again_brings_no_change_twice() {
    let tried = std::cell::Cell::new(0);
    check(&history(), 150, |mut drafts| {
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
            drafts.push(deployed("back", &target, at, &then));
            drafts.push(deployed("forth", &target, at + HOUR, &now));
            let after = Model::of_drafts(&drafts);
            assert_eq!(before.changes(&target), after.changes(&target));
            return;
        }
    });
    assert!(tried.get() > 20, "{tried:?}");
}
