//! Small made-up histories with everything in them that makes deployments hard to tell of.
//!
//! A history is a list of acts, each with a few dice; what became of the acts before decides what an act can be about.
//! So a failing history shrinks by leaving acts out and by throwing smaller dice.

mod code;
mod runs;
mod trouble;

use std::collections::{BTreeMap, BTreeSet};

use plimsoll::event::{Data, Draft, Timestamp};
use proptest::prelude::*;
use serde_json::Value;

/// When a history begins: a Monday.
pub const BEGIN: i64 = 1_772_409_600_000_000;

pub const SECOND: i64 = 1_000_000;
pub const MINUTE: i64 = 60 * SECOND;
pub const HOUR: i64 = 60 * MINUTE;

/// Most events of a history.
const EVENTS_MAX: usize = 60;

/// What somebody does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Commit,
    Feature,
    Merge,
    CherryPick,
    ReleaseBranch,
    Refs,
    Build,
    Publish,
    Manifest,
    Ship,
    Deploy,
    Again,
    Back,
    Release,
    Health,
    Drift,
    Remove,
    Incident,
    Resolve,
    Reopen,
    Link,
}

/// One act, with its dice.
#[derive(Debug, Clone)]
pub struct Act {
    kind: Kind,
    dice: [u8; 4],
}

fn act() -> impl Strategy<Value = Act> {
    let kind = prop_oneof![
        5 => Just(Kind::Commit),
        4 => Just(Kind::Feature),
        3 => Just(Kind::Merge),
        2 => Just(Kind::CherryPick),
        2 => Just(Kind::ReleaseBranch),
        2 => Just(Kind::Refs),
        4 => Just(Kind::Build),
        2 => Just(Kind::Publish),
        1 => Just(Kind::Manifest),
        10 => Just(Kind::Ship),
        6 => Just(Kind::Deploy),
        2 => Just(Kind::Again),
        4 => Just(Kind::Back),
        3 => Just(Kind::Release),
        2 => Just(Kind::Health),
        2 => Just(Kind::Drift),
        1 => Just(Kind::Remove),
        4 => Just(Kind::Incident),
        5 => Just(Kind::Resolve),
        1 => Just(Kind::Reopen),
        3 => Just(Kind::Link),
    ];
    (kind, any::<[u8; 4]>()).prop_map(|(kind, dice)| Act { kind, dice })
}

/// A history of a few to sixty events, in the order in which they happened.
pub fn history() -> impl Strategy<Value = Vec<Draft>> {
    prop::collection::vec(act(), 2..36).prop_map(|acts| drafts(&acts))
}

/// A history, and an order in which its events arrive, some of them twice.
pub fn arrivals() -> impl Strategy<Value = (Vec<Draft>, Vec<Draft>)> {
    history().prop_flat_map(|drafts| {
        let n = drafts.len();
        let again = prop::collection::vec(0..n, 0..6);
        (Just(drafts), again).prop_flat_map(|(drafts, again)| {
            let mut arriving = drafts.clone();
            arriving.extend(again.into_iter().map(|which| drafts[which].clone()));
            (Just(drafts), Just(arriving).prop_shuffle())
        })
    })
}

fn drafts(acts: &[Act]) -> Vec<Draft> {
    let mut story = Story::new();
    // Something to deploy, and something that runs: a history without has little to tell.
    let first = [Kind::Commit, Kind::Build, Kind::Deploy].map(|kind| Act { kind, dice: [0; 4] });
    for act in first.iter().chain(acts) {
        story.act(act);
    }
    story.drafts.truncate(EVENTS_MAX);
    story.drafts
}

/// An instant as it stands in JSON.
pub fn stamp(micros: i64) -> String {
    Timestamp::from_micros(micros).unwrap().to_string()
}

/// A draft of the type that is named, its payload in JSON.
#[track_caller]
pub fn event(type_name: &str, stream: &str, source: &str, dedup: &str, at: i64, data: &Value) -> Draft {
    let data = Data::parse(type_name.parse().unwrap(), data.to_string().as_bytes()).unwrap();
    let at = Timestamp::from_micros(at).unwrap();
    Draft::new(data, stream.parse().unwrap(), source.parse().unwrap(), dedup.parse().unwrap(), at)
}

/// A repository as it has become.
#[derive(Default)]
struct Repo {
    stream: &'static str,
    /// Every commit, oldest first.
    commits: Vec<String>,
    main: Option<String>,
    /// What is on the feature branch and not on main.
    feature: Vec<String>,
    tags: BTreeMap<String, String>,
}

