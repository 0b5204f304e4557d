//! Where an event's time went: its stages, waits and attempts, drawn to scale.
//!
//! ```text
//! receive │▌                                           │  0.4 ms
//! publish │ ▌                                          │  3 ms
//! waited  │  ████████████████████████████████████      │  4 min 2 s
//! attempt │                                      █     │  12 ms, delivered
//! ```
//! A part that is too short to be seen is drawn as wide as can be seen; the words beside it tell the truth.

use std::time::Duration;

use events_proxy_core::{Attempt, Moment, Outcome};
use maud::{Markup, html};
use storage::JournalRow;

use super::words::span;

/// The drawing's size in its own units; the page stretches it.
const SIZE: (f64, f64) = (1_000.0, 10.0);
/// The narrowest bar.
const BAR_MIN: f64 = 4.0;
/// Into how many parts the scale divides the whole time.
const MARKS: u32 = 4;

/// What kind of time a part is; also the class that colours it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Something was done.
    Work,
    /// The event waited.
    Wait,
    /// An attempt succeeded.
    Good,
    /// An attempt failed.
    Fail,
}

impl Kind {
    /// The class.
    const fn class(self) -> &'static str {
        match self {
            Self::Work => "work",
            Self::Wait => "wait",
            Self::Good => "good",
            Self::Fail => "fail",
        }
    }
}

/// A part of an event's time.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Part {
    /// What it is.
    label: String,
    /// Its kind.
    kind: Kind,
    /// When it began.
    from: Moment,
    /// When it ended.
    to: Moment,
}

impl Part {
    /// How long it took.
    fn took(&self) -> Duration {
        self.to.since(self.from)
    }
}

/// Draws an event's time up to `now`.
pub(crate) fn timeline(row: &JournalRow, now: Moment) -> Markup {
    let parts = parts(row, now);
    let (first, last) = (row.received_at, parts.iter().map(|part| part.to).max().unwrap_or(now));
    let whole = last.since(first);
    let scale = SIZE.0 / whole.as_secs_f64().max(1e-6);
    let x = |moment: Moment| (moment.since(first).as_secs_f64() * scale).min(SIZE.0 - BAR_MIN);
    let waited: Duration = parts.iter().filter(|part| part.kind == Kind::Wait).map(Part::took).sum();
    html! {
        p { b { (span(whole)) } " since its receipt: " (span(waited)) " waiting, " (span(whole.saturating_sub(waited))) " at work." }
        ul.legend {
            li { span.swatch.work {} "at work" } li { span.swatch.wait {} "waiting" }
            li { span.swatch.fail {} "failed attempt" } li { span.swatch.good {} "delivered" }
        }
        ol.timeline {
            @for part in &parts { li {
                span.what { (part.label) }
                svg viewBox=(format!("0 0 {} {}", SIZE.0, SIZE.1)) preserveAspectRatio="none" aria-hidden="true" {
                    @for mark in 0..=MARKS { @let x = SIZE.0 * f64::from(mark) / f64::from(MARKS); line.axis x1=(x) x2=(x) y1="0" y2=(SIZE.1) {} }
                    rect.(part.kind.class()) x=(tenth(x(part.from))) y="1" width=(tenth((part.took().as_secs_f64() * scale).max(BAR_MIN))) height="8" {}
                }
                span.took { (span(part.took())) }
            } }
        }
        div.scale aria-hidden="true" { span { "0" } @for mark in 1..=MARKS { span { (span(whole * mark / MARKS)) } } }
    }
}

