//! The shop's customers: a steady rate of requests over kept connections.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::future::join_all;
use reqwest::Client;
use tokio::time::Instant;
use tokio::time::MissedTickBehavior;

use super::product::PRODUCTS;
use crate::clock::Clock;
use crate::error::Error;

/// Connections. Each sends its next request when the one before is answered, so a slow shop gets less.
const CUSTOMERS: u32 = 16;

/// How long a customer waits for an answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// Sends `rate` requests per second for ever; only an error ends it.
pub(super) async fn drive(address: SocketAddr, rate: u32) -> Result<(), Error> {
    if rate == 0 {
        return std::future::pending().await;
    }
    let client = Client::builder()
        .no_proxy()
        // never used: it speaks to its own listener, and a system without certificates must do
        .tls_certs_only([])
        .timeout(PATIENCE)
        .build()
        .map_err(|error| Error::new("Q0904", "cannot make an HTTP client").because(error))?;
    let customers = (0..CUSTOMERS).map(|number| shop_on(&client, address, rate, number));
    join_all(customers).await;
    Ok(())
}

/// One customer, asking for products at random, at its own offset within the period all share.
async fn shop_on(client: &Client, address: SocketAddr, rate: u32, number: u32) {
    let begin = Instant::now() + Duration::from_secs(1) * number / rate;
    let mut due = tokio::time::interval_at(begin, Duration::from_secs(1) * CUSTOMERS / rate);
    due.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        due.tick().await;
        let id = u32::from(Clock::System.jitter()) % PRODUCTS + 1;
        if let Ok(answer) = client.get(format!("http://{address}/products/{id}")).send().await {
            // read to its end, so that the connection can be used again
            let _body = answer.bytes().await;
        }
    }
}
