//! What operators are told who ask for what is not there, in words that nobody knows, from elsewhere, or all at once.

use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::operator::Proxy;
use crate::support::{busy, free_port};

#[tokio::test(flavor = "multi_thread")]
async fn a_search_in_words_that_nobody_knows_is_refused_and_what_is_not_there_is_told() {
    let machine = busy().await;
    let directory = tempfile::tempdir().unwrap();
    let proxy = Proxy::start_with(directory.path(), free_port(), &[]).await;
    let token = proxy.sign_in().await;
    for (path, status, code) in [
        ("/operator/events?colour=red", 400, "malformed_request"),
        ("/operator/events?state=living", 400, "malformed_request"),
        ("/operator/events?reason=boredom", 400, "malformed_request"),
        ("/operator/events?from=yesterday", 400, "malformed_request"),
        ("/operator/events?to=2026-13-01T00:00:00Z", 400, "malformed_request"),
        ("/operator/events?limit=all", 400, "malformed_request"),
        ("/operator/events?cursor=here", 400, "malformed_request"),
        ("/operator/events/shop/order-1", 404, "not_found"),
        ("/operator/replays/01a219ab-e7de-702a-a169-ef945e5096ac", 404, "not_found"),
    ] {
        let (answered, problem) = proxy.ask(&token, Method::GET, path, None).await;
        assert_eq!((answered.as_u16(), &problem["code"]), (status, &json!(code)), "{path}");
    }
    drop(machine);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_that_tells_its_origin_alone_orders_from_this_site_only() {
    let machine = busy().await;
    let directory = tempfile::tempdir().unwrap();
    let proxy = Proxy::start_with(directory.path(), free_port(), &[]).await;
    let token = proxy.sign_in().await;
    let client = Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let order = async |origin: Option<&str>| {
        let mut request = client.post(format!("{}/operator/replays", proxy.private));
        request = request.header("cookie", format!("events-proxy-operator={token}")).json(&json!({ "dryRun": "true" }));
        if let Some(origin) = origin {
            request = request.header("origin", origin);
        }
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.json::<Value>().await.unwrap()["code"].as_str().map(str::to_owned))
    };
    let other = Some("other_site".to_owned());
    assert_eq!(order(Some("https://elsewhere.example")).await, (403, other.clone()));
    assert_eq!(order(Some("null")).await, (403, other.clone()));
    assert_eq!(order(None).await, (403, other), "a browser that says nothing is not believed");
    assert_eq!(order(Some(&proxy.private)).await, (200, None));
    drop(machine);
}

#[tokio::test(flavor = "multi_thread")]
async fn more_sign_ins_than_wait_are_told_to_come_again() {
    let machine = busy().await;
    let directory = tempfile::tempdir().unwrap();
    // Each takes long enough for all others to come meanwhile.
    let operators: Vec<Value> = (0..14)
        .map(|number| json!({ "name": format!("operator-{number}"), "secret": bcrypt::hash("a secret", 10).unwrap(), "role": "operator" }))
        .collect();
    let (data, known) = (directory.path().join("data"), json!({ "name": "operator-0", "secret": "a secret" }));
    std::fs::create_dir(&data).unwrap();
    std::fs::write(data.join("operator.json"), known.to_string()).unwrap();
    let accounts = serde_json::to_string(&operators).unwrap();
    let proxy = Proxy::start_with(directory.path(), free_port(), &[("OPERATOR_ACCOUNTS", accounts)]).await;
    let client = Client::builder().build().unwrap();
    let mut asking = JoinSet::new();
    for number in 0..14 {
        let request = client.post(format!("{}/operator/sessions", proxy.private));
        let request = request.json(&json!({ "name": format!("operator-{number}"), "secret": "a secret" }));
        asking.spawn(async move {
            let answer = request.send().await.unwrap();
            let again = answer.headers().get("retry-after").map(|value| value.to_str().unwrap().to_owned());
            (answer.status(), again, answer.json::<Value>().await.unwrap()["code"].as_str().map(str::to_owned))
        });
    }
    let answers = asking.join_all().await;
    let busy = (StatusCode::TOO_MANY_REQUESTS, Some("1".to_owned()), Some("busy".to_owned()));
    let (opened, told) =
        (answers.iter().filter(|answer| answer.0 == 201).count(), answers.iter().filter(|answer| **answer == busy).count());
    assert!(opened >= 1 && told >= 1 && opened + told == 14, "{answers:?}");
    drop(machine);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_page_runs_what_is_not_ours_and_none_shows_the_password_of_the_targets_url() {
    let machine = busy().await;
    let directory = tempfile::tempdir().unwrap();
    let port = free_port();
    let url = format!("http://me:hidden-word@127.0.0.1:{port}/graphql");
    let proxy = Proxy::start_with(directory.path(), port, &[("TARGET_SERVICE_GRAPHQL_URL", url)]).await;
    let token = proxy.sign_in().await;
    let (_, overview) = proxy.ask(&token, Method::GET, "/operator/overview", None).await;
    let (mut shown, client) = (overview.to_string(), Client::builder().build().unwrap());
    for path in ["/console/", "/console/events", "/console/dead", "/console/replays", "/console/replicas", "/console/sign-in"] {
        let request = client.get(format!("{}{path}", proxy.private)).header("cookie", format!("events-proxy-operator={token}"));
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
        let policy = answer.headers()["content-security-policy"].to_str().unwrap().to_owned();
        assert!(policy.starts_with("default-src 'none';") && !policy.contains("unsafe"), "{path}: {policy}");
        let page = answer.text().await.unwrap();
        for inline in ["<script>", "<style", " style=", " onclick=", " onload=", "javascript:"] {
            assert!(!page.contains(inline), "{path} has `{inline}`");
        }
        shown.push_str(&page);
    }
    assert!(shown.contains(&format!("127.0.0.1:{port}/graphql")), "the target is shown nowhere, so nothing was tested");
    assert!(!shown.contains("hidden-word"), "the password is shown");
    drop(machine);
}
