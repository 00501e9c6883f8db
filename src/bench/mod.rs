//! `plimsoll bench`: how fast the ledger is, as ratios to a floor that is measured in the same run on the same bytes.
//!
//! Ours and the floor take turns in short rounds, so that what else the machine does meets both. Server and clients are in
//! this process and talk over loopback; a start and its memory are measured on a process of their own.

mod append;
mod estate;
mod floor;
mod http;
mod import;
mod lookup;
mod material;
mod process;
mod read;
mod report;
mod rig;
mod sbom;
mod verify;
mod views;
mod webhook;

use std::path::{Path, PathBuf};

pub use estate::Filled;
pub use report::{Ratios, Report, Sized, Spread};
pub use sbom::Documents;
pub use views::{Answers, Viewed};

use rig::Rig;

/// What to measure.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Sizes of the log, ascending: what is measured is measured at each.
    pub sizes: Vec<u64>,
    /// Commits of the repository that is imported; 0 for no import.
    pub commits: usize,
    /// Webhooks of a round; 0 for none.
    pub webhooks: u64,
    /// Components of the bill of materials that is recorded; 0 for none.
    pub components: u64,
    /// Sizes of the logs that the projections are measured with, ascending; none for no such measurement.
    pub views: Vec<u64>,
    /// How many services those logs are of.
    pub services: u64,
    /// Whether those logs are kept for the next run, and those of an earlier one used.
    pub keep: bool,
    /// Where the files go. They are removed at the end, but for what is to be kept.
    pub dir: PathBuf,
}

/// What chance begins with, so that every run invents the same.
const SEED: u64 = 4;

/// How many rounds are measured: one where so little is asked for that only the doing can be of interest.
fn rounds(size: u64) -> usize {
    if size < 1_000 { 1 } else { 5 }
}

/// Anything that went wrong, with what was being done.
pub type Result<T, E = anyhow::Error> = std::result::Result<T, E>;

/// Runs the plan. `say` is told what comes next.
///
/// # Errors
/// Whatever fails; the files are removed all the same.
pub async fn run(plan: &Plan, say: &dyn Fn(&str)) -> Result<Report> {
    let scratch = rig::Scratch::new(&plan.dir)?;
    let mut report = Report::begin();
    report.sizes = ledger(plan, scratch.path(), say).await?;
    if plan.commits > 0 {
        say(&format!("importing a repository of {} commits", plan.commits));
        report.import = Some(import::measure(scratch.path(), plan.commits).await?);
    }
    if plan.webhooks > 0 {
        say(&format!("webhooks, {} a round", plan.webhooks));
        report.webhooks = Some(webhook::measure(scratch.path(), plan.webhooks).await?);
    }
    if plan.components > 0 {
        say(&format!("recording a bill of materials of {} components", plan.components));
        report.documents = Some(sbom::measure(scratch.path(), plan.components).await?);
    }
    for &events in &plan.views {
        say(&format!("{events} events of {} services", plan.services));
        let params = estate::Params { events, services: plan.services, seed: SEED };
        let parent = if plan.keep { &plan.dir } else { scratch.path() };
        let (data, filled) = estate::filled(parent, params).await?;
        say(&format!("{events} events: folding and asking"));
        report.estates.push(views::measure(&data, filled).await?);
    }
    Ok(report.conclude())
}

/// What is measured at each size of the log.
async fn ledger(plan: &Plan, scratch: &Path, say: &dyn Fn(&str)) -> Result<Vec<Sized>> {
    let mut sizes = Vec::new();
    if plan.sizes.is_empty() {
        return Ok(sizes);
    }
    let mut rig = Rig::start(scratch).await?;
    for &size in &plan.sizes {
        say(&format!("{size} events: appending in batches of {}", append::BATCH));
        let appended = append::stream(&mut rig, size).await?;
        say(&format!("{size} events: appending one by one"));
        let unary = append::unary(&mut rig, size).await?;
        say(&format!("{size} events: receipts"));
        let receipts = append::receipts(&rig, size).await?;
        say(&format!("{size} events: reading"));
        let reads = read::measure(&rig, size).await?;
        let gets = lookup::measure(&rig, size).await?;
        say(&format!("{size} events: verifying"));
        let verified = verify::measure(&rig, size).await?;
        let site = rig.stop().await?;
        say(&format!("{size} events: starting"));
        let started = process::measure(&site).await?;
        rig = site.restart().await?;
        sizes.push(Sized { events: size, appended, unary, receipts, reads, gets, verified, started });
    }
    drop(rig.stop().await?);
    Ok(sizes)
}
