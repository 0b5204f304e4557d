//! The client's address behind proxies: nobody but a proxy of ours has a say in it.

use std::net::IpAddr;

use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use ingest::address::{Proxies, ToldIn};

use crate::message::Message;

/// The proxies and the peer on the first line, with a space between, and the headers.
///
/// # Panics
/// When a law is broken.
pub fn address(input: &[u8]) {
    let message = Message::read(input);
    let (proxies, peer) = message.first_text().rsplit_once(' ').unwrap_or_default();
    let (Ok(peer), Ok(trusted)) = (peer.parse::<IpAddr>(), proxies.parse::<Proxies>()) else { return };
    let mut headers = HeaderMap::new();
    for (name, value) in &message.headers {
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_bytes(value)) {
            headers.append(name, value);
        }
    }
    let peer = peer.to_canonical();
    for (told_in, header) in [(ToldIn::XForwardedFor, "x-forwarded-for"), (ToldIn::Forwarded, "forwarded")] {
        let client = trusted.clone().telling_in(told_in).client(peer, &headers);
        assert_eq!(client, client.to_canonical(), "one address in two spellings");
        if !held(proxies, peer) {
            assert_eq!(client, peer, "a stranger named another address");
        }
        if client != peer {
            let text = message.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case(header));
            let named = text.filter_map(|(_, value)| std::str::from_utf8(value).ok()).any(|value| names(value, client));
            assert!(named, "{client} is an address that {header} does not name");
        }
    }
    assert_eq!(Proxies::default().client(peer, &headers), peer, "a header counts although no proxy is trusted");
}

/// Whether a list of blocks holds an address, bit by bit.
fn held(blocks: &str, address: IpAddr) -> bool {
    blocks.split(',').map(str::trim).filter(|block| !block.is_empty()).any(|block| {
        let (network, bits) = block.split_once('/').unwrap_or((block, "128"));
        let bits = bits.parse().unwrap_or(0);
        let network = network.parse().ok().map(bits_of);
        network.is_some_and(|network| {
            let address = bits_of(address);
            network.len() == address.len() && network.iter().zip(&address).take(bits).all(|(left, right)| left == right)
        })
    })
}

/// An address as its bits.
fn bits_of(address: IpAddr) -> Vec<bool> {
    let octets = match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    };
    octets.into_iter().flat_map(|octet| (0..8).rev().map(move |bit| octet >> bit & 1 == 1)).collect()
}

/// Whether a text has an address in it, wherever a character stands that an address cannot have.
fn names(text: &str, wanted: IpAddr) -> bool {
    let runs = text.split(|char: char| !(char.is_ascii_hexdigit() || matches!(char, ':' | '.')));
    let mut spellings = runs.flat_map(|run| [Some(run), run.rsplit_once(':').map(|(address, _)| address)]).flatten();
    spellings.any(|run| run.parse::<IpAddr>().is_ok_and(|address| address.to_canonical() == wanted))
}
