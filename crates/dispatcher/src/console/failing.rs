//! Events that are not delivered, each with why.

use events_proxy_core::Moment;
use maud::{Markup, html};
use storage::JournalRow;

use super::search::{link, shortened};
use super::words::{ago, plain};

/// Some of them as a table.
pub(super) fn table(rows: &[JournalRow], now: Moment) -> Markup {
    html! { table.stack {
        thead { tr { th { "State" } th { "Why" } th { "Event" } th { "Name" } th { "Received" } } }
        tbody { @for row in rows { tr {
            td data-label="State" { span.tag.(row.state.as_str()) { (row.state.as_str()) } }
            td data-label="Why" { bdi { (shortened(why(row))) } }
            td.mono data-label="Event" { a href=(link(row)) { bdi { (plain(row.event_id.as_str())) } } }
            td data-label="Name" { bdi { (shortened(&row.name)) } }
            td.nowrap data-label="Received" { (ago(row.received_at, now)) }
        } } }
    } }
}

/// Why an event is not delivered: what was said last.
pub(super) fn why(row: &JournalRow) -> &str {
    let last = row.attempts.last().map(|attempt| attempt.detail.as_str());
    row.dead_detail.as_deref().or(last).unwrap_or("–")
}
