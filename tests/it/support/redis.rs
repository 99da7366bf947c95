//! A real Redis.

use tempfile::TempDir;

use crate::support::process;
use crate::support::process::Process;

/// Keeps nothing on disk.
#[derive(Debug)]
pub(crate) struct Redis {
    url: String,
    _process: Process,
    _data: TempDir,
}

impl Redis {
    /// With a password, so that tests notice one that leaks.
    pub(crate) async fn start() -> Self {
        let data = TempDir::new().unwrap();
        let port = process::port().to_string();
        let directory = data.path().to_str().unwrap();
        let mut process = Process::start(
            [
                "redis-server",
                "--bind",
                "127.0.0.1",
                "--port",
                &port,
                "--dir",
                directory,
                "--requirepass",
                "hush-redis",
                "--save",
                "",
                "--appendonly",
                "no",
            ],
            &[],
            &data.path().join("log"),
        );
        let url = format!("redis://:hush-redis@127.0.0.1:{port}");
        let client = redis::Client::open(url.as_str()).unwrap();
        process
            .ready(async || match client.get_multiplexed_async_connection().await {
                Ok(_) => Ok(()),
                Err(e) => Err(e.to_string()),
            })
            .await;
        Self { url, _process: process, _data: data }
    }

    /// With the password.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// A connection of the test's own, to look and to fill.
    pub(crate) async fn connect(&self) -> redis::aio::MultiplexedConnection {
        let client = redis::Client::open(self.url.as_str()).unwrap();
        client.get_multiplexed_async_connection().await.unwrap()
    }

    /// How often it has executed `command`, by its own count.
    pub(crate) async fn executed(&self, command: &str) -> u64 {
        let mut connection = self.connect().await;
        let statistics = redis::cmd("INFO").arg("commandstats").query_async(&mut connection).await;
        let statistics: String = statistics.unwrap();
        let prefix = format!("cmdstat_{}:calls=", command.to_lowercase());
        let line = statistics.lines().find_map(|line| line.strip_prefix(&prefix));
        line.map_or(0, |rest| rest.split(',').next().unwrap().parse().unwrap())
    }
}
