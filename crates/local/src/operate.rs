//! `events-proxy replay` and `events-proxy limit`: an operator's orders from a terminal, to any dispatcher's private listener.
//!
//! A secret is never an argument, for every user of a machine can read those: it comes from OPERATOR_SECRET, from stdin, or
//! with the name from a file as the demo writes one.

use std::io::{BufRead, IsTerminal, Write};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use reqwest::{Client, Method, Url};
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// Where the secret is looked for first.
const SECRET: &str = "OPERATOR_SECRET";
/// How long one request may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often a replay is looked at while it is followed.
const LOOK: Duration = Duration::from_millis(500);

/// Where to ask, and as whom.
#[derive(Debug, Clone, Args)]
struct Access {
    /// The private listener of any dispatcher, or of `events-proxy`.
    #[arg(long, global = true, value_name = "URL", default_value = "http://127.0.0.1:4100")]
    url: Url,
    /// The operator's name; the secret is read from OPERATOR_SECRET, else from stdin.
    #[arg(long, global = true, value_name = "NAME", conflicts_with = "credentials")]
    name: Option<String>,
    /// A JSON file with `name` and `secret`, where no name is given.
    #[arg(long, global = true, value_name = "FILE", default_value = "data/operator.json")]
    credentials: PathBuf,
    /// Print the answers as JSON.
    #[arg(long, global = true)]
    json: bool,
}

/// `events-proxy replay`.
#[derive(Debug, Clone, Args)]
pub struct Replay {
    /// What to do.
    #[command(subcommand)]
    action: Action,
    /// Where to ask.
    #[command(flatten)]
    access: Access,
}

/// What to do with replays.
#[derive(Debug, Clone, Subcommand)]
enum Action {
    /// Bring dead or parked events on their way again; what is not said matches all.
    Begin {
        /// What to choose.
        #[command(flatten)]
        choice: Choice,
        /// Only count what would be chosen.
        #[arg(long, conflicts_with = "follow")]
        dry_run: bool,
        /// Wait until the replay is over; exit with 1 if it was cancelled.
        #[arg(long)]
        follow: bool,
    },
    /// The newest replays.
    List,
    /// One replay.
    Show {
        /// Its id.
        id: String,
        /// Wait until it is over; exit with 1 if it was cancelled.
        #[arg(long)]
        follow: bool,
    },
    /// End a replay: what was moved goes on, the rest stays as it was.
    Cancel {
        /// Its id.
        id: String,
    },
}

/// Which events, and how fast.
#[derive(Debug, Clone, Args)]
struct Choice {
    /// `dead` or `parked`.
    #[arg(long, default_value = "dead")]
    of: String,
    /// Sent by this source.
    #[arg(long, value_name = "SOURCE")]
    source: Option<String>,
    /// With this id.
    #[arg(long, value_name = "ID")]
    id: Option<String>,
    /// Of this name.
    #[arg(long = "event-name", value_name = "NAME")]
    event_name: Option<String>,
    /// Dead for this reason.
    #[arg(long, value_name = "REASON")]
    reason: Option<String>,
    /// Died or parked at this moment or later, in RFC 3339.
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// Died or parked before this moment, in RFC 3339.
    #[arg(long, value_name = "TIME")]
    to: Option<String>,
    /// How much of the target's limit it may use, 1 to 90.
    #[arg(long, value_name = "PERCENT", default_value = "20")]
    share: String,
}

/// `events-proxy limit`.
#[derive(Debug, Clone, Args)]
pub struct Limit {
    /// Another limit for all replicas: REQUESTS/MILLISECONDS, such as 100/60000. Without it the present one is told.
    #[arg(value_name = "LIMIT")]
    change: Option<String>,
    /// Where to ask.
    #[command(flatten)]
    access: Access,
}

impl Replay {
    /// Does it; false when a replay that was followed was cancelled.
    ///
    /// # Errors
    /// The dispatcher does not answer, or refuses.
    pub fn run(&self, out: &mut impl Write) -> anyhow::Result<bool> {
        wait_for(async {
            let desk = Desk::sign_in(&self.access).await?;
            let one = |id: &str| format!("replays/{id}");
            let (method, path, order, follow) = match &self.action {
                Action::Begin { choice, dry_run, follow } => (Method::POST, "replays".to_owned(), Some(choice.order(*dry_run)), *follow),
                Action::List => (Method::GET, "replays".to_owned(), None, false),
                Action::Show { id, follow } => (Method::GET, one(id), None, *follow),
                Action::Cancel { id } => (Method::DELETE, one(id), None, false),
            };
            let answer = desk.ask(method, &path, order).await?;
            desk.show(out, &answer)?;
            if follow { desk.follow(out, answer).await } else { Ok(true) }
        })
    }
}

