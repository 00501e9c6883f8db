//! Metrics as Prometheus and its kin read them: families of samples, and the forms they are written in. Pure.
//!
//! Ours and not a library's, because the counts come from the log and not from this process, and a back-fill carries
//! timestamps of its own.

mod native;
mod protobuf;
mod text;

/// OpenMetrics piece by piece, for what is too much to hold at once.
pub mod open_metrics {
    pub use super::text::{END, head, samples};
}

pub use native::Native;

/// What a family's samples are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A count that only grows.
    Counter,
    /// A value that comes and goes.
    Gauge,
    /// Counts by size.
    Histogram,
}

/// A family: what one name means.
#[derive(Debug, Clone, PartialEq)]
pub struct Family {
    /// The name; that of a counter without `_total`.
    pub name: &'static str,
    /// What it means, for people.
    pub help: &'static str,
    /// The unit, where the name ends in one: `seconds`.
    pub unit: Option<&'static str>,
    /// What its samples are.
    pub kind: Kind,
    /// The samples, each with other labels.
    pub samples: Vec<Sample>,
}

impl Family {
    /// A family without samples yet. The unit is read off the name.
    #[must_use]
    pub fn new(kind: Kind, name: &'static str, help: &'static str) -> Self {
        let unit = ["seconds", "bytes"].into_iter().find(|unit| name.ends_with(unit));
        Self { name, help, unit, kind, samples: Vec::new() }
    }

    /// Adds a sample.
    pub fn add(&mut self, labels: Labels, value: impl Into<Value>) {
        self.samples.push(Sample { labels, value: value.into(), at_micros: None, exemplar: None });
    }
}

/// Names and values of labels.
pub type Labels = Vec<(&'static str, String)>;

/// A sample.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// Its labels, in the order in which they are written.
    pub labels: Labels,
    /// Its value.
    pub value: Value,
    /// When it was so, in microseconds since 1970; now where absent.
    pub at_micros: Option<i64>,
    /// The event behind the newest observation, by id, and that observation.
    pub exemplar: Option<(String, f64)>,
}

/// A sample's value.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A whole number.
    Whole(u64),
    /// Any number.
    Number(f64),
    /// A histogram.
    Histogram(Histogram),
}

impl From<u64> for Value {
    fn from(value: u64) -> Self {
        Self::Whole(value)
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Self::Number(value)
    }
}

impl From<Histogram> for Value {
    fn from(value: Histogram) -> Self {
        Self::Histogram(value)
    }
}

/// Counts by size: classic buckets, and native ones where they are kept.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Histogram {
    /// Upper bounds, included, ascending, without infinity.
    pub bounds: Vec<f64>,
    /// How many observations each bucket has, not cumulated; the last one is beyond every bound.
    pub counts: Vec<u64>,
    /// Sum of the observations.
    pub sum: f64,
    /// The same observations in exponential buckets.
    pub native: Option<Native>,
}

impl Histogram {
    /// An empty histogram.
    #[must_use]
    pub fn new(bounds: &[f64]) -> Self {
        Self { bounds: bounds.to_vec(), counts: vec![0; bounds.len() + 1], sum: 0.0, native: Some(Native::default()) }
    }

    /// An empty histogram that is kept in classic buckets alone.
    #[must_use]
    pub fn classic(bounds: &[f64]) -> Self {
        Self { native: None, ..Self::new(bounds) }
    }

    /// Takes an observation in.
    pub fn observe(&mut self, value: f64) {
        count(&mut self.counts, &self.bounds, value);
        self.sum += value;
        if let Some(native) = &mut self.native {
            native.observe(value);
        }
    }

    /// Takes in what another histogram of the same bounds has.
    pub fn merge(&mut self, other: &Self) {
        self.counts.iter_mut().zip(&other.counts).for_each(|(count, more)| *count += more);
        self.sum += other.sum;
        match (&mut self.native, &other.native) {
            (Some(native), Some(other)) => native.merge(other),
            (native, _) => *native = None,
        }
    }

    /// How many observations there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }
}

/// Counts an observation in its classic bucket, the first whose bound it does not exceed; the last is beyond every bound.
pub fn count(counts: &mut Vec<u64>, bounds: &[f64], value: f64) {
    counts.resize(bounds.len() + 1, 0);
    if let Some(count) = counts.get_mut(bounds.partition_point(|bound| *bound < value)) {
        *count += 1;
    }
}

/// The forms in which metrics are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// OpenMetrics 1.0.0.
    OpenMetrics,
    /// Prometheus' text format 0.0.4.
    Text,
    /// Prometheus' delimited protocol buffers: the only form with native histograms.
    Protobuf,
}

