//! Plimsoll: a deployment ledger. Every commit, build, scan, sync and rollback of a GitOps shop is an immutable event in
//! an append-only, publicly verifiable log. `ARCHITECTURE.md` has the map of the modules.

pub mod api;
pub mod app;
pub mod bench;
pub mod cdevents;
pub mod cli;
pub mod config;
pub mod event;
pub mod exposition;
pub mod ingest;
pub mod ledger;
pub mod projection;
pub mod report;
pub mod telemetry;
