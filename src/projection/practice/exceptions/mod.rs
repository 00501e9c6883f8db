//! Exceptions: everything that went past the usual way, the list that an auditor starts from.
//!
//! Each kind is looked for by itself, in the order of time, and says what it looked at. Nothing is an exception because
//! the ledger has no source of what would have told otherwise: that is said beside the list.

mod change;
mod deployed;
mod desired;
mod events;
mod image;
mod kind;
mod lasting;
mod review;

use std::collections::BTreeMap;

pub use kind::Kind;

use super::super::deployment::{Deployment, Target, target_of};
use super::super::{About, Basis, Event, Result, Snapshot, artifact, deployment, instant, source, tie};
use crate::event::Timestamp;

/// The projections that are asked.
pub const NEEDS: &[&About] = &[&deployment::ABOUT, &artifact::ABOUT, &source::ABOUT, &super::ABOUT];

/// Most candidates that one kind looks at for one page.
const LOOKED_MAX: usize = 2_000;

/// What is asked for.
#[derive(Debug, Clone, Default)]
pub struct Query {
    /// From this instant on; and what began before and lasted until then.
    pub from: Option<Timestamp>,
    /// Before this instant.
    pub to: Option<Timestamp>,
    /// One environment: what is of no target is left out then.
    pub environment: Option<String>,
    /// One service: what is of no target is left out then.
    pub service: Option<String>,
    /// Some kinds; all where there are none.
    pub kinds: Vec<Kind>,
}

/// The place of an exception in the list: instant, kind, and what orders those of one instant.
pub type Place = (i64, i64, i64);

/// Something that went past the usual way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exception {
    /// What it is.
    pub kind: Kind,
    /// When it was.
    pub at: Timestamp,
    /// Until when, for what lasts.
    pub until: Option<Timestamp>,
    /// The environment, where it is of one.
    pub environment: Option<String>,
    /// The service, where it is of one.
    pub service: Option<String>,
    /// The repository's stream, where it is of one.
    pub repository: Option<String>,
    /// What happened, in a sentence without names of people.
    pub what: String,
    /// What should be there, was looked for, and was not found.
    pub missing: Vec<String>,
    /// Pseudonym of who did it, as far as is known.
    pub who: Option<String>,
    /// Positions of the events that say so, ascending.
    pub evidence: Vec<u64>,
    /// Orders those of one instant and kind.
    key: i64,
}

impl Exception {
    /// By an event, about the event's stream.
    fn by(kind: Kind, event: &Event, what: String) -> Self {
        Self::at(kind, (event.at, event.key), event.stream(), what).backed_by(event.position.unsigned_abs())
    }

    /// At an instant, about a stream.
    fn at(kind: Kind, (at, key): (i64, i64), stream: &str, what: String) -> Self {
        let (environment, service) = target_of(stream).unzip();
        Self {
            kind,
            at: instant(at),
            until: None,
            environment: environment.map(str::to_owned),
            service: service.map(str::to_owned),
            repository: stream.starts_with("repo/").then(|| stream.to_owned()),
            what,
            missing: Vec::new(),
            who: None,
            evidence: Vec::new(),
            // One event may be an exception in several places.
            key: tie(&key.to_string(), stream),
        }
    }

    fn backed_by(mut self, position: u64) -> Self {
        self.evidence.push(position);
        self.evidence.sort_unstable();
        self.evidence.dedup();
        self
    }

    fn done_by(mut self, who: Option<String>) -> Self {
        self.who = who;
        self
    }

    /// Its place in the list.
    #[must_use]
    pub fn place(&self) -> Place {
        (self.at.micros(), self.kind as i64, self.key)
    }
}

/// What was looked at for a kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Looked {
    /// The kind.
    pub kind: Kind,
    /// How many events, deployments or the like could have been such an exception.
    pub examined: u64,
    /// What could not be judged.
    pub not_judged: Vec<NotJudged>,
}

