//! Which deployment brought which commit.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use plimsoll::event::change::MergeMethod;
use plimsoll::event::check::Conclusion;
use plimsoll::event::{Data, GitOid};

use super::Model;
use super::deployments::Deployment;

/// What is known of a commit.
struct Commit {
    /// None where nobody told.
    parents: Option<Vec<String>>,
    /// When it was written; else made.
    authored_at: Option<i64>,
    /// Where it was picked from.
    origin: Option<String>,
}

/// What a change is for lead time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Seconds from its writing to the end of the deployment.
    Sample(i64),
    /// It gives no sample, for a reason.
    Excluded(&'static str),
}

/// A commit, and the deployment that brought it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    pub commit: String,
    pub deployment: String,
    pub finished_at: i64,
    pub outcome: Outcome,
}

fn texts(oids: &[GitOid]) -> Vec<String> {
    oids.iter().map(ToString::to_string).collect()
}

impl Model {
    /// Every commit that somebody told of, as whoever knew most of it told.
    fn commits(&self) -> HashMap<String, Commit> {
        let mut best = HashMap::new();
        for fact in &self.facts {
            if let Data::CommitRecorded(data) = &fact.data {
                let rank = (data.parents.is_none(), data.authored_at.is_none(), fact.key);
                let commit = Commit {
                    parents: data.parents.as_deref().map(texts),
                    authored_at: data.authored_at.or(data.committed_at).map(|at| at.micros()),
                    origin: data.cherry_picked_from.as_ref().map(ToString::to_string),
                };
                let known: &mut Option<((bool, bool, i64), Commit)> = best.entry(data.commit.to_string()).or_default();
                if known.as_ref().is_none_or(|(other, _)| *other > rank) {
                    *known = Some((rank, commit));
                }
            }
        }
        best.into_iter().filter_map(|(oid, known)| Some((oid, known?.1))).collect()
    }

    /// Squashed commits, with what they were made of as far as those are known themselves.
    fn squashes(&self, commits: &HashMap<String, Commit>) -> HashMap<String, BTreeSet<String>> {
        let mut squashes: HashMap<String, BTreeSet<String>> = HashMap::new();
        for fact in &self.facts {
            if let Data::ChangeMerged(data) = &fact.data
                && data.method == Some(MergeMethod::Squash)
            {
                let originals = texts(data.original_commits.as_deref().unwrap_or_default());
                let known = originals.into_iter().filter(|oid| commits.contains_key(oid));
                squashes.entry(data.commit.to_string()).or_default().extend(known);
            }
        }
        squashes.retain(|_, originals| !originals.is_empty());
        squashes
    }

    /// Commits that change desired state.
    fn manifests(&self) -> HashSet<String> {
        let data = self.facts.iter().filter_map(|fact| match &fact.data {
            Data::ManifestCommitted(data) => Some(data.commit.to_string()),
            _ => None,
        });
        data.collect()
    }

    /// The source commits of an artifact's builds, with whether the build succeeded.
    fn builds(&self, digest: &str) -> Vec<(bool, String)> {
        let stream = format!("artifact/{digest}");
        let builds = self.stream(&stream).filter_map(|fact| match &fact.data {
            Data::BuildFinished(data) => {
                Some((data.conclusion == Conclusion::Success, data.commit.as_ref()?.to_string()))
            }
            _ => None,
        });
        builds.collect()
    }

    /// The indexes that hold an artifact, and what it holds if it is one.
    fn kin(&self, digest: &str) -> BTreeSet<String> {
        let mut kin = BTreeSet::new();
        for fact in &self.facts {
            let (index, platforms) = match &fact.data {
                Data::BuildFinished(data) => (None, &data.platforms),
                Data::ArtifactPublished(data) => (data.index.as_ref(), &data.platforms),
                _ => continue,
            };
            let Some(own) = fact.stream.strip_prefix("artifact/") else { continue };
            let mut pairs: Vec<(String, String)> =
                index.map(|index| (index.to_string(), own.to_owned())).into_iter().collect();
            pairs.extend(platforms.iter().flatten().map(|platform| (own.to_owned(), platform.digest.to_string())));
            for (index, part) in pairs {
                if index == digest {
                    kin.insert(part);
                } else if part == digest {
                    kin.insert(index);
                }
            }
        }
        kin
    }

