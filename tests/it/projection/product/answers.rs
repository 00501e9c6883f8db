//! What is asked, and the answers of both, in one form.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use chrono_tz::Tz;
use plimsoll::event::{Data, Draft, Timestamp};
use plimsoll::projection::deployment::{self, Ended, Target, Tier, tier};
use plimsoll::projection::dora::{self, Durations, Figures, Material, Question, Selection};
use plimsoll::projection::{Basis, Result, Snapshot};

use super::super::history::{BEGIN, HOUR};
use super::super::model::{self, Change, Class, Deployment, Dora, End, Figure, Model, Outcome, Status};
use super::Product;

/// What is asked besides the lists.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    /// What ran at these instants.
    pub instants: BTreeSet<i64>,
    /// The figures of these windows.
    pub windows: Vec<Range<i64>>,
}

impl Asked {
    /// The instants at which something happens, and those around them; all time, and a part of it.
    pub fn of(drafts: &[Draft]) -> Self {
        let of_targets = drafts.iter().filter(|draft| draft.stream.as_str().starts_with("target/"));
        let at: BTreeSet<i64> = of_targets.map(|draft| ended(draft).unwrap_or(draft.occurred_at).micros()).collect();
        let instants = at.iter().flat_map(|at| [at - 1, *at, at + 1]).collect();
        let middle = at.iter().nth(at.len() / 2).copied().unwrap_or(BEGIN);
        Self {
            instants,
            windows: vec![BEGIN - HOUR..BEGIN + 20_000 * HOUR, BEGIN..BEGIN + 48 * HOUR, middle..i64::MAX / 2],
        }
    }
}

fn ended(draft: &Draft) -> Option<Timestamp> {
    match &draft.data {
        Data::SyncSucceeded(data) => Some(data.finished_at),
        Data::SyncFailed(data) => Some(data.finished_at),
        Data::SyncTerminated(data) => Some(data.finished_at),
        _ => None,
    }
}

/// Answers in words, by the question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answers(BTreeMap<String, String>);

/// One rollout, without what depends on where an event stands in the log.
fn run(it: &Deployment) -> String {
    let set = match it.set.as_slice() {
        [one] if one.starts_with("rollout:") => "itself".to_owned(),
        [one] => one.clone(),
        many => format!("set:{}", blake3::hash(many.join("\n").as_bytes())),
    };
    let effect = it.effect.map(|(at, _)| at);
    format!(
        "{:?} {:?} of {set}, from {effect:?} until {:?} {:?}; replaces {:?}, began {:?}, done {:?}, hotfix {}",
        it.class, it.status, it.until, it.end, it.replaced, it.started_at, it.finished_at, it.hotfix
    )
}

/// The same of the product's.
fn run_of_product(it: &deployment::Deployment) -> String {
    let class = match it.class {
        Some(deployment::Class::Forward) => Class::Forward,
        Some(deployment::Class::Rollback) => Class::Rollback,
        Some(deployment::Class::Redeploy) => Class::Redeploy,
        None => Class::None,
    };
    let status = match it.status {
        deployment::Status::Running => Status::Running,
        deployment::Status::Progressing => Status::Progressing,
        deployment::Status::Succeeded => Status::Succeeded,
        deployment::Status::Failed => Status::Failed,
        deployment::Status::Terminated => Status::Terminated,
    };
    let end = match (it.ended, &it.ended_by) {
        (None, None) => End::Open,
        (Some(Ended::Removed), None) => End::Removed,
        (Some(Ended::Superseded), Some(by)) => End::Superseded(by.clone()),
        other => panic!("an end of {other:?}"),
    };
    let micros = |at: Option<Timestamp>| at.map(Timestamp::micros);
    let effect = it.class.map(|_| it.at.micros());
    let set = if it.artifact_set.starts_with("rollout:") { "itself" } else { &it.artifact_set };
    format!(
        "{class:?} {status:?} of {set}, from {effect:?} until {:?} {end:?}; replaces {:?}, began {:?}, done {:?}, hotfix {}",
        micros(it.until),
        it.replaces,
        micros(it.started_at),
        micros(it.finished_at),
        it.hotfix
    )
}

