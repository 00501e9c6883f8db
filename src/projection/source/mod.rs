//! Source: commits and their parents, branches, tags, changes with their reviews, releases, checks.
//!
//! Rows are facts. They hold what is searched for and little else: the rest is read from the event at their position.

mod fold;
mod history;
mod query;
mod review;

pub(super) use fold::{Happened, Role};
pub use fold::{Sources, commit_id};
pub(super) use history::{difference, is_behind};
pub use query::{Commit, CommitFact, commit};
pub(super) use query::{in_words, of_any_repository, parents, place};
pub use review::{Approval, Change};
pub(super) use review::{author, change, changes_of, merged_as};

use super::About;

/// What this projection is.
pub const ABOUT: About = About {
    name: "source",
    version: 1,
    schema: include_str!("../../../schema/views/source.sql"),
    tables: &[
        "git_commit",
        "commit_fact",
        "commit_parent",
        "branch_fact",
        "tag_fact",
        "release",
        "change_fact",
        "change_commit",
        "commit_check",
        "pipeline_run",
    ],
    needs: &[],
};
