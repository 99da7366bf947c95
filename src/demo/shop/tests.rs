use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use reqwest::Client;
use serde_json::Value;
use serde_json::json;
use tokio::io::AsyncBufReadExt;
use tokio::io::BufReader;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::*;

/// A shop on a port of its own, without traffic; it ends with the test.
struct Open {
    address: SocketAddr,
    client: Client,
    _server: JoinSet<()>,
}

impl Open {
    async fn with_partner_failures(per_thousand: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let mut server = JoinSet::new();
        server.spawn(async move {
            axum::serve(listener, http::router(Arc::new(Shop::new(per_thousand)))).await.unwrap();
        });
        let client = Client::builder().no_proxy().build().expect("a client");
        Self { address, client, _server: server }
    }

    async fn new() -> Self {
        Self::with_partner_failures(0).await
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    async fn product(&self, id: u32) -> (u16, Value) {
        let answer = self.client.get(self.url(&format!("/products/{id}"))).send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    /// How many of all products fail.
    async fn failures(&self) -> usize {
        let mut failures = 0;
        for id in 1..=product::PRODUCTS {
            failures += usize::from(self.product(id).await.0 >= 500);
        }
        failures
    }

    async fn suffer(&self, fault: Fault) {
        fault.inject(self.address).await.expect("broken");
    }

    async fn flush(&self) -> Value {
        self.client.delete(self.url("/cache")).send().await.unwrap().json().await.unwrap()
    }

    async fn sample(&self, name: &str) -> Option<f64> {
        let answer = self.client.get(self.url("/metrics")).send().await.unwrap();
        assert_eq!(answer.headers()["content-type"], "text/plain; version=0.0.4; charset=utf-8");
        let page = answer.text().await.unwrap();
        let line = page.lines().find_map(|line| line.strip_prefix(name))?.trim().to_owned();
        Some(line.parse().unwrap_or_else(|_| panic!("`{line}` is not a number")))
    }
}

#[tokio::test]
async fn a_healthy_shop_sells_every_product_and_knows_no_other() {
    let shop = Open::new().await;
    assert_eq!(shop.failures().await, 0);
    let product =
        json!({ "id": 10, "name": "bicycle bell no. 10", "price_cents": 1_410, "in_stock": true });
    assert_eq!(shop.product(10).await, (200, product));
    assert_eq!(shop.product(201).await, (404, json!({ "error": "no product 201" })));
    assert_eq!(shop.sample("shop_cache_entries").await, Some(200.0));
}

#[tokio::test]
async fn the_ratio_is_absent_before_the_first_request() {
    let shop = Open::new().await;
    assert_eq!(shop.sample("shop_request_errors_ratio").await, None);
    assert_eq!(shop.sample(r#"shop_requests_total{status="500"}"#).await, Some(0.0));
    shop.product(1).await;
    assert_eq!(shop.sample("shop_request_errors_ratio").await, Some(0.0));
    assert_eq!(shop.sample(r#"shop_requests_total{status="200"}"#).await, Some(1.0));
}

#[tokio::test]
async fn a_poisoned_cache_fails_a_third_and_a_flush_does_not_help() {
    let shop = Open::new().await;
    shop.suffer(Fault::PoisonedCache).await;
    assert_eq!(shop.failures().await, 75);
    assert_eq!(shop.sample("shop_request_errors_ratio").await, Some(0.375));
    assert_eq!(shop.flush().await, json!({ "flushed": 200 }));
    assert_eq!(shop.failures().await, 75);
    let (status, body) = shop.product(10).await;
    assert_eq!(status, 500);
    let error = body["error"].as_str().expect("a reason");
    assert!(error.starts_with("the cache entry of product 10 cannot be read: "), "{error}");
}

#[tokio::test]
async fn a_cache_poisoned_once_is_well_after_a_flush() {
    let shop = Open::new().await;
    shop.suffer(Fault::PoisonedCacheOnce).await;
    assert_eq!(shop.failures().await, 75);
    shop.flush().await;
    assert_eq!(shop.failures().await, 0);
}

#[tokio::test]
async fn a_leaked_pool_answers_503_once_all_connections_are_gone() {
    let shop = Open::new().await;
    shop.suffer(Fault::LeakedPool).await;
    for id in 1..=8 {
        assert_eq!(shop.product(id).await.0, 200, "connection {id} was there to take");
    }
    assert_eq!(shop.sample("shop_pool_in_use").await, Some(8.0));
    shop.flush().await;
    let (status, body) = shop.product(9).await;
    assert_eq!(status, 503);
    assert_eq!(body["error"], "no database connection came free, 8 of 8 are taken");
}

#[tokio::test]
async fn a_flaky_partner_fails_requests() {
    let shop = Open::with_partner_failures(1_000).await;
    let reason = json!({ "error": "the partner did not say whether product 3 is in stock" });
    assert_eq!(shop.product(3).await, (500, reason));
}

#[tokio::test]
async fn an_unknown_fault_is_refused() {
    let shop = Open::new().await;
    let body = json!({ "kind": "gremlins" });
    let answer = shop.client.post(shop.url("/admin/fault")).json(&body).send().await.unwrap();
    assert_eq!(answer.status(), 422);
    assert_eq!(shop.failures().await, 0);
}

#[tokio::test]
async fn it_sends_itself_traffic_and_ends_with_its_supervisor() {
    let folder = tempfile::tempdir().unwrap();
    let (port_file, socket) = (folder.path().join("port"), folder.path().join("socket"));
    let supervisor = tokio::net::UnixListener::bind(&socket).unwrap();
    let mut shop = JoinSet::new();
    shop.spawn(serve(Options {
        port_file: port_file.clone(),
        port: 0,
        rate: 500,
        partner_failures: 0,
        lifeline: Some(socket),
    }));
    let mut lifeline = BufReader::new(supervisor.accept().await.unwrap().0);
    lifeline.read_line(&mut String::new()).await.unwrap();
    let port = std::fs::read_to_string(&port_file).expect("written before it connects");

    let client = Client::builder().no_proxy().build().unwrap();
    let url = format!("http://127.0.0.1:{}/metrics", port.trim());
    let wanted = async {
        while !client.get(&url).send().await.unwrap().text().await.unwrap().contains("ratio 0.0000")
        {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), wanted).await.expect("traffic");

    drop(lifeline);
    let ended = tokio::time::timeout(Duration::from_secs(10), shop.join_next()).await;
    assert!(matches!(ended, Ok(Some(Ok(Ok(()))))), "{ended:?}");
}

#[test]
fn the_arguments_of_options_give_the_same_options() {
    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        options: Options,
    }
    let options = Options {
        port_file: PathBuf::from("a folder/port"),
        port: 4_711,
        rate: 0,
        partner_failures: 3,
        lifeline: Some(PathBuf::from("a folder/socket")),
    };
    for options in [Options { lifeline: None, ..options.clone() }, options] {
        let arguments = std::iter::once("demo-shop".to_owned()).chain(options.arguments());
        assert_eq!(Cli::parse_from(arguments).options, options);
    }
}