impl Choice {
    /// The order that says so.
    fn order(&self, dry_run: bool) -> Value {
        let said = [
            ("of", Some(&self.of)),
            ("sourceId", self.source.as_ref()),
            ("eventId", self.id.as_ref()),
            ("name", self.event_name.as_ref()),
            ("reason", self.reason.as_ref()),
            ("from", self.from.as_ref()),
            ("to", self.to.as_ref()),
            ("sharePercent", Some(&self.share)),
        ];
        let mut order: Map<String, Value> = said.into_iter().filter_map(|(key, value)| Some((key.to_owned(), json!(value?)))).collect();
        if dry_run {
            order.insert("dryRun".to_owned(), json!("true"));
        }
        Value::Object(order)
    }
}

impl Limit {
    /// Tells or changes it.
    ///
    /// # Errors
    /// The limit cannot be read, the dispatcher does not answer, or it refuses.
    pub fn run(&self, out: &mut impl Write) -> anyhow::Result<bool> {
        let change = self.change.as_deref().map(read_limit).transpose()?;
        wait_for(async {
            let desk = Desk::sign_in(&self.access).await?;
            let method = if change.is_some() { Method::PUT } else { Method::GET };
            desk.show(out, &desk.ask(method, "limit", change).await?).map(|()| true)
        })
    }
}

/// Reads REQUESTS/MILLISECONDS.
fn read_limit(text: &str) -> anyhow::Result<Value> {
    let read = |text: &str| text.parse::<u64>().ok();
    let limit = text.split_once('/').and_then(|(requests, millis)| Some((read(requests)?, read(millis)?)));
    let (requests, millis) = limit.with_context(|| format!("`{text}` is no limit: write REQUESTS/MILLISECONDS, such as 100/60000"))?;
    Ok(json!({ "requests": requests, "intervalMs": millis }))
}

/// Runs until it is done.
fn wait_for<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    chassis::tls::install();
    actix_rt::System::new().block_on(work)
}

/// Name and secret.
#[derive(Deserialize)]
struct Credentials {
    /// The name.
    name: String,
    /// The secret.
    secret: String,
}

impl Credentials {
    /// Finds them.
    fn find(access: &Access) -> anyhow::Result<Self> {
        let Some(name) = access.name.clone() else {
            let path = access.credentials.display();
            let text = std::fs::read(&access.credentials)
                .with_context(|| format!("read {path}: say who you are with --name, or name a file with --credentials"))?;
            return serde_json::from_slice(&text).with_context(|| format!("{path} holds no JSON object with `name` and `secret`"));
        };
        #[expect(clippy::disallowed_methods, reason = "no setting of a process: only this command reads it")]
        let secret = std::env::var(SECRET);
        if let Ok(secret) = secret {
            return Ok(Self { name, secret });
        }
        anyhow::ensure!(!std::io::stdin().is_terminal(), "put the secret into {SECRET}, or pipe it in: a terminal would show it");
        let mut secret = String::new();
        std::io::stdin().lock().read_line(&mut secret).context("read the secret from stdin")?;
        let secret = secret.trim_end_matches(['\r', '\n']).to_owned();
        anyhow::ensure!(!secret.is_empty(), "there is no secret in {SECRET} nor on stdin");
        Ok(Self { name, secret })
    }
}

/// A dispatcher that knows who asks.
struct Desk {
    /// Speaks HTTP.
    client: Client,
    /// Its private listener.
    url: Url,
    /// Says who asks.
    token: String,
    /// Whether answers are shown as they are.
    json: bool,
}

impl Desk {
    /// Signs in.
    async fn sign_in(access: &Access) -> anyhow::Result<Self> {
        let Credentials { name, secret } = Credentials::find(access)?;
        let client = Client::builder().timeout(PATIENCE).redirect(reqwest::redirect::Policy::none()).build()?;
        let mut desk = Self { client, url: access.url.clone(), token: String::new(), json: access.json };
        let answer = desk.ask(Method::POST, "sessions", Some(json!({ "name": name, "secret": secret }))).await.context("sign in")?;
        desk.token = answer.get("token").and_then(Value::as_str).context("the answer to the sign-in holds no token")?.to_owned();
        Ok(desk)
    }

