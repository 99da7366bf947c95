//! Proves the servers of `support`: what other tests stand on is real, and says so when it fails.

use std::io::ErrorKind;
use std::time::Duration;

use lettre::AsyncSmtpTransport;
use lettre::AsyncTransport as _;
use lettre::Message;
use lettre::Tokio1Executor;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::Certificate;
use lettre::transport::smtp::client::Tls;
use lettre::transport::smtp::client::TlsParameters;
use serde_json::Value;
use serde_json::json;
use sqlx::AnyPool;
use tokio::io::AsyncBufReadExt as _;
use tokio::io::AsyncWriteExt as _;
use tokio::io::BufReader;
use tokio::net::TcpStream;

use crate::support::alertmanager::Alertmanager;
use crate::support::http;
use crate::support::postgres;
use crate::support::process;
use crate::support::process::Process;
use crate::support::prometheus::Prometheus;
use crate::support::prometheus::Watch;
use crate::support::recorder::Answer;
use crate::support::recorder::Recorder;
use crate::support::redis::Redis;
use crate::support::shop::Fault;
use crate::support::shop::Shop;
use crate::support::smtp::Security;
use crate::support::smtp::Smtp;
use crate::support::wait;

const RULES: &str = r#"
groups:
  - name: shop
    rules:
      - alert: HighErrorRate
        expr: |
          sum(rate(shop_requests_total{status="503"}[5s])) / sum(rate(shop_requests_total[5s])) > 0.05
        labels: { severity: critical, service: shop }
        annotations: { summary: "{{ $value | humanizePercentage }} of requests fail" }
"#;

