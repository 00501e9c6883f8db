//! Exceptions that one event tells of.

use rusqlite::{OptionalExtension, params};

use super::super::super::{Event, Result, Snapshot, deployment, source};
use super::super::fact::{Notable, is_by_tag};
use super::super::fold::{FROM, INTO};
use super::{Audit, Exception, Kind, counted, short};
use crate::event::artifact::TagRepointed;
use crate::event::{Data, Subject};

pub(super) fn find(audit: &mut Audit<'_>) -> Result<()> {
    each(audit, Kind::TagMoved, Notable::TagMoved, tag_moved)?;
    each(audit, Kind::TagDeleted, Notable::TagDeleted, tag_deleted)?;
    each(audit, Kind::ForcedPush, Notable::ForcedPush, forced_push)?;
    each(audit, Kind::MergeBypassed, Notable::Bypassed, bypassed)?;
    each(audit, Kind::ImageTagRepointed, Notable::ImageTagRepointed, repointed)?;
    each(audit, Kind::PartialSync, Notable::Partial, partial)?;
    each(audit, Kind::Hotfix, Notable::Hotfix, hotfix)?;
    each(audit, Kind::BreakGlass, Notable::BreakGlass, break_glass)?;
    each(audit, Kind::ScaledByHand, Notable::ScaledByHand, scaled)?;
    each(audit, Kind::LateEvent, Notable::Late, late)
}

/// Looks at every event that may be an exception of a kind.
pub(super) fn each<'a>(
    audit: &mut Audit<'a>,
    kind: Kind,
    notable: Notable,
    look: impl Fn(&mut Audit<'a>, &Event) -> Result<()>,
) -> Result<()> {
    if audit.asks(kind) {
        let window = audit.window();
        each_of(audit, notable, window, look)?;
    }
    Ok(())
}

/// The same, for any kind and time.
pub(super) fn each_of<'a>(
    audit: &mut Audit<'a>,
    notable: Notable,
    (from, to): (i64, i64),
    look: impl Fn(&mut Audit<'a>, &Event) -> Result<()>,
) -> Result<()> {
    let snapshot: &'a Snapshot<'a> = audit.snapshot;
    let mut statement = snapshot.connection.prepare_cached(
        "SELECT at, position FROM notable WHERE kind = ?1 AND at >= ?2 AND at < ?3 AND position < ?4 ORDER BY at, key",
    )?;
    let mut rows = statement.query(params![notable as i64, from, to, audit.known()])?;
    let mut pace = audit.pace();
    while let Some(row) = rows.next()? {
        if !audit.goes_on(&mut pace, row.get(0)?) {
            break;
        }
        look(audit, &snapshot.event(row.get::<_, i64>(1)?.unsigned_abs())?)?;
    }
    Ok(())
}

pub(super) fn pseudonym(subject: Option<&Subject>) -> Option<String> {
    subject.map(ToString::to_string)
}

pub(super) fn actor(event: &Event) -> Option<String> {
    event.envelope.actor.as_ref().map(ToString::to_string)
}

fn tag_moved(audit: &mut Audit<'_>, event: &Event) -> Result<()> {
    let Data::TagMoved(moved) = &event.data else { return Ok(()) };
    audit.looked(Kind::TagMoved, event.at);
    let of = release(audit, event, &moved.tag, Some(moved.before.as_str()))?
        .map_or_else(String::new, |of| format!(", {of},"));
    let what = format!(
        "tag {}{of} of {} was moved from commit {} to {}",
        moved.tag,
        short(event.stream()),
        moved.before,
        moved.after
    );
    audit.add(
        Exception::by(Kind::TagMoved, event, what).done_by(pseudonym(moved.tagger.as_ref()).or_else(|| actor(event))),
    );
    Ok(())
}

fn tag_deleted(audit: &mut Audit<'_>, event: &Event) -> Result<()> {
    let Data::TagDeleted(deleted) = &event.data else { return Ok(()) };
    audit.looked(Kind::TagDeleted, event.at);
    let before = deleted.before.as_ref().map(|before| before.as_str());
    let Some(of) = release(audit, event, &deleted.tag, before)? else { return Ok(()) };
    let what = format!("tag {}, {of}, of {} was deleted", deleted.tag, short(event.stream()));
    audit.add(Exception::by(Kind::TagDeleted, event, what).done_by(actor(event)));
    Ok(())
}

