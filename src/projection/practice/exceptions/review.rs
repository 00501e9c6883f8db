//! Exceptions about reviews and approvals.

use rusqlite::{OptionalExtension, params};

use super::super::super::{Event, Result, instant, source};
use super::super::fact::Notable;
use super::events::{each_of, pseudonym};
use super::{Audit, Exception, Kind, short};
use crate::event::Data;
use crate::event::change::ChangeReviewed;
use crate::event::promotion::PromotionApproved;
use source::Change;

pub(super) fn find(audit: &mut Audit<'_>) -> Result<()> {
    if audit.asks(Kind::MergeUnreviewed) || audit.asks(Kind::StaleReview) {
        let window = audit.window();
        each_of(audit, Notable::Merge, window, merged)?;
    }
    if audit.asks(Kind::SelfApproval) || audit.asks(Kind::LateApproval) {
        let window = audit.window();
        each_of(audit, Notable::Approval, window, |audit, event| match &event.data {
            Data::ChangeReviewed(review) => reviewed(audit, event, review),
            Data::PromotionApproved(approval) => approved(audit, event, approval),
            _ => Ok(()),
        })?;
    }
    Ok(())
}

/// Why it cannot be said of a change whether it was reviewed, where it cannot: whoever told of its merge tells nothing of
/// reviews, or did not yet. Subject and reason.
pub(super) fn without_source(audit: &Audit<'_>, change: &Change) -> Result<Option<(String, &'static str)>> {
    if change.tells_approvals || !change.approvals.is_empty() {
        return Ok(None);
    }
    let since: Option<i64> = match audit.snapshot.id(&change.source)? {
        Some(source) => audit
            .snapshot
            .connection
            .prepare_cached("SELECT min(at) FROM review_source WHERE source = ?1 AND position < ?2")?
            .query_row(params![source, audit.known()], |row| row.get(0))?,
        None => None,
    };
    Ok(match since {
        None => Some((change.source.clone(), "this source never told of a review")),
        Some(since) if since > change.merged_at.micros() => {
            Some((change.source.clone(), "this source did not tell of reviews yet"))
        }
        Some(_) => None,
    })
}

/// What was looked for in vain where a change was not reviewed.
pub(super) fn no_approval(change: &Change, by: &str) -> String {
    let of = format!("an approval of change {} of {}", change.change, short(&change.repository));
    let own = change.approvals.iter().any(|approval| approval.by_author);
    let gone = change.approvals.iter().any(|approval| approval.until.is_some());
    let but = match (own, gone) {
        (true, _) => "; its author approved it",
        (_, true) => "; one was taken back",
        _ => "",
    };
    format!("{of} by somebody other than its author, {by}{but}")
}

fn merged(audit: &mut Audit<'_>, event: &Event) -> Result<()> {
    let Data::ChangeMerged(merge) = &event.data else { return Ok(()) };
    let Some(change) = change_of(audit, event.stream(), &merge.change)? else { return Ok(()) };
    // Others may have told of the same merge: the first of them counts.
    if change.merged != event.position.unsigned_abs() {
        return Ok(());
    }
    audit.looked(Kind::MergeUnreviewed, event.at);
    if change.was_reviewed(change.merged_at) {
        stale(audit, event, &change);
        return Ok(());
    }
    if !audit.asks(Kind::MergeUnreviewed) {
        return Ok(());
    }
    if let Some((subject, reason)) = without_source(audit, &change)? {
        audit.could_not_judge(Kind::MergeUnreviewed, event.at, &subject, reason);
        return Ok(());
    }
    let what =
        format!("change {} of {} was merged into {} without a review", merge.change, short(event.stream()), merge.base);
    let who = change.merged_by.clone().or_else(|| change.author.clone());
    let mut exception = Exception::by(Kind::MergeUnreviewed, event, what).done_by(who);
    exception.missing.push(no_approval(&change, "before the merge"));
    for approval in &change.approvals {
        exception = exception.backed_by(approval.position);
    }
    audit.add(exception);
    Ok(())
}

/// What was merged is not what others had approved. Where it is not known which commit one approved, that one counts.
fn stale(audit: &mut Audit<'_>, event: &Event, change: &Change) {
    if !audit.asks(Kind::StaleReview) {
        return;
    }
    audit.looked(Kind::StaleReview, event.at);
    let mut counting = change.approvals.iter().filter(|approval| approval.counts(change.merged_at));
    if counting.any(|approval| approval.of_head != Some(false)) {
        return;
    }
    let what = format!(
        "change {} of {} was merged with commits that came after its approval",
        change.change,
        short(&change.repository)
    );
    let who = change.merged_by.clone().or_else(|| change.author.clone());
    let mut exception = Exception::by(Kind::StaleReview, event, what).done_by(who);
    exception.missing.push(format!("an approval of the head that was merged, of change {}", change.change));
    let approvals = change.approvals.iter().filter(|approval| approval.counts(change.merged_at));
    audit.add(approvals.fold(exception, |exception, approval| exception.backed_by(approval.position)));
}

