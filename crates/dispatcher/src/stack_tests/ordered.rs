//! Events of a source one after the other, and what that costs others: nothing.

use std::collections::HashMap;
use std::time::Duration;

use chassis::lifecycle::Tasks;
use simulators::target::{Failure, Options, Outcome};

use super::{Ground, MILLI, start, until};
use crate::consume::Order;

#[tokio::test(flavor = "multi_thread")]
async fn with_an_order_a_source_s_events_end_one_after_the_other_whatever_fails() {
    let failing = Options { failure_share: 0.4, failures: vec![Failure::ServerError], ..Options::default() };
    let ground = Ground::new(failing).await;
    for lot in 0..10 {
        ground.publish("shop", lot * 4..lot * 4 + 4).await;
        ground.publish("bank", lot * 4..lot * 4 + 4).await;
    }
    let (running, _) = ground.start("one", Order::Source);
    until("everything is settled", async || running.committed().get(&0) == Some(&80)).await;
    let mut ended: HashMap<String, Vec<usize>> = HashMap::new();
    for arrival in ground.target.arrivals().iter().filter(|arrival| arrival.outcome == Outcome::Processed) {
        let (source, number) = arrival.id.as_deref().unwrap().split_once('-').unwrap();
        ended.entry(source.to_owned()).or_default().push(number.parse().unwrap());
    }
    let in_order: Vec<usize> = (0..40).collect();
    assert_eq!(ended, [("shop".to_owned(), in_order.clone()), ("bank".to_owned(), in_order)].into());
    assert!(ground.target.numbers().failed > 10, "nothing failed, so nothing was shown");
    running.stop(Duration::from_secs(5)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_an_order_a_source_that_waits_takes_no_place_from_others() {
    let ground = Ground::new(Options { latency: MILLI * 200, ..Options::default() }).await;
    ground.publish("shop", 0..20).await;
    ground.publish("bank", 0..1).await;
    let mut parts = ground.parts("one", Order::Source);
    parts.settings.in_flight_max = 2;
    let running = start(parts, &Tasks::new()).unwrap().0;
    let of = |source: &str| ground.target.arrivals().iter().filter(|arrival| arrival.id.as_deref().unwrap().starts_with(source)).count();
    until("the other source's event is sent", async || of("bank") == 1).await;
    assert!(of("shop") < 5, "it was held up by {} events", of("shop"));
    running.stop(Duration::from_secs(5)).await;
}
