//! Curves as SVG, drawn by the server: no script is needed to see them.

use maud::{Markup, html};

/// The drawing's size in its own units; the page scales it.
const SIZE: (f64, f64) = (600.0, 90.0);
/// Room for the curve's own width at the upper edge.
const TOP: f64 = 4.0;

/// A curve of values, oldest first, under a line that they must not cross; told in words for those who do not see it.
pub(crate) fn curve(values: &[f64], limit: Option<f64>, told: &str) -> Markup {
    let highest = values.iter().copied().chain(limit).fold(0.0, f64::max);
    let highest = if highest > 0.0 { highest } else { 1.0 };
    let y = |value: f64| TOP + (SIZE.1 - TOP) * (1.0 - (value / highest).clamp(0.0, 1.0));
    let points = points(values, y);
    let view = format!("0 0 {} {}", SIZE.0, SIZE.1);
    html! {
        svg viewBox=(view) preserveAspectRatio="none" role="img" aria-label=(told) {
            @if let Some(limit) = limit {
                line.limit x1="0" x2=(SIZE.0) y1=(round(y(limit))) y2=(round(y(limit))) {}
            }
            @if !points.is_empty() {
                polygon.area points=(format!("0,{bottom} {points} {right},{bottom}", bottom = SIZE.1, right = SIZE.0)) {}
                polyline.curve points=(points) {}
            }
        }
    }
}

/// The curve's points from edge to edge.
fn points(values: &[f64], y: impl Fn(f64) -> f64) -> String {
    let steps = u32::try_from(values.len().saturating_sub(1)).unwrap_or(u32::MAX);
    if steps == 0 {
        return String::new();
    }
    let step = SIZE.0 / f64::from(steps);
    let points = (0_u32..).zip(values).map(|(place, value)| format!("{},{}", round(f64::from(place) * step), round(y(*value))));
    points.collect::<Vec<_>>().join(" ")
}

/// A coordinate to a tenth.
fn round(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::curve;

    #[test]
    fn a_curve_goes_from_edge_to_edge_and_stays_inside() {
        let drawn = curve(&[0.0, 50.0, 100.0], Some(100.0), "events per second").into_string();
        assert!(drawn.contains("points=\"0,90 300,47 600,4\""), "{drawn}");
        assert!(drawn.contains("aria-label=\"events per second\""));
    }

    #[test]
    fn without_values_there_is_no_curve_and_no_error() {
        for values in [&[][..], &[1.0][..]] {
            assert!(!curve(values, None, "nothing yet").into_string().contains("polyline"));
        }
    }
}
