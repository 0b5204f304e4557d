//! Secrets drawn at random, and what is stored of them.
//!
//! 256 random bits cannot be guessed or listed, so a plain SHA-256 hides them, and looking one up by its hash tells a
//! watch nothing: who does not know the token cannot steer its hash.

use events_proxy_core::hex;
use rand::RngCore;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

/// How many random bytes a secret has.
const BYTES: usize = 32;
/// How long its text is: two hexadecimal digits per byte.
pub(crate) const TEXT_BYTES: usize = 2 * BYTES;

/// Draws 32 random bytes, as lower-case hexadecimal digits.
pub(crate) fn draw() -> SecretString {
    let mut bytes = [0; BYTES];
    rand::rng().fill_bytes(&mut bytes);
    SecretString::from(hex::of(&bytes))
}

/// The SHA-256 of a secret's text: what is stored in its place.
pub(crate) fn fingerprint(secret: &SecretString) -> [u8; 32] {
    Sha256::digest(secret.expose_secret()).into()
}

#[cfg(test)]
mod tests {
    use secrecy::{ExposeSecret, SecretString};

    use super::{TEXT_BYTES, draw, fingerprint};

    #[test]
    fn two_draws_differ_and_have_64_digits() {
        let (one, other) = (draw(), draw());
        assert_ne!(one.expose_secret(), other.expose_secret());
        assert_eq!(one.expose_secret().len(), TEXT_BYTES);
        assert!(one.expose_secret().bytes().all(|byte| byte.is_ascii_hexdigit()));
    }

    #[test]
    fn the_stored_form_is_sha_256() {
        // FIPS 180-2, appendix B.1: SHA-256 of "abc".
        let stored = fingerprint(&SecretString::from("abc"));
        assert_eq!(stored[..4], [0xba, 0x78, 0x16, 0xbf]);
        assert_eq!(stored[28..], [0xf2, 0x00, 0x15, 0xad]);
    }
}
