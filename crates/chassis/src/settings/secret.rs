//! Which settings are secret, and what is shown in their place.

/// The settings whose value is shown to nobody. Accounts and credentials hold hashes and passwords; a database's URL
/// may hold a password.
const KEYS: [&str; 8] = [
    "auth_access_token_secret",
    "auth_access_token_second_secret",
    "queue_sasl_password",
    "proxy_service_test_users_data",
    "source_service_test_user_credentials",
    "user_repository_url",
    "operator_accounts",
    "target_service_authorization",
];

/// Says whether a setting's value is secret.
pub(super) fn is_secret(key: &str) -> bool {
    KEYS.contains(&key)
}

/// A value as it may be shown: `***` for a secret that is set, and for the user part of a URL.
pub(super) fn shown(key: &str, value: &str) -> String {
    if is_secret(key) && !value.is_empty() {
        return "***".to_owned();
    }
    let Some((scheme, rest)) = value.split_once("://") else {
        return value.to_owned();
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    match authority.rsplit_once('@') {
        Some((user, _)) => format!("{scheme}://***{}", rest.get(user.len()..).unwrap_or_default()),
        None => value.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::{KEYS, shown};

    #[test]
    fn the_user_part_of_any_url_is_hidden() {
        for (value, expected) in [
            ("http://localhost:4001/graphql", "http://localhost:4001/graphql"),
            ("https://me:pass@host/graphql?a=b@c", "https://***@host/graphql?a=b@c"),
            ("https://me:p@ss@host", "https://***@host"),
            ("me@host", "me@host"),
            ("", ""),
        ] {
            assert_eq!(shown("target_service_graphql_url", value), expected);
        }
    }

    #[test]
    fn every_secret_key_is_a_setting_whose_comment_says_so() {
        for key in KEYS {
            let (before, _) = super::super::DEFAULTS.split_once(&format!("\n{key} =")).unwrap();
            let comment: Vec<&str> = before.lines().rev().take_while(|line| line.starts_with('#')).collect();
            assert!(comment.iter().any(|line| line.contains("Secret")), "{key}");
        }
        let told = super::super::DEFAULTS.matches("Secret").count();
        assert_eq!(told, KEYS.len(), "a comment says `Secret` of a setting that is shown");
    }
}
