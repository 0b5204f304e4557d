//! What recording traces costs those who send events: the same load with no receiver, a hundredth of all traces, and all of them.

use std::io::{StdoutLock, Write};
use std::path::Path;
use std::time::Duration;

use actix_web::{App, HttpResponse, HttpServer, web};
use anyhow::Context;

use crate::load::{self, Seen, Until};
use crate::process::{Peer, Product};
use crate::{CONNECTIONS, median, micros_each, middle};

/// How long each turn is.
const TURN: Duration = Duration::from_secs(3);
/// How many turns of each kind: many and short ones, for what is looked for is smaller than what differs from turn to turn.
const ROUNDS: usize = 9;

/// Takes whatever spans come, until it is killed; prints its address first.
pub(crate) fn serve_receiver() -> anyhow::Result<()> {
    let listener = std::net::TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0)).context("listen")?;
    writeln!(std::io::stdout(), "{}", listener.local_addr().context("ask where it listens")?)?;
    let app = || App::new().app_data(web::PayloadConfig::new(64 << 20)).default_service(web::to(|_: web::Bytes| HttpResponse::Ok()));
    let server = HttpServer::new(app).workers(1).listen(listener).context("serve")?;
    actix_rt::System::new().block_on(server.run()).context("serve")
}

/// Measures it and prints it.
pub(crate) fn measure(out: &mut StdoutLock<'_>, directory: &Path) -> anyhow::Result<()> {
    let receiver = Peer::start(&["serve-receiver"])?;
    let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{}", receiver.address));
    let share = |share: &str| vec![endpoint.clone(), ("OTEL_TRACES_SAMPLER_ARG", share.to_owned())];
    let kinds = [("none", Vec::new()), ("a hundredth", share("0.01")), ("all", share("1"))];
    let (mut turns, mut costs, mut spans): ([Vec<Seen>; 3], [Vec<f64>; 3], [u64; 2]) = Default::default();
    for round in 0..ROUNDS {
        // Each kind comes first, second and third as often as the others.
        for place in 0..kinds.len() {
            let kind = (round + place) % kinds.len();
            let (Some((name, settings)), Some(seen), Some(cost)) = (kinds.get(kind), turns.get_mut(kind), costs.get_mut(kind)) else {
                continue;
            };
            let product = Product::start_with(&directory.join(format!("recording {name} {round}")), settings)?;
            let token = product.log_in()?;
            load::run(product.address, &token, CONNECTIONS, ("warm", Until::Passed(Duration::from_secs(1))))?;
            product.settle()?;
            let before = product.used()?.cpu;
            let turn = load::run(product.address, &token, CONNECTIONS, ("one", Until::Passed(TURN)))?;
            product.settle()?;
            cost.push(micros_each(product.used()?.cpu - before, turn.accepted));
            seen.push(turn);
            if *name == "all" {
                for (count, outcome) in spans.iter_mut().zip(["exported", "dropped"]) {
                    *count += product.figure::<u64>(&format!("trace_spans_total{{outcome=\"{outcome}\"}}"))?;
                }
            }
        }
    }
    writeln!(out, "\ntraces   recorded, medians of {ROUNDS} turns of {} s, each of a new process", TURN.as_secs())?;
    let ([unrecorded, ..], [cheap, ..]) = (&turns, &costs);
    for (((name, _), turns), costs) in kinds.iter().zip(&turns).zip(&costs) {
        let (rate, p99) = (median(turns, 0), median(turns, 990));
        // Of the same round: machines change their mind in minutes.
        let share = middle(turns.iter().zip(unrecorded).map(|(turn, none)| turn.rate() / none.rate()).collect());
        let cost = middle(costs.iter().zip(cheap).map(|(cost, none)| cost / none).collect());
        writeln!(
            out,
            "         {name:<14}{rate:>12.0} events/s, p99 {p99:.2} ms, {share:.2} of none in the same round, {cost:.2} of its CPU an event"
        )?;
    }
    let [exported, dropped] = spans;
    writeln!(
        out,
        "         of all: {exported} spans were exported, {dropped} found no place, most of them traces that were left out whole"
    )?;
    Ok(())
}
