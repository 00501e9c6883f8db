//! The names of what was gathered: which commit a change is, and which deployment brought it.

use super::super::deployment::Origin;
use super::super::{Result, Snapshot, source};
use super::deployed;
use super::gather::Change;

/// The commit of a change.
///
/// # Errors
/// `Database`.
pub fn commit_of(snapshot: &Snapshot<'_>, change: &Change) -> Result<Origin> {
    let (revision, repository) = source::place(snapshot.connection, change.commit)?;
    Ok(Origin { repository, revision })
}

/// The deployment that brought a change, by the source's id of it.
///
/// # Errors
/// `Database`.
pub fn deployment_of(snapshot: &Snapshot<'_>, change: &Change) -> Result<String> {
    deployed::name_of(snapshot.connection, change.rollout)
}
