//! The command line. Results on standard output, everything else on standard error.

mod access;
mod bench;
mod diff;
mod dora;
mod drift;
mod environment;
mod evidence;
mod exceptions;
mod exit;
mod exposure;
mod follow;
mod import;
mod keep;
mod normalise;
mod progress;
mod questions;
mod record;
mod report;
mod search;
mod serve;
mod show;
mod trace;
mod verify;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, CommandFactory, Parser, Subcommand};

use crate::config::Config;
use crate::ledger::{DataDir, Guard, Options};
use exit::{Exit, Outcome};

/// A deployment ledger: every commit, build, scan, sync and rollback, in an append-only log that anyone can verify.
#[derive(Debug, Parser)]
#[command(name = "plimsoll", version, about)]
struct Cli {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Command,
}

/// Flags of every command.
#[derive(Debug, Clone, Args)]
pub(crate) struct Common {
    /// The data directory [default: ./plimsoll-data]
    #[arg(long, global = true, env = "PLIMSOLL_DATA", value_name = "DIR")]
    data: Option<PathBuf>,
    /// Settings in TOML
    #[arg(long, global = true, env = "PLIMSOLL_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Talk to a running ledger instead of opening the data directory
    #[arg(long, global = true, env = "PLIMSOLL_SERVER", value_name = "URL")]
    server: Option<String>,
    /// Where the rollback guard is kept [default: ledger.guard in the data directory]
    #[arg(long, global = true, env = "PLIMSOLL_GUARD", value_name = "FILE")]
    guard: Option<PathBuf>,
    /// Print JSON for scripts
    #[arg(long, global = true)]
    json: bool,
}

/// Flags and settings file together.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    data: DataDir,
    server: Option<String>,
    guard: Option<PathBuf>,
    json: bool,
    config: Config,
}

impl Settings {
    /// How to open the data directory for writing: every command that writes must mind the same guard.
    fn options(&self, purpose: &str) -> Options {
        Options { guard: self.guard.clone(), ..Options::new(self.data.clone(), purpose) }
    }

    /// The rollback guard of a data directory.
    fn guard_of(&self, data: &DataDir) -> Guard {
        Guard::new(self.guard.clone().unwrap_or_else(|| data.guard()))
    }
}

impl Common {
    fn settings(self) -> Result<Settings, Exit> {
        let config = self.config.as_deref().map(Config::load).transpose().map_err(Exit::usage)?.unwrap_or_default();
        let data = self.data.or_else(|| config.data.clone()).unwrap_or_else(|| PathBuf::from("plimsoll-data"));
        let server = self.server.or_else(|| config.server.clone());
        let guard = self.guard.or_else(|| config.guard.clone());
        Ok(Settings { data: DataDir::new(data), server, guard, json: self.json, config })
    }
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a new ledger, with a key of its own
    Init(keep::Init),
    /// Run the ledger: gRPC and HTTP
    Serve(serve::Serve),
    /// Record what is there already
    #[command(subcommand)]
    Import(import::Import),
    /// Record a document, or an event of any type from flags or from JSON on standard input
    Record(Box<record::Record>),
    /// What events name: documents and payloads as they came in
    #[command(subcommand)]
    Evidence(evidence::Evidence),
    /// Print the events that a payload would become, and record nothing
    Normalise(normalise::Normalise),
    /// List every source with its formats and versions
    Sources,
    /// List events
    Log(show::Log),
    /// Show one event with everything that belongs to it
    Show(show::Show),
    /// Print an event's receipt: it verifies offline
    Receipt(show::ReceiptArgs),
    /// What ran in an environment, at any instant
    Env(environment::Env),
    /// Deployments of a service to an environment, and attempts at them
    Deployments(environment::Deployments),
    /// What differs between two instants of an environment, or between two environments
    Diff(diff::Diff),
    /// Times in which what ran differed from what should have run
    Drift(drift::Drift),
    /// The DORA figures and MTTR: how well software is delivered
    Dora(Box<dora::Dora>),
    /// The deployments, changes and incidents behind a figure
    Explain(Box<dora::Explain>),
    /// Everything that went past the usual way: the list that an auditor starts from
    Exceptions(exceptions::Exceptions),
    /// Where a commit, a change, an artifact or a deployment comes from, and where it went
    Trace(trace::Trace),
    /// Where words stand: in messages, titles, reasons and notes, in names, in who people are
    Search(search::Search),
    /// Where and when something ran that has a package or a vulnerability
    Exposure(exposure::Exposure),
    /// Environments and the services in them
    Targets(environment::Targets),
    /// Derive the views anew from the log
    Rebuild(environment::Rebuild),
    /// Verify a data directory, a published log or a receipt
    Verify(verify::Verify),
    /// Write the log as static files
    Export(keep::Export),
    /// The log's key
    #[command(subcommand)]
    Key(keep::Key),
    /// Copy the ledger while it is in use, or put such a copy back
    Backup(keep::Backup),
    /// Measure this machine: the ledger, as ratios to what the machine does without it
    Bench(bench::Bench),
    /// Print a completion script for a shell
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
}

