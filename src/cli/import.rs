//! `import`: what is there already becomes events.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use indicatif::ProgressBar;
use tokio::sync::mpsc;

use super::access::Access;
use super::exit::{Exit, Outcome};
use super::progress::bar;
use super::{Settings, print, print_json};
use crate::ingest::Targets;
use crate::ingest::git::{
    self, Known, Login, ManifestRule, Manifests, Part, Progress, Releases, RepositoryName, Request, name_of,
};
use crate::ledger::{Clock, SystemClock};

#[derive(Debug, Subcommand)]
pub(super) enum Import {
    /// Every commit, branch and tag of a git repository, oldest first; a second run records only what is new
    Git(Git),
}

#[derive(Debug, Clone, Default, Args)]
pub(super) struct Git {
    /// Path or URL of the repository
    pub(super) repository: String,
    /// What it is called [default: from its URL or that of its remote `origin`]
    #[arg(long = "repository-name", value_name = "HOST/PATH")]
    pub(super) name: Option<String>,
    /// The service that is built from it [default: the last part of its name]
    #[arg(long, requires = "releases")]
    pub(super) service: Option<String>,
    /// Tags that match stand for deployments
    #[arg(long, value_name = "REGEX", requires = "environment")]
    pub(super) releases: Option<String>,
    /// Where those tags were deployed
    #[arg(long, requires = "releases")]
    pub(super) environment: Option<String>,
    /// Files of desired state, e.g. `apps/{service}/values-{environment}.yaml`; `*` and `**` are wildcards. May be repeated
    #[arg(long, value_name = "PATH")]
    pub(super) manifests: Vec<String>,
    /// The branch that a deployer follows [default: main]
    #[arg(long, requires = "manifests")]
    pub(super) branch: Option<String>,
    /// The same from the settings, which can say more.
    #[arg(skip)]
    pub(super) manifest_rules: Vec<ManifestRule>,
    /// A private key for SSH, without a passphrase [default: what the agent has]
    #[arg(long, env = "PLIMSOLL_SSH_KEY", value_name = "FILE")]
    pub(super) ssh_key: Option<PathBuf>,
    /// A user and password for HTTPS, from the settings alone: flags are for all to see.
    #[arg(skip)]
    pub(super) password: Option<(String, String)>,
    /// Without a progress bar.
    #[arg(skip)]
    pub(super) quiet: bool,
}

pub(super) async fn git(settings: &Settings, args: Git) -> Result<Outcome, Exit> {
    let mut access = Access::writer(settings, "plimsoll import git", true).await?;
    let done = run(settings, &mut access, args).await?;
    if let Access::Local(ledger) = &access {
        ledger.commit_heads().await?;
    }
    if settings.json {
        return print_json(&serde_json::json!({
            "repository": done.stream, "commits": done.commits, "known_commits": done.known, "events": done.events,
        }));
    }
    print(&format!(
        "{}: {} new events, {} new commits ({} known before)\n",
        done.stream, done.events, done.commits, done.known
    ))
}

/// What an import did.
pub(super) struct Done {
    pub(super) stream: String,
    commits: usize,
    known: usize,
    pub(super) events: u64,
}

