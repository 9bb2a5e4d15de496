//! Where the interface listens.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, ToSocketAddrs};

use tidemill_core::config::options;

/// Why there is no place to listen.
#[derive(Debug)]
pub(super) enum Failure {
    /// The name of the address is not known.
    Unknown(io::Error),
    /// All ports are taken.
    Taken,
    /// The system refuses.
    Refused(u16, io::Error),
}

impl Failure {
    /// Whether other ports would help.
    pub(super) fn is_about_ports(&self) -> bool {
        matches!(self, Failure::Taken)
    }

    pub(super) fn message(&self, host: &str, ports: &str) -> String {
        let (address, port) = (options::REST_BIND_ADDRESS.key(), options::REST_BIND_PORT.key());
        match self {
            Failure::Unknown(error) => {
                format!(
                    "the REST interface cannot listen on '{host}' ({error}): set '{address}' to an address of this machine"
                )
            }
            Failure::Taken if ports.contains(['-', ',']) => format!(
                "the REST interface finds no free port among {ports} on {host}: give '{port}' more of them, or 0 for any, or set \
                 '{}' to false",
                options::REST_ENABLED.key()
            ),
            Failure::Taken => format!(
                "the REST interface cannot have port {ports} on {host}, which another program uses: set '{port}' to another one, to a \
                 range such as 8081-8180, or to 0 for any, or set '{}' to false",
                options::REST_ENABLED.key()
            ),
            Failure::Refused(at, error) => {
                format!(
                    "the REST interface cannot listen on port {at} of {host}: {error}; see '{address}' and '{port}'"
                )
            }
        }
    }
}

/// Takes the first port that is free.
pub(super) fn bind(host: &str, ranges: &[(u16, u16)]) -> Result<TcpListener, Failure> {
    let name = host.trim_start_matches('[').trim_end_matches(']');
    let ips: Vec<IpAddr> = match name.parse() {
        Ok(ip) => vec![ip],
        Err(_) => (name, 0).to_socket_addrs().map_err(Failure::Unknown)?.map(|at| at.ip()).collect(),
    };
    // One of several, which is the same for everybody: clients try IPv4 first as a rule.
    let ip = ips.iter().find(|ip| ip.is_ipv4()).or_else(|| ips.first()).copied();
    let ip = ip.ok_or_else(|| Failure::Unknown(io::Error::from(ErrorKind::NotFound)))?;
    for (first, last) in ranges {
        for port in *first..=*last {
            match TcpListener::bind((ip, port)) {
                Ok(listener) => return Ok(listener),
                Err(error) if error.kind() == ErrorKind::AddrInUse => {}
                Err(error) => return Err(Failure::Refused(port, error)),
            }
        }
    }
    Err(Failure::Taken)
}

/// What a client on this machine can connect to.
pub(super) fn reachable(at: SocketAddr) -> SocketAddr {
    match at.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => SocketAddr::from((Ipv4Addr::LOCALHOST, at.port())),
        IpAddr::V6(ip) if ip.is_unspecified() => SocketAddr::from((Ipv6Addr::LOCALHOST, at.port())),
        _ => at,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_free_port_is_taken_and_a_taken_one_is_an_error() {
        let first = bind("localhost", &[(0, 0)]).unwrap();
        let taken = first.local_addr().unwrap().port();
        assert!(first.local_addr().unwrap().ip().is_loopback());
        let failure = bind("127.0.0.1", &[(taken, taken)]).unwrap_err();
        assert!(failure.is_about_ports());
        let message = failure.message("127.0.0.1", &taken.to_string());
        assert!(
            message.contains("which another program uses") && message.contains("rest.bind-port"),
            "{message}"
        );
        let next = bind("[::1]", &[(taken, taken)]).or_else(|_| bind("127.0.0.1", &[(taken, taken), (0, 0)]));
        assert!(next.is_ok(), "another address, or another port");
    }

    #[test]
    fn what_is_no_address_is_an_error() {
        let failure = bind("no.such.host.invalid", &[(0, 0)]).unwrap_err();
        assert!(!failure.is_about_ports());
        let elsewhere = bind("192.0.2.1", &[(0, 0)]).unwrap_err();
        assert!(elsewhere.message("192.0.2.1", "0").contains("rest.bind-address"));
    }
}
