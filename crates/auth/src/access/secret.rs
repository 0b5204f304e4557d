//! The key that signs access tokens: whether it is strong enough to be one.
//!
//! Who guesses it can sign a token for any account, and can try guesses against a single captured token, offline.
//! A process outside the demo therefore refuses to start with a weak one.

use secrecy::{ExposeSecret, SecretString};

/// The shortest secret, in bytes: as long as HS256's hash (RFC 7518, §3.2).
pub const SECRET_BYTES_MIN: usize = 32;
/// A secret of fewer different bytes is a repetition: 32 random hexadecimal digits have 14 on average.
const DIFFERENT_BYTES_MIN: usize = 8;
/// Secrets that stand in tutorials, examples and templates, lower case.
const WELL_KNOWN: [&str; 14] = [
    "secret",
    "test",
    "test-secret",
    "changeme",
    "change-me",
    "password",
    "default",
    "example",
    "your-secret-key",
    "your-256-bit-secret",
    "a-string-secret-at-least-256-bits-long",
    "your-super-secret-jwt-token-with-at-least-32-characters-long",
    "01234567890123456789012345678901",
    "0123456789abcdef0123456789abcdef",
];

/// Why a secret may not sign tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WeakSecret {
    /// There is none.
    #[error("no secret is set")]
    Unset,
    /// It stands in tutorials.
    #[error("the secret is a well-known one")]
    WellKnown,
    /// It has fewer than [`SECRET_BYTES_MIN`] bytes.
    #[error("the secret is shorter than {SECRET_BYTES_MIN} bytes")]
    TooShort,
    /// It repeats a few characters.
    #[error("the secret repeats a few characters")]
    Repetitive,
}

/// Judges the secret that is to sign tokens. A demo may do with any, and with none.
///
/// # Errors
/// [`WeakSecret`], outside the demo.
pub fn judge_secret(secret: Option<&SecretString>, demo: bool) -> Result<(), WeakSecret> {
    if demo {
        return Ok(());
    }
    // Spaces and line ends around it come from files and do not make it stronger.
    let text = secret.map(|secret| secret.expose_secret().trim()).filter(|text| !text.is_empty()).ok_or(WeakSecret::Unset)?;
    if WELL_KNOWN.iter().any(|known| known.eq_ignore_ascii_case(text)) {
        return Err(WeakSecret::WellKnown);
    }
    if text.len() < SECRET_BYTES_MIN {
        return Err(WeakSecret::TooShort);
    }
    let mut bytes = text.as_bytes().to_vec();
    bytes.sort_unstable();
    bytes.dedup();
    if bytes.len() < DIFFERENT_BYTES_MIN { Err(WeakSecret::Repetitive) } else { Ok(()) }
}

/// Draws a secret for a demo that has none: 32 random bytes as 64 hexadecimal digits. Tokens signed with it die with the process.
#[must_use]
pub fn random_secret() -> SecretString {
    crate::random::draw()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use secrecy::SecretString;

    use super::{WELL_KNOWN, WeakSecret, judge_secret, random_secret};

    fn judged(text: &str) -> Result<(), WeakSecret> {
        judge_secret(Some(&SecretString::from(text)), false)
    }

    #[test]
    fn weak_secrets_are_refused() {
        assert_eq!(judge_secret(None, false), Err(WeakSecret::Unset));
        assert_eq!(judged(""), Err(WeakSecret::Unset));
        assert_eq!(judged(&" ".repeat(40)), Err(WeakSecret::Unset));
        assert_eq!(judged("Zk3vQ9xT1mB7nR5pL2wY8cD4fG6hJ0s"), Err(WeakSecret::TooShort));
        assert_eq!(judged(&format!("Zk3vQ9xT1mB7{}", " ".repeat(30))), Err(WeakSecret::TooShort));
        assert_eq!(judged(&"a".repeat(64)), Err(WeakSecret::Repetitive));
        assert_eq!(judged(&"changeme".repeat(8)), Err(WeakSecret::Repetitive));
        for known in WELL_KNOWN {
            assert_eq!(judged(known), Err(WeakSecret::WellKnown), "{known}");
            assert_eq!(judged(&format!(" {}\n", known.to_uppercase())), Err(WeakSecret::WellKnown), "{known}");
        }
    }

    #[test]
    fn a_random_secret_is_strong_and_new_each_time() {
        for _ in 0..100 {
            assert_eq!(judge_secret(Some(&random_secret()), false), Ok(()));
        }
        assert_eq!(judged("Zk3vQ9xT1mB7nR5pL2wY8cD4fG6hJ0sA"), Ok(()));
    }

    #[test]
    fn a_demo_takes_any_and_none() {
        assert_eq!(judge_secret(None, true), Ok(()));
        assert_eq!(judge_secret(Some(&SecretString::from("secret")), true), Ok(()));
    }

    proptest! {
        #[test]
        fn no_short_secret_passes(text in "\\PC{0,31}") {
            prop_assume!(text.len() < 32);
            prop_assert!(judged(&text).is_err());
        }
    }
}
