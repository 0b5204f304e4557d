//! Sessions against the in-memory fake: log in, rotation, reuse, other addresses, expiry, absence.

use std::error::Error;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use events_proxy_core::{Moment, SourceId};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

use super::{AUTH_ID_BYTES_MAX, LogInError, RefreshError, Session, Sessions};
use crate::access::{Caller, Keys};
use crate::fake::Memory;
use crate::password::{COST_MIN, Passwords};
use crate::store::{Account, Remembers};

const SECRET: &str = "correct horse battery staple";
const REFRESH_LIFETIME: Duration = Duration::from_secs(120);
const HOME: &str = "192.0.2.1";

/// Sessions over a fake with one account, `shop-login`.
struct Setup {
    memory: Arc<Memory>,
    sessions: Sessions,
    keys: Keys,
    hash: String,
}

async fn setup() -> Setup {
    setup_with(Passwords::new(2, 8, COST_MIN)).await
}

async fn setup_with(passwords: Passwords) -> Setup {
    let memory = Arc::new(Memory::default());
    let hash = Passwords::new(1, 0, COST_MIN).hash(&SecretString::from(SECRET)).await.unwrap();
    memory.add("shop-login", Account { id: SourceId::new("shop"), secret_hash: hash.clone() });
    let keys = Keys::new(&SecretString::from("Zk3vQ9xT1mB7nR5pL2wY8cD4fG6hJ0sA"), "issuer", "audience", Duration::from_secs(60));
    let remembers: Arc<dyn Remembers> = Arc::<Memory>::clone(&memory);
    Setup { sessions: Sessions::new(remembers, passwords, keys.clone(), REFRESH_LIFETIME), memory, keys, hash }
}

impl Setup {
    async fn log_in(&self) -> Session {
        self.try_log_in("shop-login", SECRET).await.unwrap()
    }

    async fn try_log_in(&self, auth_id: &str, secret: &str) -> Result<Session, LogInError> {
        self.sessions.log_in((auth_id, &SecretString::from(secret)), (ip(HOME), false), at(0)).await
    }