impl Format {
    /// The form that an `Accept` header likes best; the old text where it says nothing that is known.
    #[must_use]
    pub fn negotiate(accept: &str) -> Self {
        let wish = |part: &str| {
            let mut parameters = part.split(';').map(str::trim);
            let media_type = parameters.next()?.to_ascii_lowercase();
            let mut quality = 1.0;
            let mut delimited = false;
            for parameter in parameters {
                if let Some(q) = parameter.strip_prefix("q=") {
                    quality = q.parse::<f64>().ok().filter(|q| (0.0..=1.0).contains(q))?;
                }
                delimited |= parameter.eq_ignore_ascii_case("encoding=delimited");
            }
            let format = match media_type.as_str() {
                "application/openmetrics-text" => Self::OpenMetrics,
                "application/vnd.google.protobuf" if delimited => Self::Protobuf,
                "text/plain" | "text/*" | "*/*" => Self::Text,
                _ => return None,
            };
            (quality > 0.0).then_some((quality, format))
        };
        let mut best: Option<(f64, Self)> = None;
        for (quality, format) in accept.split(',').filter_map(wish) {
            if best.is_none_or(|(found, _)| quality > found) {
                best = Some((quality, format));
            }
        }
        best.map_or(Self::Text, |(_, format)| format)
    }

    /// What it is called in `Content-Type`.
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::Protobuf => {
                "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"
            }
        }
    }

    /// Writes families. One without samples is left out: what is not known is not there.
    #[must_use]
    pub fn write(self, families: &[Family]) -> Vec<u8> {
        let families = families.iter().filter(|family| !family.samples.is_empty());
        match self {
            Self::OpenMetrics => text::open_metrics(families).into_bytes(),
            Self::Text => text::classic(families).into_bytes(),
            Self::Protobuf => protobuf::delimited(families),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn families() -> Vec<Family> {
        let mut deployments = Family::new(Kind::Counter, "shop_deployments", "Deployments \"so far\"\nby service.");
        deployments.add(vec![("service", "a\"b\\c\nd".to_owned())], 3);
        let mut share = Family::new(Kind::Gauge, "shop_failure_ratio", "Share of failures.");
        share.add(Vec::new(), 0.25);
        let mut durations = Family::new(Kind::Histogram, "shop_duration_seconds", "How long.");
        let mut histogram = Histogram::new(&[1.0, 5.0]);
        [0.5, 1.0, 3.0, 8.0].into_iter().for_each(|value| histogram.observe(value));
        durations.add(vec![("service", "a".to_owned())], histogram);
        durations.samples[0].exemplar = Some(("0192".to_owned(), 3.0));
        vec![deployments, share, durations, Family::new(Kind::Gauge, "shop_nothing", "Not there.")]
    }

    #[test]
    fn open_metrics_is_written_as_its_specification_has_it() {
        let text = String::from_utf8(Format::OpenMetrics.write(&families())).unwrap();
        insta::assert_snapshot!(text, @r#"
        # HELP shop_deployments Deployments \"so far\"\nby service.
        # TYPE shop_deployments counter
        shop_deployments_total{service="a\"b\\c\nd"} 3
        # HELP shop_failure_ratio Share of failures.
        # TYPE shop_failure_ratio gauge
        shop_failure_ratio 0.25
        # HELP shop_duration_seconds How long.
        # TYPE shop_duration_seconds histogram
        # UNIT shop_duration_seconds seconds
        shop_duration_seconds_bucket{service="a",le="1.0"} 2
        shop_duration_seconds_bucket{service="a",le="5.0"} 3 # {event="0192"} 3.0
        shop_duration_seconds_bucket{service="a",le="+Inf"} 4
        shop_duration_seconds_count{service="a"} 4
        shop_duration_seconds_sum{service="a"} 12.5
        # EOF
        "#);
    }

    #[test]
    fn the_old_text_names_a_counter_in_full_and_has_no_exemplars() {
        let text = String::from_utf8(Format::Text.write(&families())).unwrap();
        assert!(text.contains("# TYPE shop_deployments_total counter\n"), "{text}");
        assert!(text.contains("# HELP shop_deployments_total Deployments \"so far\"\\nby service.\n"), "{text}");
        assert!(!text.contains("0192") && !text.contains("# EOF") && !text.contains("# UNIT"), "{text}");
    }

    #[test]
    fn the_form_that_is_liked_best_is_chosen() {
        let prometheus = "application/openmetrics-text;version=1.0.0;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        let native = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.8,\
                      application/openmetrics-text;version=1.0.0;q=0.75";
        assert_eq!(Format::negotiate(prometheus), Format::OpenMetrics);
        assert_eq!(Format::negotiate(native), Format::Protobuf);
        for accept in ["", "*/*", "text/html", "application/openmetrics-text;q=0", "application/vnd.google.protobuf"] {
            assert_eq!(Format::negotiate(accept), Format::Text, "{accept}");
        }
    }
}
