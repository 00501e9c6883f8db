//! Deployments of images that desired state did not ask for.

use rusqlite::params;

use super::super::super::deployment::RunningImage;
use super::super::super::{Result, Snapshot};
use super::deployed::told;
use super::{Audit, Case, Kind, short};
use crate::event::{Data, Timestamp};

/// How long a deployer may take to see what desired state is: what was asked for an hour before a deployment began, or
/// since, may be what it brings.
const LAG: i64 = 3_600 * 1_000_000;

/// By how much clocks may differ.
const SKEW: i64 = 600 * 1_000_000;

/// Commits of desired state that are looked at for one deployment.
const COMMITS_MAX: usize = 50;

/// What a commit of desired state asks for.
struct Asked {
    commit: String,
    image: Option<RunningImage>,
    position: u64,
}

pub(super) fn judge(audit: &mut Audit<'_>, case: &Case) -> Result<()> {
    if !audit.asks(Kind::DeployedPastGit) {
        return Ok(());
    }
    let images: Vec<&RunningImage> = case.new_images().collect();
    for image in images {
        audit.looked(Kind::DeployedPastGit, case.at());
        let asked = asked_for(audit, case, &image.name)?;
        if asked.is_empty() {
            let reason = "no commit of desired state that names its images was recorded by then";
            audit.could_not_judge(Kind::DeployedPastGit, case.at(), short(&case.stream), reason);
            continue;
        }
        if asked.iter().any(|asked| asked.image.as_ref().is_some_and(|asked| may_be(asked, image))) {
            continue;
        }
        let newest = asked.first().map_or_else(String::new, |asked| {
            let image =
                asked.image.as_ref().map_or_else(|| "no such image any more".to_owned(), RunningImage::identity);
            format!(": commit {} asked for {image}", asked.commit)
        });
        let what = format!("{} runs {}, which desired state did not ask for{newest}", told(case), image.identity());
        let mut exception = case.exception(Kind::DeployedPastGit, what);
        exception.key = super::tie(&exception.key.to_string(), &image.identity());
        exception.missing.push(format!("a commit of desired state that asks for {}", image.identity()));
        audit.add(asked.iter().fold(exception, |exception, asked| exception.backed_by(asked.position)));
    }
    Ok(())
}

/// What desired state may have asked for of an image of that name: newest first.
fn asked_for(audit: &Audit<'_>, case: &Case, name: &str) -> Result<Vec<Asked>> {
    let began = case.deployment.started_at.map_or(case.at(), Timestamp::micros).min(case.at()).saturating_sub(LAG);
    let snapshot: &Snapshot<'_> = audit.snapshot;
    let mut statement = snapshot.connection.prepare_cached(
        "SELECT at, position FROM manifest_commit WHERE target = ?1 AND at <= ?2 AND position < ?3 \
         ORDER BY at DESC, key DESC",
    )?;
    let mut rows = statement.query(params![case.target.id, case.at().saturating_add(SKEW), audit.known()])?;
    let (mut all, mut looked) = (Vec::new(), 0);
    while let Some(row) = rows.next()? {
        let (at, position): (i64, i64) = (row.get(0)?, row.get(1)?);
        looked += 1;
        let Data::ManifestCommitted(commit) = snapshot.event(position.unsigned_abs())?.data else { continue };
        let edits = commit.images.iter().flatten();
        let of_the_name =
            edits.filter(|edit| [&edit.after, &edit.before].into_iter().flatten().any(|image| image.name == name));
        for edit in of_the_name {
            let image = edit.after.as_ref().filter(|after| after.name == name).map(RunningImage::from);
            let commit = commit.commit.to_string();
            all.push(Asked { commit, image, position: position.unsigned_abs() });
        }
        if looked == COMMITS_MAX || (at <= began && !all.is_empty()) {
            break;
        }
    }
    Ok(all)
}

/// Whether what was asked for may be what runs: the same digest, or the same tag where one of them has no digest.
fn may_be(asked: &RunningImage, runs: &RunningImage) -> bool {
    match (&asked.digest, &runs.digest) {
        (Some(asked), Some(runs)) => asked == runs,
        _ => asked.tag.is_none() || runs.tag.is_none() || asked.tag == runs.tag,
    }
}
