//! The probe `tcp`: whether something accepts connections.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::model::run::Observation;

/// Longest time for a connection, over all addresses of a name.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Connects once, to each address of the name until one accepts. Refused, reset, unreachable as a host or
/// too slow is unhealthy; no address, or no way to it from here, is unknown.
pub(super) async fn observe(address: &str) -> Observation {
    let addresses = match tokio::time::timeout(TIMEOUT, tokio::net::lookup_host(address)).await {
        Ok(Ok(addresses)) => addresses.collect::<Vec<SocketAddr>>(),
        Ok(Err(error)) if error.kind() == io::ErrorKind::InvalidInput => {
            return super::unknown(format!("`{address}`: expected host:port"));
        }
        Ok(Err(_)) => return super::unknown(format!("{address}: the host's name has no address")),
        Err(_) => return super::unknown(format!("{address}: no answer from DNS in {TIMEOUT:?}")),
    };
    connect(address, &addresses).await
}

async fn connect(address: &str, addresses: &[SocketAddr]) -> Observation {
    let began = Instant::now();
    let mut seen = super::unknown(format!("{address}: the host's name has no address"));
    for socket in addresses {
        seen = match tokio::time::timeout_at(began + TIMEOUT, TcpStream::connect(socket)).await {
            Ok(Ok(_)) => {
                let took = began.elapsed().as_millis();
                return super::healthy(format!("{address} accepted in {took} ms"));
            }
            Ok(Err(error)) => {
                let measured = format!("{address}: {}", error.kind());
                match error.kind() {
                    io::ErrorKind::ConnectionRefused
                    | io::ErrorKind::ConnectionReset
                    | io::ErrorKind::HostUnreachable
                    | io::ErrorKind::TimedOut => super::unhealthy(measured),
                    _ => super::unknown(measured),
                }
            }
            Err(_) => super::unhealthy(format!("{address}: no connection within {TIMEOUT:?}")),
        };
    }
    seen
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::super::testing::nobody;
    use super::*;
    use crate::model::run::Health;

    #[tokio::test]
    async fn accepting_is_healthy() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        for host in ["127.0.0.1", "localhost"] {
            let seen = observe(&format!("{host}:{}", address.port())).await;
            assert_eq!(seen.health, Health::Healthy, "{}", seen.measured);
            assert!(seen.measured.contains(" accepted in "), "{}", seen.measured);
        }
    }

    #[tokio::test]
    async fn one_address_that_accepts_is_enough() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let away: SocketAddr = nobody().await.parse().unwrap();
        let here = listener.local_addr().unwrap();
        assert_eq!(connect("shop:80", &[away, here]).await.health, Health::Healthy);
        assert_eq!(connect("shop:80", &[away, away]).await.health, Health::Unhealthy);
    }

    #[tokio::test]
    async fn refusing_is_unhealthy() {
        let away = nobody().await;
        let seen = observe(&away).await;
        assert_eq!(seen, super::super::unhealthy(format!("{away}: connection refused")));
    }

    #[tokio::test]
    async fn no_address_is_unknown() {
        for (address, words) in [
            ("no-such-host.invalid:80", "the host's name has no address"),
            ("localhost", "expected host:port"),
            ("localhost:http", "expected host:port"),
            ("", "expected host:port"),
        ] {
            let seen = observe(address).await;
            assert_eq!(seen.health, Health::Unknown, "{address}: {}", seen.measured);
            assert!(seen.measured.contains(words), "{address}: {}", seen.measured);
        }
    }
}
