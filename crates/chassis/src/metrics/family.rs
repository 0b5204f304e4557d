//! What a family of numbers is: its name, kind, unit, labels and meaning, declared once in a table of its crate.
//!
//! The table is what instruments are made from and what the reference is written from, so neither says anything that the
//! other does not. Labels are closed sets of words wherever that is possible; the others say what they hold.

use opentelemetry::KeyValue;

/// A family of numbers.
#[derive(Debug, Clone, Copy)]
pub struct Family {
    /// Its name as OpenTelemetry writes it.
    pub name: &'static str,
    /// How its numbers behave.
    pub kind: Kind,
    /// What it counts in.
    pub unit: Unit,
    /// What tells its series apart.
    pub labels: &'static [Label],
    /// What it means.
    pub told: &'static str,
}

/// How numbers behave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// They only rise.
    Counter,
    /// They are what they are now.
    Gauge,
    /// They are sorted into buckets.
    Histogram,
}

impl Kind {
    /// Its word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// What is counted in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Things; the meaning says which.
    Count,
    /// Seconds.
    Seconds,
    /// Bytes.
    Bytes,
}

impl Unit {
    /// The word of it in names that Prometheus reads; things have none.
    #[must_use]
    pub const fn suffix(self) -> Option<&'static str> {
        match self {
            Self::Count => None,
            Self::Seconds => Some("seconds"),
            Self::Bytes => Some("bytes"),
        }
    }

    /// Its code in UCUM, as OpenTelemetry wants it.
    pub(super) const fn code(self) -> &'static str {
        match self {
            Self::Count => "",
            Self::Seconds => "s",
            Self::Bytes => "By",
        }
    }
}

/// What tells series apart.
#[derive(Debug, Clone, Copy)]
pub struct Label {
    /// Its name as OpenTelemetry writes it.
    pub name: &'static str,
    /// What it may hold.
    pub values: Values,
}

/// What a label may hold.
#[derive(Debug, Clone, Copy)]
pub enum Values {
    /// One of these words.
    Words(fn() -> Vec<&'static str>),
    /// Something of this description; how many there can be is bounded.
    Like(&'static str),
}

impl Label {
    /// A label of a closed set.
    #[must_use]
    pub const fn of(name: &'static str, words: fn() -> Vec<&'static str>) -> Self {
        Self { name, values: Values::Words(words) }
    }

    /// A label whose set is bounded, but not known beforehand.
    #[must_use]
    pub const fn like(name: &'static str, told: &'static str) -> Self {
        Self { name, values: Values::Like(told) }
    }

    /// The label with a word.
    #[must_use]
    pub fn is(&self, word: &'static str) -> KeyValue {
        KeyValue::new(self.name, word)
    }

    /// Its name as Prometheus reads it.
    #[must_use]
    pub fn exposed(&self) -> String {
        self.name.replace('.', "_")
    }
}

impl Family {
    /// A counter of things.
    #[must_use]
    pub const fn counter(name: &'static str, told: &'static str) -> Self {
        Self { name, kind: Kind::Counter, unit: Unit::Count, labels: &[], told }
    }

    /// A gauge of things.
    #[must_use]
    pub const fn gauge(name: &'static str, told: &'static str) -> Self {
        Self { kind: Kind::Gauge, ..Self::counter(name, told) }
    }

    /// A histogram of seconds.
    #[must_use]
    pub const fn histogram(name: &'static str, told: &'static str) -> Self {
        Self { kind: Kind::Histogram, unit: Unit::Seconds, ..Self::counter(name, told) }
    }

    /// The same in another unit.
    #[must_use]
    pub const fn in_unit(self, unit: Unit) -> Self {
        Self { unit, ..self }
    }

    /// The same with labels.
    #[must_use]
    pub const fn by(self, labels: &'static [Label]) -> Self {
        Self { labels, ..self }
    }

    /// Its name as Prometheus reads it.
    #[must_use]
    pub fn exposed(&self) -> String {
        let unit = self.unit.suffix().map(|unit| format!("_{unit}")).unwrap_or_default();
        let total = if self.kind == Kind::Counter { "_total" } else { "" };
        format!("{}{unit}{total}", self.name.replace('.', "_"))
    }

    /// Every set of labels that it can have, when all of them are closed.
    pub(super) fn sets(&self) -> Vec<Vec<KeyValue>> {
        let mut sets = vec![Vec::new()];
        for label in self.labels {
            let words = match label.values {
                Values::Words(words) => words(),
                Values::Like(_) => Vec::new(),
            };
            let with = |set: &Vec<KeyValue>, word| set.iter().cloned().chain([label.is(word)]).collect();
            sets = sets.iter().flat_map(|set| words.iter().map(move |word| with(set, word))).collect();
        }
        sets
    }
}

#[cfg(test)]
mod tests {
    use super::{Family, Label, Unit};

    #[test]
    fn names_are_those_that_prometheus_reads() {
        assert_eq!(Family::counter("events.accepted", "").exposed(), "events_accepted_total");
        assert_eq!(Family::counter("publish.gave.way", "").in_unit(Unit::Seconds).exposed(), "publish_gave_way_seconds_total");
        assert_eq!(Family::gauge("spool", "").in_unit(Unit::Bytes).exposed(), "spool_bytes");
        assert_eq!(Family::histogram("accept.duration", "").exposed(), "accept_duration_seconds");
    }

    #[test]
    fn closed_labels_make_every_set_and_an_open_one_makes_none() {
        const COLOUR: Label = Label::of("colour", || vec!["red", "blue"]);
        const SIZE: Label = Label::of("size", || vec!["small", "large", "huge"]);
        const SHAPE: Label = Label::like("shape", "any");
        assert_eq!(Family::counter("a", "").sets(), [[]]);
        assert_eq!(Family::counter("a", "").by(&[COLOUR, SIZE]).sets().len(), 6);
        assert_eq!(Family::counter("a", "").by(&[COLOUR, SHAPE]).sets().len(), 0);
    }
}
