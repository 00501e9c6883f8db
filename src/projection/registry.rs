//! Which projections there are: one line each.

use rusqlite::Connection;

use super::{Event, Names, Result};

/// What a projection is, apart from its code.
#[derive(Debug, PartialEq, Eq)]
pub struct About {
    /// Its name.
    pub name: &'static str,
    /// Version of what it makes of events: a change of the fold raises it, and the views are rebuilt.
    pub version: u32,
    /// The SQL that makes its tables.
    pub schema: &'static str,
    /// Its tables, for comparing one build with another.
    pub tables: &'static [&'static str],
    /// The projections whose tables it reads; they stand before it in the registry. Where one stops, it stops.
    pub needs: &'static [&'static str],
}

/// A fold of the log into tables of its own.
pub trait Projection: Send {
    /// What it is.
    fn about(&self) -> &'static About;

    /// Takes an event in. Must not depend on how events are cut into transactions.
    ///
    /// # Errors
    /// `Poison` for an event that cannot be folded; `Database`.
    fn fold(&mut self, step: &mut Step<'_>) -> Result<()>;

    /// Writes down what is kept at hand, before the transaction is committed.
    ///
    /// # Errors
    /// `Database`.
    fn flush(&mut self, _: &Connection) -> Result<()> {
        Ok(())
    }

    /// Forgets what is kept at hand: the transaction was taken back.
    fn reset(&mut self) {}
}

/// What a projection is given to fold an event.
pub struct Step<'a> {
    /// The transaction.
    pub tx: &'a Connection,
    /// The event.
    pub event: &'a Event,
    /// Texts by number.
    pub names: &'a mut Names,
    /// What projections before this one changed by this event.
    pub changes: &'a mut Changes,
    /// Where evidence is read from.
    pub documents: &'a dyn Documents,
}

impl Step<'_> {
    /// The number of a text.
    ///
    /// # Errors
    /// `Database`.
    pub fn name(&mut self, text: &str) -> Result<i64> {
        self.names.id(self.tx, text)
    }
}

/// What the fold of one event changed, told from projections to those after them.
#[derive(Debug, Default)]
pub struct Changes {
    /// Commits (`git_commit.id`) of which something became known.
    pub commits: Vec<i64>,
    /// Artifacts (`name.id` of the digest) whose source commit may be another now.
    pub artifacts: Vec<i64>,
    /// Deployments that changed: target and rollout.
    pub deployments: Vec<(i64, i64)>,
    /// Incidents (`name.id` of the stream) that changed.
    pub incidents: Vec<i64>,
    /// Changes that have a lead time for the first time: target, and seconds.
    pub lead_times: Vec<(i64, i64)>,
    /// Failed deployments that are known to have recovered for the first time: target, and microseconds.
    pub recoveries: Vec<(i64, i64)>,
}

impl Changes {
    pub(super) fn clear(&mut self) {
        self.commits.clear();
        self.artifacts.clear();
        self.deployments.clear();
        self.incidents.clear();
        self.lead_times.clear();
        self.recoveries.clear();
    }
}

/// Where the fold reads evidence and private texts: the ledger's, by whoever runs the fold.
pub trait Documents {
    /// A blob of evidence by its BLAKE3, held to that at its end; none where it is not there any more.
    ///
    /// # Errors
    /// `Ledger` when the store cannot be read.
    fn evidence(&self, blake3: &crate::event::Hex32) -> Result<Option<crate::ledger::BlobReader>>;

    /// A private text, unless it was erased.
    ///
    /// # Errors
    /// `Ledger`.
    fn sealed(&self, id: &crate::event::SealedId) -> Result<Option<String>>;

    /// The identity behind a pseudonym, unless it was erased.
    ///
    /// # Errors
    /// `Ledger`.
    fn subject(&self, id: &crate::event::SubjectId) -> Result<Option<String>>;
}

/// Every projection, in the order in which an event goes through them.
#[must_use]
pub fn all() -> Vec<Box<dyn Projection>> {
    vec![
        Box::new(super::source::Sources::default()),
        Box::new(super::artifact::Artifacts),
        Box::new(super::deployment::Deployments::default()),
        Box::new(super::incident::Incidents),
        Box::new(super::dora::Dora),
        Box::new(super::package::Packages::default()),
        Box::new(super::practice::Practice::default()),
        Box::new(super::meter::Meters::default()),
        Box::new(super::search::Searches::default()),
    ]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    #[test]
    fn no_two_projections_have_a_table_of_one_name() {
        let mut names = BTreeSet::new();
        for projection in super::all() {
            let about = projection.about();
            for table in about.tables {
                assert!(names.insert(*table), "{}: another projection has a table {table}", about.name);
            }
        }
    }
}
