//! What must hold of the product's answers, over made-up histories.

use plimsoll::projection::deployment::{Class, Ended, deployments, targets};
use plimsoll::projection::{Projector, all, compare};
use proptest::prelude::*;
use proptest::sample::Index;

use super::super::history::{arrivals, history};
use super::super::model::Model;
use super::super::properties::check;
use super::{Answers, Asked, Nothing, Product};

#[test]
fn whatever_the_order_and_however_often_it_is_told_the_answers_are_those_of_the_model() {
    check(&arrivals(), 50, |(drafts, arriving)| {
        let product = Product::new();
        arriving.chunks(1 + arriving.len() / 3).for_each(|some| product.append(some));
        product.fold("views", usize::MAX);
        assert_eq!(product.ledger.head().size, 1 + u64::try_from(drafts.len()).unwrap(), "each is recorded once");
        let asked = Asked::of(&drafts);
        let models = Answers::of_model(&Model::of_drafts(&drafts), &asked);
        models.same(&Answers::of_product(&product, None, &asked), "the model", "the product");
    });
}

#[test]
fn what_was_known_at_a_position_is_what_the_events_before_it_say() {
    check(&(arrivals(), prop::collection::vec(any::<Index>(), 3)), 20, |((drafts, arriving), known)| {
        let (product, asked) = (Product::of(&arriving), Asked::of(&drafts));
        for n in known {
            product.agrees(Some(u64::try_from(n.index(drafts.len() + 2)).unwrap()), &asked);
        }
    });
}

#[test]
fn how_events_are_cut_into_transactions_and_when_the_file_is_opened_again_shows_in_no_byte() {
    check(&(arrivals(), any::<Index>()), 20, |((_, arriving), n)| {
        let product = Product::of(&arriving);
        for (name, batch) in [("one", 1), ("seven", 7)] {
            product.fold(name, batch);
        }
        let (events, path) = (product.events(), product.path("again"));
        let (before, after) = events.split_at(n.index(events.len()));
        let mut projector = Projector::create(&path, product.ledger.key().name(), all()).unwrap();
        projector.fold(before, &Nothing).unwrap();
        projector.close().unwrap();
        let mut projector = Projector::open(&path, all()).unwrap();
        after.chunks(3).for_each(|some| projector.fold(some, &Nothing).unwrap());
        projector.close().unwrap();
        for name in ["one", "seven", "again"] {
            assert_eq!(compare(&product.path("views"), &product.path(name), &all()).unwrap(), None, "{name}");
        }
    });
}

#[test]
fn intervals_of_a_target_follow_one_another() {
    check(&history(), 20, |drafts| {
        Product::of(&drafts).ask(None, |snapshot, basis| {
            for target in targets(snapshot, basis, None, None)? {
                let mut runs = deployments(snapshot, basis, &target, (None, None), None, usize::MAX)?;
                runs.retain(|it| matches!(it.class, Some(Class::Forward | Class::Rollback)));
                // The newest comes first.
                for pair in runs.windows(2) {
                    let (until, next) = (pair[1].until.unwrap(), pair[0].at);
                    assert!(pair[1].at <= until && until <= next);
                }
                assert!(runs.first().is_none_or(|last| last.until.is_none() || last.ended == Some(Ended::Removed)));
                assert!(runs.last().is_none_or(|first| first.class == Some(Class::Forward)));
            }
            Ok(())
        });
    });
}
