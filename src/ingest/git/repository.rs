//! Opening a repository, or fetching it first.

use std::path::{Path, PathBuf};

use git2::{Cred, CredentialType, ErrorClass, ErrorCode, FetchOptions, RemoteCallbacks, Repository};

use super::Error;
use super::name::is_remote;

/// An open repository, and where its remote is.
pub struct Opened {
    /// The handle; it can be sent to another thread, and not shared.
    pub repository: Repository,
    /// The URL of the remote `origin`, if there is one.
    pub origin: Option<String>,
}

/// How to log in where the URL alone is not enough. An agent and git's credential helpers are asked without being named.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Login {
    /// A private key for SSH, without a passphrase.
    pub ssh_key: Option<PathBuf>,
    /// A user and their password or token, for HTTPS.
    pub password: Option<(String, String)>,
}

impl std::fmt::Debug for Login {
    /// Keeps the password out of logs.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let user = self.password.as_ref().map(|(user, _)| user);
        f.debug_struct("Login").field("ssh_key", &self.ssh_key).field("user", &user).finish()
    }
}

/// Opens the repository at a path, or fetches all branches and tags of a URL into a bare clone below `cache`, kept there
/// for the next time. `received` is told how many objects have arrived, of how many.
///
/// # Errors
/// [`Error::Open`]; [`Error::Fetch`]; [`Error::HostKey`].
pub fn open(
    location: &str,
    cache: &Path,
    login: &Login,
    received: &mut dyn FnMut(usize, usize),
) -> Result<Opened, Error> {
    let failed = |source| Error::Open { repository: without_password(location), source };
    if !is_remote(location) {
        let repository = Repository::open(location).map_err(failed)?;
        let origin = repository.find_remote("origin").ok().and_then(|remote| remote.url().ok().map(str::to_owned));
        return Ok(Opened { repository, origin });
    }
    // Also where there is one: it may have been left half made.
    let repository = Repository::init_bare(cache_path(cache, location)).map_err(failed)?;
    fetch(&repository, location, login, received).map_err(|source| {
        let repository = without_password(location);
        let host_key = source.code() == ErrorCode::Certificate && source.class() == ErrorClass::Ssh;
        if host_key { Error::HostKey { repository, source } } else { Error::Fetch { repository, source } }
    })?;
    Ok(Opened { repository, origin: None })
}

fn cache_path(cache: &Path, location: &str) -> PathBuf {
    let hash = blake3::hash(without_password(location).as_bytes()).to_hex();
    cache.join(format!("{}.git", hash.get(..16).unwrap_or_default()))
}

fn fetch(
    repository: &Repository,
    url: &str,
    login: &Login,
    received: &mut dyn FnMut(usize, usize),
) -> Result<(), git2::Error> {
    let mut callbacks = RemoteCallbacks::new();
    callbacks.transfer_progress(|progress| {
        received(progress.received_objects(), progress.total_objects());
        true
    });
    let config = repository.config().and_then(|mut config| config.snapshot());
    let mut tries = 0;
    let (mut ssh_key, mut password) = (login.ssh_key.clone(), login.password.clone());
    callbacks.credentials(move |url, user, allowed| {
        // libgit2 asks again and again as long as it is given something.
        tries += 1;
        if tries > 4 {
            return Err(git2::Error::from_str("the credentials at hand are not accepted"));
        }
        let user_name = user.unwrap_or("git");
        if allowed.contains(CredentialType::USERNAME) {
            return Cred::username(user_name);
        }
        if allowed.contains(CredentialType::SSH_KEY) {
            return match ssh_key.take() {
                Some(key) => Cred::ssh_key(user_name, None, &key, None),
                None => Cred::ssh_key_from_agent(user_name),
            };
        }
        if let Some((user, password)) = password.take() {
            return Cred::userpass_plaintext(&user, &password);
        }
        match &config {
            Ok(config) => Cred::credential_helper(config, url, user),
            Err(_) => Cred::default(),
        }
    });
    let mut options = FetchOptions::new();
    options.remote_callbacks(callbacks).prune(git2::FetchPrune::On).download_tags(git2::AutotagOption::None);
    let mut remote = repository.remote_anonymous(url)?;
    let refs = ["+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*"];
    remote.fetch(&refs, Some(&mut options), None)
}

/// A URL as it may be shown and stored: without user and password.
#[must_use]
pub fn without_password(location: &str) -> String {
    match location.split_once("://") {
        // The last one: a password that was not escaped may hold an `@` or a slash.
        Some((scheme, rest)) => {
            let (_, shown) = rest.rsplit_once('@').unwrap_or(("", rest));
            format!("{scheme}://{shown}")
        }
        None => location.to_owned(),
    }
}