fn figure(times: &Durations, excluded: &BTreeMap<&'static str, u64>, open: usize) -> Figure {
    let figure = Figure { samples: times.samples().to_vec(), excluded: excluded.clone(), open: open as u64 };
    assert_eq!(usize::try_from(times.n()).unwrap(), figure.n());
    for percent in [50, 75, 90, 95, 100] {
        assert_eq!(times.quantile(percent), figure.quantile(percent), "p{percent} of {figure:?}");
    }
    match (times.mean(), figure.mean()) {
        (None, None) => {}
        (Some(whole), Some((sum, n))) => {
            let n = i64::try_from(n).unwrap();
            let twice = 2 * (sum - whole * n);
            assert!(twice.abs() < n || (twice.abs() == n && whole % 2 == 0), "{whole} is no mean of {figure:?}");
        }
        other => panic!("{other:?}"),
    }
    figure
}

fn dora(it: &Figures) -> Dora {
    let none = BTreeMap::new();
    assert_eq!(it.failure_rate.n, it.rework.n);
    Dora {
        deployments: it.frequency.n,
        deployment_days: usize::try_from(it.frequency.deployment_days).unwrap(),
        gaps: figure(&it.frequency.gaps, &none, 0),
        lead_time: figure(&it.lead_time.times, &it.lead_time.excluded, 0),
        effective: it.failure_rate.n,
        failed: it.failure_rate.failed,
        rework: it.rework.rework,
        recovery: figure(&it.recovery.times, &none, it.recovery.open.len()),
        mttr: figure(&it.restore.times, &it.restore.excluded, it.restore.open.len()),
    }
}

/// A change in words, unless it is none.
fn change(it: &Change) -> Option<(String, String)> {
    let said = match it.outcome {
        Outcome::Excluded("merge" | "baseline") => return None,
        Outcome::Excluded(reason) => reason.to_owned(),
        Outcome::Sample(seconds) => format!("{seconds} s"),
    };
    Some((it.commit.clone(), format!("{said}, by {} done {}", it.deployment, it.finished_at)))
}

impl Answers {
    fn nothing() -> Self {
        Self(BTreeMap::new())
    }

    fn say(&mut self, question: String, answer: String) {
        let twice = self.0.insert(question, answer);
        assert_eq!(twice, None);
    }

    fn say_figures(&mut self, of: &str, window: &Range<i64>, dora: &Dora) {
        let Dora { deployments, deployment_days, gaps, lead_time, effective, failed, rework, recovery, mttr } = dora;
        let mut say = |what: &str, answer: String| self.say(format!("{what} of {of} in {window:?}"), answer);
        say("frequency", format!("{deployments:?} on {deployment_days} days, {gaps:?}"));
        say("lead time", format!("{lead_time:?}"));
        say("failures and rework", format!("{failed} and {rework} of {effective}"));
        say("recovery", format!("{recovery:?}"));
        say("mttr", format!("{mttr:?}"));
    }

    /// What the model answers.
    pub fn of_model(model: &Model, asked: &Asked) -> Self {
        let mut answers = Self::nothing();
        let all = model.targets();
        answers.say("targets".to_owned(), format!("{all:?}"));
        for target in &all {
            let runs = model.deployments(target);
            for (n, it) in runs.iter().filter(|it| it.class != Class::None).enumerate() {
                answers.say(format!("place of {} in {target}", it.id), n.to_string());
            }
            for it in &runs {
                answers.say(format!("{} in {target}", it.id), run(it));
            }
            for at in &asked.instants {
                let live = runs.iter().find(|it| it.live_at(*at));
                answers.say(format!("live in {target} at {at}"), format!("{:?}", live.map(|it| &it.id)));
            }
            for (commit, said) in model.changes(target).iter().filter_map(change) {
                answers.say(format!("{commit} in {target}"), said);
            }
        }
        let groups = all.iter().map(|target| (target.clone(), BTreeSet::from([target.clone()])));
        let production = ("production".to_owned(), model.production());
        for (of, targets) in groups.chain([production]).filter(|(_, targets)| !targets.is_empty()) {
            for window in &asked.windows {
                answers.say_figures(&of, window, &model.dora(&targets, window));
            }
        }
        answers
    }

    /// What the product answers.
    pub fn of_product(product: &Product, known_at: Option<u64>, asked: &Asked) -> Self {
        product.ask(known_at, |snapshot, basis| {
            let mut answers = Self::nothing();
            answers.ask(snapshot, basis, asked)?;
            Ok(answers)
        })
    }

