//! Who works on what: partitions, their owners, their lag.

use actix_web::{HttpRequest, HttpResponse, web};
use chassis::figures::grouped;
use maud::html;

use super::page::{Place, page, trouble};
use super::sign_in::turn_away;
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
    let content = html! {
        h1 { "Replicas and partitions" }
        div.card {
            h2 { (owners.len()) " dispatchers own " (partitions.len()) " partitions of " span.mono { (office.topic) } }
            p.soft { "A partition has one owner at a time. Its epoch rises with each change of the owner; a commit under an old one writes nothing." }
            div.scroll { table {
                thead { tr { th.number { "partition" } th { "owner" } th.number { "epoch" } th.number { "next offset" } th.number { "end" } th.number { "not settled" } } }
                tbody { @for row in &partitions { tr {
                    td.number { (row.partition) }
                    td.mono { @if let Some(owner) = &row.owner { (owner) } @else { span.tag.warn { "nobody" } } }
                    td.number { (row.epoch) }
                    td.number { (grouped(row.next_offset)) }
                    td.number { (grouped(row.high_watermark)) }
                    td.number { (grouped(row.high_watermark.saturating_sub(row.next_offset))) }
                } } }
            } }
        }
    };
    page(&session.operator, Place::Replicas, "Replicas", content)
}
