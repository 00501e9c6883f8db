//! What stands behind a figure: each deployment, change and incident, with the events that say so.

use super::super::deployment::{self, HOTFIX, Origin};
use super::super::{Basis, Result, Snapshot, source};
use super::gather::{Change, Delivery, Incident, Material, Mended};
use super::named::commit_of;
use super::{Reason, deployed, outcome};

/// A figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Figure {
    /// DORA.md, section 2.2.
    DeploymentFrequency,
    /// Section 2.3.
    ChangeLeadTime,
    /// Section 2.4.
    ChangeFailureRate,
    /// Section 2.5.
    FailedDeploymentRecoveryTime,
    /// Section 2.7.
    DeploymentReworkRate,
    /// Section 2.6.
    Mttr,
}

impl Figure {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::DeploymentFrequency,
        Self::ChangeLeadTime,
        Self::ChangeFailureRate,
        Self::FailedDeploymentRecoveryTime,
        Self::DeploymentReworkRate,
        Self::Mttr,
    ];

    /// Its name in answers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::DeploymentFrequency => "deployment_frequency",
            Self::ChangeLeadTime => "change_lead_time",
            Self::ChangeFailureRate => "change_failure_rate",
            Self::FailedDeploymentRecoveryTime => "failed_deployment_recovery_time",
            Self::DeploymentReworkRate => "deployment_rework_rate",
            Self::Mttr => "mttr",
        }
    }
}

/// What an item is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum About {
    /// A deployment, by the source's id.
    Deployment(String),
    /// A change that came with a deployment.
    Change {
        /// The commit.
        commit: Origin,
        /// Pseudonym of who wrote it.
        author: Option<String>,
        /// The deployment.
        deployment: String,
    },
    /// An incident, by its stream.
    Incident(String),
}

/// Why something counts: what it is, and the event that says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Why {
    /// The link.
    pub link: &'static str,
    /// What it leads to: an incident's stream, a deployment's id.
    pub of: String,
    /// The position of the event.
    pub position: u64,
}

/// One thing behind a figure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Indices in [`Material::targets`].
    pub targets: Vec<usize>,
    /// What it is.
    pub about: About,
    /// When it began, in microseconds since 1970: the change was written, the deployment failed, the incident began.
    pub began_at: Option<i64>,
    /// By which it falls into the window: when the deployment was done, or the trouble was over; none while it lasts.
    pub at: Option<i64>,
    /// The sample, in seconds.
    pub seconds: Option<i64>,
    /// Whether it counts: is a sample, or in the numerator.
    pub counts: bool,
    /// Why it does not, where it might.
    pub excluded: Option<&'static str>,
    /// What it rests on.
    pub why: Vec<Why>,
}

