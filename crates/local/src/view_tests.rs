//! The live view on a terminal that the test can read.

use std::time::Duration;

use ratatui::Terminal;
use ratatui::backend::TestBackend;

use super::{Facts, LINES, draw, rough};
use crate::snapshot::{History, Limit, Snapshot, Source};

/// The picture of one moment, as text.
fn picture(width: u16, moment: Snapshot) -> String {
    let facts = Facts {
        listens: "http://127.0.0.1:4000/api/events".to_owned(),
        console: "http://127.0.0.1:4100/console/".to_owned(),
        target: "http://localhost:4001/graphql".to_owned(),
        data: "data".to_owned(),
        limit: Limit { requests: 1, interval: Duration::from_secs(2) },
    };
    let mut history = History::default();
    history.push(moment);
    let mut terminal = Terminal::new(TestBackend::new(width, LINES)).unwrap();
    terminal.draw(|frame| draw(frame, &facts, &history)).unwrap();
    terminal.backend().to_string()
}

#[test]
fn every_figure_stands_beside_its_name() {
    let moment = Snapshot {
        source: Some(Source { sent: 1_300, gave_up: 0 }),
        accepted: 1_234,
        pending: 842,
        in_flight: 7,
        delivered: 392,
        retried: 3,
        dead: 2,
        limit_used: 0.985,
        ..Snapshot::default()
    };
    let shown = picture(90, moment);
    for expected in [
        "accepted         1,234",
        "pending            842",
        "28 min 4 s",
        "in flight            7",
        "delivered          392",
        "3 retried",
        "2 dead",
        "98 %",
    ] {
        assert!(shown.contains(expected), "`{expected}` is missing in\n{shown}");
    }
}

#[test]
fn a_narrow_terminal_cuts_lines_and_breaks_nothing() {
    for width in 1..60 {
        let shown = picture(width, Snapshot::default());
        assert_eq!(shown.lines().count(), usize::from(LINES));
    }
}

#[test]
fn times_read_as_people_write_them() {
    let times = [0, 59, 60, 3_600, 90_000].map(|seconds| rough(Duration::from_secs(seconds)));
    assert_eq!(times, ["0 ms", "59 s", "1 min 0 s", "1 h 0 min", "1 d 1 h"]);
}
