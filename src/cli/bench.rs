//! `bench`.

use std::path::PathBuf;

use clap::Args;

use super::exit::{Exit, Outcome};
use super::{Settings, print, print_json};
use crate::bench::{Plan, run};

#[derive(Debug, Args)]
pub(super) struct Bench {
    /// Sizes of the log to measure at, ascending
    #[arg(long, value_name = "EVENTS", value_delimiter = ',', default_values_t = [10_000, 100_000, 1_000_000])]
    events: Vec<u64>,
    /// Commits of the repository that is imported; 0 leaves that out
    #[arg(long, value_name = "COMMITS", default_value_t = 10_000)]
    import_commits: usize,
    /// Webhooks of a round; 0 leaves them out
    #[arg(long, value_name = "N", default_value_t = 4_000)]
    webhooks: u64,
    /// Components of the bill of materials that is recorded; 0 leaves that out
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    sbom_components: u64,
    /// Where to put the files, which are removed at the end: the disk to measure [default: the working directory]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

pub(super) async fn bench(settings: &Settings, args: Bench) -> Result<Outcome, Exit> {
    if args.events.is_empty() || !args.events.is_sorted() {
        return Err(Exit::usage("--events: give sizes, ascending"));
    }
    let dir = args.dir.unwrap_or_else(|| PathBuf::from("."));
    let plan = Plan {
        sizes: args.events,
        commits: args.import_commits,
        webhooks: args.webhooks,
        components: args.sbom_components,
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
