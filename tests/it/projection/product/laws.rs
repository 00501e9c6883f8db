//! What must hold of the product, over made-up histories.

use super::super::history::arrivals;
use super::super::properties::check;
use super::agrees;

#[test]
fn the_product_answers_as_the_model_does() {
    check(&arrivals(), 100, |(_, arriving)| agrees(&arriving));
}
