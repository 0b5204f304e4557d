//! What an operator sees and does: dead letters are found, counted, replayed and delivered; strangers learn nothing.

use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;

use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};
use simulators::target::{Failure, Options, Target};
use tokio_util::sync::CancellationToken;

use crate::support::{Process, Source, accounts, busy, embedded, free_port, until};

/// A target on that port, which refuses every event or takes it.
fn target(port: u16, refuses: bool, stop: CancellationToken) -> Target {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
    let (failure_share, failures) = if refuses { (1.0, vec![Failure::Refused]) } else { (0.0, Vec::new()) };
    let options = Options { rate_requests: 1_000, failure_share, failures, ..Options::default() };
    Target::start(options, listener, stop).unwrap()
}

/// `events-proxy` with its console, and who may sign in there.
pub(crate) struct Proxy {
    /// The process.
    pub(crate) process: Process,
    /// Its public port.
    pub(crate) port: u16,
    /// Where operators ask.
    pub(crate) private: String,
    /// Speaks HTTP; follows no redirect.
    pub(crate) client: Client,
    /// What the demo's operator signs in with.
    pub(crate) operator: Value,
}

impl Proxy {
    /// Starts it, delivering to that port.
    async fn start(directory: &Path, target_port: u16) -> Self {
        Self::start_with(directory, target_port, &[]).await
    }

