//! What the target promises to the tests that it judges for.

use std::time::Duration;

use serde_json::json;
use simulators::target::{Arrival, Error, Failure, Numbers, Options, Outcome, Target};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::http::{client, listener, mutation, post, value, wall};

/// Starts a target.
fn start(options: Options) -> Target {
    Target::start(options, listener(), CancellationToken::new()).unwrap()
}

/// A limit that no test meets.
fn free() -> Options {
    Options { rate_requests: 1_000_000, rate_interval: Duration::from_millis(1), ..Options::default() }
}

/// A target that fails every request in one way.
fn failing(failure: Failure) -> Target {
    start(Options { failure_share: 1.0, failures: vec![failure], slow: Duration::from_millis(600), ..free() })
}

/// The most admitted arrivals that any window of `interval` holds, counted the slow way.
fn most_admitted(arrivals: &[Arrival], interval: Duration) -> usize {
    let admitted: Vec<i64> =
        arrivals.iter().filter(|arrival| arrival.outcome != Outcome::Throttled).map(|arrival| arrival.at_micros).collect();
    let interval = i64::try_from(interval.as_micros()).unwrap();
    admitted.iter().map(|end| admitted.iter().filter(|at| **at <= *end && end - **at < interval).count()).max().unwrap_or(0)
}

#[tokio::test]
async fn an_event_is_processed_and_its_id_is_answered() {
    let target = start(free());
    let answer = post(&client(), target.address(), &mutation("e-1"), Some("shop/e-1")).await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(value(answer).await, json!({ "data": { "processEvent": { "id": "e-1" } } }));
    let numbers = target.numbers();
    let expected = Numbers { received: 1, processed: 1, distinct: 1, worst_window: 1, worst_arrivals: 1, ..Numbers::default() };
    assert_eq!(numbers, expected);
    let arrivals = target.arrivals();
    let age = i64::try_from(wall().unix_timestamp_nanos() / 1_000).unwrap() - arrivals[0].at_micros;
    assert!((0..5_000_000).contains(&age), "arrived {age} µs ago");
    assert_eq!((arrivals[0].key.as_deref(), arrivals[0].id.as_deref()), (Some("shop/e-1"), Some("e-1")));
    assert_eq!(arrivals[0].outcome, Outcome::Processed);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_rolling_window_admits_more_than_the_limit_however_hard_it_is_driven() {
    let interval = Duration::from_millis(200);
    let target = start(Options { rate_requests: 7, rate_interval: interval, ..Options::default() });
    let (client, address, end) = (client(), target.address(), Instant::now() + Duration::from_millis(1_500));
    let mut callers = JoinSet::new();
    for caller in 0..8 {
        let client = client.clone();
        callers.spawn(async move {
            let mut statuses = Vec::new();
            while Instant::now() < end {
                let id = format!("{caller}-{}", statuses.len());
                statuses.push(post(&client, address, &mutation(&id), None).await.unwrap().status().as_u16());
                sleep(Duration::from_millis(2)).await;
            }
            statuses
        });
    }
    let statuses: Vec<u16> = callers.join_all().await.into_iter().flatten().collect();
    let admitted = statuses.iter().filter(|status| **status == 200).count();
    let throttled = statuses.iter().filter(|status| **status == 429).count();
    let numbers = target.numbers();
    assert_eq!(admitted + throttled, statuses.len());
    assert_eq!((numbers.received, numbers.throttled), (statuses.len() as u64, throttled as u64));
    assert_eq!(numbers.processed, admitted as u64);
    assert_eq!(most_admitted(&target.arrivals(), interval), 7);
    assert_eq!(target.worst_window(), 7);
    assert!(target.worst_arrivals() > 7);
    // Seven windows fit into the time; driven without pause, each of them is used up.
    assert!((42..=56).contains(&admitted), "{admitted} admitted");
}

#[tokio::test]
async fn a_throttled_request_is_told_how_long_to_wait_and_waiting_so_long_is_enough() {
    let target = start(Options { rate_requests: 1, rate_interval: Duration::from_millis(1_500), ..Options::default() });
    let (client, address) = (client(), target.address());
    let header = |answer: &reqwest::Response, name: &str| answer.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
    let first = post(&client, address, &mutation("a"), None).await.unwrap();
    assert_eq!((first.status().as_u16(), header(&first, "retry-after")), (200, None));
    assert_eq!(header(&first, "ratelimit-remaining").as_deref(), Some("0"));
    let refused = post(&client, address, &mutation("b"), None).await.unwrap();
    assert_eq!(refused.status(), 429);
    assert_eq!(header(&refused, "retry-after").as_deref(), Some("2"));
    assert_eq!(header(&refused, "ratelimit-limit").as_deref(), Some("1"));
    assert_eq!(header(&refused, "ratelimit-reset").as_deref(), Some("2"));
    assert_eq!(value(refused).await["errors"][0]["extensions"]["code"], "THROTTLED");
    sleep(Duration::from_secs(2)).await;
    assert_eq!(post(&client, address, &mutation("b"), None).await.unwrap().status(), 200);
    assert_eq!((target.worst_window(), target.worst_arrivals()), (1, 2));
}

#[tokio::test]
async fn an_event_that_comes_again_is_answered_alike_and_processed_once() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("processed");
    let stop = CancellationToken::new();
    let target = Target::start(Options { record_file: Some(path.clone()), ..free() }, listener(), stop.clone()).unwrap();
    let (client, address) = (client(), target.address());
    for key in [Some("shop/1"), Some("shop/1"), Some("bakery/1"), None, None] {
        let answer = post(&client, address, &mutation("1"), key).await.unwrap();
        assert_eq!(value(answer).await, json!({ "data": { "processEvent": { "id": "1" } } }));
    }
    let numbers = target.numbers();
    assert_eq!((numbers.processed, numbers.distinct, numbers.duplicates, numbers.forgotten), (5, 3, 2, 0));
    let outcomes: Vec<Outcome> = target.arrivals().iter().map(|arrival| arrival.outcome).collect();
    assert_eq!(outcomes, [Outcome::Processed, Outcome::Duplicate, Outcome::Processed, Outcome::Processed, Outcome::Duplicate]);
    stop.cancel();
    target.stopped().await.unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let keys: Vec<&serde_json::Value> = lines.iter().map(|line| &line["idempotencyKey"]).collect();
    assert_eq!(keys, [&json!("shop/1"), &json!("bakery/1"), &json!(null)]);
    assert_eq!((&lines[0]["id"], &lines[0]["brand"]), (&json!("1"), &json!("testBrand")));
    assert_eq!(lines[0]["traceId"], "0af7651916cd43dd8448eb211c80319c");
    assert_eq!(lines[0]["arrivedAtMicros"], target.arrivals()[0].at_micros);
}

