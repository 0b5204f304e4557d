//! Secrets: what is refused, what matches, what a check costs, and that the line is bounded.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use proptest::prelude::*;
use secrecy::SecretString;
use tokio::time::timeout;

use super::{Busy, COST_MAX, COST_MIN, DUMMY_TAIL, Error, Passwords, REST_MAX, SECRET_BYTES_MAX, UnfitHash, judge_hash};

const SECRET: &str = "correct horse battery staple";

fn passwords() -> Passwords {
    Passwords::new(2, 2, COST_MIN)
}

fn secret(text: &str) -> SecretString {
    SecretString::from(text)
}

#[tokio::test]
async fn only_the_secret_that_was_hashed_matches() {
    let passwords = passwords();
    let hash = passwords.hash(&secret(SECRET)).await.unwrap();
    assert!(passwords.check(&secret(SECRET), Some(&hash)).await.unwrap());
    for wrong in ["", " ", "correct horse battery stapl", "Correct horse battery staple", "correct horse battery staple "] {
        assert!(!passwords.check(&secret(wrong), Some(&hash)).await.unwrap(), "{wrong:?}");
    }
}

#[tokio::test]
async fn a_stored_hash_is_never_a_password() {
    let passwords = passwords();
    let hash = passwords.hash(&secret(SECRET)).await.unwrap();
    assert!(!passwords.check(&secret(&hash), Some(&hash)).await.unwrap());
    assert!(!passwords.check(&secret("plain"), Some("plain")).await.unwrap(), "what is not a hash matches nothing");
}

#[tokio::test]
async fn a_hash_made_by_another_tool_matches() {
    // Test vectors of OpenBSD's and openwall's crypt_blowfish.
    for (hash, text) in [
        ("$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW", "U*U"),
        ("$2y$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW", "U*U"),
        ("$2b$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW", "U*U"),
    ] {
        assert!(passwords().check(&secret(text), Some(hash)).await.unwrap(), "{hash}");
    }
}

#[tokio::test]
async fn unfit_secrets_are_refused_when_hashed() {
    let passwords = passwords();
    assert!(matches!(passwords.hash(&secret("")).await, Err(Error::Empty)));
    assert!(matches!(passwords.hash(&secret(&"x".repeat(SECRET_BYTES_MAX + 1))).await, Err(Error::TooLong)));
    assert!(matches!(passwords.hash(&secret(&"ä".repeat(37))).await, Err(Error::TooLong)), "bytes count, not characters");
    assert!(matches!(passwords.hash(&secret("a\0a")).await, Err(Error::Nul)));
}

#[tokio::test]
async fn all_72_bytes_count_and_a_73rd_never_matches() {
    let passwords = passwords();
    let longest = "x".repeat(SECRET_BYTES_MAX);
    let hash = passwords.hash(&secret(&longest)).await.unwrap();
    assert!(passwords.check(&secret(&longest), Some(&hash)).await.unwrap());
    assert!(!passwords.check(&secret(&format!("{longest}x")), Some(&hash)).await.unwrap());
    assert!(!passwords.check(&secret(longest.split_at(1).1), Some(&hash)).await.unwrap());
}

#[tokio::test]
async fn a_nul_makes_no_second_secret() {
    let passwords = passwords();
    let hash = passwords.hash(&secret("a")).await.unwrap();
    assert!(bcrypt::verify("a\0a", &hash).unwrap(), "the reason: bcrypt repeats the secret with its end mark");
    assert!(!passwords.check(&secret("a\0a"), Some(&hash)).await.unwrap());
}

#[tokio::test]
async fn nothing_matches_an_unknown_account() {
    for text in ["", SECRET, DUMMY_TAIL, "a\0"] {
        assert!(!passwords().check(&secret(text), None).await.unwrap());
    }
}

#[tokio::test]
async fn even_the_dummys_own_secret_opens_no_unknown_account() {
    let mut passwords = passwords();
    passwords.dummy_tail = passwords.hash(&secret(SECRET)).await.unwrap().strip_prefix("$2b$04$").unwrap().into();
    assert!(bcrypt::verify(SECRET, &passwords.dummy(COST_MIN)).unwrap());
    assert!(!passwords.check(&secret(SECRET), None).await.unwrap());
    assert!(!passwords.check(&secret(SECRET), Some("unfit")).await.unwrap());
}