/// Runs the program and returns its exit code: 0 yes or done, 1 a negative answer, 2 wrong use, 3 unreachable or busy.
pub fn run() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are printed to standard output and are no error.
            let code = u8::try_from(error.exit_code()).unwrap_or(2);
            return match error.print() {
                Ok(()) => ExitCode::from(code),
                Err(_) => ExitCode::from(2),
            };
        }
    };
    crate::telemetry::start(false);
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return Exit::busy(format!("cannot start: {error}")).report(),
    };
    let ended = runtime.block_on(dispatch(cli));
    // What still reads from somewhere that does not answer is not waited for.
    runtime.shutdown_timeout(std::time::Duration::from_secs(2));
    match ended {
        Ok(Outcome::Done) => ExitCode::SUCCESS,
        Ok(Outcome::No) => ExitCode::from(1),
        Err(exit) => exit.report(),
    }
}

async fn dispatch(cli: Cli) -> Result<Outcome, Exit> {
    let settings = cli.common.settings()?;
    match cli.command {
        Command::Init(args) => keep::init(&settings, args).await,
        Command::Serve(args) => Box::pin(serve::serve(&settings, args)).await,
        Command::Import(import::Import::Git(args)) => Box::pin(import::git(&settings, args)).await,
        Command::Record(args) => Box::pin(record::record(&settings, *args)).await,
        Command::Evidence(args) => Box::pin(evidence::evidence(&settings, args)).await,
        Command::Normalise(args) => normalise::normalise(&settings, &args),
        Command::Sources => normalise::sources(&settings),
        Command::Log(args) => Box::pin(show::log(&settings, args)).await,
        Command::Show(args) => Box::pin(show::show(&settings, args)).await,
        Command::Receipt(args) => Box::pin(show::receipt(&settings, args)).await,
        Command::Env(args) => Box::pin(environment::env(&settings, args)).await,
        Command::Deployments(args) => Box::pin(environment::deployments(&settings, args)).await,
        Command::Diff(args) => Box::pin(diff::diff(&settings, args)).await,
        Command::Drift(args) => Box::pin(drift::drift(&settings, args)).await,
        Command::Dora(args) => Box::pin(dora::dora(&settings, *args)).await,
        Command::Explain(args) => Box::pin(dora::explain(&settings, *args)).await,
        Command::Exceptions(args) => Box::pin(exceptions::exceptions(&settings, args)).await,
        Command::Trace(args) => Box::pin(trace::trace(&settings, args)).await,
        Command::Search(args) => Box::pin(search::search(&settings, args)).await,
        Command::Exposure(args) => Box::pin(exposure::exposure(&settings, args)).await,
        Command::Targets(args) => Box::pin(environment::targets(&settings, args)).await,
        Command::Rebuild(args) => environment::rebuild(&settings, args).await,
        Command::Verify(args) => verify::verify(&settings, args).await,
        Command::Export(args) => keep::export(&settings, args).await,
        Command::Key(keep::Key::Show) => keep::key_show(&settings).await,
        Command::Backup(args) => keep::backup(&settings, args).await,
        Command::Bench(args) => Box::pin(bench::bench(&settings, args)).await,
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "plimsoll", &mut script);
            print(&String::from_utf8_lossy(&script))
        }
    }
}

/// Prints a result. A reader that went away (`plimsoll log | head`) ends the program quietly.
pub(crate) fn print(text: &str) -> Result<Outcome, Exit> {
    use std::io::Write;
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(Outcome::Done),
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Err(Exit::quiet()),
        Err(error) => Err(Exit::busy(format!("cannot write to standard output: {error}"))),
    }
}

/// Text as it may be shown on a terminal: what would move the cursor or change colours is shown as what it is.
pub(crate) fn printable(text: &str) -> String {
    let shown = |c: char| match c {
        '\n' | '\t' => c.to_string(),
        c if c.is_control() => c.escape_default().to_string(),
        c => c.to_string(),
    };
    text.chars().map(shown).collect()
}

/// Prints a result as one line of JSON.
pub(crate) fn print_json(value: &impl serde::Serialize) -> Result<Outcome, Exit> {
    let mut line = serde_json::to_string(value).map_err(|error| Exit::no(format!("cannot print JSON: {error}")))?;
    line.push('\n');
    print(&line)
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory;
        super::Cli::command().debug_assert();
    }

    /// clap keeps one value by name: two flags of one name, of which one is global, end in a panic when they are used.
    #[test]
    fn no_command_has_a_flag_that_is_named_like_a_common_one() {
        fn check(command: &clap::Command, common: &[&str]) {
            for argument in command.get_arguments() {
                let name = argument.get_id().as_str();
                assert!(!common.contains(&name), "{} has a {name} of its own", command.get_name());
            }
            command.get_subcommands().for_each(|command| check(command, common));
        }
        use clap::CommandFactory;
        let cli = super::Cli::command();
        let common: Vec<_> = cli.get_arguments().map(|argument| argument.get_id().as_str()).collect();
        assert!(common.contains(&"data"));
        cli.get_subcommands().for_each(|command| check(command, &common));
    }
}
