//! Following git repositories: looked at from time to time, and at once when a webhook says that something is new.

use std::time::Duration;

use tokio::sync::broadcast::{
    self,
    error::{RecvError, TryRecvError},
};

use super::Settings;
use super::access::Access;
use super::exit::Exit;
use super::import::{self, Git};
use crate::config::{Config, GitRepository};
use crate::event::ledger::ObservationGap;
use crate::event::{Draft, Timestamp};
use crate::ingest::git::{ManifestRule, RepositoryName, name_of, without_password};
use crate::ledger::Ledger;

/// How often a repository is looked at where nothing else is said: webhooks tell what is urgent.
const INTERVAL: Duration = Duration::from_secs(60);

/// Longest wait after failures: a forge that comes back is noticed within it.
const WAIT_MAX: Duration = Duration::from_secs(15 * 60);

/// A repository that is followed.
pub(super) struct Followed {
    git: Git,
    interval: Duration,
}

/// The repositories that the settings name.
///
/// # Errors
/// For a setting that cannot be, and for a repository that is named twice.
pub(super) fn followed(config: &Config) -> Result<Vec<Followed>, Exit> {
    let mut all: Vec<Followed> = Vec::new();
    for repository in &config.git {
        let followed = one(repository)?;
        if all.iter().any(|other| other.git.repository == followed.git.repository) {
            return Err(Exit::usage(format!(
                "git {:?} stands in the settings twice",
                without_password(&repository.url)
            )));
        }
        all.push(followed);
    }
    Ok(all)
}

fn one(repository: &GitRepository) -> Result<Followed, Exit> {
    let at = without_password(&repository.url);
    let seconds = repository.interval_seconds.unwrap_or(INTERVAL.as_secs());
    if seconds == 0 {
        return Err(Exit::usage(format!("git {at:?}: interval_seconds is 0")));
    }
    if repository.releases.is_some() != repository.environment.is_some() {
        return Err(Exit::usage(format!("git {at:?}: releases and environment belong together")));
    }
    let rules = repository
        .manifests
        .iter()
        .map(|rule| ManifestRule::new(&rule.path, rule.environment.clone(), rule.service.clone()));
    let git = Git {
        repository: repository.url.clone(),
        name: repository.name.clone(),
        service: repository.service.clone(),
        releases: repository.releases.clone(),
        environment: repository.environment.clone(),
        ssh_key: repository.ssh_key.clone(),
        password: repository.password().map_err(Exit::usage)?,
        manifests: Vec::new(),
        branch: repository.branch.clone(),
        manifest_rules: rules.collect::<Result<_, _>>().map_err(|error| Exit::usage(format!("git {at:?}: {error}")))?,
        quiet: true,
    };
    Ok(Followed { git, interval: Duration::from_secs(seconds) })
}

/// Follows one until it is told to end.
pub(super) async fn follow(
    settings: Settings,
    followed: Followed,
    ledger: Ledger,
    mut news: broadcast::Receiver<String>,
) {
    let location = without_password(&followed.git.repository);
    let name = named(&followed.git);
    let (mut failures, mut seen) = (0_u32, None::<Timestamp>);
    loop {
        let looked_at = ledger.clock().now();
        let mut access = Access::Local(ledger.clone());
        match import::run(&settings, &mut access, followed.git.clone()).await {
            Ok(done) => {
                if done.events > 0 {
                    tracing::info!(repository = done.stream, events = done.events, "read what is new");
                }
                if let (1.., Some(from), Some(name)) = (failures, seen, &name) {
                    gap(&ledger, name, from, looked_at).await;
                }
                (failures, seen) = (0, Some(looked_at));
            }
            Err(error) => {
                failures = failures.saturating_add(1);
                tracing::warn!(repository = location, failures, "cannot be followed: {error}");
            }
        }
        let wait = wait(followed.interval, failures);
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = told(&mut news, name.as_ref()) => {}
        }
        // One look sees all that came until now.
        while !matches!(news.try_recv(), Err(TryRecvError::Empty | TryRecvError::Closed)) {}
    }
}

fn named(git: &Git) -> Option<RepositoryName> {
    match &git.name {
        Some(name) => RepositoryName::new(name).ok(),
        None => name_of(&git.repository, None).ok(),
    }
}

/// The interval, doubled with each failure in a row.
fn wait(interval: Duration, failures: u32) -> Duration {
    interval.saturating_mul(1 << failures.min(10)).min(WAIT_MAX.max(interval))
}

/// Waits until a webhook says that something is new in the repository. Having missed some news is news as well.
async fn told(news: &mut broadcast::Receiver<String>, name: Option<&RepositoryName>) {
    loop {
        match news.recv().await {
            Ok(url) if name_of(&url, None).ok().as_ref() == name => return,
            Ok(_) => {}
            Err(RecvError::Lagged(_)) => return,
            Err(RecvError::Closed) => std::future::pending().await,
        }
    }
}

/// Records that the repository was not seen for a while: what was forced or moved twice meanwhile stays unknown.
async fn gap(ledger: &Ledger, name: &RepositoryName, from: Timestamp, to: Timestamp) {
    let data = ObservationGap {
        from,
        observed: Some(name.source.clone()),
        reason: "the repository could not be read".to_owned(),
        to,
    };
    let draft = || -> Result<Draft, crate::event::Error> {
        Ok(Draft::new(data, "ledger".parse()?, name.source.clone(), format!("gap:{from}").parse()?, to))
    };
    let appended = match draft() {
        Ok(draft) => ledger.append(vec![draft]).await.map(drop).map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    };
    if let Err(error) = appended {
        tracing::warn!(%error, "cannot record that {} was not seen from {from} to {to}", name.stream);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_with_failures_up_to_a_bound() {
        let minute = Duration::from_secs(60);
        assert_eq!([0, 1, 3].map(|n| wait(minute, n).as_secs()), [60, 120, 480]);
        assert_eq!(wait(minute, u32::MAX), WAIT_MAX);
        assert_eq!(wait(WAIT_MAX * 2, 5), WAIT_MAX * 2);
    }
}
