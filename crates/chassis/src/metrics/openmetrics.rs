//! Writes numbers as OpenMetrics 1.0, which has exemplars; the older text format has none.
//!
//! Source: the OpenMetrics specification 1.0.0, "Text format". A counter's family has no `_total`, its sample has.

use prometheus::proto::{LabelPair, Metric, MetricFamily, MetricType};

use super::exemplars::{Buckets, Exemplar, Exemplars, Labels};

/// Writes families with their exemplars.
pub(super) fn write(families: &[MetricFamily], exemplars: &Exemplars) -> String {
    let mut text = String::new();
    for family in families {
        write_family(&mut text, family, exemplars);
    }
    text.push_str("# EOF\n");
    text
}

/// Writes what a family is, and its samples.
fn write_family(text: &mut String, family: &MetricFamily, exemplars: &Exemplars) {
    let (kind, name) = match family.get_field_type() {
        MetricType::COUNTER => ("counter", family.name().strip_suffix("_total").unwrap_or(family.name())),
        MetricType::GAUGE => ("gauge", family.name()),
        MetricType::HISTOGRAM => ("histogram", family.name()),
        MetricType::SUMMARY | MetricType::UNTYPED => ("unknown", family.name()),
    };
    *text += &format!("# TYPE {name} {kind}\n");
    if let Some(unit) = ["seconds", "bytes"].into_iter().find(|unit| name.ends_with(&format!("_{unit}"))) {
        *text += &format!("# UNIT {name} {unit}\n");
    }
    *text += &format!("# HELP {name} {}\n", escaped(family.help()));
    let kept = exemplars.of(family.name());
    for metric in family.get_metric() {
        let labels = metric.get_label();
        match family.get_field_type() {
            MetricType::COUNTER => sample(text, &format!("{name}_total"), labels, metric.get_counter().get_value()),
            MetricType::GAUGE => sample(text, name, labels, metric.get_gauge().get_value()),
            MetricType::HISTOGRAM => histogram(text, name, metric, kept.of(&sorted(labels))),
            MetricType::SUMMARY | MetricType::UNTYPED => {}
        }
    }
}

/// Writes the buckets of a series, each with its exemplar, and what they sum up to.
fn histogram(text: &mut String, name: &str, metric: &Metric, exemplars: Option<Buckets>) {
    let histogram = metric.get_histogram();
    let bounds = histogram.get_bucket().iter().map(|bucket| (format!("{:?}", bucket.upper_bound()), bucket.cumulative_count()));
    let all = ("+Inf".to_owned(), histogram.get_sample_count());
    let mut exemplars = exemplars.into_iter().flatten();
    for (bound, count) in bounds.chain([all]) {
        let labels = written(metric.get_label(), Some(&bound));
        let exemplar = exemplars.next().flatten().map(|exemplar| shown(&exemplar)).unwrap_or_default();
        *text += &format!("{name}_bucket{labels} {count}{exemplar}\n");
    }
    let labels = written(metric.get_label(), None);
    *text += &format!("{name}_count{labels} {}\n", histogram.get_sample_count());
    *text += &format!("{name}_sum{labels} {}\n", histogram.get_sample_sum());
}

/// Writes one number.
fn sample(text: &mut String, name: &str, labels: &[LabelPair], value: f64) {
    let value = if value.is_infinite() { if value > 0.0 { "+Inf".to_owned() } else { "-Inf".to_owned() } } else { value.to_string() };
    *text += &format!("{name}{} {value}\n", written(labels, None));
}

/// An exemplar behind its bucket.
fn shown(exemplar: &Exemplar) -> String {
    let (seconds, micros) = (exemplar.at.as_micros() / 1_000_000, exemplar.at.as_micros() % 1_000_000);
    format!(" # {{trace_id=\"{}\"}} {} {seconds}.{micros:06}", exemplar.trace_id, exemplar.seconds)
}

