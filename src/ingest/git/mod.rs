//! Git repositories: every commit, branch and tag, oldest first.
//!
//! Reading runs on a thread of its own (repository handles cannot be shared) and hands over drafts in batches. What the
//! ledger knows already is left out, so a second reading of an unchanged repository yields nothing.

mod commit;
mod known;
mod name;
mod repository;
mod tags;
mod walk;

pub use known::Known;
pub use name::{RepositoryName, name_of};
pub use repository::{Opened, open};
pub use walk::{Progress, Releases, Request, read};

/// Why a repository cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The repository cannot be opened or fetched.
    #[error("cannot open repository {repository}")]
    Open {
        /// As the caller named it.
        repository: String,
        /// What libgit2 said.
        #[source]
        source: git2::Error,
    },
    /// An object that must be there is not, or cannot be read.
    #[error("cannot read {kind} {oid} of {repository}: the repository is damaged, or a partial or shallow clone")]
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
    #[error("{0:?} gives no name for the repository: name it with --repository HOST/PATH")]
    Name(String),
    /// Whoever takes the drafts has gone away.
    #[error("the reader was stopped")]
    Stopped,
}
