//! The one integration-test binary. `tidy` fails on a file here that no `mod` names.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    unreachable_pub,
    reason = "a test that cannot go on should say where; helpers are not `#[test]` functions"
)]

mod api;
mod attacks;
mod cli;
mod conformance;
mod dora;
mod exposure;
mod faults;
mod foreign;
mod fuzzed;
mod import;
mod judges;
mod kubernetes;
mod ledger;
mod metrics;
mod model;
mod practice;
mod projection;
mod properties;
mod provenance;
mod search;
mod sources;
mod support;
mod tidy;
mod vectors;
mod views;
mod vocabulary;