    /// Asks or orders; a refusal is an error in the dispatcher's words.
    async fn ask(&self, method: Method, path: &str, body: Option<Value>) -> anyhow::Result<Value> {
        let url = self.url.join("/operator/")?.join(path)?;
        let mut request = self.client.request(method, url).bearer_auth(&self.token);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await.with_context(|| format!("no dispatcher answers at {}", self.url))?;
        let status = answer.status();
        let read: Value = answer.json().await.with_context(|| format!("{} answers {status}, and no JSON", self.url))?;
        if !status.is_success() {
            let told = |key| read.get(key).and_then(Value::as_str).unwrap_or_default();
            bail!("{} ({}, {status})", told("detail"), told("code"));
        }
        Ok(read)
    }

    /// Shows an answer.
    fn show(&self, out: &mut impl Write, answer: &Value) -> anyhow::Result<()> {
        if self.json {
            serde_json::to_writer(&mut *out, answer)?;
            writeln!(out)?;
        } else if let Some(items) = answer.get("items").and_then(Value::as_array) {
            for item in items {
                writeln!(out, "{}", line(item))?;
            }
            if items.is_empty() {
                writeln!(out, "there is none")?;
            }
        } else {
            writeln!(out, "{}", line(answer))?;
        }
        Ok(out.flush()?)
    }

    /// Shows a replay whenever it has changed, until it is over; false when it was cancelled.
    async fn follow(&self, out: &mut impl Write, mut replay: Value) -> anyhow::Result<bool> {
        let state = |replay: &Value| replay.get("state").and_then(Value::as_str).unwrap_or_default().to_owned();
        let path = format!("replays/{}", replay.get("id").and_then(Value::as_str).context("the answer holds no replay")?);
        while state(&replay) == "running" {
            tokio::time::sleep(LOOK).await;
            let now = self.ask(Method::GET, &path, None).await?;
            if now != replay {
                self.show(out, &now)?;
            }
            replay = now;
        }
        Ok(state(&replay) == "done")
    }
}

/// An answer in one line.
fn line(answer: &Value) -> String {
    let text = |key: &str| answer.get(key).and_then(Value::as_str).unwrap_or("–");
    let number = |key: &str| answer.get(key).and_then(Value::as_u64).unwrap_or_default();
    if answer.get("dryRun").is_some() {
        return format!("{} events would be replayed; nothing was done", number("chosen"));
    }
    if answer.get("requests").is_some() {
        return format!("{} requests in {} ms, over all replicas", number("requests"), number("intervalMs"));
    }
    let chosen = answer.get("choice").and_then(Value::as_object).into_iter().flatten();
    let choice: Vec<_> = chosen.filter_map(|(key, value)| Some(format!("{key}={}", value.as_str()?))).collect();
    format!(
        "{}  {:<9}  {} of {} moved, {} skipped, at most {} % of the limit  {}  by {} at {}",
        text("id"),
        text("state"),
        number("moved"),
        number("chosen"),
        number("skipped"),
        number("sharePercent"),
        choice.join(" "),
        text("operator"),
        text("begunAt"),
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{line, read_limit};

    #[test]
    fn a_limit_is_two_whole_numbers() {
        assert_eq!(read_limit("100/60000").unwrap(), json!({ "requests": 100, "intervalMs": 60_000 }));
        for wrong in ["", "100", "100/", "/5", "100/1s", "-1/5"] {
            assert!(read_limit(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn answers_are_told_in_one_line() {
        assert_eq!(line(&json!({ "dryRun": true, "chosen": 20 })), "20 events would be replayed; nothing was done");
        assert_eq!(line(&json!({ "requests": 5, "intervalMs": 1_000 })), "5 requests in 1000 ms, over all replicas");
        let replay = json!({ "id": "r", "state": "done", "moved": 19, "chosen": 20, "skipped": 1, "sharePercent": 20,
            "choice": { "of": "dead", "reason": "refused", "name": null }, "operator": "ann", "begunAt": "now" });
        let told = "r  done       19 of 20 moved, 1 skipped, at most 20 % of the limit  of=dead reason=refused  by ann at now";
        assert_eq!(line(&replay), told);
    }
}