/// Labels in braces; nothing where there are none.
fn written(labels: &[LabelPair], bound: Option<&str>) -> String {
    let pairs = labels.iter().map(|label| (label.name(), label.value())).chain(bound.map(|bound| ("le", bound)));
    let pairs: Vec<String> = pairs.map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
    if pairs.is_empty() { String::new() } else { format!("{{{}}}", pairs.join(",")) }
}

/// Labels as exemplars know them.
fn sorted(labels: &[LabelPair]) -> Labels {
    let mut labels: Labels = labels.iter().map(|label| (label.name().to_owned(), label.value().to_owned())).collect();
    labels.sort_unstable();
    labels
}

/// Text without what would end it.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('\n', "\\n").replace('"', "\\\"")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use events_proxy_core::TraceContext;
    use opentelemetry::KeyValue;

    use crate::metrics::{Family, Label, Registry, Unit};

    const PATH: Label = Label::like("the.path", "any");
    const TABLE: &[Family] = &[
        Family::counter("events.accepted", "Events with a \"202\"").by(&[PATH]),
        Family::counter("gave.way", "Time given").in_unit(Unit::Seconds),
        Family::histogram("accept.duration", "Until it was durable").by(&[PATH]),
        Family::gauge("spool", "How much it holds").in_unit(Unit::Bytes),
    ];

    #[test]
    fn counters_gauges_and_histograms_are_written_with_exemplars_of_recorded_traces_alone() {
        let registry = Registry::new();
        let meter = registry.meter(TABLE);
        meter.counter("events.accepted").add(3, &[KeyValue::new("the.path", "a\"b\\c\nd")]);
        meter.sum("gave.way").add(0.5, &[]);
        meter.gauge("spool", || 42.0);
        let duration = meter.histogram("accept.duration");
        let trace =
            |id: char, flags| TraceContext::parse(&format!("00-{}-00f067aa0ba902b7-{flags}", String::from(id).repeat(32)), None).unwrap();
        for (id, flags, milliseconds) in [('a', "01", 1_000), ('b', "00", 1_000), ('c', "01", 9_000_000)] {
            duration.record_in(Some(&trace(id, flags)), Duration::from_millis(milliseconds), &[PATH.is("spool")]);
        }
        let text = registry.render_openmetrics();
        let expected = [
            "# TYPE events_accepted counter",
            "# HELP events_accepted Events with a \\\"202\\\"",
            "events_accepted_total{the_path=\"a\\\"b\\\\c\\nd\"} 3",
            "# TYPE gave_way_seconds counter",
            "# UNIT gave_way_seconds seconds",
            "gave_way_seconds_total 0.5",
            "# TYPE spool_bytes gauge",
            "# UNIT spool_bytes bytes",
            "spool_bytes 42",
            "# TYPE accept_duration_seconds histogram",
            "accept_duration_seconds_bucket{the_path=\"spool\",le=\"0.5\"} 0",
            "accept_duration_seconds_bucket{the_path=\"spool\",le=\"2.5\"} 2",
            "accept_duration_seconds_count{the_path=\"spool\"} 3",
            "accept_duration_seconds_sum{the_path=\"spool\"} 9002",
        ];
        for line in expected {
            assert!(text.lines().any(|found| found == line), "`{line}` is missing in\n{text}");
        }
        for (bound, count, id, seconds) in [("1.0", 2, "a", 1), ("+Inf", 3, "c", 9_000)] {
            let begin = format!(
                "accept_duration_seconds_bucket{{the_path=\"spool\",le=\"{bound}\"}} {count} # {{trace_id=\"{}\"}} {seconds} ",
                id.repeat(32)
            );
            assert!(text.lines().any(|found| found.starts_with(&begin)), "`{begin}` is missing in\n{text}");
        }
        assert_eq!(text.matches(" # {").count(), 2);
        assert!(text.ends_with("\n# EOF\n"));
    }
}
