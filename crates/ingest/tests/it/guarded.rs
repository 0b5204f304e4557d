//! What one client may cost the others, and how guessers are slowed down.

use std::time::Duration;

use chassis::settings::Settings;
use events_proxy_core::{Envelope, Event, Moment, SourceId, TraceContext};
use serde_json::json;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::raw::{heard, said};
use crate::support::{AUTH_ID, Ingest, SECRET, event, until};

#[tokio::test]
async fn connections_that_say_nothing_or_half_a_head_cost_others_nothing_and_are_closed() {
    let ingest = Ingest::start(&[]).await;
    let token = ingest.token().await;
    let mut idle = Vec::new();
    for _ in 0..300 {
        idle.push(TcpStream::connect(ingest.address()).await.unwrap());
    }
    let half = said(&ingest, b"POST /api/events HTTP/1.1\r\nHost: slow\r\n").await;
    assert_eq!(ingest.send(&token, &event("beside")).await.status, 202);
    let answer = heard(half, Duration::from_secs(20)).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408"), "{answer}");
    drop(idle);
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused_and_nothing_is_stored() {
    let ingest = Ingest::start(&[]).await;
    let token = ingest.token().await;
    let head =
        format!("POST /api/events HTTP/1.1\r\nHost: large\r\nAuthorization: Bearer {token}\r\nX-Filler: {}\r\n\r\n", "x".repeat(300_000));
    let answer = heard(said(&ingest, head.as_bytes()).await, Duration::from_secs(10)).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
    assert_eq!(ingest.send(&token, &event("beside")).await.status, 202);
    assert_eq!(ingest.stored().await, ["beside"]);
}

#[tokio::test]
async fn more_requests_than_may_be_in_work_are_told_to_come_back() {
    let ingest = Ingest::start(&[("ACCEPT_IN_FLIGHT_MAX", "1"), ("ACCEPT_TIMEOUT_MS", "5000")]).await;
    let token = ingest.token().await;
    let head = format!(
        "POST /api/events HTTP/1.1\r\nHost: slow\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\nContent-Length: 90\r\n\r\n{{"
    );
    // Whichever of the two comes first has the place.
    let refused = async {
        loop {
            let _slow = said(&ingest, head.as_bytes()).await;
            for _ in 0..20 {
                let answer = ingest.send(&token, &event("second")).await;
                if answer.status != 202 {
                    return answer;
                }
            }
        }
    };
    let refused = timeout(Duration::from_secs(20), refused).await.expect("the slow request takes no place");
    refused.is_problem(503, "overloaded");
    assert_eq!(refused.header("retry-after"), "1");
    let again = async { while ingest.send(&token, &event("third")).await.status != 202 {} };
    timeout(Duration::from_secs(10), again).await.expect("its place is never free again");
}

#[tokio::test]
async fn a_guesser_is_slowed_down_whether_the_account_exists_or_not() {
    let ingest = Ingest::start(&[("AUTH_FAILURES_MAX", "2")]).await;
    let mut told = Vec::new();
    for account in [AUTH_ID, "nobody"] {
        let guess = json!({ "authId": account, "secret": "wrong" });
        let mut answers = Vec::new();
        for _ in 0..4 {
            let answer = ingest.post("/api/user-sessions", &guess).await;
            answers.push((answer.status, answer.header("retry-after").to_owned(), answer.body.clone()));
        }
        assert_eq!(answers.iter().map(|(status, ..)| status.as_u16()).collect::<Vec<_>>(), [401, 401, 429, 429]);
        told.push(answers);
    }
    assert_eq!(told[0], told[1], "an unknown account is told apart");
    let right = ingest.post("/api/user-sessions", &json!({ "authId": AUTH_ID, "secret": SECRET })).await;
    right.is_problem(429, "rate_limited");
}

#[tokio::test]
async fn one_address_may_ask_for_so_many_sessions_a_minute() {
    let ingest = Ingest::start(&[("AUTH_REQUESTS_PER_MINUTE", "2")]).await;
    ingest.token().await;
    ingest.token().await;
    let answer = ingest.post("/api/user-sessions", &json!({ "authId": AUTH_ID, "secret": SECRET })).await;
    answer.is_problem(429, "rate_limited");
    assert!(answer.header("retry-after").parse::<u64>().unwrap() <= 60);
}

#[tokio::test]
async fn a_source_over_its_quota_reads_its_limits_also_in_the_refusal() {
    let ingest = Ingest::start(&[("RATE_LIMIT_REQUESTS_PER_INTERVAL", "1"), ("RATE_LIMIT_INTERVAL_MS", "60000")]).await;
    let token = ingest.token().await;
    for (id, status, remaining) in [("one", 202, "0"), ("two", 429, "0")] {
        let answer = ingest.send(&token, &event(id)).await;
        assert_eq!(
            (answer.status.as_u16(), answer.header("ratelimit-limit"), answer.header("ratelimit-remaining")),
            (status, "1", remaining)
        );
        assert!((1..=60).contains(&answer.header("ratelimit-reset").parse::<u32>().unwrap()));
    }
}

#[test]
fn every_mistake_of_an_account_is_told_and_two_never_share_an_id_or_a_log_in() {
    let hash = "$2b$04$abcdefghijklmnopqrstuu5LbyRbNzZqNhLLz9vGqPfv7jMh9dFYm";
    let account = |id: &str, auth_id: &str, secret: &str| json!({ "id": id, "authId": auth_id, "secret": secret });
    let told = |accounts: serde_json::Value| {
        let mut reader = Settings::from_pairs([("PROXY_SERVICE_TEST_USERS_DATA", accounts.to_string())]).reader();
        let read = ingest::settings::Settings::read(&mut reader);
        let mistakes = reader.finish().err().map(|mistakes| mistakes.to_string());
        assert_eq!(read.is_none(), mistakes.is_some());
        mistakes.unwrap_or_default()
    };
    assert_eq!(told(json!([account("a", "one", hash), account("b", "two", hash)])), "");
    let shared = told(json!([account("a", "one", hash), account("b", "two", hash), account("c", "one", hash), account("b", "four", hash)]));
    for expected in ["account 2: `authId` is that of account 0", "account 3: `id` is that of account 1"] {
        assert!(shared.contains(expected), "{expected} is missing in {shared}");
    }
    let wrong = told(json!([account("", "", "plain"), account("a/b", "two", hash), account("nul\0", "three", hash)]));
    for expected in ["account 0: `id`", "account 0: `authId`", "account 0: `secret`", "account 1: `id`", "account 2: `id`"] {
        assert!(wrong.contains(expected), "{expected} is missing in {wrong}");
    }
    assert!(!wrong.contains("plain") && !shared.contains("one"), "{wrong} {shared}");
}

#[test]
fn unsafe_pairs_of_settings_are_refused() {
    let production = [("ENVIRONMENT_PROFILE", "production"), ("AUTH_ACCESS_TOKEN_SECRET", "b1946ac92492d2347c6235b4d2611184")];
    let table: [(&[(&str, &str)], &str); 7] = [
        (&[("QUEUE_TYPE", "InMemory")], "QUEUE_TYPE"),
        (&[("USER_REPOSITORY_TYPE", "InMemory")], "USER_REPOSITORY_TYPE"),
        (&[("ACCEPT_DURABILITY", "broker"), ("QUEUE_COPIES", "1")], "QUEUE_COPIES"),
        (&[("ACCEPT_DURABILITY", "broker"), ("QUEUE_TYPE", "InMemory")], "ACCEPT_DURABILITY"),
        (&[("ACCEPT_DURABILITY", "disk")], "ACCEPT_DURABILITY"),
        (&[("AUTH_AUDIENCE", auth::operator::Operators::AUDIENCE)], "AUTH_AUDIENCE"),
        (&[("ACCEPT_BODY_BYTES_MAX", "1048577"), ("ACCEPT_IN_FLIGHT_BYTES_MAX", "1048576")], "ACCEPT_IN_FLIGHT_BYTES_MAX"),
    ];
    for (pairs, wrong) in table {
        let mut reader = Settings::from_pairs(production.iter().chain(pairs).copied()).reader();
        let read = ingest::settings::Settings::read(&mut reader);
        let mistakes = reader.finish().expect_err(wrong);
        assert!(read.is_none() && mistakes.iter().any(|mistake| mistake.key() == wrong), "{mistakes}");
    }
    for durability in ["volume", "both", "broker"] {
        let safe = [("ACCEPT_DURABILITY", durability), ("QUEUE_TYPE", "Kafka")];
        let mut reader = Settings::from_pairs(production.iter().chain(&safe).copied()).reader();
        let read = ingest::settings::Settings::read(&mut reader).expect("these are safe");
        assert_eq!(read.spool_must_last, durability != "broker");
        reader.finish().unwrap();
    }
}

#[test]
fn proxies_that_are_no_blocks_are_refused_with_the_settings() {
    for proxies in ["somewhere", "10.0.0.0/33", "10.0.0.0/8, proxy.example", "fe80::/129"] {
        let mut reader = Settings::from_pairs([("CLIENT_IP_TRUSTED_PROXIES", proxies)]).reader();
        let read = ingest::settings::Settings::read(&mut reader);
        let mistakes = reader.finish().expect_err(proxies);
        assert!(read.is_none() && mistakes.iter().any(|mistake| mistake.key() == "CLIENT_IP_TRUSTED_PROXIES"), "{mistakes}");
    }
}

#[tokio::test]
async fn a_spool_in_memory_stops_the_start_in_production_unless_the_broker_alone_vouches() {
    let memory = tempfile::tempdir_in("/dev/shm").unwrap();
    assert!(broker::log::is_in_memory(memory.path()), "/dev/shm is a disk here");
    let spool = memory.path().join("spool").display().to_string();
    let production = [
        ("ENVIRONMENT_PROFILE", "production"),
        ("AUTH_ACCESS_TOKEN_SECRET", "b1946ac92492d2347c6235b4d2611184"),
        ("QUEUE_TYPE", "Kafka"),
        ("SPOOL_DIR", spool.as_str()),
    ];
    for (durability, starts) in [("volume", false), ("both", false), ("broker", true)] {
        let settings = [&production[..], &[("ACCEPT_DURABILITY", durability)]].concat();
        let begun = Ingest::begin("sqlite::memory:".to_owned(), &settings).await;
        assert_eq!(begun.is_ok(), starts, "{durability}");
        match begun {
            Ok(ingest) => drop(ingest.stop().await),
            Err(refused) => assert!(format!("{refused:#}").contains("memory"), "{refused:#}"),
        }
    }
}

#[tokio::test]
async fn a_spool_whose_file_system_refuses_says_that_nothing_is_lost_and_what_to_do() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let spool = file.path().join("spool").display().to_string();
    let Err(refused) = Ingest::begin("sqlite::memory:".to_owned(), &[("SPOOL_DIR", &spool)]).await else { panic!("it starts on a file") };
    let told = format!("{refused:#}");
    for words in [spool.as_str(), "Nothing was changed", "mend the volume (one that turned read-only", "Not a directory"] {
        assert!(told.contains(words), "{words}: {told}");
    }
}

#[tokio::test]
async fn what_another_hand_wrote_into_the_spool_with_good_checksums_is_published_as_it_says() {
    let directory = tempfile::tempdir().unwrap();
    let spool = directory.path().join("spool");
    let log = broker::log::Log::open(&spool, &broker::log::Options::default()).unwrap();
    let trace = TraceContext::parse("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", None).unwrap();
    let event = Event::judge(event("foreign").to_string().as_bytes()).unwrap();
    let envelope = Envelope { source_id: SourceId::new("source-2"), event, received_at: Moment::from_micros(0), trace };
    log.append([envelope.encode().unwrap()]).await.unwrap();
    drop(log);
    until("the log is closed", async || !broker::log::offline::is_in_use(&spool)).await;
    let ingest = Ingest::start(&[("SPOOL_DIR", spool.to_str().unwrap())]).await;
    until("it is on the topic", async || !ingest.published().await.is_empty()).await;
    assert_eq!(ingest.published().await, [envelope]);
}
