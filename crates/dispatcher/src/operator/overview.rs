//! The figures as JSON: what is pending, how old, when it is gone; dead letters; who owns which partition.

use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::{Value, json};

use super::{Office, Problem, signed_in};

/// `GET /operator/overview`.
pub(super) async fn overview(request: HttpRequest, office: web::Data<Office>) -> Result<HttpResponse, Problem> {
    signed_in(&request, &office)?;
    let figures = office.figures.fresh(office.clock.now()).await;
    let (pending, permitted) = (figures.pending(), office.permitted());
    Ok(HttpResponse::Ok().json(json!({
        "at": figures.at.to_string(),
        "trouble": figures.trouble,
        "pending": pending,
        "backlog": figures.backlog,
        "parked": figures.parked,
        "dead": figures.dead_letters(),
        "unaccounted": figures.balance.unaccounted(),
        "oldestReceivedAt": figures.oldest.map(|oldest| oldest.to_string()),
        "permitted": permitted,
        "permittedPerSecond": permitted.per_second(),
        "drainsInSeconds": permitted.drain_time(pending).as_secs(),
        "arrivingPerSecond": figures.rates.last().map(|rates| rates.arriving),
        "settlingPerSecond": figures.rates.last().map(|rates| rates.settling),
        "replica": {
            "inFlight": figures.numbers.in_flight,
            "delivered": figures.numbers.delivered,
            "retried": figures.numbers.retried,
            "limitUsed": figures.numbers.limit_used,
            "targetAway": figures.numbers.target_away,
        },
    })))
}

/// `GET /operator/partitions`.
pub(super) async fn partitions(request: HttpRequest, office: web::Data<Office>) -> Result<HttpResponse, Problem> {
    signed_in(&request, &office)?;
    let rows = office.store.partitions(&office.topic).await.map_err(|error| Problem::storage(&error))?;
    let told = rows.iter().map(|row| {
        json!({
            "partition": row.partition,
            "owner": row.owner,
            "epoch": row.epoch,
            "nextOffset": row.next_offset,
            "highWatermark": row.high_watermark,
        })
    });
    Ok(HttpResponse::Ok().json(json!({ "topic": office.topic, "items": told.collect::<Vec<Value>>() })))
}

/// `GET /operator/dead`.
pub(super) async fn dead(request: HttpRequest, office: web::Data<Office>) -> Result<HttpResponse, Problem> {
    signed_in(&request, &office)?;
    let groups = office.store.dead_groups().await.map_err(|error| Problem::storage(&error))?;
    let told = groups.iter().map(|group| {
        json!({
            "reason": group.reason.as_str(),
            "count": group.count,
            "firstAt": group.first_at.to_string(),
            "lastAt": group.last_at.to_string(),
        })
    });
    Ok(HttpResponse::Ok().json(json!({ "items": told.collect::<Vec<Value>>() })))
}
