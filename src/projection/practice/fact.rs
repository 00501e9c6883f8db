//! What an event is out of the ordinary by itself, or may turn out to be beside others: pure.

use super::super::Event;
use crate::event::change::ReviewState;
use crate::event::target::{
    ActionAudited, Application, DigestOrigin, Guard, GuardChanged, Image, Operation, ScaleCause,
};
use crate::event::{Data, EventType};

/// How long after it happened an event may be recorded without being late: a day, in microseconds.
pub(super) const LATE: i64 = 24 * 60 * 60 * 1_000_000;

/// What an event may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Notable {
    TagMoved = 0,
    TagDeleted = 1,
    ImageTagRepointed = 2,
    ForcedPush = 3,
    Merge = 4,
    Bypassed = 5,
    Hotfix = 6,
    Approval = 7,
    BreakGlass = 8,
    GuardOff = 9,
    ScaledByHand = 10,
    Late = 11,
    Partial = 12,
}

/// Everything that an event may be.
pub(super) fn notables(event: &Event) -> Vec<Notable> {
    let mut found = Vec::new();
    let mut add = |so: bool, notable: Notable| {
        if so {
            found.push(notable);
        }
    };
    match &event.data {
        Data::TagMoved(_) => add(true, Notable::TagMoved),
        Data::TagDeleted(_) => add(true, Notable::TagDeleted),
        Data::TagRepointed(repointed) => add(repointed.before.is_some(), Notable::ImageTagRepointed),
        Data::BranchUpdated(update) => add(update.forced == Some(true), Notable::ForcedPush),
        Data::ChangeMerged(merge) => {
            let bypassed = merge.protection.as_ref().and_then(|protection| protection.bypassed);
            add(true, Notable::Merge);
            add(bypassed == Some(true), Notable::Bypassed);
            add(merge.hotfix == Some(true), Notable::Hotfix);
        }
        Data::ChangeReviewed(review) => add(review.state == ReviewState::Approved, Notable::Approval),
        Data::PromotionRequested(request) => {
            add(request.break_glass == Some(true), Notable::BreakGlass);
            add(request.hotfix == Some(true), Notable::Hotfix);
        }
        Data::SyncSucceeded(sync) => {
            add(sync.hotfix == Some(true), Notable::Hotfix);
            add(is_partial(sync.operation.as_ref()), Notable::Partial);
        }
        Data::SyncFailed(sync) => {
            add(is_partial(sync.operation.as_ref()) && sync.effective == Some(true), Notable::Partial);
        }
        Data::PromotionApproved(_) => add(true, Notable::Approval),
        Data::GuardChanged(change) => add(off(change) == Some(true), Notable::GuardOff),
        Data::WorkloadScaled(scaled) => add(scaled.cause == ScaleCause::Manual, Notable::ScaledByHand),
        _ => {}
    }
    add(is_late(event), Notable::Late);
    found
}

/// Whether single resources were synced, and not only for show.
fn is_partial(operation: Option<&Operation>) -> bool {
    operation.is_some_and(|operation| operation.partial == Some(true) && operation.dry_run != Some(true))
}

/// Whether an image is asked for by its tag: what it names can change without anybody asking for it. A digest that was
/// found out from the running pods or the registry pins nothing.
pub(super) fn is_by_tag(image: &Image) -> bool {
    let found_out = matches!(image.digest_origin, Some(DigestOrigin::Live | DigestOrigin::Registry));
    image.tag.is_some() && (image.digest.is_none() || found_out)
}

/// Whether a change of a guard left less guarded than before; none for what is no guard that can be switched.
pub(super) fn off(change: &GuardChanged) -> Option<bool> {
    let on = |value: &Option<String>| value.as_deref() == Some("true");
    match change.guard {
        Guard::AutomatedSync | Guard::SelfHeal | Guard::Prune => Some(!on(&change.after)),
        Guard::AllowEmpty | Guard::SkipReconcile => Some(on(&change.after)),
        Guard::IgnoreDifferences => Some(change.after.is_some()),
        Guard::TargetRevision | Guard::Source | Guard::Parameters | Guard::Project | Guard::Destination => None,
    }
}

/// Whether it was recorded long after it happened, of what should be recorded as it happens. What is read from a
/// repository's history is history, and old for that reason alone.
fn is_late(event: &Event) -> bool {
    let Some(event_type) = event.data.event_type() else { return false };
    let told_as_it_happens = matches!(
        event_type,
        EventType::ChangeReviewed
            | EventType::ChangeMerged
            | EventType::BuildFinished
            | EventType::ScanFinished
            | EventType::SyncStarted
            | EventType::SyncSucceeded
            | EventType::SyncFailed
            | EventType::SyncTerminated
            | EventType::ValidationFinished
            | EventType::PromotionApproved
            | EventType::IncidentOpened
            | EventType::IncidentResolved
            | EventType::FreezeStarted
            | EventType::FreezeEnded
            | EventType::PolicyChanged
    );
    let from_history = event.envelope.source.as_str().starts_with("git/");
    told_as_it_happens && !from_history && event.envelope.recorded_at.micros().saturating_sub(event.at) > LATE
}

/// The application that an event of a target is about.
pub(super) fn application(data: &Data) -> Option<&Application> {
    match data {
        Data::SyncStarted(it) => it.application.as_ref(),
        Data::SyncSucceeded(it) => it.application.as_ref(),
        Data::SyncFailed(it) => it.application.as_ref(),
        Data::SyncTerminated(it) => it.application.as_ref(),
        Data::HealthChanged(it) => it.application.as_ref(),
        Data::DriftOpened(it) => it.application.as_ref(),
        Data::DriftClosed(it) => it.application.as_ref(),
        Data::GuardChanged(it) => it.application.as_ref(),
        _ => None,
    }
}

/// The images that an event says are deployed.
pub(super) fn images(data: &Data) -> &[Image] {
    let images = match data {
        Data::SyncStarted(it) => it.images.as_ref(),
        Data::SyncSucceeded(it) => it.images.as_ref(),
        Data::SyncFailed(it) => it.images.as_ref(),
        _ => None,
    };
    images.map_or(&[], Vec::as_slice)
}

/// Whether an action changed something that drift can be of.
pub(super) fn changed_something(action: &ActionAudited) -> bool {
    let answered = action.response_code.is_none_or(|code| (200..300).contains(&code));
    answered && action.subresource.as_deref() != Some("status")
}