#[tokio::test]
async fn an_unknown_account_takes_as_long_as_a_wrong_secret_of_any_cost() {
    let passwords = Passwords::new(1, 0, 4);
    let hash = Passwords::new(1, 0, 8).hash(&secret(SECRET)).await.unwrap();
    let cheap = passwords.hash(&secret(SECRET)).await.unwrap();
    let too_long = "x".repeat(SECRET_BYTES_MAX + 1);
    let mut fastest = [Duration::MAX; 6];
    // The fastest of several runs is hardly touched by what else the machine does.
    for _ in 0..4 {
        let cases = [
            ("wrong", Some(hash.as_str())),
            ("wrong", None),
            (too_long.as_str(), Some(&hash)),
            ("a\0a", None),
            ("x", Some("unfit")),
            ("wrong", Some(&cheap)),
        ];
        for (best, (text, hash)) in fastest.iter_mut().zip(cases) {
            drop(passwords.slots.acquire().await); // it may rest
            let begun = tokio::time::Instant::now();
            assert!(!passwords.check(&secret(text), hash).await.unwrap());
            *best = begun.elapsed().min(*best);
        }
    }
    let (least, most) = (fastest.iter().min().unwrap(), fastest.iter().max().unwrap());
    assert!(*most < *least * 4, "a shortcut, or the cheap hash alone, would be 16 times faster and more: {fastest:?}");
}

#[test]
fn hashes_from_elsewhere_are_judged() {
    assert_eq!(judge_hash(&format!("$2b$10${DUMMY_TAIL}")), Ok(10));
    for unfit in ["", "secret", "$2b$10$short", "$1$10$", &"$".repeat(60), &"ä".repeat(30)] {
        assert_eq!(judge_hash(unfit), Err(UnfitHash::NotBcrypt), "{unfit}");
    }
    for cost in [0, COST_MIN - 1, COST_MAX + 1, 31] {
        assert_eq!(judge_hash(&format!("$2b${cost:02}${DUMMY_TAIL}")), Err(UnfitHash::Cost(cost)));
    }
}

#[test]
fn every_dummy_is_a_hash_of_its_cost() {
    for cost in COST_MIN..=COST_MAX {
        assert_eq!(judge_hash(&passwords().dummy(cost)), Ok(cost));
    }
    for cost in 0..=99 {
        assert_eq!(Passwords::new(1, 1, cost).highest.load(Ordering::Relaxed), cost.clamp(COST_MIN, COST_MAX));
    }
}

#[tokio::test]
async fn a_full_line_answers_busy_at_once() {
    let passwords = Passwords::new(1, 1, COST_MIN);
    let (open, gate) = sync_channel::<()>(0);
    let running = passwords.compute(move || gate.recv().is_ok());
    let right = secret(SECRET);
    let waiting = passwords.check(&right, None);
    tokio::pin!(running, waiting);
    // Poll each once: the first computes, the second waits.
    assert!(timeout(Duration::from_millis(10), &mut running).await.is_err());
    assert!(timeout(Duration::from_millis(10), &mut waiting).await.is_err());

    assert_eq!(timeout(Duration::ZERO, passwords.check(&secret(SECRET), None)).await, Ok(Err(Busy)));
    assert!(matches!(timeout(Duration::ZERO, passwords.hash(&secret(SECRET))).await, Ok(Err(Error::Busy(Busy)))));

    open.send(()).unwrap();
    assert_eq!(running.await, Ok(true));
    assert_eq!(waiting.await, Ok(false));
    assert_eq!(passwords.check(&secret(SECRET), None).await, Ok(false), "the places are free again");
}

#[tokio::test]
async fn who_waits_too_long_for_its_turn_is_told_and_computes_nothing() {
    let passwords = Passwords::new(1, 1, COST_MIN);
    let (open, gate) = sync_channel::<()>(0);
    assert!(timeout(Duration::from_millis(10), passwords.compute(move || gate.recv().is_ok())).await.is_err());
    let begun = tokio::time::Instant::now();
    assert_eq!(passwords.check(&secret(SECRET), None).await, Err(Busy));
    assert!(begun.elapsed() >= super::TURN_MAX, "{:?}", begun.elapsed());
    assert_eq!(passwords.line.available_permits(), 1, "it keeps its place");
    open.send(()).unwrap();
    drop(passwords.slots.acquire().await);
    assert_eq!(passwords.check(&secret(SECRET), None).await, Ok(false));
}

