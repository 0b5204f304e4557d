//! What this replica is called: in logs, as a client of the broker, as a member among its like.

use uuid::Uuid;

/// How many characters a made-up name has.
const MADE_UP_CHARS: usize = 8;

/// The name from the setting, or a short random one.
#[must_use]
pub fn name(setting: Option<String>) -> String {
    setting.filter(|name| !name.is_empty()).unwrap_or_else(|| Uuid::new_v4().simple().to_string().chars().take(MADE_UP_CHARS).collect())
}

#[cfg(test)]
mod tests {
    use super::name;

    #[test]
    fn a_replica_is_called_as_it_is_told_or_by_a_name_of_its_own() {
        assert_eq!(name(Some("ingest-0".to_owned())), "ingest-0");
        let (one, other) = (name(None), name(Some(String::new())));
        assert_eq!(one.len(), 8);
        assert_ne!(one, other);
    }
}