    /// The source commits of an artifact: usually one.
    pub fn origins(&self, digest: &str) -> BTreeSet<String> {
        let stream = format!("artifact/{digest}");
        let (mut attested, mut labelled) = (BTreeSet::new(), BTreeSet::new());
        for fact in self.stream(&stream) {
            match &fact.data {
                Data::AttestationAttached(data) => attested.extend(data.commit.as_ref().map(ToString::to_string)),
                Data::ArtifactPublished(data) => {
                    labelled.extend(data.labelled_commit.as_ref().map(ToString::to_string));
                }
                _ => {}
            }
        }
        let own = best(self.builds(digest));
        let of_kin = best(self.kin(digest).iter().flat_map(|other| self.builds(other)).collect());
        [own, of_kin, attested, labelled].into_iter().find(|commits| !commits.is_empty()).unwrap_or_default()
    }

    /// The source commits that a deployment is of; none where nothing leads to one.
    pub fn revisions(&self, deployment: &Deployment) -> BTreeSet<String> {
        match &deployment.commit {
            Some(commit) => BTreeSet::from([commit.clone()]),
            None => deployment.set.iter().flat_map(|digest| self.origins(digest)).collect(),
        }
    }

    /// The deployments of a target that succeeded, in the order in which they did.
    pub fn succeeded(&self, target: &str) -> Vec<Deployment> {
        let mut deployments = self.deployments(target);
        deployments.retain(Deployment::succeeded);
        deployments.sort_by_key(Deployment::finish);
        deployments
    }

    /// Every recorded commit that a target got, with the deployment that brought it first.
    pub fn changes(&self, target: &str) -> Vec<Change> {
        let commits = self.commits();
        let (squashes, manifests) = (self.squashes(&commits), self.manifests());
        let succeeded = self.succeeded(target);
        let mut owner: BTreeMap<String, usize> = BTreeMap::new();
        for (n, deployment) in succeeded.iter().enumerate() {
            let mut revisions = self.revisions(deployment);
            // One that is named without its repository is whichever is recorded; until then it is no known commit.
            revisions.retain(|oid| deployment.in_repository || commits.contains_key(oid));
            for commit in reached(&commits, &squashes, revisions) {
                owner.entry(commit).or_insert(n);
            }
        }
        let mut changes = Vec::new();
        for (oid, n) in &owner {
            let Some(commit) = commits.get(oid) else { continue };
            // It is replaced by what it was made of.
            if squashes.contains_key(oid) {
                continue;
            }
            let finished_at = succeeded[*n].finished_at.unwrap();
            let origin = commit.origin.as_ref().and_then(|origin| owner.get(origin));
            let outcome = if commit.parents.as_ref().is_some_and(|parents| parents.len() > 1) {
                Outcome::Excluded("merge")
            } else if *n == 0 {
                Outcome::Excluded("baseline")
            } else if manifests.contains(oid) {
                Outcome::Excluded("manifest")
            } else if origin.is_some_and(|of_origin| of_origin <= n) {
                Outcome::Excluded("cherry_pick")
            } else {
                lead_time(commit.authored_at, finished_at)
            };
            changes.push(Change { commit: oid.clone(), deployment: succeeded[*n].id.clone(), finished_at, outcome });
        }
        changes
    }
}

/// The commits of builds that succeeded; where none did, of the others.
fn best(builds: Vec<(bool, String)>) -> BTreeSet<String> {
    let succeeded = builds.iter().any(|(succeeded, _)| *succeeded);
    builds.into_iter().filter(|build| build.0 == succeeded).map(|(_, commit)| commit).collect()
}

fn lead_time(authored_at: Option<i64>, finished_at: i64) -> Outcome {
    match authored_at.map(|authored_at| finished_at - authored_at) {
        None => Outcome::Excluded("no_author_time"),
        Some(micros) if micros < -300_000_000 => Outcome::Excluded("skew"),
        Some(micros) => Outcome::Sample(micros.max(0) / 1_000_000),
    }
}

/// Everything that the revisions descend from, themselves included; and what squashed commits among it were made of.
fn reached(
    commits: &HashMap<String, Commit>,
    squashes: &HashMap<String, BTreeSet<String>>,
    revisions: BTreeSet<String>,
) -> HashSet<String> {
    let mut reached = HashSet::new();
    let mut waiting: Vec<String> = revisions.into_iter().collect();
    while let Some(oid) = waiting.pop() {
        if reached.insert(oid.clone()) {
            waiting.extend(commits.get(&oid).and_then(|commit| commit.parents.clone()).unwrap_or_default());
        }
    }
    let originals: Vec<String> = reached.iter().filter_map(|oid| squashes.get(oid)).flatten().cloned().collect();
    reached.extend(originals);
    reached
}