fn change_of(audit: &Audit<'_>, repository: &str, change: &str) -> Result<Option<Change>> {
    let (Some(repository), Some(change)) = (audit.snapshot.id(repository)?, audit.snapshot.id(change)?) else {
        return Ok(None);
    };
    source::change(audit.snapshot, audit.basis, repository, change)
}

fn reviewed(audit: &mut Audit<'_>, event: &Event, review: &ChangeReviewed) -> Result<()> {
    let (snapshot, basis) = (audit.snapshot, audit.basis);
    let reviewer = review.reviewer.to_string();
    let of = format!("change {} of {}", review.change, short(event.stream()));
    if audit.asks(Kind::SelfApproval) {
        audit.looked(Kind::SelfApproval, event.at);
        let author = match (&review.author, snapshot.id(event.stream())?, snapshot.id(&review.change)?) {
            (Some(author), ..) => Some(author.to_string()),
            (None, Some(repository), Some(change)) => source::author(snapshot, basis, repository, change)?,
            _ => None,
        };
        match author {
            Some(author) if author == reviewer => {
                let what = format!("{of} was approved by its author");
                audit.add(Exception::by(Kind::SelfApproval, event, what).done_by(Some(reviewer.clone())));
            }
            Some(_) => {}
            None => {
                let reason = "whose change it is was not told";
                audit.could_not_judge(Kind::SelfApproval, event.at, short(event.stream()), reason);
            }
        }
    }
    if audit.asks(Kind::LateApproval) {
        audit.looked(Kind::LateApproval, event.at);
        let Some(change) = change_of(audit, event.stream(), &review.change)? else { return Ok(()) };
        if change.merged_at < instant(event.at) {
            let before =
                if change.was_reviewed(change.merged_at) { "; somebody else had approved it before" } else { "" };
            let what = format!("{of} was approved after it was merged{before}");
            let exception = Exception::by(Kind::LateApproval, event, what).done_by(Some(reviewer));
            audit.add(exception.backed_by(change.merged));
        }
    }
    Ok(())
}

/// The first event of a kind in a promotion.
fn of_promotion(audit: &Audit<'_>, stream: &str, kind: i64) -> Result<Option<Event>> {
    let Some(promotion) = audit.snapshot.id(stream)? else { return Ok(None) };
    let mut statement = audit.snapshot.connection.prepare_cached(
        "SELECT position FROM promotion_fact WHERE promotion = ?1 AND kind = ?2 AND position < ?3 ORDER BY at, key LIMIT 1",
    )?;
    let parameters = params![promotion, kind, audit.known()];
    let position: Option<i64> = statement.query_row(parameters, |row| row.get(0)).optional()?;
    position.map(|position| audit.snapshot.event(position.unsigned_abs())).transpose()
}

fn approved(audit: &mut Audit<'_>, event: &Event, approval: &PromotionApproved) -> Result<()> {
    /// Kinds of facts of promotions.
    const REQUESTED: i64 = 0;
    const STARTED: i64 = 2;
    let approver = pseudonym(Some(&approval.approver));
    let request = of_promotion(audit, event.stream(), REQUESTED)?;
    let environment = match request.as_ref().map(|request| &request.data) {
        Some(Data::PromotionRequested(request)) => Some(request.environment.to_string()),
        _ => None,
    };
    let add = |audit: &mut Audit<'_>, mut exception: Exception| {
        exception.environment.clone_from(&environment);
        audit.add(exception.done_by(approver.clone()));
    };
    if let (Some(request), true) = (&request, audit.asks(Kind::SelfApproval)) {
        audit.looked(Kind::SelfApproval, event.at);
        let by = match &request.data {
            Data::PromotionRequested(request) => pseudonym(request.requested_by.as_ref()),
            _ => None,
        };
        if by.is_some() && by == approver {
            let what = format!("{} was approved by who asked for it", event.stream());
            add(audit, Exception::by(Kind::SelfApproval, event, what).backed_by(request.position.unsigned_abs()));
        }
    }
    if audit.asks(Kind::LateApproval) {
        audit.looked(Kind::LateApproval, event.at);
        let started = of_promotion(audit, event.stream(), STARTED)?.filter(|started| started.at < event.at);
        if started.is_some() || approval.after_the_fact == Some(true) {
            let what = format!("{} was approved after it had begun", event.stream());
            let exception = Exception::by(Kind::LateApproval, event, what);
            let backed = started.map(|started| started.position.unsigned_abs());
            add(audit, backed.into_iter().fold(exception, Exception::backed_by));
        }
    }
    Ok(())
}
