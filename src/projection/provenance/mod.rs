//! Provenance: from a commit, a change, a run, an artifact, a tag, a version or a deployment to all the others.
//!
//! Nothing is folded for this: it goes along the facts of the projections of source, artifacts and deployments, and reads
//! what else there is to say from the events that they name. Every step carries the event that says so.

mod detail;
mod follow;
mod missing;
mod thing;
mod walk;

pub use detail::{Artifact, Attestation, Build, Change, Check, Commit, Incident, Review};
pub use missing::Missing;
pub use thing::{Thing, find};

use super::deployment::{Deployment, Target};
use super::source::{self, Role};
use super::{About, Basis, Result, Snapshot, artifact, deployment, incident};
use walk::{SHOWN_MAX, Walk};

/// The projections whose tables it reads.
pub const NEEDS: &[&About] = &[&source::ABOUT, &artifact::ABOUT, &deployment::ABOUT, &incident::ABOUT];

/// How it is known that one thing leads to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum How {
    /// A change became a commit of its base branch.
    Merged,
    /// A commit is the last of a change's branch.
    Head,
    /// A commit is one of those a change was made of.
    Original,
    /// A commit was reviewed as part of a change.
    Reviewed,
    /// A change brings a commit over from elsewhere.
    CherryPick,
    /// A commit is contained in another.
    Contained,
    /// A run ran on a commit, or built an artifact.
    Run,
    /// A tag in Git names a commit.
    Tag,
    /// A build was given a version.
    Version,
    /// An artifact was built of a commit.
    Build,
    /// An attestation says that an artifact was built of a commit.
    Provenance,
    /// An artifact's own labels name a commit.
    Label,
    /// An index holds an artifact for a platform.
    Platform,
    /// A tag in a registry named an artifact then.
    RegistryTag,
    /// A commit of desired state asks for an image.
    AskedFor,
    /// A commit of desired state was synced.
    DesiredState,
    /// A deployment ran an image.
    Image,
    /// The deployer itself names the commit.
    Deployer,
    /// An incident names a deployment as its cause.
    Cause,
}

impl How {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Merged => "merged",
            Self::Head => "head",
            Self::Original => "original",
            Self::Reviewed => "reviewed",
            Self::CherryPick => "cherry_pick",
            Self::Contained => "contained",
            Self::Run => "run",
            Self::Tag => "tag",
            Self::Version => "version",
            Self::Build => "build",
            Self::Provenance => "provenance",
            Self::Label => "label",
            Self::Platform => "platform",
            Self::RegistryTag => "registry_tag",
            Self::AskedFor => "asked_for",
            Self::DesiredState => "desired_state",
            Self::Image => "image",
            Self::Deployer => "deployer",
            Self::Cause => "cause",
        }
    }

    /// Of what a commit is to a change.
    fn of_role(role: i64) -> Option<Self> {
        let all = [
            (Role::Merged, Self::Merged),
            (Role::Head, Self::Head),
            (Role::Original, Self::Original),
            (Role::Reviewed, Self::Reviewed),
            (Role::Origin, Self::CherryPick),
        ];
        all.into_iter().find(|(of, _)| *of as i64 == role).map(|(_, how)| how)
    }
}

impl From<artifact::Evidence> for How {
    fn from(evidence: artifact::Evidence) -> Self {
        match evidence {
            artifact::Evidence::Build => Self::Build,
            artifact::Evidence::Provenance => Self::Provenance,
            artifact::Evidence::Label => Self::Label,
        }
    }
}

/// One thing leads to another, in the direction from source to what runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// What comes before.
    pub from: Thing,
    /// What comes of it.
    pub to: Thing,
    /// How it is known.
    pub how: How,
    /// The event that says so: the first of several. Of a deployment the one that ended it, or the last that told of it.
    pub position: u64,
}

/// Everything that belongs to a thing. Of each kind at most 200 are shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trace {
    /// What was asked about.
    pub things: Vec<Thing>,
    /// Commits of sources and of desired state, by id.
    pub commits: Vec<Commit>,
    /// Changes, by repository and id.
    pub changes: Vec<Change>,
    /// Artifacts, by digest.
    pub artifacts: Vec<Artifact>,
    /// Deployments with their targets, newest first.
    pub deployments: Vec<(Target, Deployment)>,
    /// Incidents that name one of these deployments as their cause, by id.
    pub incidents: Vec<Incident>,
    /// What leads to what.
    pub links: Vec<Link>,
    /// What one would expect to be known, and is not.
    pub missing: Vec<Missing>,
    /// How many of a kind there are, where not all are shown.
    pub totals: Vec<(&'static str, u64)>,
}

/// Traces what `name` names, both ways: to what it comes from and to where it went.
///
/// # Errors
/// `NotFound`; `Ambiguous` with the candidates; `Database`, `Ledger`.
pub fn trace(snapshot: &Snapshot<'_>, basis: &Basis, name: &str) -> Result<Trace> {
    let things = thing::resolve(snapshot, basis, name)?;
    let mut walk = Walk::new(snapshot, basis);
    for thing in &things {
        walk.start(thing)?;
    }
    let (deployments, n_deployments) = walk.deployments()?;
    let mut totals = Vec::new();
    let (mut commits, mut changes, mut artifacts) = (Vec::new(), Vec::new(), Vec::new());
    let mut incidents = Vec::new();
    let mut n_shown = std::collections::BTreeMap::<&str, usize>::new();
    for thing in &walk.things {
        let n = n_shown.entry(thing.kind()).or_default();
        *n += 1;
        // What was asked about is never left out.
        if *n > SHOWN_MAX && !things.contains(thing) {
            continue;
        }
        match thing {
            Thing::Commit(oid) => commits.push(detail::commit(&walk, oid)?),
            Thing::Change(place, change) => changes.push(detail::change(&walk, place, change)?),
            Thing::Artifact(digest) => artifacts.push(detail::artifact(&walk, digest)?),
            Thing::Incident(id) => incidents.extend(detail::incident(&walk, id)?),
            Thing::Run(..) | Thing::Tag(..) | Thing::Version(_) | Thing::ImageTag(..) | Thing::Deployment(..) => {}
        }
    }
    n_shown.insert("deployment", n_deployments);
    for (kind, n) in n_shown {
        if n > SHOWN_MAX {
            totals.push((kind, u64::try_from(n).unwrap_or(u64::MAX)));
        }
    }
    let links = walk.links();
    let mut trace =
        Trace { things, commits, changes, artifacts, deployments, incidents, links, missing: Vec::new(), totals };
    trace.missing = missing::missing(&walk, &trace);
    Ok(trace)
}
