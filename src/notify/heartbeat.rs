//! One heartbeat to a dead man's switch such as Healthchecks or Dead Man's Snitch.

use std::time::Duration;

use super::Sent;
use crate::model::config::Heartbeat;
use crate::net;
use crate::net::Call;
use crate::net::Limit;

/// Longest time for an answer.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Largest part of an answer that is read, in bytes.
const MAX_ANSWER: usize = 4 << 10;

/// Scheme, host and port of a URL: what of it may be shown.
pub fn place(url: &str) -> String {
    net::place(url)
}

/// Sends one. Any 2xx means that it was taken; a redirect does not, since nobody knows what is behind it. Neither the URL nor
/// what is answered is shown: both may hold the key of the switch.
pub async fn beat(heartbeat: &Heartbeat) -> Sent {
    let url = heartbeat.url.reveal();
    let headers = heartbeat.headers.iter();
    let call = Call {
        method: heartbeat.method,
        body: (heartbeat.method == "POST").then(Vec::new),
        headers: headers.map(|(name, value)| (name.as_str(), value.reveal())).collect(),
        limit: Limit::Cut(MAX_ANSWER),
        ..Call::get(url, TIMEOUT)
    };
    let place = place(url);
    match net::send(call).await {
        Ok(answer) if answer.is_success() => Sent::Delivered,
        Ok(answer) => Sent::retry(format!("{place} answered {}", answer.status)),
        Err(failure) => Sent::retry(format!("{place}: {failure}")),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::testing::Server;
    use super::*;
    use crate::model::config::Secret;

    fn heartbeat(url: &str, method: &'static str) -> Heartbeat {
        let headers = BTreeMap::from([("x-key".to_owned(), Secret::new("hush-key"))]);
        Heartbeat { url: Secret::new(url), method, every: Duration::from_mins(1), headers }
    }

    #[tokio::test]
    async fn a_heartbeat_is_taken_by_any_2xx_and_by_nothing_else() {
        for (status, taken) in [(200, true), (204, true), (302, false), (404, false), (500, false)]
        {
            let server = Server::answering(status, &[], "hush-answer").await;
            let url = format!("{}/ping/hush-uuid", server.url);
            for method in ["POST", "GET"] {
                match beat(&heartbeat(&url, method)).await {
                    Sent::Delivered => assert!(taken, "{status}"),
                    Sent::Retry { reason, .. } => {
                        assert!(!taken, "{status}: {reason}");
                        assert!(reason.ends_with(&format!(" answered {status}")), "{reason}");
                        assert!(!reason.contains("hush"), "{reason}");
                    }
                    refused @ Sent::Refused { .. } => panic!("{refused:?}"),
                }
            }
        }
    }

    #[tokio::test]
    async fn a_switch_that_is_away_is_named_by_its_host_alone() {
        let sent = beat(&heartbeat("http://127.0.0.1:1/ping/hush-uuid", "POST")).await;
        let Sent::Retry { reason, .. } = sent else { panic!("{sent:?}") };
        assert_eq!(reason, "http://127.0.0.1:1: connection refused");
    }
}
