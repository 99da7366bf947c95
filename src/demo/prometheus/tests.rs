use std::os::unix::fs::PermissionsExt;

use axum::Json;
use axum::Router;
use axum::routing::post;
use serde_json::Value;
use serde_json::json;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::*;
use crate::demo::files::Facts;
use crate::demo::files::Folder;
use crate::demo::files::Watcher;
use crate::demo::shop::Fault;
use crate::net;
use crate::net::Call;

#[test]
fn programs_are_found_under_either_name_and_only_when_they_can_be_run() {
    let folder = tempfile::tempdir().unwrap();
    let folders = [PathBuf::from("/nonexistent"), folder.path().to_owned()];
    let put = |name: &str, mode| {
        let path = folder.path().join(name);
        std::fs::write(&path, "").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        path
    };
    let missing = || Programs::find_in(&folders).unwrap_err().message;
    assert_eq!(missing(), "no prometheus in PATH");
    put("prometheus", 0o644);
    assert_eq!(missing(), "no prometheus in PATH");
    let prometheus = put("prometheus", 0o755);
    assert_eq!(missing(), "no prometheus-alertmanager or alertmanager in PATH");
    let alertmanager = put("alertmanager", 0o755);
    assert_eq!(Programs::find_in(&folders).unwrap(), Programs { prometheus, alertmanager });
}

/// A server of the test's own; it ends with `tasks`.
async fn serve(router: Router, tasks: &mut JoinSet<()>) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tasks.spawn(async move { axum::serve(listener, router).await.unwrap() });
    address
}

#[tokio::test]
async fn a_poisoned_shop_makes_the_real_alertmanager_post_to_quell() {
    let programs = Programs::find().expect("tests/install.sh installs them");
    let mut tasks = JoinSet::new();
    let (posted, mut posts) = mpsc::unbounded_channel();
    let receive = move |Json(body): Json<Value>| {
        let posted = posted.clone();
        async move { drop(posted.send(body)) }
    };
    let quell = Router::new().route("/api/v1/webhook/alertmanager", post(receive));
    let quell = serve(quell, &mut tasks).await;

    let folder = Folder::create().unwrap();
    let port_file = folder.path().join("port");
    let shop = crate::demo::shop::Options {
        port_file: port_file.clone(),
        port: 0,
        rate: 100,
        partner_failures: 0,
        lifeline: None,
    };
    tasks.spawn(async move { crate::demo::shop::serve(shop).await.unwrap() });
    let port = async {
        loop {
            let text = std::fs::read_to_string(&port_file).unwrap_or_default();
            if let Ok(port) = text.trim().parse::<u16>() {
                return port;
            }
            tokio::task::yield_now().await;
        }
    };
    let port = tokio::time::timeout(Duration::from_secs(10), port).await.expect("a port");
    let shop = SocketAddr::from((Ipv4Addr::LOCALHOST, port));

    let (prometheus, alertmanager) = (free_address().unwrap(), free_address().unwrap());
    let watched_by = Watcher::Prometheus { prometheus, alertmanager };
    let facts = Facts { quell, shop, restart: vec!["true".into()], watched_by };
    let (prometheus_file, alertmanager_file) = folder.write(&facts).unwrap().watcher.unwrap();
    let monitoring = Monitoring::start(
        &programs,
        folder.path(),
        (&prometheus_file, prometheus),
        (&alertmanager_file, alertmanager),
    )
    .await
    .unwrap();

    Fault::PoisonedCacheOnce.inject(shop).await.unwrap();
    let mut next = async || {
        let body = tokio::time::timeout(Duration::from_mins(1), posts.recv()).await;
        body.expect("a post within a minute").unwrap()
    };
    let firing = next().await;
    assert_eq!(firing["status"], "firing");
    let labels = json!({ "alertname": "HighErrorRate", "service": "shop", "severity": "critical" });
    assert_eq!(firing["alerts"][0]["labels"], labels);

    let flush = format!("http://{shop}/cache");
    let flush = Call { method: "DELETE", ..Call::get(&flush, Duration::from_secs(5)) };
    assert!(net::send(flush).await.unwrap().is_success());
    let resolved = async { while next().await["status"] != "resolved" {} };
    tokio::time::timeout(Duration::from_mins(1), resolved).await.expect("resolved");
    monitoring.stop().await;
    let ready = format!("http://{prometheus}/-/ready");
    assert!(net::send(Call::get(&ready, Duration::from_secs(5))).await.is_err(), "it is gone");
}
