//! The product: a ledger of its own for each history, its views folded from the log, and what is asked of them.

mod answers;
mod checks;
mod laws;
mod nodes;
mod poison;

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use plimsoll::event::{Draft, Hex32, Recorded, SealedId, SubjectId};
use plimsoll::ledger::{BlobReader, DataDir, Entry, Ledger, Options};
use plimsoll::projection::{
    self, Basis, Documents, Event, Projection, Projector, Snapshot, Stop, Views, all, artifact, deployment,
};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::model::{Dora, Fact, Model};
use crate::support::rig::{ORIGIN, leaves, scratch};
use crate::support::{CountingEntropy, FixedClock, opened};

pub use answers::{Answers, Asked};

/// Everything that the questions here read.
const ABOUTS: &[&projection::About] = &[
    &projection::source::ABOUT,
    &artifact::ABOUT,
    &deployment::ABOUT,
    &projection::incident::ABOUT,
    &projection::dora::ABOUT,
];

/// Nothing is read beside the log.
struct Nothing;

impl Documents for Nothing {
    fn evidence(&self, _: &Hex32) -> projection::Result<Option<BlobReader>> {
        Ok(None)
    }

    fn sealed(&self, _: &SealedId) -> projection::Result<Option<String>> {
        Ok(None)
    }

    fn subject(&self, _: &SubjectId) -> projection::Result<Option<String>> {
        Ok(None)
    }
}

/// A ledger, and views of it.
pub struct Product {
    pub ledger: Ledger,
    pub dir: TempDir,
    // After the ledger: its writer ends with it.
    pub runtime: Runtime,
}

impl Product {
    /// A new ledger without views.
    pub fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let dir = scratch();
        let mut options = Options::new(DataDir::new(dir.path().join("data")), "test");
        options.clock = Arc::new(FixedClock::new());
        options.entropy = Arc::new(CountingEntropy::new(7));
        let ledger = runtime.block_on(opened(options)).unwrap();
        Self { ledger, dir, runtime }
    }

    /// A ledger that holds these drafts, with views of all of it.
    pub fn of(drafts: &[Draft]) -> Self {
        let product = Self::new();
        product.append(drafts);
        product.fold("views", usize::MAX);
        product
    }

    /// Records drafts together.
    pub fn append(&self, drafts: &[Draft]) {
        self.runtime.block_on(self.ledger.append(drafts.to_vec())).unwrap();
    }

    /// What was recorded.
    pub fn events(&self) -> Vec<Event> {
        let entries = (0..).zip(leaves(&**self.ledger.engine()));
        entries.map(|(position, leaf)| Event::parse(&Entry { position, leaf: leaf.into() }).unwrap()).collect()
    }

    /// The model of what was recorded.
    pub fn model(&self) -> Model {
        let recorded = leaves(&**self.ledger.engine()).into_iter();
        Model::of(recorded.map(|leaf| Fact::recorded(&Recorded::parse(leaf.into()).unwrap())))
    }

    /// A views file.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(format!("{name}.db"))
    }

    /// Folds the whole log into a new views file, in transactions of so many events.
    pub fn fold(&self, name: &str, batch: usize) {
        assert_eq!(self.fold_with(name, batch, all()), []);
    }

    /// The same with other projections; which of them stopped, and where.
    pub fn fold_with(
        &self,
        name: &str,
        batch: usize,
        projections: Vec<Box<dyn Projection>>,
    ) -> Vec<(&'static str, Stop)> {
        let mut projector = Projector::create(&self.path(name), ORIGIN, projections).unwrap();
        for events in self.events().chunks(batch) {
            projector.fold(events, &Nothing).unwrap();
        }
        let stopped = projector.stopped().map(|(name, stop)| (name, stop.clone())).collect();
        projector.close().unwrap();
        stopped
    }

    /// Asks the views, with what was known when the ledger held so many events.
    pub fn ask<T>(
        &self,
        known_at: Option<u64>,
        query: impl FnOnce(&Snapshot<'_>, &Basis) -> projection::Result<T>,
    ) -> T {
        self.try_ask("views", known_at, ABOUTS, query).unwrap()
    }

    /// Asks a views file, where that rests on the projections named.
    pub fn try_ask<T>(
        &self,
        name: &str,
        known_at: Option<u64>,
        abouts: &[&projection::About],
        query: impl FnOnce(&Snapshot<'_>, &Basis) -> projection::Result<T>,
    ) -> projection::Result<T> {
        let views = Views::new(&self.path(name));
        views.read(&self.ledger, |snapshot| query(snapshot, &snapshot.basis(known_at, abouts)?))
    }

    /// The figures of production in a window, and of each of its targets; there is such a target.
    pub fn figures(&self, window: &Range<i64>) -> (Dora, Vec<Dora>) {
        self.ask(None, |snapshot, basis| answers::production(snapshot, basis, window))
    }

    /// Holds all answers to those of the model.
    #[track_caller]
    pub fn agrees(&self, known_at: Option<u64>, asked: &Asked) {
        let model = self.model();
        let model = known_at.map_or(model.clone(), |n| model.known_at(n));
        let (ours, models) = (Answers::of_product(self, known_at, asked), Answers::of_model(&model, asked));
        models.same(&ours, "the model", "the product");
    }
}

/// Holds what the product says of these drafts to what the model says, in every way of asking.
#[track_caller]
pub fn agrees(drafts: &[Draft]) {
    let product = Product::of(drafts);
    product.agrees(None, &Asked::of(drafts));
}
