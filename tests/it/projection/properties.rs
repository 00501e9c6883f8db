//! Made-up histories, and that they hold what they are for.

use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestError, TestRng, TestRunner};

use super::history::{BEGIN, HOUR, history};
use super::model::{Class, Dora, Model, Status};
use crate::support::rig::slow;

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
    match result {
        Ok(()) => {}
        Err(TestError::Fail(reason, value)) => {
            // What is absent says nothing.
            let absent = regex::Regex::new("[a-z_]+: None(, )?").unwrap();
            panic!("{reason}\nof {}", absent.replace_all(&format!("{value:?}"), ""));
        }
        Err(error) => panic!("{error}"),
    }
}

/// Longer than any history.
pub const AGES: i64 = 20_000 * HOUR;

fn figures(model: &Model) -> Dora {
    model.dora(&model.production(), &(BEGIN - HOUR..BEGIN + AGES))
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
        reasons.borrow_mut().extend(dora.mttr.excluded.keys().copied());
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
        BTreeSet::from(["cherry_pick", "duplicate", "manifest", "no_author_time", "no_target", "skew", "unlinked"]);
    assert_eq!(reasons.into_inner(), expected);
    assert!(figured.borrow().iter().all(|n| *n > 20), "{figured:?}");
}
