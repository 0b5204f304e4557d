//! Where an event's time went: its stages, waits and attempts, drawn to scale.
//!
//! ```text
//! receive │▌                                           │  0.4 ms
//! publish │ ▌                                          │  3 ms
//! waited  │  ████████████████████████████████████      │  4 min 2 s
//! attempt │                                      █     │  12 ms, delivered
//! ```
//! A part that is too short to be seen is drawn as wide as can be seen; its label tells the truth.

use std::time::Duration;

use events_proxy_core::{Attempt, Moment, Outcome};
use maud::{Markup, html};
use storage::JournalRow;

/// The width of the drawing, of its labels at both sides, and the height of a row, in its own units.
const WIDTH: f64 = 900.0;
/// Where the bars begin.
const LEFT: f64 = 150.0;
/// Where they end.
const RIGHT: f64 = 730.0;
/// The height of a row.
const ROW: f64 = 26.0;
/// The narrowest bar.
const BAR_MIN: f64 = 2.5;

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
    let whole = last.since(first).as_secs_f64().max(1e-6);
    let x = |moment: Moment| LEFT + (RIGHT - LEFT) * (moment.since(first).as_secs_f64() / whole).clamp(0.0, 1.0);
    let height = ROW * f64::from(u32::try_from(parts.len()).unwrap_or(u32::MAX)) + 6.0;
    html! {
        svg viewBox=(format!("0 0 {WIDTH} {height}")) role="img" aria-label=(told(&parts)) {
            @for edge in [LEFT, RIGHT] { line.axis x1=(edge) x2=(edge) y1="0" y2=(height) {} }
            @for (place, part) in (0_u32..).zip(&parts) {
                @let y = f64::from(place) * ROW + 4.0;
                @let from = x(part.from).min(RIGHT - BAR_MIN);
                text x="0" y=(y + 14.0) { (part.label) }
                rect class=(part.kind.class()) x=(tenth(from)) y=(y) width=(tenth((x(part.to) - from).max(BAR_MIN))) height="18" rx="2" {}
                text x=(RIGHT + 12.0) y=(y + 14.0) { (span(part.took())) }
            }
        }
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

/// The parts in words.
fn told(parts: &[Part]) -> String {
    parts.iter().map(|part| format!("{}: {}", part.label, span(part.took()))).collect::<Vec<_>>().join("; ")
}

/// A time in its largest units.
pub(crate) fn span(time: Duration) -> String {
    let micros = time.as_micros();
    match time.as_secs() {
        0 if micros < 1_000 => format!("{micros} µs"),
        0 if micros < 10_000 => format!("{}.{} ms", micros / 1_000, micros / 100 % 10),
        0 => format!("{} ms", time.as_millis()),
        seconds @ 1..10 => format!("{seconds}.{} s", time.subsec_millis() / 100),
        seconds @ 10..60 => format!("{seconds} s"),
        seconds @ 60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        seconds @ 3600..86400 => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
        seconds => format!("{} d {} h", seconds / 86400, seconds / 3600 % 24),
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

    use super::{Kind, parts, span, timeline};

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
    fn the_drawing_tells_the_same_in_words() {
        let drawn = timeline(&row(), at(99_000)).into_string();
        assert!(drawn.contains("aria-label=\"accept: 1.0 ms; publish: 3.0 ms; wait on the topic: 59 s;"), "{drawn}");
    }

    #[test]
    fn times_read_as_people_say_them() {
        for (millis, said) in
            [(0, "0 µs"), (2, "2.0 ms"), (250, "250 ms"), (1_500, "1.5 s"), (61_000, "1 min 1 s"), (90_000_000, "1 d 1 h")]
        {
            assert_eq!(span(Duration::from_millis(millis)), said);
        }
    }
}
