//! A headless Chromium, driven over WebDriver as a person would use it.
//!
//! WebDriver is JSON over HTTP, so the client that the tests have anyway is all it takes. The crates for it would bring a
//! dozen second versions (`fantoccini`) or change how `serde_json` orders keys in the product under test (`thirtyfour`).

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use reqwest::{Client, Method};
use serde_json::{Value, json};

use crate::support::{free_port, until};

/// What Chromium is told: nothing that leaves the machine, nothing that needs a screen.
const FLAGS: [&str; 11] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    // The browser ends when its driver does, even if that is killed.
    "--remote-debugging-pipe",
];
/// How long a command to the browser may take.
const COMMAND: Duration = Duration::from_secs(30);
/// The member that WebDriver names an element by.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";
/// The functions that judge a page, for the page to call.
const CHECKS: &str = include_str!("checks.js");

/// A scheme of colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scheme {
    /// Dark text on light.
    Light,
    /// Light text on dark.
    Dark,
}

impl Scheme {
    /// Its word in style sheets.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Light => "light",
            Self::Dark => "dark",
        }
    }
}

/// A browser with one window. It ends with its driver, which is killed when this is dropped.
pub(crate) struct Browser {
    /// Speaks to the driver.
    client: Client,
    /// The session's URL.
    session: String,
    /// The driver.
    _driver: chaos::process::Process,
    /// The browser's profile and caches.
    _home: tempfile::TempDir,
}

impl Browser {
    /// Starts one.
    pub(crate) async fn start() -> Self {
        let (chromedriver, chromium) = (program(&["chromedriver"]), program(&["chromium", "chromium-browser", "google-chrome"]));
        let home = tempfile::tempdir().unwrap();
        let path = std::env::var_os("PATH").unwrap();
        let settings = [("PATH", path.to_str().unwrap()), ("HOME", home.path().to_str().unwrap())];
        let port = free_port();
        let mut command = Command::new(chromedriver);
        let driver = chaos::process::Process::start(command.arg(format!("--port={port}")), &home.path().join("driver.log"), settings);
        chassis::tls::install();
        let client = Client::builder().timeout(COMMAND).build().unwrap();
        let url = format!("http://127.0.0.1:{port}");
        until("chromedriver answers", async || client.get(format!("{url}/status")).send().await.is_ok()).await;
        let mut flags = FLAGS.map(str::to_owned).to_vec();
        flags.push(format!("--user-data-dir={}", home.path().join("profile").display()));
        let wanted = json!({
            "browserName": "chrome",
            "unhandledPromptBehavior": "ignore",
            "goog:chromeOptions": { "binary": chromium, "args": flags },
            "goog:loggingPrefs": { "browser": "ALL" },
        });
        let capabilities = json!({ "capabilities": { "alwaysMatch": wanted } });
        let begun = client.post(format!("{url}/session")).json(&capabilities).send().await.unwrap().json::<Value>().await.unwrap();
        let id = begun["value"]["sessionId"].as_str().unwrap_or_else(|| panic!("Chromium does not start: {begun}"));
        let browser = Self { session: format!("{url}/session/{id}"), client, _driver: driver.unwrap(), _home: home };
        browser.look(1280, Scheme::Light).await;
        browser
    }

    /// Gives a command; answers its value, or the driver's error.
    async fn tried(&self, method: Method, path: &str, body: Option<Value>) -> Result<Value, Value> {
        let mut request = self.client.request(method, format!("{}{path}", self.session));
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await.unwrap();
        let done = answer.status().is_success();
        let mut told: Value = answer.json().await.unwrap();
        if done { Ok(told["value"].take()) } else { Err(told["value"].take()) }
    }

    /// Gives a command that must succeed.
    async fn order(&self, path: &str, body: Value) -> Value {
        self.tried(Method::POST, &format!("/{path}"), Some(body)).await.unwrap_or_else(|error| panic!("{path}: {error:#}"))
    }

    /// Opens a page.
    pub(crate) async fn open(&self, url: &str) {
        self.order("url", json!({ "url": url })).await;
    }

    /// Where it is.
    pub(crate) async fn location(&self) -> String {
        self.run("return location.href").await.as_str().unwrap().to_owned()
    }

    /// Runs a function's body in the page; answers what it returns.
    pub(crate) async fn run(&self, script: &str) -> Value {
        self.order("execute/sync", json!({ "script": script, "args": [] })).await
    }

