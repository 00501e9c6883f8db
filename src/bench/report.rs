//! What a run found, and how it is told.

use serde::Serialize;

use super::sbom::Documents;
use super::views::Viewed;

/// Ours and the floor, in the same unit, and what the issue is about: their ratio.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Spread {
    /// Ours: the median of the rounds.
    pub ours: f64,
    /// The floor: the median of the rounds.
    pub floor: f64,
    /// Ours to the floor: the median of the rounds' own ratios.
    pub ratio: f64,
    /// The least and the greatest ratio of a round.
    pub between: (f64, f64),
}

impl Spread {
    /// From the rounds' pairs of ours and floor.
    #[must_use]
    pub fn of(rounds: &[(f64, f64)]) -> Self {
        let mut ratios: Vec<f64> = rounds.iter().map(|(ours, floor)| ours / floor).collect();
        ratios.sort_by(f64::total_cmp);
        let between = (ratios.first().copied().unwrap_or(f64::NAN), ratios.last().copied().unwrap_or(f64::NAN));
        Self {
            ours: median(rounds.iter().map(|(ours, _)| *ours).collect()),
            floor: median(rounds.iter().map(|(_, floor)| *floor).collect()),
            ratio: median(ratios),
            between,
        }
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Appends one by one, against a no-op RPC of the same message. Per second.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Unary {
    /// With 64 in flight.
    pub in_flight_64: Spread,
    /// With 512 in flight.
    pub in_flight_512: Spread,
}

/// From the append to the receipt in the client's hand, against writing 4 KiB and syncing. Milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Receipts {
    /// The middle one.
    pub p50: Spread,
    /// The one that 99 of 100 are faster than.
    pub p99: Spread,
}

/// Reading over gRPC, against a scan of the same events in the plain table of the append floor, each row read whole into
/// memory of its own. Events per second.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Reads {
    /// The log from its beginning as one answer, at most 200,000 events of it.
    pub stream: Spread,
    /// Page by page, 1,000 events each, one request after the other.
    pub page: Spread,
    /// One stream's events, which lie all over the log.
    pub one_stream: Spread,
}

/// A start with a log of some size.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Started {
    /// From the start of the process to both ports taking connections. Milliseconds.
    pub ready_ms: f64,
    /// Resident memory after the log was read once to its end, and 1,000 look-ups. MB.
    pub resident_mb: f64,
    /// The most it ever was. MB.
    pub peak_mb: f64,
}

/// Everything that was measured at one size of the log.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Sized {
    /// How many events there were.
    pub events: u64,
    /// Durable appends in batches, with one live subscriber that has to see them all: the last rounds before the log has
    /// that size. Events per second.
    pub appended: Spread,
    /// Appends one by one.
    pub unary: Unary,
    /// Receipts.
    pub receipts: Receipts,
    /// Reads.
    pub reads: Reads,
    /// Look-ups by id with 64 in flight, against a no-op RPC that returns the same bytes. Per second.
    pub gets: Spread,
    /// Full verification, against SHA-256 of the events on all cores. MB per second.
    pub verified: Spread,
    /// A start.
    pub started: Started,
}

/// The ratios that are held to. Those at the largest size; every size has its own besides. What was not measured is absent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Ratios {
    /// At least 1.0 is wanted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub append_stream_vs_raw_sqlite: Option<f64>,
    /// At least 0.8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub append_unary512_vs_noop_rpc: Option<f64>,
    /// At least 0.5.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub append_unary64_vs_noop_rpc: Option<f64>,
    /// At most 3.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub receipt_p99_vs_fsync_p99: Option<f64>,
    /// At least 0.4.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub read_stream_vs_raw_scan: Option<f64>,
    /// At least 0.4.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub read_page_vs_raw_scan: Option<f64>,
    /// At least 0.7.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub get_vs_noop_rpc: Option<f64>,
    /// At least 0.6.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verify_vs_sha256: Option<f64>,
    /// The time of an import to that of reading the repository; at most 2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub import_vs_bare_walk: Option<f64>,
    /// At least 0.5.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub webhook_vs_noop_post: Option<f64>,
    /// At least a third.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sbom_vs_skipping: Option<f64>,
}

/// A whole run.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Report {
    /// The program's version.
    pub version: &'static str,
    /// Cores of the machine.
    pub cores: usize,
    /// The ratios at the largest size.
    pub ratios: Ratios,
    /// Each size.
    pub sizes: Vec<Sized>,
    /// Import of a repository, against reading it with git2. Commits per second; the ratio is one of times.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub import: Option<Spread>,
    /// Signed pushes of about 7 KB over 32 connections, each durable with its evidence before it is answered, against a
    /// route that reads them and does nothing. Per second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub webhooks: Option<Spread>,
    /// A large bill of materials.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub documents: Option<Documents>,
    /// The projections, on a year of a shop.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub estates: Vec<Viewed>,
}

