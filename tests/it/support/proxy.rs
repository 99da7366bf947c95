//! A place that leads to one server, and from some time on to another, as an address does that fails over.

use std::sync::Arc;
use std::sync::atomic::AtomicU16;
use std::sync::atomic::Ordering;

use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// Hands connections on; those that exist stay where they are.
#[derive(Debug)]
pub(crate) struct Proxy {
    port: u16,
    to: Arc<AtomicU16>,
    _accepting: JoinSet<()>,
}

impl Proxy {
    /// To this loopback port.
    pub(crate) async fn start(to: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let to = Arc::new(AtomicU16::new(to));
        let mut accepting = JoinSet::new();
        let leads = Arc::clone(&to);
        accepting.spawn(async move {
            let mut carried = JoinSet::new();
            while let Ok((mut client, _)) = listener.accept().await {
                let to = leads.load(Ordering::Acquire);
                carried.spawn(async move {
                    // a server that is not there hangs up
                    let Ok(mut server) = TcpStream::connect(("127.0.0.1", to)).await else {
                        return;
                    };
                    drop(tokio::io::copy_bidirectional(&mut client, &mut server).await);
                });
            }
        });
        Self { port, to, _accepting: accepting }
    }

    /// New connections lead to this port from now on.
    pub(crate) fn leads_to(&self, port: u16) {
        self.to.store(port, Ordering::Release);
    }

    /// Where it listens.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }
}
