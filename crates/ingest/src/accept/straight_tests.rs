//! The second way by itself, on a clock that stands still while anything is to be done.

use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use broker::Publisher;
use chassis::lifecycle::Tasks;
use chassis::metrics::Registry;
use events_proxy_core::partition;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::Straight;
use crate::fake::{Topic, deaf, envelope};
use crate::metrics::Metrics;

const DEADLINE: Duration = Duration::from_millis(400);

/// A topic and the way to it.
fn way() -> (Arc<Topic>, Straight, Tasks) {
    let (topic, tasks) = (Arc::new(Topic::default()), Tasks::new());
    let publisher: Arc<dyn Publisher> = Arc::<Topic>::clone(&topic);
    let straight = Straight::start(&publisher, &deaf(&Metrics::new(&Registry::new())), &tasks);
    (topic, straight, tasks)
}

/// Sends events, one in two milliseconds; tells which were accepted, and how long each took.
async fn send(straight: &Straight, ids: impl IntoIterator<Item = String>) -> Vec<(String, Duration)> {
    let mut sending = JoinSet::new();
    for id in ids {
        let (straight, record) = (straight.clone(), envelope(&id).encode().unwrap());
        sending.spawn(async move {
            let began = Instant::now();
            straight.publish(record, began + DEADLINE).await.is_ok().then_some((id, began.elapsed()))
        });
        sleep(Duration::from_millis(2)).await;
    }
    sending.join_all().await.into_iter().flatten().collect()
}

#[tokio::test(start_paused = true)]
async fn one_batch_of_a_partition_is_under_way_and_those_that_come_meanwhile_share_the_next() {
    let (topic, straight, _tasks) = way();
    topic.batch_ms.store(100, SeqCst);
    let accepted = send(&straight, (0..40).map(|at| format!("e-{at}"))).await;
    assert_eq!((accepted.len(), topic.ids().len()), (40, 40));
    // The fake has two partitions, and both get some of the ids.
    assert_eq!((topic.most_under_way.load(SeqCst), topic.calls.load(SeqCst)), (2, 4), "one alone, then all others, on each");
}

#[tokio::test(start_paused = true)]
async fn one_that_is_refused_goes_alone_and_costs_those_who_come_after_one_answer_each_time() {
    let (topic, straight, _tasks) = way();
    topic.batch_ms.store(30, SeqCst);
    let ids = (0..300).map(|at| if at == 50 { "poison".to_owned() } else { format!("e-{at}") });
    let accepted = send(&straight, ids).await;
    assert_eq!(accepted.len(), 299);
    assert!(accepted.iter().all(|(id, _)| id != "poison"));
    let after = accepted.iter().filter(|(id, _)| id.strip_prefix("e-").is_some_and(|at| at.parse::<u32>().unwrap() > 80));
    let longest = after.map(|(_, took)| *took).max().unwrap();
    assert!(longest <= Duration::from_millis(100), "three answers of 30 ms: {longest:?}");
    assert_eq!(topic.most_under_way.load(SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn a_call_ends_with_the_last_deadline_of_its_batch() {
    let (topic, straight, _tasks) = way();
    let record = |id: &str| envelope(id).encode().unwrap();
    let of_one_partition = (0..).map(|at| format!("e-{at}")).filter(|id| partition::assign(&record(id).key, 2) == 0);
    let ids: Vec<String> = of_one_partition.take(2).collect();
    topic.batch_ms.store(300, SeqCst);
    let now = Instant::now();
    let both = tokio::join!(straight.publish(record(&ids[0]), now + DEADLINE), straight.publish(record(&ids[1]), now + DEADLINE / 2));
    assert!(both.0.is_ok() && both.1.is_err(), "{both:?}");

    topic.hangs.store(true, SeqCst);
    assert!(send(&straight, ["a".to_owned()]).await.is_empty());
    topic.hangs.store(false, SeqCst);
    assert_eq!(send(&straight, ["a".to_owned()]).await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_way_is_kept_open() {
    let (topic, straight, tasks) = way();
    straight.keep_open(&tasks);
    sleep(Duration::from_secs(12)).await;
    assert_eq!(topic.opened.load(SeqCst), 2 * 3, "two partitions, at once and every five seconds");
}
