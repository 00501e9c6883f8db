//! `bench`.

use std::path::PathBuf;

use clap::Args;

use super::exit::{Exit, Outcome};
use super::{Settings, print, print_json};
use crate::bench::{Plan, run};

/// Without `--views`, everything about the ledger is measured by default; with it, only what else is asked for.
#[derive(Debug, Args)]
pub(super) struct Bench {
    /// Sizes of the log to measure at, ascending [default: 10000,100000,1000000; none with --views]
    #[arg(long, value_name = "EVENTS", value_delimiter = ',')]
    events: Option<Vec<u64>>,
    /// Commits of the repository that is imported; 0 leaves that out [default: 10000; 0 with --views]
    #[arg(long, value_name = "COMMITS")]
    import_commits: Option<usize>,
    /// Webhooks of a round; 0 leaves them out [default: 4000; 0 with --views]
    #[arg(long, value_name = "N")]
    webhooks: Option<u64>,
    /// Components of the bill of materials that is recorded; 0 leaves that out [default: 100000; 0 with --views]
    #[arg(long, value_name = "N")]
    sbom_components: Option<u64>,
    /// Sizes, ascending, of logs with a year of an invented shop, to measure the projections at
    #[arg(long, value_name = "EVENTS", value_delimiter = ',')]
    views: Vec<u64>,
    /// Services of that shop
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    services: u64,
    /// Keep the logs of --views in --dir, and take those that an earlier run kept there
    #[arg(long)]
    keep: bool,
    /// Where to put the files, which are removed at the end: the disk to measure [default: the working directory]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

pub(super) async fn bench(settings: &Settings, args: Bench) -> Result<Outcome, Exit> {
    let whole = args.views.is_empty();
    let sizes = args.events.unwrap_or_else(|| if whole { vec![10_000, 100_000, 1_000_000] } else { Vec::new() });
    if (whole && sizes.is_empty()) || !sizes.is_sorted() {
        return Err(Exit::usage("--events: give sizes, ascending"));
    }
    if !args.views.is_sorted() {
        return Err(Exit::usage("--views: give sizes, ascending"));
    }
    let dir = args.dir.unwrap_or_else(|| PathBuf::from("."));
    let plan = Plan {
        sizes,
        commits: args.import_commits.unwrap_or(if whole { 10_000 } else { 0 }),
        webhooks: args.webhooks.unwrap_or(if whole { 4_000 } else { 0 }),
        components: args.sbom_components.unwrap_or(if whole { 100_000 } else { 0 }),
        views: args.views,
        services: args.services,
        keep: args.keep,
        dir,
    };
    let say = |what: &str| tracing::info!("{what}");
    // What is interrupted is cleared away, too.
    let report = tokio::select! {
        report = run(&plan, &say) => report.map_err(|error| Exit::no(format!("{error:#}")))?,
        _ = tokio::signal::ctrl_c() => return Err(Exit::no("interrupted: nothing was measured")),
    };
    if settings.json {
        return print_json(&report);
    }
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::NOTHING).set_header(["what : floor", "events", "ours", "floor", "ratio"]);
    for row in report.rows() {
        table.add_row(row);
    }
    print(&format!("{table}\n"))
}
