//! Rates of the last minutes as SVG, drawn by the server: no script is needed to see them.
//!
//! ```text
//! 24 ┤ - - - - - - - - - - - - - - - limit
//!    │                    ╱▔▔▔▔╲___
//!  0 └──────────────────────────────
//!    3 min ago                   now
//! ```
//! The drawing is stretched to the page's width; what is to be read stands beside it, as text.

use std::time::Duration;

use events_proxy_core::Moment;
use maud::{Markup, html};

use super::words::rate;
use crate::operator::figures::Rates;

/// How far back it tells.
const WINDOW: Duration = Duration::from_secs(180);
/// The drawing's size in its own units; the page stretches it.
const SIZE: (f64, f64) = (600.0, 100.0);
/// Where a scale may end, times a power of ten.
const TOPS: [f64; 11] = [1.0, 1.2, 1.6, 2.0, 2.4, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0];
/// How much room is left over the highest value.
const ROOM: f64 = 1.08;

/// What came and what was settled per second, oldest first, under the limit that the second must not cross.
pub(crate) fn chart(rates: &[Rates], now: Moment, limit: f64) -> Markup {
    let newest = rates.last().copied().unwrap_or(Rates { at: now, arriving: 0.0, settling: 0.0 });
    let top = top(rates.iter().flat_map(|rates| [rates.arriving, rates.settling]).fold(limit, f64::max));
    let line = |value: fn(&Rates) -> f64| points(rates, now, |rates| height(value(rates), top));
    let (arriving, settling) = (line(|rates| rates.arriving), line(|rates| rates.settling));
    let [settled, arrived, permitted] = [newest.settling, newest.arriving, limit].map(|value| format!("{} / s", rate(value)));
    let told = format!("Events per second over three minutes: settled now {settled}, arriving {arrived}, the limit is {permitted}");
    html! {
        ul.legend {
            li { span.swatch.settled {} "settled " b { (settled) } }
            li { span.swatch.arrived {} "arriving " b { (arrived) } }
            li { span.swatch.limit {} "limit of the target " b { (permitted) } }
        }
        div.chart {
            div.heights aria-hidden="true" { @for part in [1.0, 0.5, 0.0] { span { (short(top * part)) } } }
            svg viewBox=(format!("0 0 {} {}", SIZE.0, SIZE.1)) preserveAspectRatio="none" role="img" aria-label=(told) {
                @for y in [0.0, SIZE.1 / 2.0, SIZE.1] { line.axis x1="0" x2=(SIZE.0) y1=(y) y2=(y) {} }
                @if let Some((first, _)) = settling.split_once(',') {
                    polygon.area points=(format!("{first},{bottom} {settling} {right},{bottom}", bottom = SIZE.1, right = SIZE.0)) {}
                }
                line.limit x1="0" x2=(SIZE.0) y1=(height(limit, top)) y2=(height(limit, top)) {}
                polyline.arrived points=(arriving) {}
                polyline.settled points=(settling) {}
            }
            div.times aria-hidden="true" { span { "3 min ago" } span { "2 min" } span { "1 min" } span { "now" } }
        }
    }
}

/// Where a value is drawn.
fn height(value: f64, top: f64) -> f64 {
    tenth(SIZE.1 * (1.0 - (value / top).clamp(0.0, 1.0)))
}

/// The curve's points, up to the right edge; those before the window lie left of the drawing.
fn points(rates: &[Rates], now: Moment, y: impl Fn(&Rates) -> f64) -> String {
    let x = |at: Moment| tenth(SIZE.0 * (1.0 - now.since(at).as_secs_f64() / WINDOW.as_secs_f64()));
    let mut points: Vec<String> = rates.iter().map(|rates| format!("{},{}", x(rates.at), y(rates))).collect();
    points.extend(rates.last().map(|rates| format!("{},{}", SIZE.0, y(rates))));
    points.join(" ")
}

/// The end of a scale: a number that one can halve in one's head.
fn top(highest: f64) -> f64 {
    let needed = (highest * ROOM).max(1e-3);
    let power = 10_f64.powf(needed.log10().floor());
    TOPS.iter().map(|top| top * power).find(|top| *top >= needed).unwrap_or(needed)
}

/// A mark of the scale without needless zeros.
fn short(value: f64) -> String {
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// A coordinate to a tenth.
fn tenth(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use events_proxy_core::Moment;

    use super::{chart, short, top};
    use crate::operator::figures::Rates;

    #[test]
    fn a_curve_is_drawn_by_the_clock_and_ends_now() {
        let at = |second| Moment::from_micros(0).plus(Duration::from_secs(second));
        let rates = |second, settling| Rates { at: at(second), arriving: 0.0, settling };
        let drawn = chart(&[rates(90, 0.0), rates(135, 10.0), rates(175, 20.0)], at(180), 20.0).into_string();
        assert!(drawn.contains("<polyline class=\"settled\" points=\"300,100 450,58.3 583.3,16.7 600,16.7\""), "{drawn}");
        assert!(drawn.contains("aria-label=\"Events per second over three minutes: settled now 20.0 / s, arriving 0.00 / s,"));
    }

    #[test]
    fn without_values_there_is_no_area_and_no_error() {
        let drawn = chart(&[], Moment::from_micros(0), 0.0).into_string();
        assert!(!drawn.contains("polygon") && !drawn.contains("NaN"), "{drawn}");
    }

    #[test]
    fn a_scale_ends_a_little_over_the_highest_value() {
        for (highest, end, said) in
            [(5.0, 6.0, "6"), (20.0, 24.0, "24"), (0.5, 0.6, "0.6"), (1_000.0, 1_200.0, "1200"), (0.0, 0.001, "0.001")]
        {
            assert!((top(highest) - end).abs() < 1e-9, "{highest}: {}", top(highest));
            assert_eq!(short(top(highest)), said);
        }
    }
}
