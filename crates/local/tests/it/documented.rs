//! The documents are right about what one types: programs of ours take what they are told, and the walks through the API are walked.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::support::{Process, Source, accounts, binary, busy, embedded, free_port, until};

/// The repository.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// What the documents tell a program of ours to do, each with its place.
fn told(program: &str) -> Vec<(String, Vec<String>)> {
    let output = Command::new(binary("xtask")).args(["commands", program]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let split = |line: &str| line.split_once('\t').map(|(place, words)| (place.to_owned(), words.split('\t').map(str::to_owned).collect()));
    text.lines().filter_map(split).collect()
}

/// Says why a program does not take these words. Help behind them keeps it from doing anything, and from missing what is not there.
fn refusal(program: &str, words: &[String]) -> Option<String> {
    let words = words.iter().filter(|word| !word.is_empty());
    let output = Command::new(binary(program)).args(words).arg("--help").env_clear().output().unwrap();
    (!output.status.success()).then(|| String::from_utf8_lossy(&output.stderr).lines().next().unwrap_or_default().to_owned())
}

#[test]
fn every_command_of_ours_in_a_document_is_taken() {
    let mut wrong = Vec::new();
    for program in ["events-proxy", "ingest"] {
        let told = told(program);
        assert!(!told.is_empty(), "no document tells {program} anything");
        for (place, words) in told {
            wrong.extend(refusal(program, &words).map(|why| format!("{place}: {program} {}: {why}", words.join(" "))));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_command_that_no_program_has_is_refused() {
    for (program, words) in [
        ("events-proxy", "reply begin"),
        ("events-proxy", "replay begun"),
        ("events-proxy", "replay begin --reson refused"),
        ("events-proxy", "--no-sauce"),
        ("ingest", "migrat"),
        ("ingest", "migrate --all"),
    ] {
        let words: Vec<String> = words.split(' ').map(str::to_owned).collect();
        assert!(refusal(program, &words).is_some(), "{program} takes {words:?}");
    }
}

/// The blocks of shell of a document that ask by `curl`, one behind the other, as a reader types them.
fn walk(document: &str) -> String {
    let text = std::fs::read_to_string(root().join(document)).unwrap();
    let blocks = text.split("```sh\n").skip(1).filter_map(|rest| rest.split("```").next());
    blocks.filter(|block| block.contains("curl ")).collect()
}

/// What stands before a walk: each request is told by status and path, one that fails ends the walk, and one whose event the journal does not
/// know yet is asked again.
const BEFORE: &str = r#"
set -euo pipefail
curl() {
  command curl --silent --show-error --fail-with-body --max-time 10 --retry 20 --retry-delay 1 --retry-all-errors \
    --write-out '%{stderr}answered %{http_code} %{method} %{url_effective}\n' "$@"
}
"#;

/// Walks through a text in a directory, against the public port; tells how each request was answered, as `202 POST /api/events`.
fn walked(text: &str, directory: &Path, port: u16) -> (Output, Vec<String>) {
    let here = format!("127.0.0.1:{port}");
    let script = format!("{BEFORE}{}", text.replace("localhost:4000", &here));
    let output = Command::new("bash").arg("-c").arg(script).current_dir(directory).output().unwrap();
    let told = String::from_utf8(output.stderr.clone()).unwrap();
    let answers = told.lines().filter_map(|line| line.strip_prefix("answered "));
    let answers = answers.map(|line| line.replace(&format!("http://{here}"), "")).collect();
    (output, answers)
}

/// Starts `events-proxy` without simulators and waits until it answers.
async fn start(directory: &Path, settings: &[(&'static str, String)]) -> (Process, u16) {
    let port = free_port();
    let usual = [
        ("PORT", port.to_string()),
        ("ADMIN_PORT", "0".to_owned()),
        ("TARGET_SERVICE_GRAPHQL_URL", format!("http://127.0.0.1:{}/graphql", free_port())),
    ];
    let process = embedded(directory, &[&usual, settings].concat());
    until("the API answers", async || tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok()).await;
    (process, port)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_guide_of_the_api_is_walked_as_it_stands() {
    let machine = busy().await;
    let directory = tempfile::tempdir().unwrap();
    let (process, port) = start(directory.path(), &[("PROXY_SERVICE_TEST_USERS_DATA", accounts())]).await;
    drop(Source::log_in(port).await);
    // The one thing that a reader fills in.
    let text = walk("docs/api.md").replace("\"secret\":\"…\"", &format!("\"secret\":\"{}\"", chaos::source::SECRET));
    let (output, answers) = walked(&text, directory.path(), port);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let expected = [
        "201 POST /api/user-sessions",
        "202 POST /api/events",
        "200 GET /api/events/order-1",
        "200 GET /api/events?state=dead&limit=20",
        "200 POST /api/user-sessions/refresh",
        "204 DELETE /api/user-sessions/current",
    ];
    assert_eq!(answers, expected);
    let (output, _) = walked("curl localhost:4000/api/events --retry 0", directory.path(), port);
    assert!(!output.status.success(), "a walk goes on behind a refusal");
    drop((process, machine));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_readme_is_walked_as_it_stands() {
    let machine = busy().await;
    let directory = tempfile::tempdir().unwrap();
    let (process, port) = start(directory.path(), &[]).await;
    let credentials = directory.path().join("data/credentials.json");
    until("the demo has its account", async || std::fs::metadata(&credentials).is_ok_and(|file| file.len() > 0)).await;
    let (output, answers) = walked(&walk("README.md"), directory.path(), port);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(answers, ["201 POST /api/user-sessions", "202 POST /api/events", "200 GET /api/events/order-1"]);
    drop((process, machine));
}