#[tokio::test]
async fn a_server_error_and_a_graphql_error_process_nothing() {
    let (target, client) = (failing(Failure::ServerError), client());
    assert_eq!(post(&client, target.address(), &mutation("1"), None).await.unwrap().status(), 500);
    assert_eq!((target.numbers().failed, target.numbers().processed), (1, 0));
    for (failure, code) in [(Failure::GraphqlError, "INTERNAL_SERVER_ERROR"), (Failure::Refused, "BAD_USER_INPUT")] {
        let target = failing(failure);
        let answer = post(&client, target.address(), &mutation("1"), None).await.unwrap();
        assert_eq!(answer.status(), 200);
        let body = value(answer).await;
        assert_eq!((&body["data"], &body["errors"][0]["extensions"]["code"]), (&json!(null), &json!(code)));
        assert_eq!((target.numbers().failed, target.numbers().processed), (1, 0));
    }
}

#[tokio::test]
async fn a_closed_connection_gives_no_answer_and_a_lost_answer_hides_that_the_event_was_processed() {
    let client = client();
    for (failure, processed) in [(Failure::Closed, 0), (Failure::Lost, 1)] {
        let target = failing(failure);
        let error = post(&client, target.address(), &mutation("1"), None).await.unwrap_err();
        assert!(error.is_request() && !error.is_timeout() && !error.is_connect(), "{error:?}");
        assert_eq!((target.numbers().received, target.numbers().failed, target.numbers().processed), (1, 1, processed));
    }
}

#[tokio::test]
async fn a_slow_request_is_processed_long_before_its_answer() {
    let target = failing(Failure::Slow);
    let body = mutation("1");
    let (client, began) = (client(), Instant::now());
    let call = post(&client, target.address(), &body, None);
    let mut call = std::pin::pin!(call);
    assert!(tokio::time::timeout(Duration::from_millis(300), &mut call).await.is_err());
    assert_eq!((target.numbers().processed, target.numbers().failed), (1, 1));
    assert_eq!(call.await.unwrap().status(), 200);
    assert!(began.elapsed() >= Duration::from_millis(600));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_share_of_failures_is_as_told_and_latency_is_added_to_every_answer() {
    let latency = Duration::from_millis(20);
    let target = start(Options { failure_share: 0.3, failures: vec![Failure::ServerError], latency, ..free() });
    let (client, address) = (client(), target.address());
    let mut callers = JoinSet::new();
    for caller in 0..20 {
        let client = client.clone();
        callers.spawn(async move {
            for call in 0..50 {
                let began = Instant::now();
                post(&client, address, &mutation(&format!("{caller}-{call}")), None).await.unwrap();
                assert!(began.elapsed() >= latency);
            }
        });
    }
    callers.join_all().await;
    let numbers = target.numbers();
    assert_eq!(numbers.processed + numbers.failed, 1_000);
    // Six standard deviations to either side: less than once in a hundred million runs.
    assert!((213..=387).contains(&numbers.failed), "{} failed", numbers.failed);
}

#[tokio::test]
async fn requests_out_of_bounds_or_against_the_schema_are_told_so_and_process_nothing() {
    let (target, client) = (start(free()), client());
    let wrong = |field: &str, with: serde_json::Value| {
        let mut body = mutation("1");
        body["variables"]["input"][field] = with;
        body
    };
    let aliases = r#"mutation { a: processEvent(input: {id: "1", name: "ab", body: "c", timestamp: "2026-01-01T00:00:00Z", brand: "d"}) { id }
                                b: processEvent(input: {id: "2", name: "ab", body: "c", timestamp: "2026-01-01T00:00:00Z", brand: "d"}) { id } }"#;
    let requests = [
        wrong("id", json!("x".repeat(129))),
        wrong("id", json!("")),
        wrong("name", json!("x")),
        wrong("body", json!("x".repeat(10_001))),
        wrong("timestamp", json!("yesterday")),
        wrong("timestamp", json!(5)),
        wrong("brand", json!("")),
        json!({ "query": "{ nothing }" }),
        json!({ "query": aliases }),
    ];
    for request in &requests {
        let answer = post(&client, target.address(), request, None).await.unwrap();
        assert_eq!(answer.status(), 200);
        assert!(value(answer).await["errors"].is_array(), "{request}");
    }
    for body in [json!("no object"), wrong("body", json!("x".repeat(300_000)))] {
        assert_eq!(post(&client, target.address(), &body, None).await.unwrap().status(), 400);
    }
    let numbers = target.numbers();
    assert_eq!((numbers.received, numbers.invalid, numbers.processed), (11, 10, 1), "of two events in one request the first counts");
}

