//! What the world does to a ledger: power that fails, disks that lie, processes that are killed.

mod commit;
mod corruption;
mod erasure;
mod kill;
mod power;
mod processes;
mod simulation;