#[tokio::test]
async fn a_slot_rests_as_long_as_its_work_waited_and_no_longer_than_others_wait_for_it() {
    let passwords = Passwords::new(1, 0, COST_MIN);
    let rest_after = async |work: Duration| {
        passwords.compute(move || std::thread::sleep(work)).await.unwrap();
        assert_eq!(passwords.line.available_permits(), 1, "who has its answer keeps its place");
        let begun = tokio::time::Instant::now();
        drop(passwords.slots.acquire().await);
        begun.elapsed()
    };
    let (short, long) = (rest_after(Duration::from_millis(60)).await, rest_after(REST_MAX * 4).await);
    // The rest begins a little before the answer is here.
    assert!(short >= Duration::from_millis(50), "{short:?}");
    assert!(long >= REST_MAX - Duration::from_millis(10) && long < REST_MAX * 3, "{long:?}");
}

#[tokio::test]
async fn who_got_in_before_waits_for_one_stranger_at_most() {
    let passwords = Passwords::new(1, 64, COST_MIN);
    let (open, gate) = sync_channel::<()>(0);
    assert!(timeout(Duration::from_millis(10), passwords.compute(move || gate.recv().is_ok())).await.is_err());
    let (told, mut ended) = tokio::sync::mpsc::channel(65);
    let mut waiting = tokio::task::JoinSet::new();
    for number in 0..64 {
        let (passwords, told) = (passwords.clone(), told.clone());
        waiting.spawn(async move { told.send((number, passwords.check(&secret(SECRET), None).await)).await.unwrap() });
    }
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert_eq!(passwords.check(&secret(SECRET), None).await, Err(Busy), "the line is full");
    let known = passwords.for_known();
    waiting.spawn(async move { told.send((99, known.check(&secret(SECRET), None).await)).await.unwrap() });
    tokio::time::sleep(Duration::from_millis(20)).await;
    open.send(()).unwrap();
    let first = [ended.recv().await.unwrap(), ended.recv().await.unwrap()];
    assert!(first.contains(&(99, Ok(false))), "{first:?}");
    waiting.shutdown().await;
}

#[tokio::test]
async fn a_caller_that_goes_away_leaves_the_line_but_its_work_keeps_its_slot() {
    let passwords = Passwords::new(1, 1, COST_MIN);
    let (open, gate) = sync_channel::<()>(0);
    assert!(timeout(Duration::from_millis(10), passwords.compute(move || gate.recv().is_ok())).await.is_err());
    assert!(timeout(Duration::from_millis(10), passwords.check(&secret(SECRET), None)).await.is_err());
    assert_eq!((passwords.slots.available_permits(), passwords.line.available_permits()), (0, 1));
    open.send(()).unwrap();
    assert_eq!(passwords.check(&secret(SECRET), None).await, Ok(false));
}

#[test]
fn a_check_cut_off_by_the_end_of_the_process_is_busy() {
    let passwords = Arc::new(passwords());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let outcome = runtime.block_on(async { passwords.compute(|| std::panic::resume_unwind(Box::new("cut off"))).await });
    assert_eq!(outcome.map(|(): ()| ()), Err(Busy));
    assert_eq!(passwords.slots.available_permits(), 2, "the slot is free again");
}

#[tokio::test]
async fn neither_the_hash_nor_the_secret_is_shown() {
    let shown = format!("{:?} {:?}", passwords(), Error::TooLong);
    assert!(!shown.contains(SECRET));
    assert!(!format!("{:?}", secret(SECRET)).contains(SECRET));
}

proptest! {
    #[test]
    fn judging_a_hash_never_panics(hash in any::<String>(), tail in "[ -~]{0,70}") {
        let verdicts = [judge_hash(&hash), judge_hash(&tail), judge_hash(&format!("$2b$10${tail}"))];
        prop_assert!(verdicts.iter().all(|verdict| verdict.is_err() || *verdict == Ok(10)));
    }
}