/// A row of the table for people: what, at which size, ours, floor, ratio.
pub(super) fn row(what: &str, size: String, spread: &Spread) -> [String; 5] {
    let figure = |value: f64| if value < 100.0 { format!("{value:.2}") } else { format!("{value:.0}") };
    [what.to_owned(), size, figure(spread.ours), figure(spread.floor), format!("{:.2}", spread.ratio)]
}

/// A row of what has no floor.
pub(super) fn alone(what: &str, size: String, value: f64) -> [String; 5] {
    let value = if value < 100.0 { format!("{value:.2}") } else { format!("{value:.0}") };
    [what.to_owned(), size, value, String::new(), String::new()]
}

impl Report {
    pub(super) fn begin() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self { version: env!("CARGO_PKG_VERSION"), cores, ..Self::default() }
    }

    pub(super) fn conclude(mut self) -> Self {
        if let Some(last) = self.sizes.last() {
            self.ratios = Ratios {
                append_stream_vs_raw_sqlite: Some(last.appended.ratio),
                append_unary512_vs_noop_rpc: Some(last.unary.in_flight_512.ratio),
                append_unary64_vs_noop_rpc: Some(last.unary.in_flight_64.ratio),
                receipt_p99_vs_fsync_p99: Some(last.receipts.p99.ratio),
                read_stream_vs_raw_scan: Some(last.reads.stream.ratio),
                read_page_vs_raw_scan: Some(last.reads.page.ratio),
                get_vs_noop_rpc: Some(last.gets.ratio),
                verify_vs_sha256: Some(last.verified.ratio),
                ..Ratios::default()
            };
        }
        self.ratios.import_vs_bare_walk = self.import.map(|import| import.ratio);
        self.ratios.webhook_vs_noop_post = self.webhooks.map(|webhooks| webhooks.ratio);
        self.ratios.sbom_vs_skipping = self.documents.map(|documents| documents.recorded.ratio);
        self
    }

    /// The rows of the table for people: what, at which size, ours, floor, ratio.
    #[must_use]
    pub fn rows(&self) -> Vec<[String; 5]> {
        let mut rows = Vec::new();
        for sized in &self.sizes {
            let size = || sized.events.to_string();
            rows.push(row("append in batches, events/s : raw SQLite", size(), &sized.appended));
            rows.push(row("append, 512 in flight, /s : no-op RPC", size(), &sized.unary.in_flight_512));
            rows.push(row("append, 64 in flight, /s : no-op RPC", size(), &sized.unary.in_flight_64));
            rows.push(row("receipt p50, ms : fsync", size(), &sized.receipts.p50));
            rows.push(row("receipt p99, ms : fsync", size(), &sized.receipts.p99));
            rows.push(row("read the log, events/s : raw scan", size(), &sized.reads.stream));
            rows.push(row("read pages, events/s : raw scan", size(), &sized.reads.page));
            rows.push(row("read one stream, events/s : raw scan", size(), &sized.reads.one_stream));
            rows.push(row("get by id, /s : no-op RPC", size(), &sized.gets));
            rows.push(row("verify, MB/s : SHA-256", size(), &sized.verified));
            let started = sized.started;
            rows.push(alone("start to ready, ms", size(), started.ready_ms));
            rows.push(alone("resident, MB", size(), started.resident_mb));
        }
        if let Some(import) = &self.import {
            rows.push(row("import, commits/s : bare walk", String::new(), import));
        }
        if let Some(webhooks) = &self.webhooks {
            rows.push(row("webhooks, /s : no-op POST", String::new(), webhooks));
        }
        if let Some(documents) = &self.documents {
            rows.push(row("record a bill of materials, MB/s : skip JSON", String::new(), &documents.recorded));
            rows.push(alone("peak memory of that, MB", String::new(), documents.peak_mb));
        }
        rows.extend(self.estates.iter().flat_map(Viewed::rows));
        rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_is_the_median_of_the_rounds_and_of_their_ratios() {
        let spread = Spread::of(&[(10.0, 5.0), (30.0, 10.0), (20.0, 20.0)]);
        assert_eq!(spread, Spread { ours: 20.0, floor: 10.0, ratio: 2.0, between: (1.0, 3.0) });
    }
}
