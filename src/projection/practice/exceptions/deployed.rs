//! Exceptions about deployments: what was deployed past the process, and when it should not have been.

use rusqlite::params;

use super::super::super::deployment::{self, Class, Deployment};
use super::super::super::{Result, Snapshot};
use super::change::Repositories;
use super::image::Builds;
use super::{Audit, Case, Kind, change, desired, image, short};
use crate::event::{Data, Name, Timestamp};

/// Kinds that are looked for deployment by deployment.
const KINDS: [Kind; 7] = [
    Kind::ImageWithoutBuild,
    Kind::DeployedWithoutChange,
    Kind::DeployedWithoutReview,
    Kind::DeployedPastGit,
    Kind::DeployedByHand,
    Kind::DeployedOffBranch,
    Kind::DeployedInFreeze,
];

pub(super) fn find(audit: &mut Audit<'_>) -> Result<()> {
    if !KINDS.iter().any(|kind| audit.asks(*kind)) {
        return Ok(());
    }
    let (snapshot, basis, query) = (audit.snapshot, audit.basis, audit.query);
    let (from, to) = audit.window();
    let to = to.min(audit.horizon);
    let targets = deployment::targets(snapshot, basis, query.environment.as_deref(), query.service.as_deref())?;
    // By instant, over all targets: there is no index of that, and a target has few deployments.
    let mut effects = Vec::new();
    for (n, target) in targets.iter().enumerate() {
        let of_target = deployment::effects(snapshot, basis, target, (from, to))?;
        effects.extend(of_target.into_iter().map(|(at, key, rollout)| (at, key, n, rollout)));
    }
    effects.sort_unstable();
    let (mut repositories, mut builds) = (Repositories::default(), Builds::default());
    let freezes = if audit.asks(Kind::DeployedInFreeze) { freezes(audit)? } else { Vec::new() };
    let mut pace = audit.pace();
    for (at, _, n, rollout) in effects {
        if !audit.goes_on(&mut pace, at) {
            break;
        }
        let found = deployment::of_rollout(snapshot, basis, rollout)?;
        let (Some((_, deployment)), Some(target)) = (found, targets.get(n)) else { continue };
        let before = deployment.replaced.map(|rollout| deployment::of_rollout(snapshot, basis, rollout)).transpose()?;
        let case = Case {
            stream: format!("target/{}/{}", target.environment, target.service),
            target: target.clone(),
            event: snapshot.event(deployment.position)?,
            before: before.flatten().map(|(_, before)| before),
            deployment,
        };
        in_freeze(audit, &freezes, &case);
        // A redeployment brings nothing.
        if case.deployment.class == Some(Class::Redeploy) {
            continue;
        }
        image::judge(audit, &mut builds, &case)?;
        change::judge(audit, &mut repositories, &case)?;
        desired::judge(audit, &case)?;
        by_hand(audit, &case)?;
    }
    Ok(())
}

/// A time in which nothing was to be deployed.
struct Freeze {
    name: String,
    from: i64,
    to: Option<i64>,
    environments: Option<Vec<Name>>,
    services: Option<Vec<Name>>,
    excepts_roles: bool,
    position: u64,
}

/// Every freeze, by its beginning. It ends when that is told, or at the instant it named.
fn freezes(audit: &Audit<'_>) -> Result<Vec<Freeze>> {
    let snapshot: &Snapshot<'_> = audit.snapshot;
    let mut statement = snapshot
        .connection
        .prepare_cached("SELECT position FROM freeze_fact WHERE kind = 0 AND position < ?1 ORDER BY at, key")?;
    let mut ends = snapshot.connection.prepare_cached(
        "SELECT end.position FROM freeze_fact AS end JOIN name ON name.id = end.freeze \
         WHERE name.text = ?1 AND end.kind = 1 AND end.position < ?2 ORDER BY end.at, end.key",
    )?;
    let mut rows = statement.query([audit.known()])?;
    let mut freezes = Vec::new();
    while let Some(row) = rows.next()? {
        let position = row.get::<_, i64>(0)?.unsigned_abs();
        let Data::FreezeStarted(start) = snapshot.event(position)?.data else { continue };
        let from = start.starts_at.micros();
        let mut to = start.ends_at.map(Timestamp::micros);
        let mut ends = ends.query(params![start.freeze.as_str(), audit.known()])?;
        while let Some(row) = ends.next()? {
            let Data::FreezeEnded(end) = snapshot.event(row.get::<_, i64>(0)?.unsigned_abs())?.data else { continue };
            let ended = end.ended_at.micros();
            if ended >= from {
                to = Some(to.map_or(ended, |to| to.min(ended)));
                break;
            }
        }
        freezes.push(Freeze {
            name: start.freeze.to_string(),
            from,
            to,
            environments: start.environments,
            services: start.services,
            excepts_roles: start.except_roles.is_some_and(|roles| !roles.is_empty()),
            position,
        });
    }
    Ok(freezes)
}

fn in_freeze(audit: &mut Audit<'_>, freezes: &[Freeze], case: &Case) {
    if !audit.asks(Kind::DeployedInFreeze) {
        return;
    }
    let at = case.at();
    audit.looked(Kind::DeployedInFreeze, at);
    let holds = |names: &Option<Vec<Name>>, is: &str| {
        names.as_ref().is_none_or(|names| names.is_empty() || names.iter().any(|name| name.as_str() == is))
    };
    let held = freezes.iter().find(|freeze| {
        freeze.from <= at
            && freeze.to.is_none_or(|to| at < to)
            && holds(&freeze.environments, &case.target.environment)
            && holds(&freeze.services, &case.target.service)
    });
    let Some(freeze) = held else { return };
    let but = if freeze.excepts_roles { "; the freeze excepts some roles" } else { "" };
    let what = format!("{} took effect in freeze {}{but}", told(case), freeze.name);
    audit.add(case.exception(Kind::DeployedInFreeze, what).backed_by(freeze.position));
}

/// A deployment as sentences have it.
pub(super) fn told(case: &Case) -> String {
    let word = if case.deployment.class == Some(Class::Rollback) { "rollback" } else { "deployment" };
    format!("{word} {} of {}", case.deployment.id, short(&case.stream))
}

/// Who began it did so by hand, though others began by themselves, by a command, or from a pipeline.
fn by_hand(audit: &mut Audit<'_>, case: &Case) -> Result<()> {
    let deployment: &Deployment = &case.deployment;
    if !audit.asks(Kind::DeployedByHand) || deployment.automated.is_none() {
        return Ok(());
    }
    audit.looked(Kind::DeployedByHand, case.at());
    if deployment.automated == Some(true) || deployment.command.is_some() || run(&case.event.data) {
        return Ok(());
    }
    if !deployment::is_usually_automatic(audit.snapshot, audit.basis, &case.target)? {
        let reason = "no deployment of it ever began by itself or by a command";
        audit.could_not_judge(Kind::DeployedByHand, case.at(), short(&case.stream), reason);
        return Ok(());
    }
    let mut exception = case.exception(Kind::DeployedByHand, format!("{} was begun by hand", told(case)));
    exception.missing.push("a pipeline run or a command that it names".to_owned());
    audit.add(exception);
    Ok(())
}

/// Whether an event names the pipeline run that deployed.
fn run(data: &Data) -> bool {
    match data {
        Data::SyncSucceeded(sync) => sync.run.is_some(),
        Data::SyncFailed(sync) => sync.run.is_some(),
        _ => false,
    }
}
