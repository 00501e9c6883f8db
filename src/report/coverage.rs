//! What the readers of coverage share.

use super::check::{Counted, check, one};
use super::{Given, Reason, Rejection, Report, value};
use crate::event::check::{CheckKind, Conclusion, Coverage};

/// Counts of a report, and the fields they stand in.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Reached {
    /// Lines that ran, and lines that could.
    pub(super) lines: (u64, u64),
    /// Branches that were taken, and branches there are; none where they were not measured.
    pub(super) branches: Option<(u64, u64)>,
}

/// The check that a coverage report is. It says how much was reached and not whether that is enough: only the exit code
/// of a tool that was given a threshold does (coverage.py: 2 below it).
///
/// # Errors
/// [`Reason::BadNumber`] at `field` where more was reached than there is.
pub(super) fn report(
    format: String,
    tool: Option<&str>,
    reached: Reached,
    field: &str,
    given: &Given,
) -> Result<Report, Rejection> {
    let whole = |(part, all): (u64, u64), what: &str| {
        if part > all {
            let what = format!("{part} {what} were reached, of {all} that there are");
            return Err(Rejection::new(Reason::BadNumber, what).at(field));
        }
        Ok((value::count(field, part)?, value::count(field, all)?))
    };
    let (lines_covered, lines_valid) = whole(reached.lines, "lines")?;
    let branches = reached.branches.map(|branches| whole(branches, "branches")).transpose()?;
    let came_out = match given.exit_code {
        None => Conclusion::Neutral,
        Some(0) => Conclusion::Success,
        Some(1 | 2) => Conclusion::Failure,
        Some(_) => Conclusion::Error,
    };
    let mut fact = check(CheckKind::Coverage, "coverage", Counted::default(), came_out);
    fact.tool = tool.map(str::to_owned);
    fact.coverage = Some(Coverage {
        branches_covered: branches.map(|(part, _)| part),
        branches_valid: branches.map(|(_, all)| all),
        lines_covered,
        lines_valid,
        threshold_basis_points: None,
    });
    Ok(one(format, fact))
}
