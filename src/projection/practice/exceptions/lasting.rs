//! Exceptions that last: drift, guards that are off, gaps, views that stand still; and applications made anew.

use rusqlite::{OptionalExtension, params};

use super::super::super::{Event, Result, Snapshot, deployment, instant};
use super::super::drift;
use super::super::fact::Notable;
use super::events::{actor, each_of, pseudonym};
use super::{Audit, Exception, Kind, counted, short};
use crate::event::Data;

pub(super) fn find(audit: &mut Audit<'_>) -> Result<()> {
    if audit.asks(Kind::Drift) {
        drifts(audit)?;
    }
    if audit.asks(Kind::GuardOff) {
        let window = audit.lasting();
        each_of(audit, Notable::GuardOff, window, guard_off)?;
    }
    if audit.asks(Kind::ApplicationRecreated) {
        recreated(audit)?;
    }
    if audit.asks(Kind::ObservationGap) {
        gaps(audit)?;
    }
    if audit.asks(Kind::ProjectionStopped) {
        stopped(audit)?;
    }
    Ok(())
}

/// How long something lasted.
fn minutes(from: i64, to: i64) -> String {
    counted(usize::try_from(to.saturating_sub(from) / 60_000_000).unwrap_or(0), "minute")
}

fn drifts(audit: &mut Audit<'_>) -> Result<()> {
    let (from, to) = audit.lasting();
    let snapshot: &Snapshot<'_> = audit.snapshot;
    let mut statement = snapshot.connection.prepare_cached(
        "SELECT stream, drift, at, key, position FROM drift_fact AS this \
         WHERE kind = 0 AND at >= ?1 AND at < ?2 AND position < ?3 \
         AND NOT EXISTS (SELECT 1 FROM drift_fact AS other WHERE other.stream = this.stream AND other.drift = this.drift \
           AND other.kind = 0 AND other.position < ?3 AND (other.at, other.key) < (this.at, this.key)) ORDER BY at, key",
    )?;
    let mut rows = statement.query(params![from, to, audit.known()])?;
    let mut pace = audit.pace();
    while let Some(row) = rows.next()? {
        let (stream, drift, at, key, position) = (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?);
        if !audit.goes_on(&mut pace, at) {
            break;
        }
        let stream_name = audit.text(stream)?;
        if !audit.asks_for_stream(&stream_name) {
            continue;
        }
        let opened = drift::Opened::new(snapshot, audit.basis, (stream, drift), (at, key), position)?;
        if !audit.reaches(opened.closed.map(|(at, _)| at)) {
            continue;
        }
        audit.looked(Kind::Drift, at);
        let episode = drift::episode(snapshot, audit.basis, &opened)?;
        let end = match (episode.closed_at, episode.end) {
            (Some(closed), Some(end)) => {
                format!("it ended after {} by {end}", minutes(at, closed.micros()))
            }
            _ => "it lasts".to_owned(),
        };
        let what =
            format!("live state of {} differed from desired state ({}); {end}", short(&stream_name), episode.cause);
        let mut exception = Exception::at(Kind::Drift, (at, key), &stream_name, what).backed_by(episode.position);
        exception.until = episode.closed_at;
        exception = episode.closed_by.into_iter().fold(exception, Exception::backed_by);
        audit.add(exception.done_by(episode.suspect));
    }
    Ok(())
}

