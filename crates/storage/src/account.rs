//! Accounts: who may send events, and under which brand.

use std::fmt;

use events_proxy_core::SourceId;

/// A source system's account.
#[derive(Clone, PartialEq, Eq)]
pub struct Account {
    /// The id under which its events are known.
    pub id: SourceId,
    /// What it logs in with; unique.
    pub auth_id: String,
    /// The bcrypt hash of its secret.
    pub secret_hash: String,
    /// The brand its events carry, if it has one of its own.
    pub brand: Option<String>,
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Account").field("id", &self.id).field("auth_id", &self.auth_id).field("brand", &self.brand).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::{Account, SourceId};

    #[test]
    fn an_account_never_shows_its_hash() {
        let account = Account { id: SourceId::new("shop"), auth_id: "shop".to_owned(), secret_hash: "$2b$secret".to_owned(), brand: None };
        assert!(!format!("{account:?}").contains("$2b$secret"));
    }
}