    async fn refresh(&self, session: &Session, from: &str, seconds: i64) -> Result<Session, RefreshError> {
        self.sessions.refresh(&session.refresh_token, ip(from), at(seconds)).await
    }
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn at(seconds: i64) -> Moment {
    Moment::from_micros(1_000_000_000_000 + seconds * 1_000_000)
}

#[tokio::test]
async fn a_session_begins_with_the_right_secret() {
    let setup = setup().await;
    let session = setup.log_in().await;
    let caller = Caller { source_id: SourceId::new("shop"), session_id: session.id.clone() };
    assert_eq!(setup.keys.verify(&session.access.token, at(0)), Ok(caller));
    assert_eq!((session.started_at, session.access.expires_at, session.refresh_expires_at), (at(0), at(60), at(120)));
    assert_eq!(session.id.len(), 36);
    assert_eq!(session.refresh_token.expose_secret().len(), 64);
    assert_ne!(setup.log_in().await.id, session.id);
}

#[tokio::test]
async fn an_unknown_id_and_a_wrong_secret_are_told_alike() {
    let setup = setup().await;
    let hash = setup.hash.clone();
    let unlikely = "x".repeat(AUTH_ID_BYTES_MAX + 1);
    let mut told = Vec::new();
    for (auth_id, secret) in [
        ("nobody", SECRET),
        ("shop-login", "wrong"),
        ("shop-login", ""),
        ("shop-login", hash.as_str()),
        ("", SECRET),
        ("shop-login\0", SECRET),
        (unlikely.as_str(), SECRET),
        ("shop", SECRET),
        ("SHOP-LOGIN", SECRET),
    ] {
        let refused = setup.try_log_in(auth_id, secret).await.unwrap_err();
        assert!(matches!(refused, LogInError::Refused) && refused.source().is_none(), "{auth_id:?}");
        told.push(refused.to_string());
    }
    told.dedup();
    assert_eq!(told.len(), 1);
    assert_eq!(setup.memory.sessions(), 0);
    assert_eq!(setup.memory.look_ups(), 6, "ids that no account can have are not looked up");
}

#[tokio::test]
async fn only_the_sha_256_of_a_refresh_token_is_remembered() {
    let setup = setup().await;
    let session = setup.log_in().await;
    let expected: [u8; 32] = Sha256::digest(session.refresh_token.expose_secret()).into();
    assert_eq!(setup.memory.token_hashes(), [expected]);
}

#[tokio::test]
async fn a_refresh_rotates_the_token_and_keeps_the_session() {
    let setup = setup().await;
    let first = setup.log_in().await;
    let second = setup.refresh(&first, HOME, 100).await.unwrap();
    assert_eq!((&second.id, second.started_at), (&first.id, at(0)));
    assert_eq!((second.access.expires_at, second.refresh_expires_at), (at(160), at(220)));
    assert_ne!(second.refresh_token.expose_secret(), first.refresh_token.expose_secret());
    let caller = setup.keys.verify(&second.access.token, at(150)).unwrap();
    assert_eq!((caller.source_id.as_str(), &caller.session_id), ("shop", &first.id));
    let third = setup.refresh(&second, HOME, 210).await.unwrap();
    assert_eq!(third.refresh_expires_at, at(330));
}

#[tokio::test]
async fn a_token_used_again_ends_the_whole_session() {
    let setup = setup().await;
    let (first, bystander) = (setup.log_in().await, setup.log_in().await);
    let second = setup.refresh(&first, HOME, 1).await.unwrap();
    assert!(matches!(setup.refresh(&first, HOME, 2).await, Err(RefreshError::Reused)));
    assert!(matches!(setup.refresh(&second, HOME, 3).await, Err(RefreshError::Reused)), "the unspent one is dead too");
    assert!(setup.refresh(&bystander, HOME, 4).await.is_ok(), "another session of the account goes on");
}

#[tokio::test]
async fn of_two_refreshes_at_once_one_succeeds() {
    let setup = setup().await;
    let session = setup.log_in().await;
    let (one, other) = tokio::join!(setup.refresh(&session, HOME, 1), setup.refresh(&session, HOME, 1));
    assert_eq!([&one, &other].iter().filter(|outcome| outcome.is_ok()).count(), 1);
    assert!([one, other].iter().any(|outcome| matches!(outcome, Err(RefreshError::Reused))));
}

#[tokio::test]
async fn a_token_from_another_address_is_refused_and_stays_good_at_home() {
    let setup = setup().await;
    let session = setup.log_in().await;
    for elsewhere in ["192.0.2.2", "2001:db8::1", "::1"] {
        assert!(matches!(setup.refresh(&session, elsewhere, 1).await, Err(RefreshError::OtherAddress)), "{elsewhere}");
    }
    assert!(setup.refresh(&session, HOME, 2).await.is_ok());
}

#[tokio::test]
async fn an_address_is_the_same_however_the_socket_writes_it() {
    let setup = setup().await;
    let session = setup.log_in().await;
    let next = setup.refresh(&session, "::ffff:192.0.2.1", 1).await.unwrap();
    assert!(setup.refresh(&next, HOME, 2).await.is_ok());
}

#[tokio::test]
async fn a_token_expires_on_the_second() {
    let setup = setup().await;
    let session = setup.log_in().await;
    assert!(matches!(setup.refresh(&session, HOME, 120).await, Err(RefreshError::Expired)));
    assert!(matches!(setup.refresh(&session, HOME, 9_999).await, Err(RefreshError::Expired)));
    assert!(setup.refresh(&session, HOME, 119).await.is_ok());
}

#[tokio::test]
async fn what_is_no_refresh_token_is_unknown() {
    let setup = setup().await;
    let session = setup.log_in().await;
    let token = session.refresh_token.expose_secret();
    for text in [
        "",
        "x",
        token.split_at(1).1,
        &token.to_uppercase(),
        &format!("{token} "),
        &"f".repeat(64),
        &"f".repeat(1 << 20),
        &session.access.token,
    ] {
        let outcome = setup.sessions.refresh(&SecretString::from(text), ip(HOME), at(1)).await;
        assert!(matches!(outcome, Err(RefreshError::Unknown)), "{text}");
    }
    assert!(setup.refresh(&session, HOME, 1).await.is_ok());
}

#[tokio::test]
async fn a_text_that_cannot_be_a_refresh_token_is_not_looked_up() {
    let setup = setup().await;
    setup.memory.cut(true);
    for text in [String::new(), "f".repeat(63), "f".repeat(65), "f".repeat(1 << 20)] {
        let outcome = setup.sessions.refresh(&SecretString::from(text), ip(HOME), at(1)).await;
        assert!(matches!(outcome, Err(RefreshError::Unknown)));
    }
}

#[tokio::test]
async fn an_ended_session_is_not_refreshed() {
    let setup = setup().await;
    let session = setup.log_in().await;
    for _ in 0..2 {
        setup.sessions.end(&session.id, at(1)).await.unwrap();
    }
    setup.sessions.end("unknown", at(1)).await.unwrap();
    assert!(matches!(setup.refresh(&session, HOME, 2).await, Err(RefreshError::Reused)));
    assert!(setup.keys.verify(&session.access.token, at(2)).is_ok(), "the access token lives out its seconds");
}

#[tokio::test]
async fn without_memory_every_call_says_so_with_the_cause() {
    let setup = setup().await;
    let session = setup.log_in().await;
    setup.memory.cut(true);
    let log_in = setup.try_log_in("shop-login", SECRET).await.unwrap_err();
    assert!(matches!(log_in, LogInError::Unavailable(_)));
    assert_eq!(chain(&log_in), "begin a session: reach what is remembered of sessions: cut off");
    let refresh = setup.refresh(&session, HOME, 1).await.unwrap_err();
    assert_eq!(chain(&refresh), "refresh a session: reach what is remembered of sessions: cut off");
    assert!(setup.sessions.end(&session.id, at(1)).await.is_err());
    assert!(setup.keys.verify(&session.access.token, at(1)).is_ok(), "verifying needs no memory");
    setup.memory.cut(false);
    assert!(setup.refresh(&session, HOME, 1).await.is_ok());
}

#[tokio::test]
async fn a_log_in_beyond_the_line_is_busy() {
    // The unknown account is first and takes the configured cost: long enough for the second to find the place taken.
    let setup = setup_with(Passwords::new(1, 0, 10)).await;
    let (one, other) = tokio::join!(setup.try_log_in("nobody", SECRET), setup.try_log_in("shop-login", SECRET));
    assert!(matches!(one, Err(LogInError::Refused)));
    assert!(matches!(other, Err(LogInError::Busy)));
    assert!(setup.try_log_in("shop-login", SECRET).await.is_ok());
}

#[tokio::test]
async fn an_account_with_an_overlong_id_gets_no_session() {
    let setup = setup().await;
    setup.memory.add("long", Account { id: SourceId::new("x".repeat(5_000)), secret_hash: setup.hash.clone() });
    assert!(matches!(setup.try_log_in("long", SECRET).await, Err(LogInError::Unavailable(_))));
    assert_eq!(setup.memory.sessions(), 0, "nothing is remembered of it");
}

#[tokio::test]
async fn a_session_shows_no_token() {
    let setup = setup().await;
    let session = setup.log_in().await;
    let shown = format!("{session:?} {:?}", setup.sessions);
    assert!(shown.contains(&session.id));
    assert!(!shown.contains(session.refresh_token.expose_secret()) && !shown.contains(&session.access.token), "{shown}");
    assert!(!shown.contains(&setup.hash), "{shown}");
}

fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