fn guard_off(audit: &mut Audit<'_>, event: &Event) -> Result<()> {
    let Data::GuardChanged(change) = &event.data else { return Ok(()) };
    if !audit.asks_for_stream(event.stream()) {
        return Ok(());
    }
    let application = change.application.as_ref().map_or("", |application| application.name.as_str());
    let guard = audit.snapshot.id(&format!("{} {application}", change.guard))?;
    let mut statement = audit.snapshot.connection.prepare_cached(
        "SELECT at, position FROM guard_fact WHERE stream = ?1 AND guard = ?2 AND (at, key) > (?3, ?4) AND off = 0 \
         AND position < ?5 ORDER BY at, key LIMIT 1",
    )?;
    let parameters = params![audit.snapshot.id(event.stream())?, guard, event.at, event.key, audit.known()];
    let on: Option<(i64, i64)> = statement.query_row(parameters, |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    if !audit.reaches(on.map(|(at, _)| at)) {
        return Ok(());
    }
    audit.looked(Kind::GuardOff, event.at);
    let value = |value: &Option<String>| value.clone().unwrap_or_else(|| "absent".to_owned());
    let end = on
        .map_or_else(|| "it still is".to_owned(), |(at, _)| format!("it was put back after {}", minutes(event.at, at)));
    let by = if change.command.is_some() { ", by a command" } else { "" };
    let what = format!(
        "guard {} of {} was changed from {} to {}{by}; {end}",
        change.guard,
        short(event.stream()),
        value(&change.before),
        value(&change.after)
    );
    let who = pseudonym(change.changed_by.as_ref()).or_else(|| actor(event));
    let mut exception = Exception::by(Kind::GuardOff, event, what).done_by(who);
    exception.until = on.map(|(at, _)| instant(at));
    exception = on.into_iter().fold(exception, |exception, (_, position)| exception.backed_by(position.unsigned_abs()));
    audit.add(exception);
    Ok(())
}

/// Applications of another uid than the one that was known under their name before: since each was first seen, as later
/// sightings are kept or not by the order in which they came.
fn recreated(audit: &mut Audit<'_>) -> Result<()> {
    let (from, to) = audit.window();
    let snapshot: &Snapshot<'_> = audit.snapshot;
    let mut statement = snapshot.connection.prepare_cached(
        "SELECT this.at, this.key, this.position, stream.text, application.text, uid.text, \
           (SELECT position FROM application_fact AS old WHERE old.stream = this.stream \
             AND old.application = this.application AND old.uid <> this.uid AND old.position < ?3 \
             AND (old.at, old.key) < (this.at, this.key) \
             AND NOT EXISTS (SELECT 1 FROM application_fact AS same WHERE same.stream = old.stream \
               AND same.application = old.application AND same.uid = old.uid AND same.position < ?3 \
               AND (same.at, same.key) < (old.at, old.key)) ORDER BY old.at DESC, old.key DESC LIMIT 1) \
         FROM application_fact AS this JOIN name AS stream ON stream.id = this.stream \
         JOIN name AS application ON application.id = this.application JOIN name AS uid ON uid.id = this.uid \
         WHERE this.at >= ?1 AND this.at < ?2 AND this.position < ?3 \
         AND NOT EXISTS (SELECT 1 FROM application_fact AS same WHERE same.stream = this.stream \
           AND same.application = this.application AND same.uid = this.uid AND same.position < ?3 \
           AND (same.at, same.key) < (this.at, this.key)) ORDER BY this.at, this.key",
    )?;
    let mut rows = statement.query(params![from, to, audit.known()])?;
    let mut pace = audit.pace();
    while let Some(row) = rows.next()? {
        let (at, key, position): (i64, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
        if !audit.goes_on(&mut pace, at) {
            break;
        }
        let (stream, application, uid): (String, String, String) = (row.get(3)?, row.get(4)?, row.get(5)?);
        if !audit.asks_for_stream(&stream) {
            continue;
        }
        audit.looked(Kind::ApplicationRecreated, at);
        let Some(before) = row.get::<_, Option<i64>>(6)? else { continue };
        // The name stands behind the source.
        let name = application.rsplit_once(' ').map_or(application.as_str(), |(_, name)| name);
        let what = format!("application {name} of {} was made anew: its uid is {uid} now", short(&stream));
        let exception = Exception::at(Kind::ApplicationRecreated, (at, key), &stream, what);
        audit.add(exception.backed_by(position.unsigned_abs()).backed_by(before.unsigned_abs()));
    }
    Ok(())
}

fn gaps(audit: &mut Audit<'_>) -> Result<()> {
    let (from, to) = audit.lasting();
    let gaps = deployment::gaps(audit.snapshot, audit.basis, instant(i64::MIN), instant(i64::MAX))?;
    for gap in gaps {
        let (began, ended) = (gap.from.micros(), gap.to.micros());
        if began < from || began >= to || !audit.reaches(Some(ended)) {
            continue;
        }
        audit.looked(Kind::ObservationGap, began);
        let of = gap.observed.as_deref().unwrap_or("everything");
        let what = format!("the ledger was blind to {of}: {}", gap.reason);
        let event = audit.snapshot.event(gap.position)?;
        let mut exception = Exception::at(Kind::ObservationGap, (began, event.key), event.stream(), what);
        exception.until = Some(gap.to);
        audit.add(exception.backed_by(gap.position));
    }
    Ok(())
}

/// Views that stand still: as it is now, where that concerns what is asked of.
fn stopped(audit: &mut Audit<'_>) -> Result<()> {
    let (from, to) = audit.lasting();
    for status in audit.snapshot.statuses()? {
        let known = u64::try_from(audit.known()).unwrap_or(u64::MAX);
        let at = match &status.stopped {
            Some(stop) if stop.position < known => audit.snapshot.ledger().recorded_at(stop.position)?,
            // One that goes on is of no instant: it is counted with the first page.
            _ if from == i64::MIN => {
                audit.looked(Kind::ProjectionStopped, from);
                continue;
            }
            _ => continue,
        };
        audit.looked(Kind::ProjectionStopped, at.micros());
        let Some(stop) = status.stopped.filter(|_| at.micros() >= from && at.micros() < to) else { continue };
        let what = format!("the view {} stands still before event {}: {}", status.name, stop.position, stop.reason);
        let exception = Exception::at(Kind::ProjectionStopped, (at.micros(), 0), status.name, what);
        audit.add(exception.backed_by(stop.position));
    }
    Ok(())
}
