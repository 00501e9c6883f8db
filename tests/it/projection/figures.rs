//! Cases whose answer can be seen by eye: the figures. Each is put to the model and to the product.

use std::collections::BTreeSet;

use serde_json::json;

use super::history::stamp;
use super::model::{Dora, Figure};
use super::product::{Asked, Product, agrees};
use super::story::{Story, TARGET, at, oid};

/// The figures of the hours from 0 to `to`.
fn dora(story: &Story, to: i64) -> Dora {
    agrees(&story.0);
    story.model().dora(&BTreeSet::from([TARGET.to_owned()]), &(at(0)..at(to)))
}

/// Hours as samples of whole seconds.
fn hours(figure: &Figure) -> Vec<i64> {
    assert!(figure.samples.iter().all(|seconds| seconds % 3600 == 0));
    figure.samples.iter().map(|seconds| seconds / 3600).collect()
}

#[test]
fn the_worked_example_has_the_figures_that_it_says() {
    let mut story = Story::default();
    story.commit("root", &[], 0).deploy("D0", "root", 1);
    story.commit("A", &["root"], 7).deploy("D1", "A", 10);
    story.commit("B", &["root"], 16).commit("M", &["A", "B"], 18).deploy("D2", "M", 20);
    let figures = dora(&story, 100);
    assert_eq!(hours(&figures.lead_time), [3, 4]);
    assert_eq!(figures.lead_time.quantile(50), Some(3 * 3600), "the lower median");
    assert_eq!(figures.lead_time.mean(), Some((7 * 3600, 2)));
    assert_eq!((figures.deployments, figures.effective, figures.deployment_days), (Some(3), 3, 1));
    assert_eq!(hours(&figures.gaps), [9, 10]);
    // A window ends before its end.
    assert_eq!(hours(&dora(&story, 20).lead_time), [3]);
}

#[test]
fn quantiles_are_by_nearest_rank() {
    let figure = |n: i64| Figure { samples: (1..=n).collect(), ..Figure::default() };
    let of = |n: i64| [50, 75, 90, 95].map(|percent| figure(n).quantile(percent));
    assert_eq!(of(0), [None; 4]);
    assert_eq!(of(1), [Some(1); 4]);
    assert_eq!(of(4), [2, 3, 4, 4].map(Some));
    assert_eq!(of(20), [10, 15, 18, 19].map(Some));
    assert_eq!(of(21), [11, 16, 19, 20].map(Some));
}

#[test]
fn no_deployments_is_nothing_known_until_the_target_was_there() {
    let mut story = Story::default();
    story.deploy("a", "a", 5);
    let of = |from, to| {
        let model = story.model();
        model.dora(&BTreeSet::from([TARGET.to_owned()]), &(at(from)..at(to))).deployments
    };
    assert_eq!((of(0, 5), of(0, 6), of(6, 9)), (None, Some(1), Some(0)));
}

#[test]
fn an_incident_that_names_a_deployment_makes_it_a_failed_one() {
    let mut story = Story::default();
    story.deploy("a", "a", 1).deploy("b", "b", 3).deploy("c", "c", 5);
    story.incident("1", 4, &json!({}));
    assert_eq!((dora(&story, 100).failed, dora(&story, 100).mttr.open), (0, 1), "no link, no failure");
    story.linked("1", "caused_by", "b", 9);
    let open = dora(&story, 100);
    assert_eq!((open.failed, open.effective, open.recovery.open), (1, 3, 1));
    story.resolved("1", 6);
    let over = dora(&story, 100);
    assert_eq!((hours(&over.recovery), hours(&over.mttr), over.recovery.open), (vec![3], vec![2], 0));
    // It was over too soon, and then for good.
    story.say("incident.reopened", "incident/1", 7, &json!({"reopened_at": stamp(at(7))}));
    assert_eq!((dora(&story, 100).recovery.open, dora(&story, 100).mttr.n()), (1, 0));
    story.resolved("1", 8);
    // Another incident of the same deployment overlaps.
    story.incident("2", 7, &json!({"caused_by": [{"deployment": "b"}], "started_at": stamp(at(4))}));
    story.resolved("2", 11);
    let over = dora(&story, 100);
    assert_eq!((over.failed, hours(&over.recovery), hours(&over.mttr)), (1, vec![8], vec![4, 7]));
    // The window is on the end.
    assert_eq!(dora(&story, 11).recovery.n(), 0);
    // It was something else after all.
    story.linked("1", "unrelated", "b", 12).linked("2", "unrelated", "b", 12);
    let after = dora(&story, 100);
    assert_eq!((after.failed, after.recovery.n(), after.mttr.n()), (0, 0, 2));
}

#[test]
fn an_incident_from_outside_fails_nothing_and_takes_its_time() {
    let mut story = Story::default();
    story.deploy("a", "a", 1);
    story.incident("1", 4, &json!({"caused_by": [{"deployment": "a"}]})).resolved("1", 6);
    assert_eq!(dora(&story, 100).failed, 1);
    story.say("incident.linked", "incident/1", 8, &json!({"link": "caused_by", "external": true}));
    let figures = dora(&story, 100);
    assert_eq!((figures.failed, figures.recovery.n(), hours(&figures.mttr)), (0, 0, vec![2]));
}