/// What stands behind a figure, in the order of time.
#[derive(Debug, Clone, Copy)]
enum Found<'a> {
    Delivery(&'a Delivery),
    Change(&'a Change),
    Mended(&'a Mended),
    Incident(&'a Incident),
}

impl Found<'_> {
    /// Orders what is found: what lasts at the end.
    fn place(&self) -> (i64, usize, i64) {
        match self {
            Self::Delivery(it) => (it.finished_at, it.target, it.rollout),
            Self::Change(it) => (it.finished_at, it.target, it.commit),
            Self::Mended(it) => (it.recovered_at.unwrap_or(i64::MAX), it.target, it.rollout),
            Self::Incident(it) => (it.resolved_at.unwrap_or(i64::MAX), 0, it.incident),
        }
    }
}

/// What stands behind a figure of what was gathered: `limit` items from number `skip` on. `all` also lists what does not
/// count.
///
/// # Errors
/// `Database`, `Ledger`.
pub fn explain(
    snapshot: &Snapshot<'_>,
    basis: &Basis,
    material: &Material,
    figure: Figure,
    all: bool,
    (skip, limit): (usize, usize),
) -> Result<Vec<Item>> {
    let mut found = behind(material, figure, all);
    found.sort_by_key(Found::place);
    let explaining = Explaining { snapshot, known: basis.known(), figure };
    found.into_iter().skip(skip).take(limit).map(|found| explaining.item(found)).collect()
}

fn behind(material: &Material, figure: Figure, all: bool) -> Vec<Found<'_>> {
    let deliveries = |picks: fn(&Delivery) -> bool, of: fn(&Delivery) -> bool| {
        let picked = material.deliveries.iter().filter(move |it| picks(it) || (all && of(it)));
        picked.map(Found::Delivery).collect()
    };
    match figure {
        Figure::DeploymentFrequency => deliveries(Delivery::succeeded, |_| true),
        Figure::ChangeFailureRate => deliveries(|it| it.failed() || it.inferred, Delivery::effective),
        Figure::DeploymentReworkRate => deliveries(Delivery::rework, Delivery::effective),
        Figure::ChangeLeadTime => {
            let picked = material.changes.iter().filter(|it| all || matches!(it.told, Some(Ok(_))));
            let unlinked = material.deliveries.iter().filter(|it| all && it.unlinked());
            picked.map(Found::Change).chain(unlinked.map(Found::Delivery)).collect()
        }
        Figure::FailedDeploymentRecoveryTime => {
            material.mended.iter().filter(|it| all || it.recovered_at.is_some()).map(Found::Mended).collect()
        }
        Figure::Mttr => {
            let window = &material.window;
            let over = |it: &&Incident| match it.resolved_at {
                Some(at) => window.contains(&at) && (all || (it.reason().is_none())),
                None => all && it.started_at.is_some_and(|at| at < window.end),
            };
            material.incidents.iter().filter(over).map(Found::Incident).collect()
        }
    }
}

struct Explaining<'a> {
    snapshot: &'a Snapshot<'a>,
    known: i64,
    figure: Figure,
}

