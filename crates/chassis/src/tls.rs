//! Which cryptography TLS uses: rustls with ring, chosen once for the whole process.

use rustls::crypto::{CryptoProvider, ring};

/// Chooses ring, unless a choice was made already. Call it before the first client with TLS is made.
pub fn install() {
    if CryptoProvider::get_default().is_none() {
        // Another thread may have been faster; whichever choice stands is fine.
        drop(ring::default_provider().install_default());
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_choice_can_be_made_twice() {
        super::install();
        super::install();
        assert!(rustls::crypto::CryptoProvider::get_default().is_some());
    }
}
