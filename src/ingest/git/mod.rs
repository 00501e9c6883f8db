//! Git repositories: every commit, branch and tag, oldest first.
//!
//! Reading runs on a thread of its own (repository handles cannot be shared) and hands over drafts in batches. What the
//! ledger knows already is left out, so a second reading of an unchanged repository yields nothing.

mod commit;
mod known;
mod manifest;
mod name;
mod repository;
mod tags;
mod walk;

pub use known::Known;
pub use manifest::{ManifestRule, Manifests};
pub use name::{RepositoryName, name_of};
pub use repository::{Login, Opened, open, without_password};
pub use walk::{Part, Progress, Releases, Request, read};

/// Why a repository cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The repository cannot be opened.
    #[error("cannot open repository {repository}")]
    Open {
        /// As the caller named it.
        repository: String,
        /// What libgit2 said.
        #[source]
        source: git2::Error,
    },
    /// The repository cannot be fetched from where it is.
    #[error("cannot fetch {repository}")]
    Fetch {
        /// As the caller named it.
        repository: String,
        /// What libgit2 said.
        #[source]
        source: git2::Error,
    },
    /// The server shows a host key that is not known here.
    #[error(
        "the host key of {repository} is not the one in ~/.ssh/known_hosts, or there is none: \
         check it by another path, then add it (`ssh-keyscan` prints it)"
    )]
    HostKey {
        /// As the caller named it.
        repository: String,
        /// What libgit2 said.
        #[source]
        source: git2::Error,
    },
    /// Part of the history is not there, and what is there says that it has no parents.
    #[error("{repository} is a shallow clone: fetch all of its history first (`git fetch --unshallow`)")]
    Shallow {
        /// As the caller named it.
        repository: String,
    },
    /// An object that must be there is not, or cannot be read.
    #[error("cannot read {kind} {oid} of {repository}: the repository is damaged or incomplete")]
    Object {
        /// As the caller named it.
        repository: String,
        /// What kind of object was expected.
        kind: &'static str,
        /// Which.
        oid: String,
        /// What libgit2 said.
        #[source]
        source: git2::Error,
    },
    /// Walking the history failed.
    #[error("cannot walk the history of {repository}")]
    Walk {
        /// As the caller named it.
        repository: String,
        /// What libgit2 said; it names a missing object.
        #[source]
        source: git2::Error,
    },
    /// Something in the repository does not fit into an event.
    #[error("{what} does not fit into an event")]
    Event {
        /// Which commit, branch or tag.
        what: String,
        /// Why.
        #[source]
        source: crate::event::Error,
    },
    /// The repository has no name that a stream could have.
    #[error("{0:?} gives no name for the repository: name it with --repository-name HOST/PATH")]
    Name(String),
    /// Whoever takes the drafts has gone away.
    #[error("the reader was stopped")]
    Stopped,
}
