//! Prometheus' protocol buffers: `io.prometheus.client.MetricFamily`, each with its length before it.
//!
//! The messages are those of `io/prometheus/client/metrics.proto` as far as they are used here.

use prost::Message;

use super::native::{SCHEMA, ZERO_THRESHOLD, spans};
use super::{Family, Kind, Sample, Value};

#[derive(Clone, PartialEq, Message)]
struct LabelPair {
    #[prost(string, optional, tag = "1")]
    name: Option<String>,
    #[prost(string, optional, tag = "2")]
    value: Option<String>,
}

#[derive(Clone, PartialEq, Message)]
struct Number {
    #[prost(double, optional, tag = "1")]
    value: Option<f64>,
}

#[derive(Clone, PartialEq, Message)]
struct Exemplar {
    #[prost(message, repeated, tag = "1")]
    label: Vec<LabelPair>,
    #[prost(double, optional, tag = "2")]
    value: Option<f64>,
}

#[derive(Clone, PartialEq, Message)]
struct Bucket {
    #[prost(uint64, optional, tag = "1")]
    cumulative_count: Option<u64>,
    #[prost(double, optional, tag = "2")]
    upper_bound: Option<f64>,
    #[prost(message, optional, tag = "3")]
    exemplar: Option<Exemplar>,
}

#[derive(Clone, PartialEq, Message)]
struct BucketSpan {
    #[prost(sint32, optional, tag = "1")]
    offset: Option<i32>,
    #[prost(uint32, optional, tag = "2")]
    length: Option<u32>,
}

#[derive(Clone, PartialEq, Message)]
struct WireHistogram {
    #[prost(uint64, optional, tag = "1")]
    sample_count: Option<u64>,
    #[prost(double, optional, tag = "2")]
    sample_sum: Option<f64>,
    #[prost(message, repeated, tag = "3")]
    bucket: Vec<Bucket>,
    #[prost(sint32, optional, tag = "5")]
    schema: Option<i32>,
    #[prost(double, optional, tag = "6")]
    zero_threshold: Option<f64>,
    #[prost(uint64, optional, tag = "7")]
    zero_count: Option<u64>,
    #[prost(message, repeated, tag = "12")]
    positive_span: Vec<BucketSpan>,
    #[prost(sint64, repeated, tag = "13")]
    positive_delta: Vec<i64>,
}

#[derive(Clone, PartialEq, Message)]
struct Metric {
    #[prost(message, repeated, tag = "1")]
    label: Vec<LabelPair>,
    #[prost(message, optional, tag = "2")]
    gauge: Option<Number>,
    #[prost(message, optional, tag = "3")]
    counter: Option<Number>,
    #[prost(message, optional, tag = "7")]
    histogram: Option<WireHistogram>,
    #[prost(int64, optional, tag = "6")]
    timestamp_ms: Option<i64>,
}

#[derive(Clone, PartialEq, Message)]
struct MetricFamily {
    #[prost(string, optional, tag = "1")]
    name: Option<String>,
    #[prost(string, optional, tag = "2")]
    help: Option<String>,
    /// 0 counter, 1 gauge, 4 histogram
    #[prost(int32, optional, tag = "3")]
    r#type: Option<i32>,
    #[prost(message, repeated, tag = "4")]
    metric: Vec<Metric>,
}

/// Families, each with its length before it.
pub(super) fn delimited<'a>(families: impl Iterator<Item = &'a Family>) -> Vec<u8> {
    families.flat_map(|family| wire_family(family).encode_length_delimited_to_vec()).collect()
}

fn wire_family(family: &Family) -> MetricFamily {
    let (suffix, number) = match family.kind {
        Kind::Counter => ("_total", 0),
        Kind::Gauge => ("", 1),
        Kind::Histogram => ("", 4),
    };
    MetricFamily {
        name: Some(format!("{}{suffix}", family.name)),
        help: Some(family.help.to_owned()),
        r#type: Some(number),
        metric: family.samples.iter().map(|sample| metric(family.kind, sample)).collect(),
    }
}

fn pair(name: &str, value: &str) -> LabelPair {
    LabelPair { name: Some(name.to_owned()), value: Some(value.to_owned()) }
}

fn metric(kind: Kind, sample: &Sample) -> Metric {
    let mut metric = Metric {
        label: sample.labels.iter().map(|(name, value)| pair(name, value)).collect(),
        timestamp_ms: sample.at_micros.map(|micros| micros.div_euclid(1000)),
        ..Metric::default()
    };
    let value = match &sample.value {
        #[expect(clippy::cast_precision_loss, reason = "the form has doubles only")]
        Value::Whole(value) => *value as f64,
        Value::Number(value) => *value,
        Value::Histogram(histogram) => {
            metric.histogram = Some(wire_histogram(sample, histogram));
            return metric;
        }
    };
    match kind {
        Kind::Counter => metric.counter = Some(Number { value: Some(value) }),
        Kind::Gauge | Kind::Histogram => metric.gauge = Some(Number { value: Some(value) }),
    }
    metric
}

fn wire_histogram(sample: &Sample, histogram: &super::Histogram) -> WireHistogram {
    let (mut total, mut below) = (0, f64::NEG_INFINITY);
    let bounds = histogram.bounds.iter().copied().chain([f64::INFINITY]);
    let bucket = bounds.zip(&histogram.counts).map(|(bound, count)| {
        total += count;
        let exemplar = sample.exemplar.as_ref().filter(|(_, value)| *value > below && *value <= bound);
        below = bound;
        Bucket {
            cumulative_count: Some(total),
            upper_bound: Some(bound),
            exemplar: exemplar
                .map(|(event, value)| Exemplar { label: vec![pair("event", event)], value: Some(*value) }),
        }
    });
    let mut wire = WireHistogram { bucket: bucket.collect(), ..WireHistogram::default() };
    wire.sample_count = Some(histogram.count());
    wire.sample_sum = Some(histogram.sum);
    if let Some(native) = &histogram.native {
        let (spans, deltas) = spans(native);
        let span = |(offset, length)| BucketSpan { offset: Some(offset), length: Some(length) };
        wire.schema = Some(SCHEMA);
        wire.zero_threshold = Some(ZERO_THRESHOLD);
        wire.zero_count = Some(native.zero);
        wire.positive_span = spans.into_iter().map(span).collect();
        wire.positive_delta = deltas;
    }
    wire
}