    fn ask(&mut self, snapshot: &Snapshot<'_>, basis: &Basis, asked: &Asked) -> Result<()> {
        let all = deployment::targets(snapshot, basis, None, None)?;
        let names: BTreeSet<String> = all.iter().map(name).collect();
        self.say("targets".to_owned(), format!("{names:?}"));
        for target in &all {
            let of = name(target);
            let mut runs = deployment::deployments(snapshot, basis, target, (None, None), None, usize::MAX)?;
            runs.reverse();
            for (n, it) in runs.iter().filter(|it| it.class.is_some()).enumerate() {
                self.say(format!("place of {} in {of}", it.id), n.to_string());
            }
            for it in &runs {
                self.say(format!("{} in {of}", it.id), run_of_product(it));
            }
            for at in &asked.instants {
                let live = deployment::state(snapshot, basis, target, Timestamp::from_micros(*at).unwrap())?;
                self.say(format!("live in {of} at {at}"), format!("{:?}", live.map(|it| it.id)));
            }
            let selection = Selection {
                services: vec![target.service.clone()],
                environments: vec![target.environment.clone()],
                tier: None,
            };
            let ages = gathered(snapshot, basis, &selection, &(i64::MIN / 2..i64::MAX / 2))?;
            self.changes(snapshot, &ages)?;
            for window in &asked.windows {
                self.figures(&of, &gathered(snapshot, basis, &selection, window)?, window);
            }
        }
        if all.iter().any(|target| tier(&target.environment) == Tier::Production) {
            for window in &asked.windows {
                let material = gathered(snapshot, basis, &Selection::default(), window)?;
                self.figures("production", &material, window);
            }
        }
        Ok(())
    }

    fn figures(&mut self, of: &str, material: &Material, window: &Range<i64>) {
        let figures = dora::figures(material, window, Tz::UTC);
        self.say_figures(of, window, &dora(&figures));
    }

    fn changes(&mut self, snapshot: &Snapshot<'_>, material: &Material) -> Result<()> {
        for it in &material.changes {
            let outcome = match it.told.unwrap() {
                Ok(seconds) => Outcome::Sample(seconds),
                Err(dora::Reason::Merge | dora::Reason::Replaced) => continue,
                Err(reason) => Outcome::Excluded(reason.as_str()),
            };
            let told = model::Change {
                commit: dora::commit_of(snapshot, it)?.revision,
                deployment: dora::deployment_of(snapshot, it)?,
                finished_at: it.finished_at,
                outcome,
            };
            let (commit, said) = change(&told).unwrap();
            self.say(format!("{commit} in {}", name(&material.targets[it.target])), said);
        }
        Ok(())
    }

    /// Fails with the first answer that is another.
    #[track_caller]
    pub fn same(&self, other: &Self, this: &str, that: &str) {
        let questions: BTreeSet<&String> = self.0.keys().chain(other.0.keys()).collect();
        let differs = questions.into_iter().filter(|question| self.0.get(*question) != other.0.get(*question));
        let said: Vec<String> = differs
            .map(|question| {
                let (one, two) = (self.0.get(question), other.0.get(question));
                format!("{question}:\n  {this}: {one:?}\n  {that}: {two:?}\n")
            })
            .collect();
        assert!(said.is_empty(), "{} answers differ\n{}", said.len(), said.concat());
    }
}

/// The figures of production, and of each of its targets.
pub fn production(snapshot: &Snapshot<'_>, basis: &Basis, window: &Range<i64>) -> Result<(Dora, Vec<Dora>)> {
    let material = gathered(snapshot, basis, &Selection::default(), window)?;
    let figures = |material: &Material| dora(&dora::figures(material, window, Tz::UTC));
    let parts = material.split(|target| (target.environment.clone(), target.service.clone()));
    Ok((figures(&material), parts.values().map(figures).collect()))
}

/// The stream of a target.
fn name(target: &Target) -> String {
    format!("target/{}/{}", target.environment, target.service)
}

/// What figures of the selection are made of.
fn gathered(snapshot: &Snapshot<'_>, basis: &Basis, selection: &Selection, window: &Range<i64>) -> Result<Material> {
    let targets = dora::select(snapshot, basis, selection)?;
    let question = Question { window: window.clone(), ..Question::default() };
    let everything = dora::select(snapshot, basis, &Selection::default()).is_ok_and(|all| all == targets);
    dora::gather(snapshot, basis, targets, &question, everything)
}