/// Something that can be deployed.
#[derive(Clone)]
struct Built {
    digest: String,
    service: &'static str,
}

/// A place where a service runs.
#[derive(Default)]
struct Place {
    /// The images that were deployed there, oldest first.
    images: Vec<String>,
    /// Ids of its deployments.
    deployments: Vec<String>,
    /// How often it was removed.
    removed: u32,
    drift: Option<String>,
}

/// Services, each with the number of its repository.
const SERVICES: [(&str, usize); 3] = [("api", 0), ("worker", 0), ("web", 1)];

const ENVIRONMENTS: [&str; 3] = ["production", "staging", "eu-prod"];

/// What has become so far.
struct Story {
    now: i64,
    n: u64,
    drafts: Vec<Draft>,
    repos: [Repo; 2],
    built: Vec<Built>,
    places: BTreeMap<String, Place>,
    incidents: Vec<String>,
    resolved: BTreeSet<String>,
}

impl Story {
    fn new() -> Self {
        let repo = |stream| Repo { stream, ..Repo::default() };
        Self {
            now: BEGIN,
            n: 0,
            drafts: Vec::new(),
            repos: [repo("repo/example.com/shop/app"), repo("repo/example.com/shop/web")],
            built: Vec::new(),
            places: BTreeMap::new(),
            incidents: Vec::new(),
            resolved: BTreeSet::new(),
        }
    }

    /// Does one act; one that has nothing to be about is none.
    fn act(&mut self, act: &Act) {
        let [a, b, c, d] = act.dice;
        // Often enough nothing passes between two acts, so that instants are equal.
        self.now += [0, 0, 40 * SECOND, 7 * MINUTE, HOUR, 5 * HOUR, 26 * HOUR, 90 * SECOND][usize::from(d % 8)];
        match act.kind {
            Kind::Commit => self.commit(a, b),
            Kind::Feature => self.feature(a, b),
            Kind::Merge => self.merge(a, b),
            Kind::CherryPick => self.cherry_pick(a, b),
            Kind::ReleaseBranch => self.release_branch(a, b),
            Kind::Refs => self.refs(a, b),
            Kind::Build => self.build(a, b, c),
            Kind::Publish => self.publish(a, b),
            Kind::Manifest => self.manifest(a, b),
            Kind::Ship => self.ship(a, b, c),
            Kind::Deploy => self.deploy(a, b, c),
            Kind::Again => self.again(a, b, c),
            Kind::Back => self.back(a, b, c),
            Kind::Release => self.release(a, b),
            Kind::Health => self.health(a, b),
            Kind::Drift => self.drift(a, b),
            Kind::Remove => self.remove(a),
            Kind::Incident => self.incident(a, b, c),
            Kind::Resolve => self.resolve(a, b),
            Kind::Reopen => self.reopen(a),
            Kind::Link => self.link(a, b, c),
        }
    }

    /// A number that nothing else has.
    fn next(&mut self) -> u64 {
        self.n += 1;
        self.n
    }

    fn say(&mut self, type_name: &str, stream: &str, source: &str, at: i64, data: &Value) {
        let dedup = format!("{type_name}#{}", self.next());
        self.drafts.push(event(type_name, stream, source, &dedup, at, data));
    }

    /// An object id that nothing else has.
    fn oid(&mut self) -> String {
        blake3::hash(&self.next().to_le_bytes()).to_hex()[..40].to_owned()
    }

    /// A place where something was deployed already.
    fn somewhere(&self, a: u8) -> String {
        let (_, wanted) = Self::target(a);
        let known: Vec<&String> = self.places.keys().collect();
        let other = known.get(usize::from(a) % known.len().max(1)).map_or(&wanted, |target| *target);
        if self.places.contains_key(&wanted) { wanted } else { other.clone() }
    }

    fn target(a: u8) -> (&'static str, String) {
        // Most of what happens, happens to one service in production.
        let place = [0, 0, 0, 0, 1, 3, 2, 6, 4, 5, 7, 8][usize::from(a % 12)];
        let service = SERVICES[place % 3].0;
        (service, format!("target/{}/{service}", ENVIRONMENTS[place / 3]))
    }
}

/// One of a list, by dice; the last ones are likelier.
fn pick<T: Clone>(list: &[T], dice: u8) -> Option<T> {
    let back = [0, 0, 0, 1, 1, 2, 3, 5][usize::from(dice % 8)];
    list.get(list.len().checked_sub(1)?.saturating_sub(back)).cloned()
}