impl Explaining<'_> {
    fn item(&self, found: Found<'_>) -> Result<Item> {
        match found {
            Found::Delivery(it) => self.delivery(it),
            Found::Change(it) => self.change(it),
            Found::Mended(it) => self.mended(it),
            Found::Incident(it) => self.incident(it),
        }
    }

    fn name(&self, rollout: i64) -> Result<String> {
        deployed::name_of(self.snapshot.connection, rollout)
    }

    /// The event that ended a rollout.
    fn done(&self, rollout: i64) -> Result<Why> {
        let deployed = deployment::row(self.snapshot.connection, rollout, self.known)?;
        let position = deployed.map_or(0, |deployed| deployed.position.unsigned_abs());
        Ok(Why { link: "deployment", of: self.name(rollout)?, position })
    }

    fn delivery(&self, it: &Delivery) -> Result<Item> {
        let mut why = vec![self.done(it.rollout)?];
        let (counts, excluded) = match self.figure {
            Figure::ChangeLeadTime => (false, Some("unlinked")),
            Figure::ChangeFailureRate => {
                why.extend(self.failure(it.rollout)?);
                if it.inferred && !it.failed() {
                    why.push(Why { link: "inferred", ..self.done(it.rollout)? });
                }
                (it.failed(), None)
            }
            Figure::DeploymentReworkRate => {
                why.extend(self.rework(it.rollout)?);
                (it.rework(), None)
            }
            _ => {
                let reason = match (it.succeeded(), it.redeploy(), it.effective()) {
                    (true, ..) => None,
                    (_, true, _) => Some("redeploy"),
                    (.., false) => Some("without_effect"),
                    _ => Some("not_succeeded"),
                };
                (it.succeeded(), reason)
            }
        };
        Ok(Item {
            targets: vec![it.target],
            about: About::Deployment(self.name(it.rollout)?),
            began_at: None,
            at: Some(it.finished_at),
            seconds: None,
            counts,
            excluded,
            why,
        })
    }

    fn failure(&self, rollout: i64) -> Result<Vec<Why>> {
        let connection = self.snapshot.connection;
        let Some(deployed) = deployment::row(connection, rollout, self.known)? else { return Ok(Vec::new()) };
        let verdict = outcome::verdict(connection, &deployed, self.known)?;
        let mut why = Vec::new();
        for incident in &verdict.incidents {
            let position = outcome::causes(connection, incident, self.known)?.get(&rollout).copied();
            let position = position.unwrap_or(incident.position).unsigned_abs();
            why.push(Why { link: "incident", of: self.snapshot.text(incident.id)?, position });
        }
        for remedy in &verdict.remedies {
            why.push(Why { link: "remediation", ..self.done(*remedy)? });
        }
        for rollback in &verdict.rollbacks {
            why.push(Why { link: "rollback", ..self.done(*rollback)? });
        }
        if verdict.unfinished {
            why.push(Why { link: "not_healthy", ..self.done(rollout)? });
        }
        Ok(why)
    }

    fn rework(&self, rollout: i64) -> Result<Vec<Why>> {
        let connection = self.snapshot.connection;
        let Some(deployed) = deployment::row(connection, rollout, self.known)? else { return Ok(Vec::new()) };
        let mut why = Vec::new();
        if deployed.rolled_back() {
            why.push(Why { link: "rollback", ..self.done(rollout)? });
        }
        if deployed.details.flags & HOTFIX != 0 {
            why.push(Why { link: "hotfix", ..self.done(rollout)? });
        }
        let mut statement = connection.prepare_cached(
            "SELECT position, name.text, deployment FROM remedy LEFT JOIN name ON name.id = coalesce(incident, target) \
             WHERE rollout = ?1 AND position < ?2 ORDER BY position, n",
        )?;
        let mut rows = statement.query([rollout, self.known])?;
        while let Some(row) = rows.next()? {
            let (thing, deployment): (Option<String>, Option<String>) = (row.get(1)?, row.get(2)?);
            let position = row.get::<_, i64>(0)?.unsigned_abs();
            why.push(Why { link: "remediates", of: deployment.or(thing).unwrap_or_default(), position });
        }
        Ok(why)
    }

    fn change(&self, it: &Change) -> Result<Item> {
        let connection = self.snapshot.connection;
        let fact = source::commit(connection, it.commit, self.known)?;
        let commit = commit_of(self.snapshot, it)?;
        let mut why = vec![self.done(it.rollout)?];
        if let Some(fact) = fact {
            why.push(Why { link: "commit", of: commit.revision.clone(), position: fact.position.unsigned_abs() });
        }
        let author = fact.and_then(|fact| fact.author).map(|author| self.snapshot.text(author)).transpose()?;
        let seconds = it.told.and_then(Result::ok);
        let excluded = match it.told {
            None => Some("automation"),
            Some(told) => told.err().map(Reason::as_str),
        };
        Ok(Item {
            targets: vec![it.target],
            about: About::Change { commit, author, deployment: self.name(it.rollout)? },
            began_at: fact.and_then(|fact| fact.written_at()),
            at: Some(it.finished_at),
            seconds,
            counts: seconds.is_some(),
            excluded,
            why,
        })
    }

    fn mended(&self, it: &Mended) -> Result<Item> {
        let mut why = vec![self.done(it.rollout)?];
        why.extend(self.failure(it.rollout)?);
        Ok(Item {
            targets: vec![it.target],
            about: About::Deployment(self.name(it.rollout)?),
            began_at: Some(it.finished_at),
            at: it.recovered_at,
            seconds: it.seconds(),
            counts: it.recovered_at.is_some(),
            excluded: None,
            why,
        })
    }

    fn incident(&self, it: &Incident) -> Result<Item> {
        let stream = self.snapshot.text(it.incident)?;
        let seconds = it.seconds();
        Ok(Item {
            targets: it.targets.iter().copied().collect(),
            about: About::Incident(stream.clone()),
            began_at: it.started_at,
            at: it.resolved_at,
            seconds,
            counts: seconds.is_some() && it.reason().is_none(),
            excluded: it.reason(),
            why: vec![Why { link: "incident", of: stream, position: it.position }],
        })
    }
}
