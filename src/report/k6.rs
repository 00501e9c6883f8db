//! k6: the summary of a load test, as `--summary-export` and as `handleSummary` write it.
//!
//! The first says of a threshold whether it failed, the second whether it held. Times are in milliseconds.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{Details, Document, Format, Given, Kind, Named, Reason, Rejection, Report, Shape, Sketch};
use crate::event::check::{Conclusion, LoadResult, ValidationFinished, ValidationKind};
use crate::event::{Data, U64};

/// k6.
pub(super) const FORMAT: Format = Format {
    name: "k6",
    about: "k6 load tests",
    versions: "--summary-export and handleSummary JSON",
    kinds: &[Kind::Validation],
    media_type: "application/json",
    recognise: |sketch: &Sketch| {
        sketch.shape == Shape::Object
            && sketch.has("metrics")
            && (sketch.has("root_group") || sketch.has("metrics.vus_max"))
    },
    secret_members: |_| &[],
    read,
};

#[derive(Deserialize)]
struct Summary {
    metrics: BTreeMap<String, Metric>,
    #[serde(default)]
    root_group: Option<Group>,
    #[serde(default)]
    state: Option<State>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct State {
    test_run_duration_ms: Option<f64>,
}

#[derive(Deserialize)]
struct Metric {
    /// Only `handleSummary` has them apart.
    values: Option<BTreeMap<String, serde_json::Value>>,
    #[serde(default)]
    thresholds: BTreeMap<String, Threshold>,
    #[serde(flatten)]
    bare: BTreeMap<String, serde_json::Value>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Threshold {
    Failed(bool),
    Held { ok: bool },
}

/// A group of checks, which holds others; both come as lists or by name.
#[derive(Deserialize)]
struct Group {
    #[serde(default)]
    checks: Many<Check>,
    #[serde(default)]
    groups: Many<Self>,
}

#[derive(Deserialize)]
struct Check {
    #[serde(default)]
    fails: u64,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Many<T> {
    List(Vec<T>),
    Named(BTreeMap<String, T>),
}

impl<T> Default for Many<T> {
    fn default() -> Self {
        Self::List(Vec::new())
    }
}

impl<T> Many<T> {
    fn iter(&self) -> Box<dyn Iterator<Item = &T> + '_> {
        match self {
            Self::List(list) => Box::new(list.iter()),
            Self::Named(map) => Box::new(map.values()),
        }
    }
}

impl Group {
    /// Checks in it and below, and how many of them failed at least once.
    fn count(&self) -> (u64, u64) {
        let (mut all, mut failed) = (0, 0);
        for check in self.checks.iter() {
            all += 1;
            failed += u64::from(check.fails > 0);
        }
        for group in self.groups.iter() {
            let (more, more_failed) = group.count();
            all += more;
            failed += more_failed;
        }
        (all, failed)
    }
}

impl Summary {
    fn number(&self, metric: &str, value: &str) -> Option<f64> {
        let metric = self.metrics.get(metric)?;
        metric.values.as_ref().unwrap_or(&metric.bare).get(value)?.as_f64()
    }

    /// A count, or a time in another unit, as a whole number.
    fn whole(&self, metric: &str, value: &str, factor: f64) -> Option<u64> {
        whole(self.number(metric, value)? * factor)
    }
}

fn whole(number: f64) -> Option<u64> {
    (number.is_finite() && number >= 0.0).then(|| format!("{number:.0}").parse().ok()).flatten()
}

fn read(document: &Document<'_>, given: &Given, _details: &mut dyn Details) -> Result<Report, Rejection> {
    let summary: Summary = document.json()?;
    let thresholds = summary.metrics.values().flat_map(|metric| metric.thresholds.values());
    let (mut total, mut failed) = (0_u64, 0_u64);
    for threshold in thresholds {
        total += 1;
        failed += u64::from(matches!(threshold, Threshold::Failed(true) | Threshold::Held { ok: false }));
    }
    let (crossed, bounded) = (failed, total);
    let (checks, checks_failed) = summary.root_group.as_ref().map_or((0, 0), Group::count);
    total += checks;
    failed += checks_failed;
    let conclusion = match given.exit_code {
        // 99 is k6's own for thresholds that were crossed.
        Some(0) | None if crossed > 0 || (bounded == 0 && checks_failed > 0) => Conclusion::Failure,
        Some(0) | None => Conclusion::Success,
        Some(99) => Conclusion::Failure,
        Some(_) => Conclusion::Error,
    };
    let requests = summary.whole("http_reqs", "count", 1.0).or_else(|| summary.whole("iterations", "count", 1.0));
    let requests = requests.ok_or_else(|| {
        Rejection::new(Reason::MissingField, "neither requests nor iterations were counted")
            .at("metrics.http_reqs.count")
    })?;
    let time = |value: &str| summary.whole("http_req_duration", value, 1000.0).map(U64);
    let virtual_users = summary.whole("vus_max", "max", 1.0).or_else(|| summary.whole("vus_max", "value", 1.0));
    let load = LoadResult {
        duration_ms: summary.state.as_ref().and_then(|state| whole(state.test_run_duration_ms?)).map(U64),
        failed_requests: summary.whole("http_req_failed", "passes", 1.0).map(U64),
        latency_max_us: time("max"),
        latency_p50_us: time("med"),
        latency_p95_us: time("p(95)"),
        latency_p99_us: time("p(99)"),
        requests: U64(requests),
        virtual_users_max: virtual_users.and_then(|n| u32::try_from(n).ok()),
    };
    let fact = ValidationFinished {
        artifacts: None,
        attestation: None,
        checks_failed: u32::try_from(failed).ok(),
        checks_total: u32::try_from(total).ok(),
        commit: None,
        conclusion,
        deployment: None,
        expires_at: None,
        kind: ValidationKind::Load,
        load: Some(load),
        name: "k6".to_owned(),
        report: None,
        run: None,
        started_at: None,
        statement: None,
        tool: Some("k6".to_owned()),
        tool_version: None,
        url: None,
        validator: None,
    };
    let facts = vec![Data::from(fact)];
    Ok(Report { format: "k6".to_owned(), generated_at: None, named: Named::default(), facts })
}