#[tokio::test]
async fn a_fault_becomes_a_webhook_and_its_end_a_resolution() {
    let shop = Shop::start().await;
    let recorder = Recorder::start().await;
    let alertmanager = Alertmanager::sending_to(&recorder.url("/hook")).await;
    let watch = Watch {
        targets: vec![("shop", shop.address())],
        rules: RULES.to_owned(),
        alertmanager: Some(alertmanager.address()),
        ..Watch::default()
    };
    let prometheus = Prometheus::start(&watch).await;
    wait::until("the healthy shop is measured", wait::PATIENCE, async || {
        match prometheus.query("shop_error_ratio").await.as_slice() {
            [(labels, value)] if *value < 0.01 && labels["job"] == "shop" => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;

    shop.inject(Fault::PoisonedCache);
    let body = recorder.received("/hook", 1).await[0].json();
    assert_eq!(body["version"], "4", "{body:#}");
    assert_eq!(body["status"], "firing");
    assert_eq!(body["receiver"], "quell");
    assert_eq!(body["truncatedAlerts"], 0);
    assert_eq!(body["commonLabels"]["alertname"], "HighErrorRate");
    assert!(body["groupKey"].as_str().unwrap().starts_with("{}:{"), "{body:#}");
    let [alert] = body["alerts"].as_array().unwrap().as_slice() else { panic!("{body:#}") };
    assert_eq!(alert["endsAt"], "0001-01-01T00:00:00Z");
    assert_eq!(alert["fingerprint"].as_str().unwrap().len(), 16);
    assert_eq!(
        alert["labels"],
        json!({ "alertname": "HighErrorRate", "service": "shop", "severity": "critical" })
    );
    assert!(alert["generatorURL"].as_str().unwrap().contains("/graph?g0.expr="), "{body:#}");

    let request = http::client().delete(shop.url("/cache"));
    assert!(request.send().await.unwrap().status().is_success());
    assert_eq!(shop.fault(), Fault::None);
    let last = wait::until("the resolution is sent", wait::PATIENCE, async || {
        let last = recorder.requests("/hook").last().unwrap().json();
        if last["status"] == "resolved" { Ok(last) } else { Err(last) }
    })
    .await;
    assert_eq!(last["alerts"][0]["fingerprint"], alert["fingerprint"]);

    prometheus.reload(&Watch { rules: RULES.replace("HighErrorRate", "Renamed"), ..watch }).await;
    shop.inject(Fault::Unfixable);
    wait::until("the reloaded rule fires", wait::PATIENCE, async || {
        match prometheus.query(r#"ALERTS{alertname="Renamed",alertstate="firing"}"#).await.len() {
            1 => Ok(()),
            other => Err(other),
        }
    })
    .await;
}

#[tokio::test]
async fn alertmanager_keeps_silences_over_a_restart_and_tells_nobody_of_silenced_alerts() {
    let recorder = Recorder::start().await;
    let mut alertmanager = Alertmanager::sending_to(&recorder.url("/hook")).await;
    let id = alertmanager.silence(&[("alertname", "Quiet")]).await;
    let quiet = json!([{ "labels": { "alertname": "Quiet" } }]);

    // Silenced before and after the restart; the loud alert's webhook proves that the quiet one had its chance.
    for (round, loud) in ["First", "Second"].into_iter().enumerate() {
        alertmanager.post(&quiet).await;
        alertmanager.post(&json!([{ "labels": { "alertname": loud } }])).await;
        let requests = recorder.received("/hook", round + 1).await;
        let told: Vec<Value> =
            requests.iter().map(|it| it.json()["commonLabels"]["alertname"].clone()).collect();
        assert_eq!(told, ["First", "Second"][..=round]);
        let alerts = alertmanager.alerts().await;
        let hidden = alerts.iter().find(|it| it["labels"]["alertname"] == "Quiet").unwrap();
        assert_eq!(hidden["status"]["state"], "suppressed");
        assert_eq!(hidden["status"]["silencedBy"], json!([id]));
        if round == 0 {
            alertmanager.stop().await;
            alertmanager.start_again().await;
            assert_eq!(alertmanager.alerts().await, Vec::<Value>::new());
        }
    }

    alertmanager.unsilence(&id).await;
    let requests = recorder.received("/hook", 3).await;
    assert_eq!(requests[2].json()["commonLabels"]["alertname"], "Quiet");
}

#[tokio::test]
async fn the_shop_is_mended_by_the_remedy_that_fits_and_by_no_other() {
    const FLUSH: &str = "DELETE /cache";
    const RESTART: &str = "POST /restart";
    let shop = Shop::start().await;
    let client = http::client();
    let act = async |what: &str| {
        let request = match what {
            FLUSH => client.delete(shop.url("/cache")),
            _ => client.post(shop.url("/restart")).header("idempotency-key", "r-1").body("{}"),
        };
        assert!(request.send().await.unwrap().status().is_success());
    };
    let mut expected = Vec::new();
    for (fault, remedy, after) in [
        (Fault::PoisonedCache, RESTART, Fault::PoisonedCache),
        (Fault::PoisonedCache, FLUSH, Fault::None),
        (Fault::LeakedPool, FLUSH, Fault::LeakedPool),
        (Fault::LeakedPool, RESTART, Fault::None),
        (Fault::Unfixable, FLUSH, Fault::Unfixable),
        (Fault::Unfixable, RESTART, Fault::Unfixable),
    ] {
        shop.inject(fault);
        act(remedy).await;
        expected.push(remedy);
        assert_eq!(shop.fault(), after, "{remedy} on {fault:?}");
    }
    let effects = shop.affected(expected.len()).await;
    assert_eq!(effects.iter().map(|it| it.request).collect::<Vec<_>>(), expected);
    assert!(effects.is_sorted_by_key(|it| it.at));
    assert_eq!(effects[0].headers["idempotency-key"], "r-1");
    assert_eq!(effects[0].body, "{}");

    // An effect is there before its answer: what a crash in the middle of a step looks like.
    shop.gate().shut();
    let mut answer = std::pin::pin!(act(RESTART));
    tokio::select! {
        () = &mut answer => panic!("answered through a shut gate"),
        effects = shop.affected(7) => assert_eq!(effects.len(), 7),
    }
    shop.gate().open();
    answer.await;

    assert_eq!(http::answers(&client, &shop.url("/health")).await, Ok(()));
    shop.set_up(false);
    assert!(http::answers(&client, &shop.url("/health")).await.is_err());
    shop.inject(Fault::LeakedPool);
    let metrics = client.get(shop.url("/metrics")).send().await.unwrap().text().await.unwrap();
    assert!(metrics.contains("\nshop_pool_connections_in_use 20\n"), "{metrics}");
    assert!(metrics.contains("\nshop_error_ratio 0.25\n"), "{metrics}");
}

#[tokio::test]
async fn the_recorder_keeps_requests_and_answers_as_told() {
    let recorder = Recorder::start().await;
    let client = http::client();
    let post = async || {
        let request = client.post(recorder.url("/a?x=1")).header("x-key", "k").json(&json!([1]));
        let reply = request.send().await.unwrap();
        let retry = reply.headers().get("retry-after").map(|it| it.to_str().unwrap().to_owned());
        (reply.status().as_u16(), retry, reply.text().await.unwrap())
    };
    let once = Answer::status(429).header("retry-after", "7").body("slow down");
    recorder.next("/a", once);
    assert_eq!(post().await, (429, Some("7".to_owned()), "slow down".to_owned()));
    assert_eq!(post().await, (200, None, "ok".to_owned()));
    recorder.always("/a", Answer::status(500));
    assert_eq!(post().await, (500, None, String::new()));
    assert_eq!(post().await.0, 500);

    let requests = recorder.received("/a", 4).await;
    assert_eq!(requests.len(), 4);
    assert_eq!(requests[0].method, "POST");
    assert_eq!(requests[0].target, "/a?x=1");
    assert_eq!((requests[0].header("x-key"), requests[0].header("absent")), ("k", ""));
    assert_eq!(requests[0].json(), json!([1]));
    assert!(recorder.requests("/b").is_empty());

    recorder.gate().shut();
    let mut answer = std::pin::pin!(post());
    tokio::select! {
        _ = &mut answer => panic!("answered through a shut gate"),
        requests = recorder.received("/a", 5) => assert_eq!(requests.len(), 5),
    }
    recorder.gate().open();
    assert_eq!(answer.await.0, 500);
}

#[tokio::test]
async fn mail_over_a_raw_socket_is_kept_and_bad_recipients_are_refused() {
    let smtp = Smtp::start(Security::Plain).await;
    let address = smtp.url().strip_prefix("smtp+plain://").unwrap();
    let mut stream = BufReader::new(TcpStream::connect(address).await.unwrap());
    let mut code = async |line: &str| {
        if !line.is_empty() {
            stream.write_all(format!("{line}\r\n").as_bytes()).await.unwrap();
        }
        let mut reply = String::new();
        stream.read_line(&mut reply).await.unwrap();
        reply.split([' ', '-']).next().unwrap().parse::<u16>().unwrap()
    };
    assert_eq!(code("").await, 220);
    assert_eq!(code("HELO test.example").await, 250);
    assert_eq!(code("MAIL FROM:<quell@example.com>").await, 250);
    assert_eq!(code("RCPT TO:<refused@example.com>").await, 550);
    assert_eq!(code("RCPT TO:<later@example.com>").await, 451);
    assert_eq!(code("RCPT TO:<dana@example.com>").await, 250);
    assert_eq!(code("DATA").await, 354);
    assert_eq!(code("Subject: hello\r\n\r\nline \"one\"\r\n.").await, 250);
    let mails = smtp.received(1).await;
    assert_eq!(mails.len(), 1);
    assert_eq!(mails[0].from, "quell@example.com");
    assert_eq!(mails[0].to, ["dana@example.com"]);
    assert_eq!(mails[0].data, "Subject: hello\r\n\r\nline \"one\"\r\n");
}

#[tokio::test]
async fn mail_over_tls_needs_the_private_authority_and_the_password() {
    for security in [Security::Tls, Security::StartTls] {
        let smtp = Smtp::start(security).await;
        let url = url::Url::parse(smtp.url()).unwrap();
        let authority = std::fs::read(smtp.authority()).unwrap();
        let send = async |authority: Option<&[u8]>, password: &str| {
            let mut tls = TlsParameters::builder("localhost".to_owned());
            if let Some(pem) = authority {
                tls = tls.add_root_certificate(Certificate::from_pem(pem).unwrap());
            }
            let tls = tls.build().unwrap();
            let tls =
                if security == Security::Tls { Tls::Wrapper(tls) } else { Tls::Required(tls) };
            let mailer = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous("localhost")
                .port(url.port().unwrap())
                .tls(tls)
                .credentials(Credentials::new(url.username().to_owned(), password.to_owned()))
                .build();
            let mail = Message::builder()
                .from("quell@example.com".parse().unwrap())
                .to("dana@example.com".parse().unwrap())
                .subject("hello")
                .body("over TLS".to_owned())
                .unwrap();
            mailer.send(mail).await
        };
        assert!(send(None, "hush-mail").await.is_err(), "{security:?}: an unknown authority");
        assert!(send(Some(&authority), "wrong").await.is_err(), "{security:?}: a wrong password");
        assert_eq!(smtp.mails(), []);
        send(Some(&authority), url.password().unwrap()).await.unwrap();
        assert!(smtp.received(1).await[0].data.ends_with("over TLS\r\n"), "{security:?}");
    }
}

#[tokio::test]
async fn redis_answers_those_who_know_the_password() {
    let server = Redis::start().await;
    let mut connection = server.connect().await;
    let pong: String = redis::cmd("PING").query_async(&mut connection).await.unwrap();
    assert_eq!(pong, "PONG");
    let stranger = server.url().replace("hush-redis", "wrong");
    let stranger = redis::Client::open(stranger).unwrap();
    assert!(stranger.get_multiplexed_async_connection().await.is_err());
}

#[tokio::test]
async fn each_postgres_database_is_new_and_empty() {
    sqlx::any::install_default_drivers();
    for _ in 0..2 {
        let url = postgres::database().await;
        let pool = AnyPool::connect(&url).await.unwrap();
        sqlx::query("CREATE TABLE runs (id BIGINT)").execute(&pool).await.unwrap();
        sqlx::query("INSERT INTO runs VALUES ($1)").bind(7_i64).execute(&pool).await.unwrap();
        let ids: Vec<i64> =
            sqlx::query_scalar("SELECT id FROM runs").fetch_all(&pool).await.unwrap();
        assert_eq!(ids, [7]);
        pool.close().await;
    }
}

#[tokio::test]
async fn a_process_and_its_children_end_when_it_is_dropped_or_its_test_is_killed() {
    for killed in [false, true] {
        let folder = tempfile::TempDir::new().unwrap();
        let log = folder.path().join("log");
        let environment = [("SECONDS_TO_LIVE".to_owned(), "600".to_owned())];
        let script = "sleep $SECONDS_TO_LIVE & echo $$ $!; wait";
        let mut process = Process::start(["sh", "-c", script], &environment, &log);
        let pids = wait::until("both are running", wait::PATIENCE, async || {
            let text = process.log();
            if text.ends_with('\n') { Ok(text) } else { Err(text) }
        })
        .await;
        let alive = |pid: &str| match std::fs::read_to_string(format!("/proc/{pid}/stat")) {
            Ok(stat) => !stat.contains(") Z "),
            Err(e) if e.kind() == ErrorKind::NotFound => false,
            Err(e) => panic!("{e}"),
        };
        let pids: Vec<&str> = pids.split_whitespace().collect();
        assert!(pids.len() == 2 && pids.iter().all(|pid| alive(pid)), "{pids:?}");
        if killed {
            process.abandon();
        } else {
            process.kill();
        }
        wait::until("both are gone", Duration::from_secs(5), async || {
            let left: Vec<_> = pids.iter().filter(|pid| alive(pid)).collect();
            if left.is_empty() { Ok(()) } else { Err(left.len()) }
        })
        .await;
    }
}

#[tokio::test]
async fn a_process_that_is_asked_to_end_gives_its_exit_code() {
    let folder = tempfile::TempDir::new().unwrap();
    let script = "trap 'exit 7' TERM; echo ready; while :; do sleep 0.05; done";
    let mut process = Process::start(["sh", "-c", script], &[], &folder.path().join("log"));
    let log = folder.path().join("log");
    let says_ready = async || match std::fs::read_to_string(&log) {
        Ok(text) if text == "ready\n" => Ok(()),
        other => Err(format!("{other:?}")),
    };
    process.ready(says_ready).await;
    assert_eq!(process.terminate().await.code(), Some(7));
    assert!(process.log().starts_with("ready\n"));
}

#[test]
fn a_port_is_never_given_twice_at_a_time() {
    let mut ports: Vec<u16> = (0..200).map(|_| process::port()).collect();
    for port in &ports {
        std::net::TcpListener::bind(("127.0.0.1", *port)).unwrap();
    }
    ports.sort_unstable();
    ports.dedup();
    assert_eq!(ports.len(), 200);
}
