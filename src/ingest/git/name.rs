//! What a repository is called, from where it is.

use super::Error;
use crate::event::{Source, StreamName};

/// Host and path of a repository: its stream, and the source of its events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepositoryName {
    /// `repo/<host>/<path>`.
    pub stream: StreamName,
    /// `git/<host>/<path>`.
    pub source: Source,
    /// The last segment of the path: what a service is called where nobody says otherwise.
    pub basename: String,
}

impl RepositoryName {
    /// From host and path, as in `github.com/owner/name`.
    ///
    /// # Errors
    /// [`Error::Name`].
    pub fn new(host_and_path: &str) -> Result<Self, Error> {
        let wrong = || Error::Name(host_and_path.to_owned());
        let (host, path) = host_and_path.split_once('/').ok_or_else(wrong)?;
        let stream = StreamName::of("repo", &[host, path]).map_err(|_why| wrong())?;
        let source = stream.as_str().replacen("repo/", "git/", 1).parse().map_err(|_why| wrong())?;
        let basename = stream.as_str().rsplit('/').next().unwrap_or_default().to_owned();
        Ok(Self { stream, source, basename })
    }
}

/// The name of the repository at a URL or path. A local repository with a remote `origin` is that remote's.
///
/// # Errors
/// [`Error::Name`].
pub fn name_of(location: &str, origin: Option<&str>) -> Result<RepositoryName, Error> {
    if let Some(name) = remote_name(location).or_else(|| remote_name(origin?)) {
        return RepositoryName::new(&name);
    }
    let path = std::path::Path::new(location);
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let last = path.components().rev().filter_map(|part| part.as_os_str().to_str()).find(|part| *part != ".git");
    let last = last.map(|name| name.trim_end_matches(".git")).filter(|name| !name.is_empty() && *name != "/");
    RepositoryName::new(&format!("local/{}", last.ok_or_else(|| Error::Name(location.to_owned()))?))
}

/// Whether a location is a URL, or in the form `user@host:path`, and not a path.
#[must_use]
pub(super) fn is_remote(location: &str) -> bool {
    location.contains("://") || scp_parts(location).is_some()
}

/// Host and path of a URL; none for a local path or `file://`.
fn remote_name(location: &str) -> Option<String> {
    let (host, path) = match location.split_once("://") {
        Some(("file", _)) => return None,
        Some((_, rest)) => rest.split_once('/')?,
        None => scp_parts(location)?,
    };
    let host = host.rsplit('@').next().unwrap_or(host);
    let host = host.split(':').next().unwrap_or(host).to_ascii_lowercase();
    let path = path.trim_matches('/').trim_end_matches(".git").trim_end_matches('/');
    (!host.is_empty() && !path.is_empty()).then(|| format!("{host}/{path}"))
}

/// `user@host:path`, the form that ssh takes.
fn scp_parts(location: &str) -> Option<(&str, &str)> {
    let (host, path) = location.split_once(':')?;
    (!host.contains('/') && host.len() > 1 && !location.starts_with('.')).then_some((host, path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_repository_has_one_name_by_every_url() {
        for url in [
            "https://github.com/owner/name.git",
            "https://user:token@GitHub.com/owner/name",
            "ssh://git@github.com:22/owner/name.git/",
            "git@github.com:owner/name.git",
            "http://github.com/owner/name/.git",
        ] {
            assert_eq!(name_of(url, None).unwrap().stream.as_str(), "repo/github.com/owner/name", "{url}");
        }
        let local = name_of("/nowhere/app.git", None).unwrap();
        assert_eq!((local.stream.as_str(), local.source.as_str()), ("repo/local/app", "git/local/app"));
        assert_eq!(name_of("/nowhere/app", Some("git@host:a/b")).unwrap().stream.as_str(), "repo/host/a/b");
        assert_eq!(name_of("file:///nowhere/app", None).unwrap().basename, "app");
    }
}