/// The parts of an event's time, in order.
fn parts(row: &JournalRow, now: Moment) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut add = |label: &str, kind: Kind, from: Option<Moment>, to: Option<Moment>| {
        if let (Some(from), Some(to)) = (from, to) {
            parts.push(Part { label: label.to_owned(), kind, from, to: to.max(from) });
        }
    };
    let begun = row.attempts.first().map(|attempt| attempt.started_at);
    add("accept", Kind::Work, Some(row.received_at), row.accepted_at);
    add("publish", Kind::Work, row.accepted_at, row.published_at);
    let published = row.published_at.or(row.accepted_at).or(Some(row.received_at));
    add("wait on the topic", Kind::Wait, published, row.consumed_at.or(Some(now).filter(|_| !row.state.is_final())));
    add("wait for a slot", Kind::Wait, row.consumed_at, begun);
    let mut before: Option<Moment> = None;
    for attempt in &row.attempts {
        let ended = attempt.started_at.plus(attempt.duration());
        let between = before.filter(|before| attempt.started_at.since(*before) > Duration::from_millis(1));
        add("wait", Kind::Wait, between, Some(attempt.started_at));
        add(&label(attempt), kind(attempt), Some(attempt.started_at), Some(ended));
        before = Some(ended);
    }
    if row.state == events_proxy_core::State::Parked {
        add("parked", Kind::Wait, before, Some(now));
    }
    parts
}

/// What an attempt is called.
fn label(attempt: &Attempt) -> String {
    format!("attempt {}: {}", attempt.number, attempt.outcome.as_str())
}

/// How an attempt is coloured.
const fn kind(attempt: &Attempt) -> Kind {
    match attempt.outcome {
        Outcome::Delivered => Kind::Good,
        Outcome::Refused | Outcome::Throttled | Outcome::Unavailable | Outcome::Unknown => Kind::Fail,
    }
}

/// A coordinate to a tenth.
fn tenth(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use events_proxy_core::{Attempt, EventId, Moment, Outcome, SourceId, State};
    use storage::JournalRow;

    use super::{Kind, parts, timeline};

    /// So many milliseconds after the first moment.
    fn at(millis: u64) -> Moment {
        Moment::from_micros(1_770_000_000_000_000).plus(Duration::from_millis(millis))
    }

    /// An event that failed once, waited and was delivered.
    fn row() -> JournalRow {
        let attempt = |number, millis, outcome| Attempt {
            number,
            started_at: at(millis),
            duration_us: 10_000,
            outcome,
            status: None,
            detail: String::new(),
        };
        JournalRow {
            source_id: SourceId::new("shop"),
            event_id: EventId::new("order-1"),
            name: "order placed".to_owned(),
            trace_id: "0af7651916cd43dd8448eb211c80319c".to_owned(),
            brand: None,
            state: State::Delivered,
            received_at: at(0),
            accepted_at: Some(at(1)),
            published_at: Some(at(4)),
            consumed_at: Some(at(60_000)),
            settled_at: Some(at(62_000)),
            next_attempt_at: None,
            partition: 0,
            offset: 7,
            attempts: vec![attempt(1, 61_000, Outcome::Unavailable), attempt(2, 61_900, Outcome::Delivered)],
            dead_reason: None,
            dead_detail: None,
            replays: 0,
        }
    }

    #[test]
    fn every_moment_between_receipt_and_end_belongs_to_a_part() {
        let parts = parts(&row(), at(99_000));
        let kinds: Vec<Kind> = parts.iter().map(|part| part.kind).collect();
        assert_eq!(kinds, [Kind::Work, Kind::Work, Kind::Wait, Kind::Wait, Kind::Fail, Kind::Wait, Kind::Good]);
        for (before, after) in parts.iter().zip(parts.iter().skip(1)) {
            assert_eq!(before.to, after.from, "a gap between {before:?} and {after:?}");
        }
    }

    #[test]
    fn an_event_under_way_waits_until_now() {
        let row = JournalRow { state: State::Published, consumed_at: None, settled_at: None, attempts: Vec::new(), ..row() };
        let parts = parts(&row, at(30_000));
        assert_eq!(parts.last().map(|part| (part.label.as_str(), part.to)), Some(("wait on the topic", at(30_000))));
    }

    #[test]
    fn the_drawing_is_to_scale_and_says_in_words_what_it_shows() {
        let drawn = timeline(&row(), at(99_000)).into_string();
        assert!(drawn.contains("<b>1 min 1 s</b> since its receipt: 1 min 1 s waiting, 24 ms at work."), "{drawn}");
        // 59.996 of 61.910 seconds, on a scale of 1,000.
        let waited = "<rect class=\"wait\" x=\"0.1\" y=\"1\" width=\"969.1\" height=\"8\"></rect></svg><span class=\"took\">59 s</span>";
        assert!(drawn.contains(waited), "{drawn}");
    }
}