#[tokio::test]
async fn an_event_at_its_longest_is_taken_in_any_script() {
    let (target, client) = (start(free()), client());
    let mut body = mutation(&"😀".repeat(128));
    body["variables"]["input"]["name"] = json!("\u{1}".repeat(1_000));
    body["variables"]["input"]["body"] = json!("\u{1}".repeat(10_000));
    let answer = post(&client, target.address(), &body, None).await.unwrap();
    assert_eq!(value(answer).await["data"]["processEvent"]["id"], "😀".repeat(128));
}

#[tokio::test]
async fn health_and_numbers_are_free_of_the_limit_and_queries_tell_what_was_processed() {
    let target = start(Options { rate_interval: Duration::from_millis(500), ..Options::default() });
    let (client, address) = (client(), target.address());
    post(&client, address, &mutation("1"), None).await.unwrap();
    for _ in 0..3 {
        let health = client.get(format!("http://{address}/health")).send().await.unwrap();
        assert_eq!(value(health).await, json!({ "status": "ok" }));
    }
    sleep(Duration::from_millis(500)).await;
    let query = post(&client, address, &json!({ "query": "{ health processed }" }), None).await.unwrap();
    assert_eq!(value(query).await["data"], json!({ "health": "ok", "processed": 1 }));
    let numbers = client.get(format!("http://{address}/numbers")).send().await.unwrap();
    assert_eq!(value(numbers).await, serde_json::to_value(target.numbers()).unwrap());
    assert_eq!((target.numbers().received, target.numbers().answered), (2, 1));
}

#[tokio::test]
async fn a_stopped_target_refuses_connections_and_its_end_is_quick() {
    let stop = CancellationToken::new();
    let target = Target::start(free(), listener(), stop.clone()).unwrap();
    let client = client();
    post(&client, target.address(), &mutation("1"), None).await.unwrap();
    let began = Instant::now();
    stop.cancel();
    target.stopped().await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    assert!(post(&client, target.address(), &mutation("2"), None).await.unwrap_err().is_connect());
}

#[tokio::test]
async fn options_that_make_no_sense_are_refused() {
    let start = |options| Target::start(options, listener(), CancellationToken::new()).map(|_| ());
    assert!(matches!(start(Options { rate_requests: 0, ..free() }), Err(Error::Limit { .. })));
    assert!(matches!(start(Options { rate_requests: 1_000_001, ..free() }), Err(Error::Limit { .. })));
    assert!(matches!(start(Options { rate_interval: Duration::ZERO, ..free() }), Err(Error::Limit { .. })));
    assert!(matches!(start(Options { failure_share: 1.1, ..free() }), Err(Error::Share(_))));
    assert!(matches!(start(Options { failure_share: f64::NAN, ..free() }), Err(Error::Share(_))));
    assert!(matches!(start(Options { failure_share: 0.5, failures: Vec::new(), ..free() }), Err(Error::Share(_))));
    let nowhere = Options { record_file: Some("/nowhere/at/all".into()), ..free() };
    assert!(matches!(start(nowhere), Err(Error::Record { .. })));
}

#[test]
fn the_schema_is_the_contract() {
    let sdl = simulators::target::sdl();
    for line in [
        "scalar DateTime",
        "input ProcessEventInput {",
        "timestamp: DateTime!",
        "brand: String!",
        "processEvent(input: ProcessEventInput!): ProcessedEvent!",
    ] {
        assert!(sdl.contains(line), "{line} is missing in\n{sdl}");
    }
}