/// What could not be judged, for want of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotJudged {
    /// Of what: a repository, a target, the name of an image, a source.
    pub subject: String,
    /// Why.
    pub reason: String,
    /// How many of those examined it concerns.
    pub n: u64,
}

/// A part of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Exceptions, by place.
    pub exceptions: Vec<Exception>,
    /// What was looked at, by kind: of the time of this page.
    pub looked_at: Vec<Looked>,
    /// After which place the next page begins; none at the end.
    pub next: Option<Place>,
}

/// Exceptions after a place, at most `limit`. A page may hold fewer, even none, where much had to be looked at.
///
/// # Errors
/// `Database`, `Ledger`, `Damaged`.
pub fn exceptions(
    snapshot: &Snapshot<'_>,
    basis: &Basis,
    query: &Query,
    after: Option<Place>,
    limit: usize,
) -> Result<Page> {
    let mut audit = Audit {
        snapshot,
        basis,
        query,
        after: after.unwrap_or((i64::MIN, i64::MIN, i64::MIN)),
        limit,
        horizon: i64::MAX,
        found: Vec::new(),
        examined: Vec::new(),
        not_judged: BTreeMap::new(),
    };
    for find in [events::find, review::find, lasting::find, deployed::find] {
        find(&mut audit)?;
        audit.settle();
    }
    Ok(audit.page())
}

/// A search under way.
struct Audit<'a> {
    snapshot: &'a Snapshot<'a>,
    basis: &'a Basis,
    query: &'a Query,
    after: Place,
    limit: usize,
    /// From this instant on not everything was looked at.
    horizon: i64,
    found: Vec<Exception>,
    /// When what was examined was.
    examined: Vec<(Kind, i64)>,
    not_judged: BTreeMap<(Kind, String, String), Vec<i64>>,
}

/// How far the search for some kinds is.
struct Pace {
    at: i64,
    found: usize,
    looked: usize,
}