    /// Starts it with further settings, or others than the usual ones.
    pub(crate) async fn start_with(directory: &Path, target_port: u16, settings: &[(&'static str, String)]) -> Self {
        let (port, admin_port) = (free_port(), free_port());
        let usual = [
            ("PORT", port.to_string()),
            ("ADMIN_PORT", admin_port.to_string()),
            ("PROXY_SERVICE_TEST_USERS_DATA", accounts()),
            ("TARGET_SERVICE_GRAPHQL_URL", format!("http://127.0.0.1:{target_port}/graphql")),
            ("TARGET_SERVICE_RATE_LIMIT_INTERVAL_MS", "1000".to_owned()),
            ("TARGET_SERVICE_RATE_LIMIT_REQUESTS_PER_INTERVAL", "500".to_owned()),
            ("CONSOLE_MASKED_FIELDS", "timestamp".to_owned()),
        ];
        let settings = [&usual, settings].concat();
        let process = embedded(directory, &settings);
        chassis::tls::install();
        let client = Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        let private = format!("http://127.0.0.1:{admin_port}");
        until("the private listener answers", async || client.get(format!("{private}/health/ready")).send().await.is_ok()).await;
        let operator = serde_json::from_slice(&std::fs::read(directory.join("data/operator.json")).unwrap()).unwrap();
        Self { process, port, private, client, operator }
    }

    /// Signs the demo's operator in.
    pub(crate) async fn sign_in(&self) -> String {
        let answer = self.client.post(format!("{}/operator/sessions", self.private)).json(&self.operator).send().await.unwrap();
        assert_eq!(answer.status(), 201);
        answer.json::<Value>().await.unwrap()["token"].as_str().unwrap().to_owned()
    }

    /// Asks or orders as that operator.
    pub(crate) async fn ask(&self, token: &str, method: Method, path: &str, body: Option<Value>) -> (StatusCode, Value) {
        let mut request = self.client.request(method, format!("{}{path}", self.private)).bearer_auth(token);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await.unwrap();
        (answer.status(), answer.json().await.unwrap())
    }

    /// Runs `events-proxy` as a command for this one; tells its exit code and what it wrote.
    async fn command(&self, secret: &str, args: &[&str]) -> (Option<i32>, String) {
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_events-proxy"));
        command.args(args).args(["--url", &self.private, "--name", "demo"]).env_clear().env("OPERATOR_SECRET", secret);
        let output = command.output().await.unwrap();
        (output.status.code(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
    }

    /// A page as a signed-in browser sees it.
    pub(crate) async fn page(&self, token: &str, path: &str) -> String {
        let cookie = format!("events-proxy-operator={token}");
        self.client.get(format!("{}{path}", self.private)).header("cookie", cookie).send().await.unwrap().text().await.unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_are_counted_replayed_and_delivered() {
    let machine = busy().await;
    let directory = tempfile::tempdir().unwrap();
    let (target_port, stop) = (free_port(), CancellationToken::new());
    let refusing = target(target_port, true, stop.clone());
    let proxy = Proxy::start(directory.path(), target_port).await;
    let source = Source::log_in(proxy.port).await;
    let accepted = source.send_all("dead", 0..20, 4).await;
    assert_eq!(accepted.len(), 20);
    let token = proxy.sign_in().await;
    until("all are dead", async || {
        let (_, dead) = proxy.ask(&token, Method::GET, "/operator/dead", None).await;
        dead["items"][0]["reason"] == "refused" && dead["items"][0]["count"] == 20
    })
    .await;
    stop.cancel();
    refusing.stopped().await.unwrap();
    let healed = target(target_port, false, CancellationToken::new());

    let order = json!({ "reason": "refused", "sharePercent": "90", "dryRun": "true" });
    let (status, counted) = proxy.ask(&token, Method::POST, "/operator/replays", Some(order)).await;
    assert_eq!((status.as_u16(), &counted["chosen"]), (200, &json!(20)));
    assert_eq!(healed.numbers().distinct, 0, "a dry run sends nothing");
    let order = json!({ "reason": "refused", "sharePercent": "90" });
    let (status, replay) = proxy.ask(&token, Method::POST, "/operator/replays", Some(order)).await;
    assert_eq!((status.as_u16(), &replay["chosen"], &replay["operator"]), (201, &json!(20), &json!("demo")));
    until("the target has every event", async || healed.numbers().distinct == 20).await;
    let path = format!("/operator/replays/{}", replay["id"].as_str().unwrap());
    until("the replay is done", async || proxy.ask(&token, Method::GET, &path, None).await.1["state"] == "done").await;
    assert_eq!(proxy.ask(&token, Method::DELETE, &path, None).await.0, 409, "nothing is left to cancel");
    until("the journal tells the delivery", async || {
        let found = source.look_up("dead-7").await.unwrap();
        found["state"] == "delivered" && found["attempts"].as_array().unwrap().len() == 2
    })
    .await;
    drop(machine);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_target_said_is_told_to_operators_and_not_to_the_source() {
    let machine = busy().await;
    let directory = tempfile::tempdir().unwrap();
    let target_port = free_port();
    let refusing = target(target_port, true, CancellationToken::new());
    let proxy = Proxy::start(directory.path(), target_port).await;
    let source = Source::log_in(proxy.port).await;
    assert_eq!(source.send("refused", None).await, Some(202));
    let mut told = Value::Null;
    until("the journal tells the refusal", async || {
        told = source.look_up("refused").await.unwrap_or_default();
        told["state"] == "dead"
    })
    .await;
    let (_, found) = proxy.ask(&proxy.sign_in().await, Method::GET, "/operator/events?id=refused", None).await;
    let (attempt, known) = (&told["attempts"][0], &found["items"][0]);
    let said = known["attempts"][0]["detail"].as_str().unwrap();
    assert!(!said.is_empty() && known["detail"].is_string(), "the operator is told: {found}");
    assert!(!told.to_string().contains(said) && !told.to_string().contains("detail"), "{told}");
    assert_eq!((&told["reason"], &attempt["outcome"], &attempt["number"]), (&json!("refused"), &json!("refused"), &json!(1)), "{told}");
    assert!(attempt["startedAt"].is_string() && attempt["durationMs"].is_u64() && attempt["status"].is_u64(), "{told}");
    drop((refusing, machine));
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_are_given_from_a_terminal() {
    let machine = busy().await;
    let directory = tempfile::tempdir().unwrap();
    let (target_port, stop) = (free_port(), CancellationToken::new());
    let refusing = target(target_port, true, stop.clone());
    let proxy = Proxy::start(directory.path(), target_port).await;
    let secret = proxy.operator["secret"].as_str().unwrap();
    let source = Source::log_in(proxy.port).await;
    assert_eq!(source.send_all("typed", 0..5, 2).await.len(), 5);
    let dry = ["replay", "begin", "--reason", "refused", "--dry-run"];
    until("all are dead and would be replayed", async || {
        proxy.command(secret, &dry).await == (Some(0), "5 events would be replayed; nothing was done\n".to_owned())
    })
    .await;
    stop.cancel();
    refusing.stopped().await.unwrap();
    let healed = target(target_port, false, CancellationToken::new());
    let (code, told) = proxy.command(secret, &["replay", "begin", "--share", "90", "--follow"]).await;
    assert!(code == Some(0) && told.contains("done       5 of 5 moved, 0 skipped, at most 90 %"), "{told}");
    until("the target has every event", async || healed.numbers().distinct == 5).await;
    let (code, listed) = proxy.command(secret, &["replay", "list"]).await;
    assert!(code == Some(0) && listed.lines().count() == 1 && listed.contains("by demo at"), "{listed}");

    let (code, told) = proxy.command(secret, &["limit", "40/1000"]).await;
    assert_eq!((code, told.as_str()), (Some(0), "40 requests in 1000 ms, over all replicas\n"));
    until("the changed limit is in force", async || proxy.command(secret, &["limit"]).await.1 == told).await;
    for (secret, args, why) in [
        (secret, ["limit", "0/1000"], "malformed_request"),
        (secret, ["limit", "many"], "write REQUESTS/MILLISECONDS"),
        ("guess", ["replay", "list"], "wrong_credentials"),
    ] {
        let (code, told) = proxy.command(secret, &args).await;
        assert!(code == Some(1) && told.contains(why), "{told}");
    }
    drop(machine);
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_viewers_of_other_sites_and_wrong_orders_get_nothing() {
    let machine = busy().await;
    let directory = tempfile::tempdir().unwrap();
    let proxy = Proxy::start(directory.path(), free_port()).await;
    for path in ["/operator/overview", "/operator/events", "/operator/dead", "/operator/replays", "/operator/partitions", "/operator/limit"]
    {
        let answer = proxy.client.get(format!("{}{path}", proxy.private)).send().await.unwrap();
        assert_eq!(answer.status(), 401, "{path}");
    }
    let turned_away = proxy.client.get(format!("{}/console/", proxy.private)).send().await.unwrap();
    assert_eq!((turned_away.status().as_u16(), &turned_away.headers()["location"]), (303, &"/console/sign-in".parse().unwrap()));
    let wrong = json!({ "name": "demo", "secret": "guess" });
    let refused = proxy.client.post(format!("{}/operator/sessions", proxy.private)).json(&wrong).send().await.unwrap();
    assert_eq!(refused.status(), 401);
    let token = proxy.sign_in().await;
    let source = Source::log_in(proxy.port).await;
    assert_eq!(proxy.ask(source.token(), Method::GET, "/operator/overview", None).await.0, 401, "a source is no operator");
    for order in [json!({ "of": "living" }), json!({ "sharePercent": "0" }), json!({ "colour": "red" })] {
        assert_eq!(proxy.ask(&token, Method::POST, "/operator/replays", Some(order)).await.0, 400);
    }
    // What a page of another site makes a browser send.
    let forged = proxy.client.post(format!("{}/console/replays", proxy.private));
    let forged = forged.header("cookie", format!("events-proxy-operator={token}")).header("sec-fetch-site", "cross-site");
    let answer = forged.header("content-type", "application/x-www-form-urlencoded").body("reason=refused").send().await.unwrap();
    assert_eq!(answer.status(), 403);
    let (_, replays) = proxy.ask(&token, Method::GET, "/operator/replays", None).await;
    assert!(replays["items"].as_array().unwrap().is_empty());
    drop(machine);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_guesses_an_operators_secret_is_slowed_down_counted_and_told_in_the_log() {
    let machine = busy().await;
    let directory = tempfile::tempdir().unwrap();
    let settings = [("AUTH_FAILURES_MAX", "2".to_owned()), ("AUTH_LOCK_OUT_MAX_SEC", "600".to_owned())];
    let proxy = Proxy::start_with(directory.path(), free_port(), &settings).await;
    let sign_in = async |credentials: &Value| {
        let answer = proxy.client.post(format!("{}/operator/sessions", proxy.private)).json(credentials).send().await.unwrap();
        let wait = answer.headers().get("retry-after").map(|value| value.to_str().unwrap().parse::<u64>().unwrap());
        (answer.status().as_u16(), wait, answer.json::<Value>().await.unwrap()["code"].as_str().unwrap_or_default().to_owned())
    };
    let mut refused = 0;
    // A name that no operator has is told to wait like every other; of the operator's, the wait is to last until all is asked.
    for (name, least) in [("typed-in-the-wrong-field", 1), ("demo", 5)] {
        let wrong = json!({ "name": name, "secret": "a-wild-guess" });
        until("a guesser is told to wait", async || {
            let (status, wait, code) = sign_in(&wrong).await;
            refused += usize::from((status, code.as_str()) == (401, "wrong_credentials"));
            assert!(status == 401 || (status, code.as_str()) == (429, "rate_limited"), "{status} {code}");
            wait.is_some_and(|wait| wait >= least)
        })
        .await;
    }
    let (status, _, code) = sign_in(&proxy.operator).await;
    assert_eq!((status, code.as_str()), (429, "rate_limited"), "the right secret is not judged either");
    let form = proxy.client.post(format!("{}/console/sign-in", proxy.private)).header("sec-fetch-site", "same-origin");
    let page = form.header("content-type", "application/x-www-form-urlencoded").body("name=demo&secret=x").send().await.unwrap();
    assert_eq!(page.status(), 429);
    assert!(page.text().await.unwrap().contains("too many sign-ins failed; the next one is judged in"));
    let metrics = proxy.client.get(format!("{}/metrics", proxy.private)).send().await.unwrap().text().await.unwrap();
    assert!(metrics.contains(&format!("operator_sign_ins_total{{outcome=\"refused\"}} {refused}\n")), "{metrics}");
    assert!(metrics.contains("operator_sign_ins_total{outcome=\"locked_out\"}"), "{metrics}");
    let told = || {
        let log = proxy.process.written();
        let told = log.lines().filter(|line| line.contains("a sign-in was refused")).map(str::to_owned).collect::<Vec<_>>();
        (log, told)
    };
    until("each refusal is told in the log", async || told().1.len() == refused).await;
    let (log, told) = told();
    let named = told.iter().filter(|line| line.contains("\"demo\"") && line.contains("127.0.0.1")).count();
    // Two of each name are free; of the operator's three more, until the wait is long.
    assert!(named == 5 && refused >= 7, "{told:?}");
    assert!(!log.contains("typed-in-the-wrong-field") && !log.contains("a-wild-guess"), "{log}");
    drop(machine);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_of_a_viewer_is_refused() {
    let machine = busy().await;
    let directory = tempfile::tempdir().unwrap();
    let (data, operator) = (directory.path().join("data"), json!({ "name": "vera", "secret": "only looks" }));
    std::fs::create_dir(&data).unwrap();
    std::fs::write(data.join("operator.json"), operator.to_string()).unwrap();
    let accounts = json!([{ "name": "vera", "secret": bcrypt::hash("only looks", 10).unwrap(), "role": "viewer" }]).to_string();
    let proxy = Proxy::start_with(directory.path(), free_port(), &[("OPERATOR_ACCOUNTS", accounts)]).await;
    let token = proxy.sign_in().await;
    let (status, before) = proxy.ask(&token, Method::GET, "/operator/limit", None).await;
    assert_eq!(status, 200, "a viewer looks");
    let replay = format!("/operator/replays/{}", "01a219ab-e7de-702a-a169-ef945e5096ac");
    for (method, path, order) in [
        (Method::POST, "/operator/replays", Some(json!({ "reason": "refused", "sharePercent": "90" }))),
        (Method::POST, "/operator/replays", Some(json!({ "reason": "refused", "sharePercent": "90", "dryRun": "true" }))),
        (Method::DELETE, replay.as_str(), None),
        (Method::PUT, "/operator/limit", Some(json!({ "requests": 1, "intervalMs": 1_000 }))),
    ] {
        let (status, problem) = proxy.ask(&token, method.clone(), path, order).await;
        assert_eq!((status.as_u16(), &problem["code"]), (403, &json!("forbidden")), "{method} {path}");
    }
    assert_eq!(proxy.ask(&token, Method::GET, "/operator/limit", None).await.1, before);
    assert!(proxy.ask(&token, Method::GET, "/operator/replays", None).await.1["items"].as_array().unwrap().is_empty());
    drop(machine);
}

#[tokio::test(flavor = "multi_thread")]
async fn so_many_watch_at_once_and_whoever_is_one_too_many_is_told_when_to_come_again() {
    let machine = busy().await;
    let directory = tempfile::tempdir().unwrap();
    let proxy = Proxy::start(directory.path(), free_port()).await;
    let cookie = format!("events-proxy-operator={}", proxy.sign_in().await);
    let watch = async || proxy.client.get(format!("{}/console/live", proxy.private)).header("cookie", &cookie).send().await.unwrap();
    let mut watching = Vec::new();
    for _ in 0..32 {
        watching.push(watch().await);
    }
    assert!(watching.iter().all(|answer| answer.status() == 200));
    let refused = watch().await;
    assert_eq!((refused.status().as_u16(), &refused.headers()["retry-after"]), (503, &"5".parse().unwrap()));
    let part = watching[0].chunk().await.unwrap().unwrap();
    assert!(part.starts_with(b"data: ") && part.ends_with(b"\n\n"), "those who are in are told: {part:?}");
    watching.clear();
    until("a place is free again", async || watch().await.status() == 200).await;
    drop(machine);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_console_shows_hostile_events_harmlessly_and_masks_fields() {
    let machine = busy().await;
    let directory = tempfile::tempdir().unwrap();
    let target_port = free_port();
    let refusing = target(target_port, true, CancellationToken::new());
    let proxy = Proxy::start(directory.path(), target_port).await;
    let source = Source::log_in(proxy.port).await;
    let hostile = json!({ "id": "<b>x</b>/../\u{202e}", "name": "<script>alert(1)</script>", "body": "\"><img src=x>", "timestamp": 0 });
    assert_eq!(source.send_event(&hostile).await, Some(202));
    let token = proxy.sign_in().await;
    let mut list = String::new();
    until("the event is dead", async || {
        list = proxy.page(&token, "/console/events?state=dead").await;
        list.contains("alert(1)")
    })
    .await;
    let link = list.split("href=\"/console/events/").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
    let page = proxy.page(&token, &format!("/console/events/{link}")).await;
    for (name, text) in [("list", &list), ("event", &page)] {
        for raw in ["<script>alert", "<b>x</b>", "<img src=x"] {
            assert!(!text.contains(raw), "the {name} shows `{raw}` as it is:\n{text}");
        }
    }
    assert!(page.contains("&lt;script&gt;alert(1)"), "{page}");
    assert!(page.contains("•••") && !page.contains("1970-01-01"), "the timestamp is to be masked:\n{page}");
    drop((refusing, machine));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_has_a_declared_small_body_that_only_who_may_order_is_asked_for() {
    let machine = busy().await;
    let directory = tempfile::tempdir().unwrap();
    let proxy = Proxy::start(directory.path(), free_port()).await;
    let token = proxy.sign_in().await;
    let limit = json!({ "requests": 10, "intervalMs": 1_000 }).to_string();
    let put = async |kind: &str, token: &str, body: String| {
        let request = proxy.client.put(format!("{}/operator/limit", proxy.private)).bearer_auth(token).header("content-type", kind);
        let answer = request.body(body).send().await.unwrap();
        (answer.status().as_u16(), answer.json::<Value>().await.unwrap()["code"].as_str().map(str::to_owned))
    };
    let large = format!("{limit}{}", " ".repeat(65_536));
    for (kind, token, body, status, code) in [
        ("text/plain", token.as_str(), limit.clone(), 415, "unsupported_media_type"),
        ("application/json", &token, large.clone(), 413, "body_too_large"),
        ("application/json", &token, "[10, 1000]".to_owned(), 400, "malformed_request"),
        ("application/json", &token, "{".to_owned(), 400, "malformed_request"),
        ("application/json", "made-up", large, 401, "not_signed_in"),
    ] {
        assert_eq!(put(kind, token, body).await, (status, Some(code.to_owned())));
    }
    for (method, path, status, allowed, code) in [
        (Method::DELETE, "/operator/limit", 405, "GET, PUT", "method_not_allowed"),
        (Method::TRACE, "/operator/overview", 405, "GET", "method_not_allowed"),
        (Method::GET, "/operator/nothing", 404, "", "not_found"),
    ] {
        let answer = proxy.client.request(method, format!("{}{path}", proxy.private)).bearer_auth(&token).send().await.unwrap();
        let allow = answer.headers().get("allow").map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default();
        assert_eq!((answer.status().as_u16(), allow.as_str()), (status, allowed), "{path}");
        assert_eq!(answer.json::<Value>().await.unwrap()["code"], code, "{path}");
    }
    drop(machine);
}
