//! The two text forms: OpenMetrics 1.0.0, and Prometheus' format 0.0.4.

use std::fmt::Write as _;

use super::{Family, Histogram, Kind, Labels, Sample, Value};

/// OpenMetrics: <https://github.com/prometheus/OpenMetrics/blob/v1.0.0/specification/OpenMetrics.md>.
pub(super) fn open_metrics<'a>(families: impl Iterator<Item = &'a Family>) -> String {
    let mut writer = Writer { out: String::new(), open_metrics: true };
    families.for_each(|family| writer.family(family));
    writer.out.push_str(END);
    writer.out
}

/// The older form, which every scraper reads.
pub(super) fn classic<'a>(families: impl Iterator<Item = &'a Family>) -> String {
    let mut writer = Writer { out: String::new(), open_metrics: false };
    families.for_each(|family| writer.family(family));
    writer.out
}

/// What stands before the samples of a family in OpenMetrics.
#[must_use]
pub fn head(family: &Family) -> String {
    let mut writer = Writer { out: String::new(), open_metrics: true };
    writer.head(family);
    writer.out
}

/// Samples of a family in OpenMetrics, those of one series in the order of time.
#[must_use]
pub fn samples<'a>(family: &Family, samples: impl IntoIterator<Item = &'a Sample>) -> String {
    let mut writer = Writer { out: String::new(), open_metrics: true };
    samples.into_iter().for_each(|sample| writer.samples(family, sample));
    writer.out
}

/// The end of OpenMetrics.
pub const END: &str = "# EOF\n";

struct Writer {
    out: String,
    open_metrics: bool,
}

impl Writer {
    fn family(&mut self, family: &Family) {
        self.head(family);
        family.samples.iter().for_each(|sample| self.samples(family, sample));
    }

    fn head(&mut self, family: &Family) {
        // In the older form a family is called as its samples are.
        let total = if family.kind == Kind::Counter && !self.open_metrics { "_total" } else { "" };
        let kind = match family.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        let help = escaped(family.help, self.open_metrics);
        let name = family.name;
        self.line(format_args!("# HELP {name}{total} {help}"));
        self.line(format_args!("# TYPE {name}{total} {kind}"));
        if let Some(unit) = family.unit.filter(|_| self.open_metrics) {
            self.line(format_args!("# UNIT {name} {unit}"));
        }
    }

    fn samples(&mut self, family: &Family, sample: &Sample) {
        let suffix = if family.kind == Kind::Counter { "_total" } else { "" };
        match &sample.value {
            Value::Histogram(histogram) => self.histogram(family.name, sample, histogram),
            Value::Whole(value) => self.sample(family.name, suffix, sample, None, &value.to_string(), None),
            Value::Number(value) => self.sample(family.name, suffix, sample, None, &number(*value), None),
        }
    }

    fn histogram(&mut self, name: &str, sample: &Sample, histogram: &Histogram) {
        let mut total = 0;
        let mut below = f64::NEG_INFINITY;
        let bounds = histogram.bounds.iter().copied().chain([f64::INFINITY]);
        for (bound, count) in bounds.zip(&histogram.counts) {
            total += count;
            let exemplar = sample.exemplar.as_ref().filter(|(_, value)| *value > below && *value <= bound);
            self.sample(name, "_bucket", sample, Some(bound), &total.to_string(), exemplar);
            below = bound;
        }
        self.sample(name, "_count", sample, None, &total.to_string(), None);
        self.sample(name, "_sum", sample, None, &number(histogram.sum), None);
    }

    fn sample(
        &mut self,
        name: &str,
        suffix: &str,
        sample: &Sample,
        bound: Option<f64>,
        value: &str,
        exemplar: Option<&(String, f64)>,
    ) {
        self.out.push_str(name);
        self.out.push_str(suffix);
        self.labels(&sample.labels, bound);
        self.out.push(' ');
        self.out.push_str(value);
        if let Some(micros) = sample.at_micros {
            // Seconds in the one form, milliseconds in the other.
            let written = if self.open_metrics {
                write!(self.out, " {}.{:06}", micros.div_euclid(1_000_000), micros.rem_euclid(1_000_000))
            } else {
                write!(self.out, " {}", micros.div_euclid(1000))
            };
            debug_assert!(written.is_ok(), "a string takes everything");
        }
        if let Some((event, value)) = exemplar.filter(|_| self.open_metrics) {
            let written = write!(self.out, " # {{event=\"{}\"}} {}", escaped(event, true), number(*value));
            debug_assert!(written.is_ok(), "a string takes everything");
        }
        self.out.push('\n');
    }

    fn labels(&mut self, labels: &Labels, bound: Option<f64>) {
        let mut all: Vec<String> =
            labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value, true))).collect();
        all.extend(bound.map(|bound| format!("le=\"{}\"", number(bound))));
        if !all.is_empty() {
            self.out.push('{');
            self.out.push_str(&all.join(","));
            self.out.push('}');
        }
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        let written = self.out.write_fmt(line);
        debug_assert!(written.is_ok(), "a string takes everything");
        self.out.push('\n');
    }
}

/// A number as both forms read it.
fn number(value: f64) -> String {
    if value == f64::INFINITY {
        "+Inf".to_owned()
    } else if value == f64::NEG_INFINITY {
        "-Inf".to_owned()
    } else if value.is_nan() {
        "NaN".to_owned()
    } else {
        format!("{value:?}")
    }
}

/// Escapes what would end a text early. Help texts of the older form keep their quotes.
fn escaped(text: &str, quotes: bool) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '"' if quotes => out.push_str("\\\""),
            other => out.push(other),
        }
    }
    out
}
