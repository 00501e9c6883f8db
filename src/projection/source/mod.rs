//! Source: commits and their parents, branches, tags, changes with their reviews, releases, checks.
//!
//! Rows are facts. They hold what is searched for and little else: the rest is read from the event at their position.

mod fold;
mod query;

pub(super) use fold::Role;
pub use fold::{Sources, commit_id};
pub use query::{CommitFact, commit, find_commits};
pub(super) use query::{of_any_repository, place};

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