/// Why a tag matters: it is of a release, or of a commit that was deployed. `before` is what it named, as far as the event
/// tells; it may be the tag object.
fn release(audit: &Audit<'_>, event: &Event, tag: &str, before: Option<&str>) -> Result<Option<&'static str>> {
    let connection = audit.snapshot.connection;
    let (Some(tag), Some(repository)) = (audit.snapshot.id(tag)?, audit.snapshot.id(event.stream())?) else {
        return Ok(None);
    };
    let mut statement = connection
        .prepare_cached("SELECT 1 FROM release WHERE tag = ?1 AND repository = ?2 AND position < ?3 LIMIT 1")?;
    if statement.exists(params![tag, repository, audit.known()])? {
        return Ok(Some("of a release"));
    }
    let mut statement = connection.prepare_cached(
        "SELECT commit_id FROM tag_fact WHERE tag = ?1 AND repository = ?2 AND (at, key) < (?3, ?4) AND position < ?5 \
         AND commit_id NOT NULL ORDER BY at DESC, key DESC LIMIT 1",
    )?;
    let parameters = params![tag, repository, event.at, event.key, audit.known()];
    let named: Option<i64> = statement.query_row(parameters, |row| row.get(0)).optional()?;
    let named = match named {
        Some(commit) => Some(source::place(connection, commit)?.0),
        None => before.map(str::to_owned),
    };
    let Some(named) = named else { return Ok(None) };
    Ok(was_deployed(audit, event.stream(), &named)?.then_some("of a commit that was deployed"))
}

/// Whether a commit was deployed: named by the deployer, or built into what was deployed.
fn was_deployed(audit: &Audit<'_>, repository: &str, commit: &str) -> Result<bool> {
    let (snapshot, known) = (audit.snapshot, audit.known());
    let mut statement = snapshot
        .connection
        .prepare_cached("SELECT 1 FROM deployment WHERE source_commit = ?1 AND known_from < ?2 LIMIT 1")?;
    for origin in [format!("{repository}@{commit}"), format!("@{commit}")] {
        if let Some(origin) = snapshot.id(&origin)?
            && statement.exists(params![origin, known])?
        {
            return Ok(true);
        }
    }
    let Some(oid) = snapshot.id(commit)? else { return Ok(false) };
    let mut statement = snapshot.connection.prepare_cached(
        "SELECT 1 FROM git_commit JOIN build ON build.commit_id = git_commit.id AND build.position < ?2 \
         JOIN image_list ON image_list.image = build.artifact \
         JOIN deployment ON deployment.images = image_list.images AND deployment.known_from < ?2 \
         WHERE git_commit.oid = ?1 LIMIT 1",
    )?;
    Ok(statement.exists(params![oid, known])?)
}

fn forced_push(audit: &mut Audit<'_>, event: &Event) -> Result<()> {
    let Data::BranchUpdated(update) = &event.data else { return Ok(()) };
    audit.looked(Kind::ForcedPush, event.at);
    if is_for_changes_alone(audit, event.stream(), &update.branch)? {
        return Ok(());
    }
    let commit = |commit: Option<&crate::event::GitOid>| {
        commit.map_or_else(|| "a commit that was not told".to_owned(), |commit| format!("commit {commit}"))
    };
    let what = format!(
        "history of branch {} of {} was rewritten: from {} to {}",
        update.branch,
        short(event.stream()),
        commit(update.before.as_ref()),
        commit(update.after.as_ref())
    );
    audit.add(Exception::by(Kind::ForcedPush, event, what).done_by(actor(event)));
    Ok(())
}

/// Whether a change came from a branch and none ever went into it: to rewrite it before the merge is everyday work.
fn is_for_changes_alone(audit: &Audit<'_>, repository: &str, branch: &str) -> Result<bool> {
    let (Some(repository), Some(branch)) = (audit.snapshot.id(repository)?, audit.snapshot.id(branch)?) else {
        return Ok(false);
    };
    let mut statement = audit.snapshot.connection.prepare_cached(
        "SELECT 1 FROM change_branch WHERE repository = ?1 AND branch = ?2 AND role = ?3 AND position < ?4",
    )?;
    let mut has = |role: i64| statement.exists(params![repository, branch, role, audit.known()]);
    Ok(has(FROM)? && !has(INTO)?)
}

fn bypassed(audit: &mut Audit<'_>, event: &Event) -> Result<()> {
    let Data::ChangeMerged(merge) = &event.data else { return Ok(()) };
    audit.looked(Kind::MergeBypassed, event.at);
    let what =
        format!("change {} of {} was merged into {} past a rule", merge.change, short(event.stream()), merge.base);
    audit.add(Exception::by(Kind::MergeBypassed, event, what).done_by(pseudonym(merge.merged_by.as_ref())));
    Ok(())
}

/// A tag in a registry names something else: an exception for each target that ran what it had named.
fn repointed(audit: &mut Audit<'_>, event: &Event) -> Result<()> {
    let Data::TagRepointed(moved) = &event.data else { return Ok(()) };
    let Some(image) = audit.snapshot.id(&format!("{}:{}", moved.name, moved.tag))? else { return Ok(()) };
    let snapshot: &Snapshot<'_> = audit.snapshot;
    let mut statement = snapshot.connection.prepare_cached(
        "SELECT name.text FROM deployed_tag JOIN name ON name.id = deployed_tag.stream \
         WHERE deployed_tag.image = ?1 AND deployed_tag.position < ?2 ORDER BY name.text",
    )?;
    let streams: Vec<String> =
        statement.query_map(params![image, audit.known()], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    for stream in streams {
        if !audit.asks_for_stream(&stream) {
            continue;
        }
        audit.looked(Kind::ImageTagRepointed, event.at);
        if let Some(ran) = ran_by_tag(audit, &stream, event, moved)? {
            let now = event.stream().strip_prefix("artifact/").unwrap_or_default();
            let before = moved.before.as_ref().map_or_else(String::new, ToString::to_string);
            let what = format!(
                "tag {}:{} was pointed from {before} to {now} while {} ran it by that tag",
                moved.name,
                moved.tag,
                short(&stream)
            );
            let exception = Exception::at(Kind::ImageTagRepointed, (event.at, event.key), &stream, what);
            audit.add(exception.backed_by(event.position.unsigned_abs()).backed_by(ran).done_by(actor(event)));
        }
    }
    Ok(())
}

/// The event of the deployment that a target ran at the time of `event` and that asked for an image by the tag alone.
fn ran_by_tag(audit: &Audit<'_>, stream: &str, event: &Event, moved: &TagRepointed) -> Result<Option<u64>> {
    let (snapshot, basis) = (audit.snapshot, audit.basis);
    let Some((environment, service)) = deployment::target_of(stream) else { return Ok(None) };
    let targets = deployment::targets(snapshot, basis, Some(environment), Some(service))?;
    let Some(target) = targets.first() else { return Ok(None) };
    let Some(ran) = deployment::state(snapshot, basis, target, super::instant(event.at))? else { return Ok(None) };
    let now = event.stream().strip_prefix("artifact/");
    let of_the_tag = |image: &&deployment::RunningImage| {
        image.name == moved.name && image.tag.as_ref() == Some(&moved.tag) && image.digest.as_deref() != now
    };
    if !ran.images.iter().any(|image| of_the_tag(&image)) {
        return Ok(None);
    }
    let told = snapshot.event(ran.position)?;
    let pinned = super::super::fact::images(&told.data)
        .iter()
        .any(|image| image.name == moved.name && image.tag.as_ref() == Some(&moved.tag) && !is_by_tag(image));
    Ok((!pinned).then_some(ran.position))
}

fn partial(audit: &mut Audit<'_>, event: &Event) -> Result<()> {
    if !audit.asks_for_stream(event.stream()) {
        return Ok(());
    }
    audit.looked(Kind::PartialSync, event.at);
    let operation = match &event.data {
        Data::SyncSucceeded(sync) => sync.operation.as_ref(),
        Data::SyncFailed(sync) => sync.operation.as_ref(),
        _ => None,
    };
    let Some(operation) = operation else { return Ok(()) };
    let resources = operation.resources.iter().flatten().map(|it| format!("{} {}", it.kind, it.name));
    let named: Vec<_> = resources.take(5).collect();
    let total = operation.resources_total.map_or(named.len(), |total| usize::try_from(total).unwrap_or(usize::MAX));
    let list = if named.is_empty() { String::new() } else { format!(": {}", named.join(", ")) };
    let more = if total > named.len() && !named.is_empty() { ", and more" } else { "" };
    let (resources, of) = (counted(total, "resource"), short(event.stream()));
    let what = format!("a sync of {of} named {resources} and left the rest as it was{list}{more}");
    let who = pseudonym(operation.initiated_by.as_ref()).or_else(|| actor(event));
    audit.add(Exception::by(Kind::PartialSync, event, what).done_by(who));
    Ok(())
}

fn hotfix(audit: &mut Audit<'_>, event: &Event) -> Result<()> {
    let (what, who, environment) = match &event.data {
        Data::ChangeMerged(merge) => {
            let what = format!("change {} of {} was declared an urgent repair", merge.change, short(event.stream()));
            (what, pseudonym(merge.author.as_ref()), None)
        }
        Data::PromotionRequested(request) => {
            let what = format!("{} to {} was declared an urgent repair", event.stream(), request.environment);
            (what, pseudonym(request.requested_by.as_ref()), Some(request.environment.to_string()))
        }
        _ => (format!("a deployment of {} was declared an urgent repair", short(event.stream())), actor(event), None),
    };
    let exception = Exception::by(Kind::Hotfix, event, what).done_by(who);
    add_of(audit, exception, environment);
    Ok(())
}

/// Adds an exception that is of a target, or at least of an environment.
fn add_of(audit: &mut Audit<'_>, mut exception: Exception, environment: Option<String>) {
    exception.environment = exception.environment.or(environment);
    if audit.asks_for(exception.environment.as_deref(), exception.service.as_deref()) {
        audit.looked(exception.kind, exception.at.micros());
        audit.add(exception);
    }
}

fn break_glass(audit: &mut Audit<'_>, event: &Event) -> Result<()> {
    let Data::PromotionRequested(request) = &event.data else { return Ok(()) };
    let what = format!("{} to {} was to pass over its gates in an emergency", event.stream(), request.environment);
    let exception = Exception::by(Kind::BreakGlass, event, what).done_by(pseudonym(request.requested_by.as_ref()));
    add_of(audit, exception, Some(request.environment.to_string()));
    Ok(())
}

fn scaled(audit: &mut Audit<'_>, event: &Event) -> Result<()> {
    let Data::WorkloadScaled(scaled) = &event.data else { return Ok(()) };
    if !audit.asks_for_stream(event.stream()) {
        return Ok(());
    }
    audit.looked(Kind::ScaledByHand, event.at);
    if scaled.command.is_some() {
        return Ok(());
    }
    let from = scaled.before.map_or_else(String::new, |before| format!("from {before} "));
    let desired = scaled.desired.map_or_else(String::new, |desired| format!("; Git asks for {desired}"));
    let what = format!(
        "{} {} of {} was scaled by hand {from}to {} replicas{desired}",
        scaled.workload.kind,
        scaled.workload.name,
        short(event.stream()),
        scaled.after
    );
    let who = pseudonym(scaled.requested_by.as_ref()).or_else(|| actor(event));
    audit.add(Exception::by(Kind::ScaledByHand, event, what).done_by(who));
    Ok(())
}

fn late(audit: &mut Audit<'_>, event: &Event) -> Result<()> {
    if !audit.asks_for_stream(event.stream()) {
        return Ok(());
    }
    audit.looked(Kind::LateEvent, event.at);
    let late = event.envelope.recorded_at.micros().saturating_sub(event.at) / 3_600_000_000;
    let event_type = event.data.event_type().map_or("an event", |event_type| event_type.as_str());
    let (of, late) = (event.stream(), counted(usize::try_from(late).unwrap_or(usize::MAX), "hour"));
    let what = format!("{event_type} of {of} was recorded {late} after it happened");
    audit.add(Exception::by(Kind::LateEvent, event, what).done_by(actor(event)));
    Ok(())
}
