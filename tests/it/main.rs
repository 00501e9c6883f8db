//! The one integration-test binary. `tidy` fails on a file here that no `mod` names.

mod ledger;
mod support;
mod vocabulary;
