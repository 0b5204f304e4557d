//! Which address a request comes from.
//!
//! `Forwarded` (RFC 7239) and `X-Forwarded-For` are what any client can write, so they count only behind proxies that
//! the settings name, and of the two that one alone which those proxies write: the other comes through them as the client
//! wrote it. Each hop appends the address it saw:
//! ```text
//! X-Forwarded-For: 203.0.113.9, 198.51.100.7, 10.0.0.2      peer 10.0.0.1
//!                  forged?      ▲ the client  ▲ ours         ▲ ours       read from the right, stop at the first not ours
//! ```

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use actix_web::http::header::{HeaderMap, HeaderValue};

/// How many hops are looked at.
const HOPS_MAX: usize = 32;

/// A block of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Block {
    /// Its first address.
    network: IpAddr,
    /// How many leading bits an address must share with it.
    bits: u8,
}

/// The proxies whose word is taken.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Proxies {
    /// Where they are.
    blocks: Vec<Block>,
    /// Where they tell it.
    told_in: ToldIn,
}

/// The header in which proxies tell who came to them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ToldIn {
    /// `X-Forwarded-For`, as nearly all of them.
    #[default]
    XForwardedFor,
    /// `Forwarded` of RFC 7239.
    Forwarded,
}

/// A text is no list of blocks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotBlocks(String);

impl fmt::Display for NotBlocks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "has `{}`, which is no CIDR block such as 10.0.0.0/8", self.0)
    }
}

impl std::error::Error for NotBlocks {}

impl FromStr for Proxies {
    type Err = NotBlocks;

    /// Reads comma-separated CIDR blocks; an address alone is a block of one. What they tell is in `X-Forwarded-For`.
    fn from_str(text: &str) -> Result<Self, NotBlocks> {
        let blocks = text.split(',').map(str::trim).filter(|block| !block.is_empty());
        blocks
            .map(|block| Block::parse(block).ok_or_else(|| NotBlocks(block.to_owned())))
            .collect::<Result<_, _>>()
            .map(|blocks| Self { blocks, ..Self::default() })
    }
}

impl Block {
    /// Reads `address/bits` or `address`.
    fn parse(text: &str) -> Option<Self> {
        let (address, bits) = text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
        let network: IpAddr = address.parse().ok()?;
        let most = if network.is_ipv4() { 32 } else { 128 };
        let bits = bits.map_or(Ok(most), str::parse).ok().filter(|bits| *bits <= most)?;
        Some(Self { network, bits })
    }

    /// Says whether an address lies in it.
    fn holds(self, address: IpAddr) -> bool {
        let (network, address, width) = match (self.network, address) {
            (IpAddr::V4(network), IpAddr::V4(address)) => (u128::from(network.to_bits()), u128::from(address.to_bits()), 32),
            (IpAddr::V6(network), IpAddr::V6(address)) => (network.to_bits(), address.to_bits(), 128),
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => return false,
        };
        let differing = (network ^ address).checked_shr(u32::from(width - self.bits)).unwrap_or(0);
        differing == 0
    }
}

impl Proxies {
    /// The same proxies, which tell it in that header.
    #[must_use]
    pub fn telling_in(self, told_in: ToldIn) -> Self {
        Self { told_in, ..self }
    }

    /// Says whether the address is one of theirs.
    fn hold(&self, address: IpAddr) -> bool {
        self.blocks.iter().any(|block| block.holds(address))
    }

    /// The address of the client behind a connection from `peer`.
    #[must_use]
    pub fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut client = peer.to_canonical();
        if !self.hold(client) {
            return client;
        }
        let (name, of_hop): (_, fn(&str) -> Option<IpAddr>) = match self.told_in {
            ToldIn::XForwardedFor => ("x-forwarded-for", address),
            ToldIn::Forwarded => ("forwarded", forwarded_for),
        };
        let lines: Vec<&[u8]> = headers.get_all(name).map(HeaderValue::as_bytes).collect();
        for hop in lines.iter().rev().flat_map(|line| line.rsplit(|byte| *byte == b',')).take(HOPS_MAX) {
            // A hop that cannot be read was written by the one before it, which is then as far as we can see.
            let read = std::str::from_utf8(hop).ok().and_then(|hop| of_hop(hop.trim()));
            let Some(address) = read else { return client };
            client = address;
            if !self.hold(client) {
                return client;
            }
        }
        client
    }
}

/// The address in the `for` parameter of one element of `Forwarded`.
fn forwarded_for(element: &str) -> Option<IpAddr> {
    let named = |pair: &str| {
        let (name, value) = pair.split_once('=')?;
        name.trim().eq_ignore_ascii_case("for").then(|| address(value.trim().trim_matches('"')))
    };
    element.split(';').find_map(named)?
}

