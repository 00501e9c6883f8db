//! How the work was done: what differs between two states, and what an auditor asks after, through the real program.

mod diff;
mod drift;
mod exceptions;
mod origins;
mod tale;
