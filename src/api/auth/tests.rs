use crate::api::testing::Quell;
use crate::api::testing::config;
use crate::model::config::Config;

const INCIDENTS: &str = "/api/v1/incidents";

#[tokio::test]
async fn reading_is_for_this_machine_and_for_operators() {
    let quell = Quell::configured(config()).await;
    let proxied = ("x-forwarded-for", "203.0.113.7");
    for (headers, expected) in [
        (vec![], 200),
        (vec![("host", "localhost:9797")], 200),
        (vec![("host", "[::1]:9797")], 200),
        (vec![("host", "quell.example.com")], 200),
        (vec![("host", "127.0.0.1.evil.example")], 401),
        (vec![("host", "evil.example:9797")], 401),
        (vec![proxied], 401),
        (vec![proxied, ("authorization", "Bearer dana-token")], 200),
        (vec![proxied, ("authorization", "Bearer erin-token")], 200),
        (vec![("authorization", "Bearer wrong")], 401),
        (vec![("authorization", "Basic ZGFuYTpkYW5hLXRva2Vu")], 401),
    ] {
        let reply = quell.send("GET", INCIDENTS, &headers, "").await;
        assert_eq!(reply.status, expected, "{headers:?}: {}", reply.text);
        assert!(!reply.text.contains("token\""), "no token is echoed");
    }
    let reply = quell.send("GET", INCIDENTS, &[proxied], "").await;
    assert_eq!(reply.header("www-authenticate"), "Bearer realm=\"quell\"");
    insta::assert_snapshot!(reply.problem(), @"401 /errors/Q0505 credentials needed: reading needs an operator (`Authorization: Bearer` with the token of one of operators in quell.yml) or a request from this machine: the header x-forwarded-for says that a proxy forwarded it");
}

#[tokio::test]
async fn acting_needs_a_token_even_on_this_machine() {
    let quell = Quell::configured(config()).await;
    for path in [
        "/api/v1/incidents/i-1/ack",
        "/api/v1/runs/r-1/approve",
        "/api/v1/runs/r-1/reject",
        "/api/v1/runs/r-1/cancel",
        "/api/v1/runs/r-1/answer",
        "/api/v1/pause",
        "/api/v1/resume",
    ] {
        assert_eq!(quell.send("POST", path, &[], "{}").await.status, 401, "{path}");
    }
    let reply = quell.send("POST", "/api/v1/pause", &[], r#"{"scope":"all"}"#).await;
    insta::assert_snapshot!(reply.problem(), @"401 /errors/Q0505 credentials needed: acting needs an operator: send `Authorization: Bearer` with the token of one of operators in quell.yml");
    assert!(quell.state.store.pauses().await.unwrap().is_empty());
}

#[tokio::test]
async fn without_an_operators_token_nobody_may_act() {
    let quell = Quell::configured(Config { operators: Vec::new(), ..config() }).await;
    let reply = quell.post("/api/v1/pause", r#"{"scope":"all"}"#).await;
    insta::assert_snapshot!(reply.problem(), @"403 /errors/Q0506 not allowed: nobody may act over HTTP: add an operator with a token to quell.yml");
    assert_eq!(quell.get(INCIDENTS).await.status, 200, "this machine still reads");
}

#[tokio::test]
async fn a_web_page_cannot_drain_through_a_browser_on_this_machine() {
    let quell = Quell::configured(config()).await;
    let page = [("origin", "http://evil.example")];
    assert_eq!(quell.send("POST", "/admin/drain", &page, "").await.status, 401);
    assert!(!quell.state.wake.draining.load(std::sync::atomic::Ordering::Acquire));
    assert_eq!(quell.send("POST", "/admin/drain", &[], "").await.status, 200);
}