    /// The element that a selector finds, waiting for it to be there.
    async fn element(&self, selector: &str) -> String {
        let mut found = Value::Null;
        until(&format!("the page has `{selector}`"), async || {
            let query = json!({ "using": "css selector", "value": selector });
            found = self.tried(Method::POST, "/element", Some(query)).await.unwrap_or_default();
            found[ELEMENT].is_string()
        })
        .await;
        found[ELEMENT].as_str().unwrap().to_owned()
    }

    /// Clicks on what a selector finds.
    pub(crate) async fn click(&self, selector: &str) {
        let element = self.element(selector).await;
        self.order(&format!("element/{element}/click"), json!({})).await;
    }

    /// Writes into the field that a selector finds, over what is there.
    pub(crate) async fn write(&self, selector: &str, text: &str) {
        let element = self.element(selector).await;
        self.order(&format!("element/{element}/clear"), json!({})).await;
        self.order(&format!("element/{element}/value"), json!({ "text": text })).await;
    }

    /// The text that a person sees in what a selector finds.
    pub(crate) async fn text(&self, selector: &str) -> String {
        let selector = Value::from(selector);
        self.run(&format!("return document.querySelector({selector})?.innerText ?? ''")).await.as_str().unwrap().to_owned()
    }

    /// Waits until what a selector finds holds a text.
    pub(crate) async fn reads(&self, selector: &str, text: &str) {
        let mut seen = String::new();
        let what = format!("`{selector}` reads `{text}`");
        until(&what, async || {
            let now = self.text(selector).await;
            if now != seen {
                eprintln!("waiting until {what}; it reads `{}`", now.chars().take(120).collect::<String>());
                seen = now;
            }
            seen.contains(text)
        })
        .await;
    }

    /// Presses and releases a key.
    pub(crate) async fn press(&self, key: char) {
        let strokes = json!([{ "type": "keyDown", "value": key }, { "type": "keyUp", "value": key }]);
        self.order("actions", json!({ "actions": [{ "type": "key", "id": "keyboard", "actions": strokes }] })).await;
    }

    /// The text of the dialogue that is open, if one is.
    pub(crate) async fn dialogue(&self) -> Option<String> {
        let text = self.tried(Method::GET, "/alert/text", None).await.ok()?;
        text.as_str().map(str::to_owned)
    }

    /// Says yes to the dialogue that is open.
    pub(crate) async fn agree(&self) {
        self.order("alert/accept", json!({})).await;
    }

    /// What the page did that its policy forbids, and its scripts' errors; each is told once.
    pub(crate) async fn complaints(&self) -> Vec<Value> {
        let log = self.order("se/log", json!({ "type": "browser" })).await;
        // What the network says is that a page was answered with an error, which is for the test to judge.
        log.as_array().unwrap().iter().filter(|entry| entry["source"] != "network").cloned().collect()
    }

    /// Changes the width of the window and the scheme that its user prefers; what is as narrow as a phone is one.
    pub(crate) async fn look(&self, width: u32, scheme: Scheme) {
        let (phone, height) = (width < 600, if width < 600 { 844 } else { 900 });
        let metrics = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": phone });
        self.devtools("Emulation.setDeviceMetricsOverride", metrics).await;
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme.word() }]);
        self.devtools("Emulation.setEmulatedMedia", json!({ "features": features })).await;
    }

    /// Gives a command of Chromium's own protocol.
    async fn devtools(&self, command: &str, parameters: Value) -> Value {
        self.order("goog/cdp/execute", json!({ "cmd": command, "params": parameters })).await
    }

    /// What is wrong with the page as it is shown now; see `checks.js`.
    pub(crate) async fn faults(&self) -> Vec<String> {
        let told = self.run(&format!("{CHECKS}\nreturn faults();")).await;
        told.as_array().unwrap().iter().map(|fault| fault.as_str().unwrap().to_owned()).collect()
    }

    /// Writes a picture of the whole page.
    pub(crate) async fn picture(&self, file: &Path) {
        let shot = self.devtools("Page.captureScreenshot", json!({ "format": "png", "captureBeyondViewport": true })).await;
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, BASE64_STANDARD.decode(shot["data"].as_str().unwrap()).unwrap()).unwrap();
    }

    /// Ends the browser in order.
    pub(crate) async fn close(self) {
        self.tried(Method::DELETE, "", None).await.unwrap();
    }
}

/// Finds the first of these programs that is installed.
fn program(names: &[&str]) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap();
    let found = names.iter().find_map(|name| std::env::split_paths(&path).map(|directory| directory.join(name)).find(|file| file.exists()));
    found.unwrap_or_else(|| {
        panic!(
            "no `{}` on the PATH: the console is tested in a real browser. Install Chromium and its driver; on Debian: \
             apt-get install chromium chromium-driver",
            names.join("` or `")
        )
    })
}
