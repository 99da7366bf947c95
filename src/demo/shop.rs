//! The shop: a small web service, run as `quell demo-shop`, that can be broken in earnest.
//!
//! ```text
//! GET /products/{id} ─▶ cache ──miss──▶ connection of the pool ─▶ database
//!        │               ▲──────written by the serializer────────────┘
//!        └─▶ partner: in stock? (fails for one call in a thousand)
//! GET /health  GET /metrics  DELETE /cache  POST /admin/fault
//! ```
//!
//! It keeps everything in memory, so a restart gives the state of a good deploy. It makes its own traffic,
//! over real connections to its own listener.

mod cache;
mod fault;
mod http;
mod metrics;
mod pool;
mod product;
mod traffic;

use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::net::UnixStream;

use crate::error::Error;

pub use fault::Fault;
use http::Shop;

/// What a process of the shop says to its supervisor when it connects, to live as long as it does.
pub(super) const LIFELINE: &str = "lifeline";

/// How to run the shop.
#[derive(Debug, Clone, PartialEq, Eq, clap::Args)]
pub struct Options {
    /// Where the port is written once the shop listens
    #[arg(long, value_name = "FILE")]
    pub port_file: PathBuf,
    /// Port on loopback; 0 takes a free one
    #[arg(long, default_value_t = 0)]
    pub port: u16,
    /// Requests per second that it sends itself; 0 sends none
    #[arg(long, default_value_t = 1_000)]
    pub rate: u32,
    /// How many calls in a thousand the partner fails
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub partner_failures: u16,
    /// Unix socket of the supervisor: when it closes, the shop ends
    #[arg(long, value_name = "SOCKET")]
    pub lifeline: Option<PathBuf>,
}

impl Options {
    /// The arguments after `quell demo-shop` that give these options.
    pub fn arguments(&self) -> Vec<String> {
        let mut arguments = vec![
            format!("--port-file={}", self.port_file.display()),
            format!("--port={}", self.port),
            format!("--rate={}", self.rate),
            format!("--partner-failures={}", self.partner_failures),
        ];
        if let Some(socket) = &self.lifeline {
            arguments.push(format!("--lifeline={}", socket.display()));
        }
        arguments
    }
}

/// Serves until the process is ended by a signal, or its supervisor is gone.
///
/// It needs no handler for signals: it has nothing to save.
pub async fn serve(options: Options) -> Result<(), Error> {
    let wanted = SocketAddr::from((Ipv4Addr::LOCALHOST, options.port));
    let cannot_listen = |error| {
        Error::new("Q0901", format!("the demo's shop cannot listen on {wanted}")).because(error)
    };
    let listener = TcpListener::bind(wanted).await.map_err(cannot_listen)?;
    let address = listener.local_addr().map_err(cannot_listen)?;
    write_port(&options.port_file, address.port())?;

    let shop = Arc::new(Shop::new(options.partner_failures));
    let serving = axum::serve(listener, http::router(shop));
    tokio::select! {
        served = serving.into_future() => served.map_err(cannot_listen),
        never = traffic::drive(address, options.rate) => never,
        ended = until_closed(options.lifeline.as_deref()) => ended,
    }
}

/// Written whole or not at all, so that a reader never sees half a number.
fn write_port(file: &Path, port: u16) -> Result<(), Error> {
    let draft = file.with_extension("draft");
    std::fs::write(&draft, format!("{port}\n"))
        .and_then(|()| std::fs::rename(&draft, file))
        .map_err(|error| {
            Error::new("Q0902", format!("{}: cannot write the shop's port", file.display()))
                .because(error)
        })
}

/// Ends when the supervisor does, however it ended; without one, never.
async fn until_closed(socket: Option<&Path>) -> Result<(), Error> {
    let Some(socket) = socket else { return std::future::pending().await };
    let gone = |error| {
        Error::new("Q0903", format!("{}: the demo is not there", socket.display())).because(error)
    };
    let mut stream = UnixStream::connect(socket).await.map_err(gone)?;
    stream.write_all(format!("{LIFELINE}\n").as_bytes()).await.map_err(gone)?;
    let mut byte = [0];
    // the supervisor never writes: any end of this read is the end of the supervisor
    let _ended = stream.read(&mut byte).await;
    Ok(())
}

#[cfg(test)]
mod tests;
