//! `events-proxy spool` on a spool that is whole, and on one that is damaged.

use std::path::Path;
use std::process::Command;

use broker::log::{Log, Options};
use events_proxy_core::envelope::Record;

/// Runs it with these arguments; tells whether it ended with 0, and what it wrote.
fn run(args: &[&str]) -> (bool, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_events-proxy")).arg("spool").args(args).env_clear().output().unwrap();
    (output.status.success(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
}

/// A record of that number.
fn record(number: u64) -> Record {
    Record { key: format!("shop/{number}").into_bytes(), payload: format!("{{\"id\":\"e-{number}\"}}").into_bytes(), ..Record::default() }
}

/// Writes a spool of ten records in batches of two, of which the first three are published.
async fn write(dir: &Path) {
    let log = Log::open(dir, &Options::default()).unwrap();
    for number in (0..10).step_by(2) {
        log.append([record(number), record(number + 1)]).await.unwrap();
    }
    log.cursor("published").unwrap().advance(3).await.unwrap();
}

#[tokio::test]
async fn a_whole_spool_is_inspected_verified_and_exported() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path().join("spool");
    write(&dir).await;
    let dir = dir.to_str().unwrap();
    let (good, text) = run(&["inspect", dir]);
    assert!(good && text.contains("7 records are not published yet, 0 cannot be read"), "{text}");
    let (good, text) = run(&["verify", dir]);
    assert!(good && text.contains("10 records read, 0 cannot be read"), "{text}");
    let (good, text) = run(&["export", dir]);
    let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(good && lines.len() == 7, "{text}");
    assert_eq!((&lines[0]["offset"], &lines[0]["payload"]["id"]), (&3.into(), &"e-3".into()));
    assert_eq!(run(&["export", "--all", dir]).1.lines().count(), 10);
}

#[tokio::test]
async fn what_reads_of_a_damaged_spool_goes_into_a_new_one_and_the_rest_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let (dir, new) = (directory.path().join("spool"), directory.path().join("new"));
    write(&dir).await;
    let file = dir.join("00000000000000000000.log");
    let mut bytes = std::fs::read(&file).unwrap();
    let at = bytes.windows(3).position(|window| window == b"e-5").unwrap();
    bytes[at] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    let (dir, new) = (dir.to_str().unwrap(), new.to_str().unwrap());
    let (good, text) = run(&["verify", dir]);
    assert!(!good && text.contains("record 5 cannot be read") && text.contains("9 records read, 1 cannot be read"), "{text}");
    let (good, text) = run(&["export", dir, "--into", new]);
    assert!(!good && text.contains("6 records are in"), "{text}");
    let (good, text) = run(&["verify", new]);
    assert!(good && text.contains("6 records read"), "{text}");
    assert!(!run(&["export", dir, "--into", new]).0, "a directory that holds a spool is not written to");
}

#[tokio::test]
async fn a_spool_that_a_process_uses_is_not_exported() {
    let directory = tempfile::tempdir().unwrap();
    let log = Log::open(directory.path(), &Options::default()).unwrap();
    log.append([record(0)]).await.unwrap();
    let (good, text) = run(&["export", directory.path().to_str().unwrap()]);
    assert!(!good && text.contains("a process uses"), "{text}");
    drop(log);
}
