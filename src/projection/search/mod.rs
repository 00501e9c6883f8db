//! Search over what an auditor may read: private texts, people, and names.
//!
//! Texts of events are indexed by event, names once each, so most events do not touch the index. What is erased is taken
//! out of it when the erasure is folded; and whoever asks reads texts from the ledger, where they are gone at once.

mod fold;
mod leaf;
mod query;
mod words;

pub use fold::Searches;
pub use query::{Answer, Hit, Name, search};
pub use words::Question;

use super::About;

/// What this projection is.
pub const ABOUT: About = About {
    name: "search",
    version: 1,
    schema: include_str!("../../../schema/views/search.sql"),
    // What the index is made of; how it lies in the index depends on when it was written.
    tables: &["search_text", "search_name", "search_person"],
    needs: &[],
};
