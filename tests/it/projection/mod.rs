//! Answers over the log, against a naive model of what they must be, and against git.

mod arrival;
mod cases;
mod figures;
mod git_oracle;
mod history;
mod model;
mod properties;
mod story;