impl Audit<'_> {
    fn known(&self) -> i64 {
        self.basis.known()
    }

    /// Whether a kind is asked for.
    fn asks(&self, kind: Kind) -> bool {
        let of_targets = self.query.environment.is_some() || self.query.service.is_some();
        (self.query.kinds.is_empty() || self.query.kinds.contains(&kind)) && (kind.is_of_targets() || !of_targets)
    }

    /// Whether a place is asked for: an environment, and a service of it where it is of one.
    fn asks_for(&self, environment: Option<&str>, service: Option<&str>) -> bool {
        let fits = |asked: &Option<String>, is: Option<&str>| asked.is_none() || asked.as_deref() == is;
        fits(&self.query.environment, environment) && fits(&self.query.service, service)
    }

    /// Whether a stream is asked for.
    fn asks_for_stream(&self, stream: &str) -> bool {
        let (environment, service) = target_of(stream).unzip();
        self.asks_for(environment, service)
    }

    /// The instants from which on and before which something must begin that lasts.
    fn lasting(&self) -> (i64, i64) {
        (self.after.0, self.query.to.map_or(i64::MAX, Timestamp::micros))
    }

    /// The instants from which on and before which something must be.
    fn window(&self) -> (i64, i64) {
        let (from, to) = self.lasting();
        (from.max(self.query.from.map_or(i64::MIN, Timestamp::micros)), to)
    }

    /// Whether something that ended then lasted into the time asked for.
    fn reaches(&self, until: Option<i64>) -> bool {
        let from = self.query.from.map_or(i64::MIN, Timestamp::micros);
        until.is_none_or(|until| until >= from)
    }

    fn pace(&self) -> Pace {
        Pace { at: i64::MIN, found: self.found.len(), looked: 0 }
    }

    /// Whether to look at a candidate of this instant; candidates come by instant. It ends between two instants only, so
    /// that the next page can begin at one.
    fn goes_on(&mut self, pace: &mut Pace, at: i64) -> bool {
        if at >= self.horizon {
            return false;
        }
        let enough = pace.looked >= LOOKED_MAX || self.found.len().saturating_sub(pace.found) > self.limit;
        if enough && at != pace.at {
            self.horizon = at;
            return false;
        }
        pace.at = at;
        pace.looked += 1;
        true
    }

    fn looked(&mut self, kind: Kind, at: i64) {
        self.examined.push((kind, at));
    }

    fn could_not_judge(&mut self, kind: Kind, at: i64, subject: &str, reason: &str) {
        self.not_judged.entry((kind, subject.to_owned(), reason.to_owned())).or_default().push(at);
    }

    fn add(&mut self, exception: Exception) {
        if exception.place() > self.after {
            self.found.push(exception);
        }
    }

    /// Once there is enough for a page, what is later than its end need not be looked at.
    fn settle(&mut self) {
        self.found.sort_by_key(Exception::place);
        if let Some(first_of_next) = self.found.get(self.limit) {
            self.horizon = self.horizon.min(first_of_next.at.micros().saturating_add(1));
        }
        let horizon = self.horizon;
        self.found.retain(|found| found.at.micros() < horizon);
    }

    /// The text of a number.
    fn text(&self, id: i64) -> Result<String> {
        self.snapshot.text(id)
    }

    /// What was found, once it is settled.
    fn page(mut self) -> Page {
        let full = self.found.len() > self.limit;
        self.found.truncate(self.limit);
        let next = match self.found.last().filter(|_| full) {
            Some(last) => Some(last.place()),
            None if self.horizon < i64::MAX => Some((self.horizon, i64::MIN, i64::MIN)),
            None => None,
        };
        // What is of the instant at which the next page begins is counted there.
        let end = next.map_or(i64::MAX, |(at, ..)| at);
        let count = |times: &[i64]| {
            let here = times.iter().filter(|at| **at < end).count();
            u64::try_from(here).unwrap_or(u64::MAX)
        };
        let looked_at = Kind::ALL.iter().copied().filter(|kind| self.asks(*kind)).map(|kind| {
            let times: Vec<i64> = self.examined.iter().filter(|(of, _)| *of == kind).map(|(_, at)| *at).collect();
            let not_judged = self.not_judged.iter().filter(|((of, ..), _)| *of == kind);
            let not_judged = not_judged.map(|((_, subject, reason), times)| NotJudged {
                subject: subject.clone(),
                reason: reason.clone(),
                n: count(times),
            });
            Looked { kind, examined: count(&times), not_judged: not_judged.filter(|it| it.n > 0).collect() }
        });
        Page { looked_at: looked_at.collect(), exceptions: self.found, next }
    }
}

/// A number of things, as sentences have it.
fn counted(n: usize, thing: &str) -> String {
    if n == 1 { format!("1 {thing}") } else { format!("{n} {thing}s") }
}

/// A repository as sentences have it.
fn short(stream: &str) -> &str {
    stream.strip_prefix("repo/").or_else(|| stream.strip_prefix("target/")).unwrap_or(stream)
}

/// A deployment that is looked at, and its target.
struct Case {
    target: Target,
    stream: String,
    deployment: Deployment,
    /// What ran just before.
    before: Option<Deployment>,
    /// The event that ended it.
    event: Event,
}

impl Case {
    fn exception(&self, kind: Kind, what: String) -> Exception {
        let (at, key) = self.deployment.place();
        Exception::at(kind, (at, key), &self.stream, what)
            .backed_by(self.deployment.position)
            .done_by(self.deployment.initiated_by.clone())
    }

    fn at(&self) -> i64 {
        self.deployment.at.micros()
    }

    /// Images that began to run with it.
    fn new_images(&self) -> impl Iterator<Item = &deployment::RunningImage> {
        let ran = |image: &deployment::RunningImage| {
            self.before
                .as_ref()
                .is_some_and(|before| before.images.iter().any(|other| other.identity() == image.identity()))
        };
        self.deployment.images.iter().filter(move |image| !ran(image))
    }
}
