//! What the source promises: each event once, in time or given up, with a good token, on a schedule.

use std::collections::HashSet;
use std::sync::atomic::Ordering;
use std::time::Duration;

use simulators::source::{Error, Options, Source};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::api::{Seen, Served};
use crate::http::{listener, until};

/// A source with the right credentials, as fast as it can.
fn options(served: &Served) -> Options {
    let (auth_id, secret) = ("shop".to_owned(), "s3cret".to_owned());
    Options { api_url: served.url(), auth_id, secret, interval: Duration::ZERO, concurrency: 8, ..Options::default() }
}

/// The different ids among events.
fn ids(events: &[Seen]) -> HashSet<String> {
    events.iter().map(|event| event.body["id"].as_str().unwrap().to_owned()).collect()
}

/// Lets a source work while a test looks on.
fn spawn(source: &Source, stop: &CancellationToken) -> JoinSet<Result<(), Error>> {
    let (source, stop, mut work) = (source.clone(), stop.clone(), JoinSet::new());
    work.spawn(async move { source.run(stop).await });
    work
}

#[tokio::test(flavor = "multi_thread")]
async fn a_counted_source_sends_each_event_once_with_a_trace_and_records_what_was_accepted() {
    let served = Served::start(Duration::from_secs(60));
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("accepted");
    let source = Source::new(Options { count: Some(2_000), record_file: Some(path.clone()), ..options(&served) });
    source.run(CancellationToken::new()).await.unwrap();
    let (numbers, events) = (source.numbers(), served.api.events());
    assert_eq!((numbers.sent, numbers.accepted, numbers.log_ins), (2_000, 2_000, 1));
    assert_eq!((events.len(), ids(&events).len()), (2_000, 2_000));
    assert!(numbers.p50_micros > 0 && numbers.p50_micros <= numbers.p99_micros);
    let traces: HashSet<&str> = events.iter().map(|event| event.traceparent.as_str()).collect();
    assert_eq!(traces.len(), 2_000);
    let text = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let recorded: HashSet<String> = lines.iter().map(|line| line["id"].as_str().unwrap().to_owned()).collect();
    assert_eq!((lines.len(), recorded), (2_000, ids(&events)));
    for event in &events {
        assert_eq!(event.body.as_object().unwrap().keys().collect::<Vec<_>>(), ["body", "id", "name", "timestamp"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_without_an_answer_in_time_is_given_up_and_never_sent_again() {
    let served = Served::start(Duration::from_secs(60));
    served.api.slow_every.store(5, Ordering::SeqCst);
    let source = Source::new(Options { count: Some(50), give_up: Duration::from_millis(200), ..options(&served) });
    let began = Instant::now();
    source.run(CancellationToken::new()).await.unwrap();
    let (numbers, events) = (source.numbers(), served.api.events());
    assert_eq!((numbers.sent, numbers.accepted, numbers.gave_up), (50, 40, 10));
    assert_eq!((events.len(), ids(&events).len()), (50, 50));
    assert!(began.elapsed() < Duration::from_millis(2_500), "{:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_event_is_counted_and_never_sent_again() {
    let served = Served::start(Duration::from_secs(60));
    served.api.status.store(503, Ordering::SeqCst);
    let source = Source::new(Options { count: Some(20), ..options(&served) });
    source.run(CancellationToken::new()).await.unwrap();
    assert_eq!((source.numbers().sent, source.numbers().refused), (20, 20));
    assert_eq!((served.api.events().len(), ids(&served.api.events()).len()), (20, 20));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_session_is_refreshed_before_it_expires_so_that_no_event_is_refused() {
    let served = Served::start(Duration::from_millis(1_200));
    let source = Source::new(Options { interval: Duration::from_millis(10), count: Some(250), ..options(&served) });
    source.run(CancellationToken::new()).await.unwrap();
    assert_eq!((source.numbers().accepted, source.numbers().log_ins), (250, 1));
    assert!(served.api.events().iter().all(|event| event.authentic));
    let refreshes = served.api.refreshes.load(Ordering::SeqCst);
    assert!((2..=5).contains(&refreshes), "{refreshes} refreshes in 2.5 s");
    assert_eq!(source.numbers().refreshes, refreshes);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_refresh_leads_to_a_new_log_in() {
    let served = Served::start(Duration::from_millis(800));
    served.api.refuses_refresh.store(true, Ordering::SeqCst);
    let source = Source::new(Options { interval: Duration::from_millis(10), count: Some(150), ..options(&served) });
    source.run(CancellationToken::new()).await.unwrap();
    assert_eq!((source.numbers().accepted, source.numbers().refreshes), (150, 0));
    let (asked, log_ins) = (served.api.refreshes_asked.load(Ordering::SeqCst), served.api.log_ins.load(Ordering::SeqCst));
    assert!(asked >= 2 && log_ins == asked + 1, "{asked} refreshes asked for, {log_ins} log-ins");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_not_accepted_any_more_is_renewed_at_once() {
    let served = Served::start(Duration::from_secs(60));
    let source = Source::new(Options { interval: Duration::from_millis(10), ..options(&served) });
    let stop = CancellationToken::new();
    let mut work = spawn(&source, &stop);
    until("some accepted events", || source.numbers().accepted >= 20).await;
    served.api.forget_tokens();
    until("a refresh", || source.numbers().refreshes == 1).await;
    let refused = source.numbers().refused;
    until("accepted events after it", || source.numbers().accepted >= 60).await;
    assert!(refused > 0 && source.numbers().refused <= refused + 2);
    stop.cancel();
    work.join_next().await.unwrap().unwrap().unwrap();
    assert_eq!(ids(&served.api.events()).len(), served.api.events().len());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_schedule_neither_drifts_nor_leaves_out_an_event_when_the_api_stalls() {
    let served = Served::start(Duration::from_secs(60));
    served.api.slow_every.store(20, Ordering::SeqCst);
    served.api.slow_millis.store(300, Ordering::SeqCst);
    let interval = Duration::from_millis(10);
    let source = Source::new(Options { interval, count: Some(200), concurrency: 1, ..options(&served) });
    source.run(CancellationToken::new()).await.unwrap();
    let events = served.api.events();
    let (first, last) = (events.first().unwrap().at, events.last().unwrap().at);
    assert_eq!((source.numbers().sent, source.numbers().accepted, ids(&events).len()), (200, 200, 200));
    // One at a time, ten stalls of 300 ms: what is due meanwhile starts late, is counted so, and goes out at once after.
    assert!(source.numbers().late > 100, "{:?}", source.numbers());
    assert!((Duration::from_millis(1_990)..Duration::from_millis(4_200)).contains(&(last - first)), "{:?}", last - first);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_events_are_as_punctual_as_the_first() {
    let served = Served::start(Duration::from_secs(60));
    let interval = Duration::from_micros(7_300);
    let source = Source::new(Options { interval, count: Some(300), concurrency: 64, ..options(&served) });
    source.run(CancellationToken::new()).await.unwrap();
    let events = served.api.events();
    // A drift would make every one of the last events late; one that is on time shows that there is none.
    let start = events[0].at;
    let delays = (0..).zip(&events).skip(250).map(|(number, event)| event.at.saturating_duration_since(start + interval * number));
    let least = delays.min().unwrap();
    assert!(least < Duration::from_millis(15), "at least {least:?} late");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_burst_keeps_to_the_concurrency() {
    let served = Served::start(Duration::from_secs(60));
    served.api.slow_every.store(1, Ordering::SeqCst);
    served.api.slow_millis.store(20, Ordering::SeqCst);
    let source = Source::new(Options { count: Some(200), concurrency: 5, ..options(&served) });
    source.run(CancellationToken::new()).await.unwrap();
    assert_eq!((source.numbers().accepted, served.api.most_at_once.load(Ordering::SeqCst)), (200, 5));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_waits_for_the_api_to_be_there_and_can_be_stopped_while_it_waits() {
    let place = listener();
    let address = place.local_addr().unwrap();
    drop(place);
    let early = Options { api_url: format!("http://{address}/api"), auth_id: "shop".into(), secret: "s3cret".into(), ..Options::default() };
    let (stopped, stop) = (Source::new(early.clone()), CancellationToken::new());
    let mut work = spawn(&stopped, &stop);
    sleep(Duration::from_millis(200)).await;
    stop.cancel();
    timeout(Duration::from_secs(1), work.join_next()).await.unwrap().unwrap().unwrap().unwrap();

    let source = Source::new(Options { count: Some(3), interval: Duration::ZERO, ..early });
    let mut work = spawn(&source, &CancellationToken::new());
    sleep(Duration::from_millis(300)).await;
    assert_eq!(source.numbers().sent, 0);
    let served = Served::on(std::net::TcpListener::bind(address).unwrap(), Duration::from_secs(60));
    timeout(Duration::from_secs(5), work.join_next()).await.unwrap().unwrap().unwrap().unwrap();
    assert_eq!((source.numbers().accepted, served.api.events().len()), (3, 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn events_to_an_api_that_went_away_are_counted_as_unreachable() {
    let served = Served::start(Duration::from_secs(60));
    let source = Source::new(Options { interval: Duration::from_millis(10), ..options(&served) });
    let stop = CancellationToken::new();
    let mut work = spawn(&source, &stop);
    until("some accepted events", || source.numbers().accepted >= 5).await;
    drop(served);
    until("some unreachable events", || source.numbers().unreachable >= 20).await;
    stop.cancel();
    work.join_next().await.unwrap().unwrap().unwrap();
    let numbers = source.numbers();
    assert_eq!(numbers.sent, numbers.accepted + numbers.refused + numbers.gave_up + numbers.unreachable);
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_credentials_end_the_source_with_an_error_that_does_not_show_them() {
    let served = Served::start(Duration::from_secs(60));
    let source = Source::new(Options { secret: "hunter2".to_owned(), ..options(&served) });
    let error = source.run(CancellationToken::new()).await.unwrap_err();
    assert!(matches!(error, Error::LogInRefused { status: 401 }));
    assert!(!format!("{error:?} {source:?}").contains("hunter2"));
}
