//! Who may sign in as an operator, read from the settings.

use std::time::Duration;

use auth::access::{judge_secret, random_secret};
use auth::operator::{Account, Operators, Role};
use auth::password::judge_hash;
use chassis::settings::{Reader, common};
use secrecy::SecretString;
use serde::Deserialize;

/// The key of the accounts.
const KEY: &str = "operator_accounts";

/// Operators as the settings name them.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The accounts.
    pub accounts: Vec<Account>,
    /// The key that signs their tokens, which is that of sources' tokens, and one that is accepted too.
    pub token_secrets: (SecretString, Option<SecretString>),
    /// The `iss` of their tokens.
    pub issuer: String,
    /// How long a sign-in lasts.
    pub lifetime: Duration,
    /// How many failed sign-ins are free, and the longest wait after more.
    pub lock_out: (u32, Duration),
    /// Fields of payloads that are not shown.
    pub masked: Vec<String>,
    /// Where traces are looked at; `{}` stands for the trace's id.
    pub trace_ui: Option<String>,
}

/// An account as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    /// The name to sign in with.
    name: String,
    /// The bcrypt hash of the secret.
    secret: String,
    /// `viewer` or `operator`.
    #[serde(default)]
    role: Option<String>,
}

impl Settings {
    /// Reads them; `None` when something is wrong, which the reader then knows.
    pub fn read(reader: &mut Reader) -> Option<Self> {
        let written: Option<Option<Vec<Written>>> = reader.json(KEY);
        let lifetime = reader.seconds("operator_session_expires_in_sec", 60..=604_800);
        let failures_max = reader.number("auth_failures_max", 1..=1_000);
        let lock_out_max = reader.seconds("auth_lock_out_max_sec", 1..=86_400);
        let masked = reader.optional_text("console_masked_fields").unwrap_or_default();
        let masked = masked.split(',').map(|field| field.trim().to_owned()).filter(|field| !field.is_empty()).collect();
        let trace_ui = trace_ui(reader);
        let accounts: Vec<Option<Account>> =
            written?.unwrap_or_default().into_iter().enumerate().map(|(place, written)| account(reader, place, written)).collect();
        let accounts = accounts.into_iter().collect::<Option<Vec<_>>>();
        // Without operators nothing is signed, so no key is needed.
        let signs = accounts.as_ref().is_some_and(|accounts| !accounts.is_empty());
        let secrets = common::token_secrets(reader, signs, judge_secret);
        let issuer = reader.text("auth_issuer");
        let secrets = secrets?;
        let token_secrets = (secrets.first.unwrap_or_else(random_secret), secrets.second);
        Some(Self {
            accounts: accounts?,
            token_secrets,
            issuer: issuer?,
            lifetime: lifetime?,
            lock_out: (failures_max?, lock_out_max?),
            masked,
            trace_ui: trace_ui?,
        })
    }

    /// The operators.
    pub(crate) fn operators(&self) -> Operators {
        let (secret, second) = &self.token_secrets;
        Operators::new(self.accounts.clone(), (secret, second.as_ref()), &self.issuer, self.lifetime)
    }
}

/// Where traces are looked at.
fn trace_ui(reader: &mut Reader) -> Option<Option<String>> {
    const KEY: &str = "trace_ui_url";
    let Some(pattern) = reader.optional_text(KEY) else { return Some(None) };
    if !(pattern.starts_with("http://") || pattern.starts_with("https://")) || !pattern.contains("{}") {
        reader.mistake(KEY, "must be an http or https URL with {} where the trace's id belongs");
        return None;
    }
    Some(Some(pattern))
}

/// Judges one account.
fn account(reader: &mut Reader, place: usize, written: Written) -> Option<Account> {
    let role = written.role.as_deref().map_or(Some(Role::Operator), Role::parse);
    if role.is_none() {
        reader.mistake(KEY, format!("account {place}: `role` must be viewer or operator"));
    }
    let named = (1..=128).contains(&written.name.chars().count()) && !written.name.chars().any(char::is_control);
    if !named {
        reader.mistake(KEY, format!("account {place}: `name` must have 1 to 128 printable characters"));
    }
    if let Err(unfit) = judge_hash(&written.secret) {
        reader.mistake(KEY, format!("account {place}: `secret`: {unfit}"));
        return None;
    }
    Some(Account { name: written.name, secret_hash: written.secret, role: role.filter(|_| named)? })
}

#[cfg(test)]
mod tests {
    use auth::operator::Role;

    use super::Settings;

    #[test]
    fn every_mistake_of_an_account_is_told_and_a_good_one_is_read() {
        let pairs = |json: &str| [("OPERATOR_ACCOUNTS", json.to_owned())];
        let hash = "$2b$04$abcdefghijklmnopqrstuu5LbyRbNzZqNhLLz9vGqPfv7jMh9dFYm";
        let good = format!(r#"[{{"name":"ada","secret":"{hash}"}},{{"name":"bob","secret":"{hash}","role":"viewer"}}]"#);
        let mut reader = chassis::settings::Settings::from_pairs(pairs(&good)).reader();
        let accounts = Settings::read(&mut reader).unwrap().accounts;
        assert_eq!(accounts.iter().map(|account| account.role).collect::<Vec<_>>(), [Role::Operator, Role::Viewer]);

        let wrong = r#"[{"name":"","secret":"plain","role":"king"}]"#;
        let mut reader = chassis::settings::Settings::from_pairs(pairs(wrong)).reader();
        assert!(Settings::read(&mut reader).is_none());
        let told = reader.finish().unwrap_err().to_string();
        for expected in ["`name`", "`secret`", "`role`"] {
            assert!(told.contains(expected), "{expected} is missing in {told}");
        }
        assert!(!told.contains("plain"), "{told}");
    }
}