/// An address with or without a port; IPv6 also in brackets.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let address = bare.parse::<IpAddr>().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|with_port| with_port.ip()));
    address.map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};

    use super::{Proxies, ToldIn};

    /// The client behind `peer`, when these headers came and `proxies` are trusted, which tell it in that one.
    fn told(told_in: ToldIn, (proxies, peer): (&str, &str), lines: &[(&'static str, &'static str)]) -> String {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        let proxies = proxies.parse::<Proxies>().unwrap().telling_in(told_in);
        proxies.client(peer.parse::<IpAddr>().unwrap(), &headers).to_string()
    }

    /// The same with proxies that write `X-Forwarded-For`.
    fn client(proxies: &str, peer: &str, lines: &[(&'static str, &'static str)]) -> String {
        told(ToldIn::XForwardedFor, (proxies, peer), lines)
    }

    #[test]
    fn a_stranger_cannot_name_another_address() {
        assert_eq!(client("", "203.0.113.5", &[("x-forwarded-for", "1.2.3.4")]), "203.0.113.5");
        assert_eq!(client("10.0.0.0/8", "11.0.0.1", &[("forwarded", "for=1.2.3.4")]), "11.0.0.1");
    }

    #[test]
    fn behind_proxies_the_first_address_from_the_right_that_is_not_theirs_counts() {
        let hops = [("x-forwarded-for", "6.6.6.6, 198.51.100.7"), ("x-forwarded-for", "10.0.0.2")];
        assert_eq!(client("10.0.0.0/8", "10.0.0.1", &hops), "198.51.100.7");
        assert_eq!(client("10.0.0.0/8", "::ffff:10.0.0.1", &hops), "198.51.100.7");
        assert_eq!(client("10.0.0.0/8", "10.0.0.1", &[("x-forwarded-for", "10.0.0.3, 10.0.0.2")]), "10.0.0.3");
        assert_eq!(client("10.0.0.0/8", "10.0.0.1", &[]), "10.0.0.1");
    }

    #[test]
    fn the_header_that_proxies_do_not_write_is_the_client_s_and_says_nothing() {
        let both = [("forwarded", "for=6.6.6.6"), ("x-forwarded-for", "198.51.100.7")];
        assert_eq!(client("10.0.0.0/8", "10.0.0.1", &both), "198.51.100.7");
        assert_eq!(told(ToldIn::Forwarded, ("10.0.0.0/8", "10.0.0.1"), &both), "6.6.6.6");
        for (told_in, other) in [(ToldIn::XForwardedFor, ("forwarded", "for=6.6.6.6")), (ToldIn::Forwarded, ("x-forwarded-for", "6.6.6.6"))]
        {
            assert_eq!(told(told_in, ("10.0.0.0/8", "10.0.0.1"), &[other]), "10.0.0.1", "{told_in:?}");
        }
    }

    #[test]
    fn what_is_no_text_hides_no_hop_that_a_proxy_wrote_behind_it() {
        let mut headers = HeaderMap::new();
        headers.append(HeaderName::from_static("x-forwarded-for"), HeaderValue::from_bytes(b"\xff, 198.51.100.7").unwrap());
        let proxies = "10.0.0.0/8".parse::<Proxies>().unwrap();
        assert_eq!(proxies.client("10.0.0.1".parse().unwrap(), &headers).to_string(), "198.51.100.7");
    }

    #[test]
    fn the_standard_header_is_read_with_ports_quotes_and_brackets() {
        let standard = |peer, line| told(ToldIn::Forwarded, (peer, peer), &[("forwarded", line)]);
        assert_eq!(standard("::1", "for=1.1.1.1, For=\"[2001:db8::7]:4711\";proto=https"), "2001:db8::7");
        assert_eq!(standard("127.0.0.1", "proto=http;for=192.0.2.60:81;by=x"), "192.0.2.60");
    }

    #[test]
    fn what_cannot_be_read_ends_the_walk_at_the_hop_that_wrote_it() {
        assert_eq!(client("10.0.0.0/8", "10.0.0.1", &[("x-forwarded-for", "1.2.3.4, unknown, 10.0.0.2")]), "10.0.0.2");
        assert_eq!(told(ToldIn::Forwarded, ("10.0.0.0/8", "10.0.0.1"), &[("forwarded", "for=_hidden")]), "10.0.0.1");
    }

    #[test]
    fn no_more_than_32_hops_are_looked_at() {
        let hops: Vec<String> = (1..=40).map(|hop| format!("10.0.1.{hop}")).collect();
        let line: &'static str = format!("203.0.113.9, {}", hops.join(", ")).leak();
        assert_eq!(client("10.0.0.0/8", "10.0.0.1", &[("x-forwarded-for", line)]), "10.0.1.9", "the 32nd from the right");
    }

    #[test]
    fn blocks_are_judged() {
        for wrong in ["10.0.0.0/33", "10.0.0/8", "::/129", "x", "10.0.0.1/-1"] {
            assert!(wrong.parse::<Proxies>().is_err(), "{wrong}");
        }
        assert_eq!(client("0.0.0.0/0", "1.2.3.4", &[("x-forwarded-for", "5.6.7.8")]), "5.6.7.8");
        assert_eq!(client("2001:db8::/32, 10.0.0.0/8", "2001:db8:1::1", &[("x-forwarded-for", "5.6.7.8")]), "5.6.7.8");
    }
}
