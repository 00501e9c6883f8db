//! What the world does to a ledger: power that fails, disks that lie, processes that are killed.
#![expect(
    clippy::panic,
    clippy::print_stderr,
    reason = "helpers are not `#[test]` functions, and a failing seed is told"
)]

mod alongside;
mod commit;
mod corruption;
mod erasure;
mod evidence;
mod kill;
mod power;
mod processes;
mod simulation;
