//! Answers over the log, against a naive model of what they must be, and against git.

mod arrival;
mod cases;
mod figures;
mod git_oracle;
pub mod history;
mod model;
mod product;
mod properties;
pub mod story;
