//! Tests of what runs: the same report as of any tests, and another fact.

use crate::event::Data;
use crate::event::check::{TestsuiteFinished, ValidationFinished, ValidationKind};

/// What tests say of the target that they were run against. Whatever else a report says stays as it is.
pub(super) fn of(fact: Data) -> Data {
    let Data::TestsuiteFinished(suite) = fact else { return fact };
    let TestsuiteFinished { conclusion, errors, failures, started_at, suite, tests, tool, tool_version, .. } = suite;
    let failed = failures.unwrap_or(0).saturating_add(errors.unwrap_or(0));
    Data::from(ValidationFinished {
        artifacts: None,
        attestation: None,
        checks_failed: tests.map(|_| failed),
        checks_total: tests,
        commit: None,
        conclusion,
        deployment: None,
        expires_at: None,
        kind: ValidationKind::Smoke,
        load: None,
        name: suite,
        report: None,
        run: None,
        started_at,
        statement: None,
        tool,
        tool_version,
        url: None,
        validator: None,
    })
}