#[test]
fn an_incident_that_names_a_target_means_what_ran_when_it_began() {
    let mut story = Story::default();
    story.deploy("a", "a", 1).deploy("b", "b", 3);
    story.incident("1", 4, &json!({"caused_by": [{"target": TARGET}], "started_at": stamp(at(2))}));
    story.resolved("1", 5);
    let figures = dora(&story, 100);
    assert_eq!((figures.failed, hours(&figures.recovery)), (1, vec![4]));
}

#[test]
fn an_incident_may_name_any_event_of_a_rollout() {
    let mut story = Story::default();
    story.deploy("a", "a", 1);
    story.say("sync.started", TARGET, 2, &json!({"deployment": "b", "started_at": stamp(at(2))}));
    let product = Product::new();
    product.append(&story.0);
    let began = product.events().last().unwrap().envelope.id;
    let mut rest = Story(Vec::new());
    rest.sync("succeeded", "b", 3, &json!({"commit": oid("b")}));
    rest.incident("1", 4, &json!({"caused_by": [{"event": began}]})).resolved("1", 5);
    rest.0.iter_mut().for_each(|draft| draft.dedup = format!("rest {}", draft.dedup).parse().unwrap());
    product.append(&rest.0);
    product.fold("views", 2);
    product.agrees(None, &Asked::of(&story.0));
    let figures = product.model().dora(&BTreeSet::from([TARGET.to_owned()]), &(at(0)..at(100)));
    assert_eq!((figures.failed, hours(&figures.recovery)), (1, vec![2]));
}

#[test]
fn a_rollback_fails_what_it_took_the_place_of_and_recovers_it() {
    let mut story = Story::default();
    story.deploy("a", "a", 1).deploy("b", "b", 3).deploy("back", "a", 5);
    let figures = dora(&story, 100);
    assert_eq!((figures.failed, figures.rework, figures.effective, hours(&figures.recovery)), (1, 1, 3, vec![2]));
    // It says that something else was to be repaired.
    let mut story = Story::default();
    story.deploy("a", "a", 1).deploy("b", "b", 3).deploy("c", "c", 4);
    let named = json!({"commit": oid("a"), "remediates_deployments": [{"deployment": "b"}]});
    story.sync("succeeded", "back", 6, &named);
    let figures = dora(&story, 100);
    assert_eq!((figures.failed, hours(&figures.recovery)), (1, vec![3]));
}

#[test]
fn a_deployment_that_never_was_healthy_is_recovered_by_the_next() {
    let mut story = Story::default();
    story.deploy("a", "a", 1);
    story.sync("failed", "b", 3, &json!({"commit": oid("b"), "effective": true}));
    assert_eq!((dora(&story, 100).failed, dora(&story, 100).recovery.open), (1, 1));
    story.deploy("c", "c", 7);
    let figures = dora(&story, 100);
    assert_eq!((figures.failed, figures.effective, figures.deployments), (1, 3, Some(2)));
    assert_eq!((hours(&figures.recovery), figures.rework), (vec![4], 0));
}

#[test]
fn what_was_declared_or_names_what_it_repairs_is_rework() {
    let mut story = Story::default();
    story.deploy("a", "a", 1);
    story.sync("succeeded", "b", 2, &json!({"commit": oid("b"), "hotfix": true}));
    story.sync("succeeded", "c", 3, &json!({"commit": oid("c"), "remediates_incidents": ["incident/1"]}));
    story.sync("succeeded", "d", 4, &json!({"commit": oid("d"), "remediates_deployments": [{"deployment": "c"}]}));
    let figures = dora(&story, 100);
    assert_eq!((figures.rework, figures.failed, figures.effective), (3, 1, 4));
}

#[test]
fn a_deployment_that_leads_to_no_commit_is_counted_as_such() {
    let mut story = Story::default();
    story.commit("root", &[], 0).deploy("a", "root", 1).cluster("succeeded", "b", "c0", "unknown", 2);
    let figures = dora(&story, 100);
    assert_eq!((figures.deployments, figures.lead_time.n()), (Some(2), 0));
    assert_eq!(figures.lead_time.excluded.get("unlinked"), Some(&1));
}

#[test]
fn an_incident_concerns_a_target_of_which_nothing_was_heard_before() {
    let mut story = Story::default();
    story.incident("1", 2, &json!({})).resolved("1", 3).deploy("a", "a", 1);
    assert_eq!(hours(&dora(&story, 100).mttr), [1]);
}

#[test]
fn a_rollback_takes_back_what_ran_when_its_operation_began() {
    let mut story = Story::default();
    story.deploy("a", "a", 1).deploy("b", "b", 3).deploy("c", "c", 5);
    // It was asked for while b ran.
    story.sync("succeeded", "back", 6, &json!({"commit": oid("a"), "operation": {"started_at": stamp(at(4))}}));
    let figures = dora(&story, 100);
    assert_eq!((figures.failed, hours(&figures.recovery)), (1, vec![3]));
}
