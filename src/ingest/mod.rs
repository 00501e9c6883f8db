//! What other systems say becomes events here: one folder or file per system.

pub mod git;
