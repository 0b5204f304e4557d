//! Who works on what: partitions, their owners, their lag.

use actix_web::{HttpRequest, HttpResponse, web};
use chassis::figures::grouped;
use maud::html;

use super::page::{Place, page, trouble};
use super::sign_in::turn_away;
use super::words::counted;
use crate::operator::{Office, signed_in};

/// `GET /console/replicas`.
pub(super) async fn replicas(request: HttpRequest, office: web::Data<Office>) -> HttpResponse {
    let Ok(session) = signed_in(&request, &office) else { return turn_away() };
    let partitions = match office.store.partitions(&office.topic).await {
        Ok(partitions) => partitions,
        Err(error) => return trouble(&session.operator, Place::Replicas, &error),
    };
    let mut owners: Vec<&str> = partitions.iter().filter_map(|row| row.owner.as_deref()).collect();
    owners.sort_unstable();
    owners.dedup();
    let count = |count: usize, thing: &str| counted(u64::try_from(count).unwrap_or(u64::MAX), thing);
    let content = html! {
        h1 { "Replicas" }
        section.card {
            h2 { (count(owners.len(), "dispatcher")) ", " (count(partitions.len(), "partition")) " of " span.mono { (office.topic) } }
            p.soft { "A partition has one owner at a time. Its epoch rises with each change of the owner; a commit under an old one writes nothing." }
            @if partitions.is_empty() { p.empty { "None yet." } } @else { table.stack {
                thead { tr { th.number { "Partition" } th { "Owner" } th.number { "Not settled" } th.number { "Next offset" } th.number { "End" } th.number { "Epoch" } } }
                tbody { @for row in &partitions { tr {
                    td.number data-label="Partition" { (row.partition) }
                    td.mono data-label="Owner" { @if let Some(owner) = &row.owner { (owner) } @else { span.tag.warn { "nobody" } } }
                    td.number data-label="Not settled" { (grouped(row.high_watermark.saturating_sub(row.next_offset))) }
                    td.number data-label="Next offset" { (grouped(row.next_offset)) }
                    td.number data-label="End" { (grouped(row.high_watermark)) }
                    td.number data-label="Epoch" { (row.epoch) }
                } } }
            } }
        }
    };
    page(&session.operator, Place::Replicas, "Replicas", content)
}
