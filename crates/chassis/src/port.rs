//! The port that work comes by: taken early, so that one in use is told at once, and opened when work can be done. Until then
//! whoever connects is refused, and its proxy asks another replica, instead of being kept waiting by the kernel.

use std::io;
use std::net::{SocketAddr, TcpListener};

use socket2::{Domain, Protocol, SockRef, Socket, Type};

/// How many connections may wait until they are accepted; Linux gives no more than `net.core.somaxconn`, which is as much. The
/// standard library's 128 are less than the sources that come at once when another replica goes: each one too many is
/// answered nothing, and tries again a second later.
const WAITING: i32 = 4_096;

/// Why a port cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("listen on {address}: set {setting} to a port that is free")]
pub struct Unusable {
    /// Where.
    address: SocketAddr,
    /// The setting that names the port.
    setting: &'static str,
    /// What the system said.
    #[source]
    cause: io::Error,
}

/// Takes a port; nobody can connect until it is opened.
///
/// # Errors
/// [`Unusable`] names the setting to change.
pub fn take(address: SocketAddr, setting: &'static str) -> Result<TcpListener, Unusable> {
    let taken = || {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        // As the standard library does: a restart need not wait for what the connections of before leave behind.
        socket.set_reuse_address(true)?;
        socket.bind(&address.into())?;
        Ok(socket.into())
    };
    taken().map_err(|cause| Unusable { address, setting, cause })
}

/// Lets whoever comes connect, many at once.
///
/// # Errors
/// What the system says: the port is another's by now.
pub fn open(taken: &TcpListener) -> io::Result<()> {
    SockRef::from(taken).listen(WAITING)
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;
    use std::net::{Ipv4Addr, SocketAddr, TcpStream};
    use std::time::Duration;

    use super::{open, take};

    const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

    #[test]
    fn until_it_is_opened_a_port_refuses_and_then_many_may_wait() {
        let taken = take(ANY, "PORT").unwrap();
        let address = taken.local_addr().unwrap();
        let connect = || TcpStream::connect_timeout(&address, Duration::from_millis(500));
        assert_eq!(connect().unwrap_err().kind(), ErrorKind::ConnectionRefused);
        open(&taken).unwrap();
        // Nobody accepts.
        let waiting: Vec<TcpStream> = (0..600).map(|number| connect().unwrap_or_else(|error| panic!("{number}: {error}"))).collect();
        assert_eq!(waiting.len(), 600);
    }

    #[test]
    fn a_port_that_is_in_use_is_told_with_the_setting_that_names_it() {
        let taken = take(ANY, "PORT").unwrap();
        open(&taken).unwrap();
        let address = taken.local_addr().unwrap();
        let error = take(address, "ADMIN_PORT").unwrap_err();
        assert_eq!(error.to_string(), format!("listen on {address}: set ADMIN_PORT to a port that is free"));
    }
}
