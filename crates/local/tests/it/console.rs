//! The console in a real browser: what an operator sees, does and cannot be made to do.
//!
//! Every page is judged as it is shown, on a desk and on a phone, light and dark; the pictures stay in
//! `target/screenshots`.

pub(crate) mod browser;
mod pictures;
pub(crate) mod scene;

use serde_json::{Value, json};

use crate::support::{busy, until};
use scene::{FAILING, REFUSED, STUMBLING, Scene, TAKEN};

/// The key that leads to the next thing on a page.
const TAB: char = '\u{E004}';

#[tokio::test(flavor = "multi_thread")]
async fn every_page_is_readable_in_both_schemes_on_a_desk_and_on_a_phone() {
    let machine = busy().await;
    let scene = Scene::set(20).await;
    scene.open("").await;
    let mut wrong = scene.judge("sign-in").await;
    scene.enter().await;
    for (name, page) in [("no-events", "events"), ("no-dead", "dead"), ("no-replays", "replays"), ("no-event", "events/x/y")] {
        scene.open(page).await;
        wrong.extend(scene.judge(name).await);
    }
    scene.send("payment-1", STUMBLING).await;
    for number in 0..40 {
        let name = if number % 9 == 4 { REFUSED } else { TAKEN };
        scene.send(&format!("order-{number}"), name).await;
    }
    scene.send("stock-1", FAILING).await;
    until("the last event is parked", async || state(&scene, "stock-1").await == "parked").await;
    for (name, page) in [
        ("overview", ""),
        ("events", "events"),
        ("event-delivered", "events/source-1/payment-1"),
        ("event-parked", "events/source-1/stock-1"),
        ("event-dead", "events/source-1/order-4"),
        ("dead", "dead"),
        ("replays", "replays"),
        ("replicas", "replicas"),
    ] {
        scene.open(page).await;
        if name == "overview" {
            scene.browser.reads("#dead .figure", "4").await;
        }
        wrong.extend(scene.judge(name).await);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    scene.browser.close().await;
    drop(machine);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_signs_in_watches_repairs_and_leaves() {
    let machine = busy().await;
    let scene = Scene::set(5).await;
    let browser = &scene.browser;
    scene.open("").await;
    assert!(scene.shows("sign-in").await, "a stranger is led to the door, not to {}", browser.location().await);
    scene.sign_in("a guess").await;
    browser.reads("[role=alert]", "the name or the secret is wrong").await;
    scene.enter().await;

    browser.run("document.activeElement.blur()").await;
    browser.press(TAB).await;
    let focus = "return document.activeElement.textContent";
    assert_eq!(browser.run(focus).await, "Skip to the content");
    assert!(browser.run("return document.activeElement.getBoundingClientRect().left >= 0").await.as_bool().unwrap(), "it is seen");
    for stop in ["Events Proxy", "Overview", "Events", "Dead letters", "Replays", "Replicas", "Sign out"] {
        browser.press(TAB).await;
        assert_eq!(browser.run(focus).await, stop);
    }

    watches(&scene).await;
    scene.mend();
    replays_all(&scene).await;

    scene.open("events/source-1/stock-1").await;
    assert_eq!(browser.run("return document.querySelectorAll('tbody tr').length").await, 3, "its attempts");
    assert!(browser.run("return document.querySelectorAll('.timeline rect').length").await.as_u64().unwrap() >= 6, "its timeline");
    browser.reads("pre", "•••").await;
    browser.click(".verdict button").await;
    assert!(browser.dialogue().await.unwrap().contains("Send this event"), "it asks first");
    browser.agree().await;
    until("the parked event is delivered", async || state(&scene, "stock-1").await == "delivered").await;

    scene.open("replicas").await;
    browser.reads("h2", "1 dispatcher, 1 partition").await;
    browser.click("header form button").await;
    until("the door is shown", async || scene.shows("sign-in").await).await;
    scene.open("").await;
    assert!(scene.shows("sign-in").await, "whoever left is a stranger");
    assert_eq!(browser.complaints().await, Vec::<Value>::new());
    scene.browser.close().await;
    drop(machine);
}

/// Sends events, of which 10 are refused and one fails, and sees it on the overview without loading the page again.
async fn watches(scene: &Scene) {
    let browser = &scene.browser;
    browser.run("window.loaded = 'once'").await;
    for number in 0..20 {
        scene.send(&format!("order-{number}"), if number % 2 == 0 { REFUSED } else { TAKEN }).await;
    }
    scene.send("stock-1", FAILING).await;
    browser.reads("[data-live-status]", "live").await;
    browser.reads(".verdict", "10 events are dead").await;
    browser.reads("#dead .figure", "10").await;
    browser.reads("#pending .figure", "1").await;
    browser.reads(".stack", "the stock's database is being moved").await;
    browser.run("document.querySelector('#dead a').focus()").await;
    let waited = browser.text("#oldest .figure").await;
    until("the oldest event's age grows", async || browser.text("#oldest .figure").await != waited).await;
    assert_eq!(browser.run("return document.activeElement.getAttribute('href')").await, "/console/dead", "the focus stays");
    assert_eq!(browser.run("return window.loaded").await, "once", "the figures came without loading the page again");
}

/// Counts what a replay would take, begins it and sees it end without loading the page again.
async fn replays_all(scene: &Scene) {
    let browser = &scene.browser;
    scene.open("dead").await;
    browser.write("#refused [name=sourceId]", "nobody").await;
    browser.click("#refused button").await;
    browser.reads(".verdict", "No event matches").await;
    scene.open("dead").await;
    browser.write("#refused [name=name]", REFUSED).await;
    browser.write("#refused [name=sharePercent]", "40").await;
    browser.click("#refused button").await;
    browser.reads(".verdict", "10 events would be sent again").await;
    assert_eq!(scene.judge("replay-counted").await, Vec::<String>::new());
    assert_eq!(state(scene, "order-0").await, "dead", "counting does nothing");
    browser.click("main form button").await;
    browser.reads("h2", "running").await;
    browser.run("window.loaded = 'once'").await;
    until("some have moved", async || !browser.text("section b").await.starts_with("0 ")).await;
    assert_eq!(scene.judge("replay-running").await, Vec::<String>::new());
    browser.reads("h2", "done").await;
    browser.reads("section", "10 of 10 events on the way again").await;
    assert_eq!(browser.run("return window.loaded").await, "once", "it was seen to end without loading the page again");
    for number in (0..20).step_by(2) {
        until("each event is delivered", async || state(scene, &format!("order-{number}")).await == "delivered").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_overview_says_first_what_is_wrong_and_a_replay_is_cancelled() {
    let machine = busy().await;
    let scene = Scene::set(50).await;
    let browser = &scene.browser;
    scene.enter().await;
    browser.reads(".verdict", "Nothing waits").await;
    for number in 0..30 {
        scene.send(&format!("order-{number}"), REFUSED).await;
    }
    browser.reads(".verdict", "Nothing is lost; 30 events are dead").await;
    for number in 0..8 {
        scene.send(&format!("stock-{number}"), FAILING).await;
    }
    browser.reads(".verdict", "The target does not work").await;
    let mut wrong = scene.judge("overview-target-away").await;
    scene.mend();
    browser.reads(".verdict", "Nothing is lost; 30 events are dead").await;

    // One event per two seconds, so there is time to change one's mind.
    scene.open("replays/new?reason=refused&sharePercent=1").await;
    browser.click("main form button").await;
    browser.reads("h2", "running").await;
    browser.click("main form .danger").await;
    assert!(browser.dialogue().await.unwrap().contains("Cancel the replay?"), "it asks first");
    browser.agree().await;
    browser.reads("h2", "cancelled").await;
    wrong.extend(scene.judge("replay-cancelled").await);

    scene.open("").await;
    scene.meddle("DELETE FROM dead WHERE event_id = 'order-29'").await;
    browser.reads(".verdict", "1 event is unaccounted for").await;
    wrong.extend(scene.judge("overview-unaccounted").await);
    scene.meddle("ALTER TABLE parked RENAME TO hidden").await;
    browser.reads(".verdict", "The storage does not answer").await;
    wrong.extend(scene.judge("overview-no-storage").await);
    scene.meddle("ALTER TABLE hidden RENAME TO parked").await;
    browser.reads(".verdict", "1 event is unaccounted for").await;
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    scene.browser.close().await;
    drop(machine);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_sees_everything_and_orders_nothing() {
    let machine = busy().await;
    let scene = Scene::set_for_a_viewer(20).await;
    let browser = &scene.browser;
    scene.enter().await;
    browser.reads("header .who", "vera (viewer)").await;
    scene.send("order-1", REFUSED).await;
    browser.reads("#dead .figure", "1").await;
    let orders = "return document.querySelectorAll('main form[method=post], main button').length";
    for (page, shows) in [
        ("dead", "the order is closed"),
        ("events/source-1/order-1", "order-1"),
        ("replays", "None yet"),
        ("replays/new?reason=refused&sharePercent=20", "1 event would be sent again"),
    ] {
        scene.open(page).await;
        browser.reads("main", shows).await;
        assert_eq!(browser.run(orders).await, 0, "{page} offers an order");
    }
    let order =
        "return fetch('/console/replays', { method: 'POST', body: new URLSearchParams('reason=refused') }).then((answer) => answer.status)";
    assert_eq!(browser.run(order).await, 403, "an order without a button is refused, too");
    scene.open("replays").await;
    browser.reads("main", "None yet").await;
    scene.browser.close().await;
    drop(machine);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_events_hold_does_nothing_but_stand_there() {
    let machine = busy().await;
    let scene = Scene::set(20).await;
    let script = "<script>window.hacked=1</script>";
    let image = "<img src=x onerror=\"window.hacked=1;alert(1)\">";
    let events = [
        (script.to_owned(), image.to_owned(), format!("</pre>{script}")),
        ("\u{202e}gpj.exe".to_owned(), format!("\u{202e}{image}"), "\u{202e}\u{2066}desrever".to_owned()),
        ("W".repeat(128), "<".repeat(1_000), "0".repeat(10_000)),
        ("\" onfocus=window.hacked=1 autofocus x=\"".to_owned(), "\u{1}\u{7}\u{1b}[31m\u{7f}\u{85}<".to_owned(), "\u{8}\n\r\t".to_owned()),
        (
            format!("/../{}?&#", "e\u{301}\u{301}".repeat(40)),
            "javascript:window.hacked=1<".to_owned(),
            json!({ "a": [script] }).to_string(),
        ),
    ];
    for (id, name, body) in &events {
        let event = json!({ "id": id, "name": name, "body": body, "timestamp": 0 });
        assert_eq!(scene.source.send_event(&event).await, Some(202), "{event}");
    }
    scene.enter().await;
    let count = events.len().to_string();
    scene.open("dead").await;
    until("all are dead", async || {
        scene.open("dead").await;
        scene.browser.text("h2").await.contains(&count)
    })
    .await;
    scene.open("events").await;
    let links = scene.browser.run("return [...document.querySelectorAll('tbody a')].map((link) => [link.textContent, link.href])").await;
    let links: Vec<(String, String)> = serde_json::from_value(links).unwrap();
    assert_eq!(links.len(), events.len());

    let mut wrong = Vec::new();
    for (name, page) in
        [("hostile-list", "events"), ("hostile-search", "events?name=%3Cscript%3Ewindow.hacked%3D1%3C%2Fscript%3E&id=%22%3E")]
    {
        scene.open(page).await;
        wrong.extend(stand_still(&scene, name).await);
    }
    for (place, (id, link)) in links.iter().enumerate() {
        scene.browser.open(link).await;
        assert_eq!(scene.browser.run("return document.querySelector('h1 bdi').textContent").await, *id);
        assert!(!scene.browser.text("body").await.contains('\u{202e}'), "nothing turns the direction of what is read");
        wrong.extend(stand_still(&scene, &format!("hostile-event-{place}")).await);
    }
    let order = json!({ "name": image });
    let token = scene.proxy.sign_in().await;
    assert_eq!(scene.proxy.ask(&token, reqwest::Method::POST, "/operator/replays", Some(order)).await.0, 201);
    for (name, page) in [("hostile-dead", "dead"), ("hostile-replays", "replays"), ("hostile-overview", "")] {
        scene.open(page).await;
        wrong.extend(stand_still(&scene, name).await);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    scene.browser.close().await;
    drop(machine);
}

/// Judges the open page, on which no text of an event may have become more than text.
async fn stand_still(scene: &Scene, name: &str) -> Vec<String> {
    let wrong = scene.judge(name).await;
    assert_eq!(scene.browser.dialogue().await, None, "{name}");
    assert_eq!(scene.browser.run("return window.hacked ?? null").await, Value::Null, "{name}");
    wrong
}

/// How the journal says that an event stands.
async fn state(scene: &Scene, id: &str) -> Value {
    scene.source.look_up(id).await.unwrap_or_default()["state"].take()
}