/// Imports a repository by any access.
pub(super) async fn run(settings: &Settings, access: &mut Access, args: Git) -> Result<Done, Exit> {
    let bar = bar(args.quiet);
    let opened = open(settings, &args, bar.clone()).await?;
    let name = match &args.name {
        Some(name) => RepositoryName::new(name)?,
        None => name_of(&args.repository, opened.origin.as_deref())?,
    };
    let releases = releases(&args, &name)?;
    let known = known(access, &name, releases.as_ref()).await?;
    let (stream, n_known) = (name.stream.to_string(), known.n_commits());
    let location = git::without_password(&args.repository);
    let manifests = manifests(&args)?;
    let targets = Targets::new(settings.config.targets.clone()).map_err(Exit::usage)?;
    let request = Request { location, name, known, releases, manifests, targets, now: SystemClock.now() };
    let ((commits, new_commits), (refs, new_refs)) = (mpsc::channel(4), mpsc::channel(4));
    let reading = tokio::task::spawn_blocking(move || {
        let (mut n_commits, mut commits) = (0, Some(commits));
        let result = git::read(&opened, &request, &mut |part, drafts, progress: Progress| {
            bar.set_length(progress.total as u64);
            bar.set_position(progress.commits as u64);
            n_commits = progress.commits;
            if part == Part::Refs {
                commits = None;
            }
            commits.as_ref().unwrap_or(&refs).blocking_send(drafts).is_ok()
        });
        bar.finish_and_clear();
        (result, n_commits)
    });
    // Branches and tags only when every commit is recorded.
    let mut appended = access.append_all(new_commits).await;
    if let Ok(n_new) = &mut appended {
        match access.append_all(new_refs).await {
            Ok(n_refs) => *n_new += n_refs,
            Err(exit) => appended = Err(exit),
        }
    } else {
        drop(new_refs);
    }
    let (read, commits) = reading.await.map_err(|error| Exit::no(format!("reading failed: {error}")))?;
    // A reader that was stopped was stopped by the writer's error, which says more.
    let events = appended?;
    read?;
    Ok(Done { stream, commits, known: n_known, events })
}

/// Where clones are kept of what goes to a server: below the home of whoever imports, for nobody else to read or change.
fn own_cache() -> Result<PathBuf, Exit> {
    use std::os::unix::fs::DirBuilderExt;
    let home = std::env::home_dir().ok_or_else(|| Exit::usage("HOME: no home directory to keep clones in"))?;
    let cache = home.join(".cache/plimsoll/git");
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&cache);
    made.map_err(|error| Exit::busy(format!("cannot create {}: {error}", cache.display())))?;
    Ok(cache)
}

async fn open(settings: &Settings, args: &Git, bar: ProgressBar) -> Result<git::Opened, Exit> {
    let cache = if settings.server.is_some() { own_cache()? } else { settings.data.root().join("git") };
    let (location, login) =
        (args.repository.clone(), Login { ssh_key: args.ssh_key.clone(), password: args.password.clone() });
    let opened = tokio::task::spawn_blocking(move || {
        git::open(&location, &cache, &login, &mut |received, total| {
            bar.set_length(total as u64);
            bar.set_position(received as u64);
        })
    });
    Ok(opened.await.map_err(|error| Exit::no(format!("opening failed: {error}")))??)
}

fn releases(args: &Git, name: &RepositoryName) -> Result<Option<Releases>, Exit> {
    let (Some(pattern), Some(environment)) = (&args.releases, &args.environment) else { return Ok(None) };
    let service = args.service.as_ref().unwrap_or(&name.basename);
    Ok(Some(Releases {
        pattern: regex::Regex::new(pattern).map_err(|error| Exit::usage(format!("--releases: {error}")))?,
        environment: environment.parse().map_err(|error| Exit::usage(format!("--environment: {error}")))?,
        service: service.parse().map_err(|error| Exit::usage(format!("--service: {error}")))?,
    }))
}

fn manifests(args: &Git) -> Result<Option<Manifests>, Exit> {
    let mut rules = args.manifest_rules.clone();
    for path in &args.manifests {
        rules.push(ManifestRule::new(path, None, None).map_err(|error| Exit::usage(format!("--{error}")))?);
    }
    let branch = args.branch.clone().unwrap_or_else(|| "main".to_owned());
    Ok((!rules.is_empty()).then_some(Manifests { branch, rules }))
}

/// What the ledger knows of the repository, and of the releases.
async fn known(access: &mut Access, name: &RepositoryName, releases: Option<&Releases>) -> Result<Known, Exit> {
    let mut known = Known::nothing(name);
    let broken = |error: crate::event::Error| Exit::no(error.to_string());
    access.stream(name.stream.as_str(), &mut |event| known.take(event).map_err(broken)).await?;
    if let Some(releases) = releases {
        let stream = releases.stream().map_err(broken)?;
        access
            .stream(stream.as_str(), &mut |event| {
                known.take_release(event.envelope().dedup.as_str());
                Ok(())
            })
            .await?;
    }
    Ok(known)
}

/// Where to import from by a flag of another command.
pub(super) fn of(repository: PathBuf) -> Git {
    Git { repository: repository.to_string_lossy().into_owned(), ..Git::default() }
}
