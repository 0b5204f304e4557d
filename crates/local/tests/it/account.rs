//! `events-proxy account` beside a running process: who was added logs in, who is disabled does not, and no secret is told twice.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use reqwest::{Client, StatusCode};
use serde_json::{Value, json};

use crate::support::{accounts, busy, embedded, free_port, until};

/// What a source logs in with at first.
const FIRST_SECRET: &str = "the first secret of a till";

/// Runs it on a data directory with these arguments; tells whether it ended with 0, and what it wrote.
fn run(data: &Path, args: &[&str], stdin: &str) -> (bool, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_events-proxy"));
    command.arg("account").args(args).arg("--data-dir").arg(data).env_clear();
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(stdin.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    (output.status.success(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
}

#[tokio::test]
async fn an_account_is_added_gets_another_secret_and_is_disabled_while_the_process_runs() {
    let _machine = busy().await;
    let directory = tempfile::tempdir().unwrap();
    let (data, port) = (directory.path().join("data"), free_port());
    let settings = [
        ("PORT", port.to_string()),
        ("ADMIN_PORT", free_port().to_string()),
        ("PROXY_SERVICE_TEST_USERS_DATA", accounts()),
        ("TARGET_SERVICE_GRAPHQL_URL", format!("http://127.0.0.1:{}/graphql", free_port())),
        // No deadline is the subject here, and a bcrypt takes its time beside other tests.
        ("ACCEPT_TIMEOUT_MS", "5000".to_owned()),
    ];
    let _process = embedded(directory.path(), &settings);
    chassis::tls::install();
    let client = Client::builder().build().unwrap();
    let post = async |path: &str, body: &Value| {
        client.post(format!("http://127.0.0.1:{port}/api/{path}")).json(body).send().await.map(|answer| answer.status())
    };
    until("the API answers", async || post("user-sessions", &json!({})).await.is_ok()).await;

    let (good, text) = run(&data, &["add", "till", "--auth-id", "till-7", "--secret-stdin"], &format!("{FIRST_SECRET}\n"));
    let first: Value = serde_json::from_str(&text).unwrap();
    assert!(good && first == json!({ "authId": "till-7", "secret": FIRST_SECRET }), "{text}");
    assert_eq!(post("user-sessions", &first).await.unwrap(), StatusCode::CREATED);
    let (good, text) = run(&data, &["add", "till"], "");
    assert!(!good && text.contains("stays as it is"), "{text}");
    let (good, text) = run(&data, &["add", "other", "--auth-id", "till-7"], "");
    assert!(!good && text.contains("choose another --auth-id"), "{text}");

    let (good, text) = run(&data, &["rotate", "till"], "");
    let drawn: Value = serde_json::from_str(&text).unwrap();
    assert!(good, "{text}");
    assert_eq!(post("user-sessions", &first).await.unwrap(), StatusCode::UNAUTHORIZED, "the first secret is out");
    let second = json!({ "authId": "till-7", "secret": drawn["secret"] });
    assert_eq!(post("user-sessions", &second).await.unwrap(), StatusCode::CREATED);

    assert!(run(&data, &["disable", "till"], "").0);
    assert_eq!(post("user-sessions", &second).await.unwrap(), StatusCode::UNAUTHORIZED);
    let (good, text) = run(&data, &["list"], "");
    assert!(good && text.lines().any(|line| line.contains(r#""id":"till""#) && line.contains(r#""disabledAt":"2"#)), "{text}");
    assert!(!text.contains("$2b$") && !text.contains(drawn["secret"].as_str().unwrap()), "{text}");
    assert!(run(&data, &["enable", "till"], "").0);
    assert_eq!(post("user-sessions", &second).await.unwrap(), StatusCode::CREATED);
}

#[test]
fn what_cannot_be_done_is_said_and_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    for (args, stdin, told) in [
        (vec!["disable", "nobody"], "", "There is no account `nobody`"),
        (vec!["rotate", "nobody"], "", "There is no account `nobody`"),
        (vec!["add", "a/b"], "", "no `/`"),
        (vec!["add", ""], "", "1 to 128"),
        (vec!["add", "till", "--secret-stdin"], "\n", "the secret is empty"),
        (vec!["add", "till", "--secret-stdin"], &"x".repeat(73), "longer than 72 bytes"),
    ] {
        let (good, text) = run(directory.path(), &args, stdin);
        assert!(!good && text.contains(told), "{args:?}: {text}");
    }
    assert_eq!(run(directory.path(), &["list"], ""), (true, String::new()));
}
