//! The same against kube-apiserver and etcd, where `KUBEBUILDER_ASSETS` names a folder with them (envtest's convention). There are no
//! controllers beside them, so what is looked at is what the API server itself decides: versions, patches, preconditions, dry runs.

use std::fs;
use std::path::Path;
use std::time::Duration;

use quell::model::config::Cluster;
use reqwest::Method;
use serde_json::Value;
use serde_json::json;

use crate::kubernetes::Rig;
use crate::kubernetes::done;
use crate::kubernetes::on_api;
use crate::support::certificates::Certificates;
use crate::support::process;
use crate::support::process::Process;
use crate::support::wait;

const TOKEN: &str = "hush-real-token";

/// etcd and the API server; stopped when dropped.
struct Real {
    port: u16,
    client: reqwest::Client,
    folder: tempfile::TempDir,
    _server: Process,
    _etcd: Process,
}

impl Real {
    async fn start(assets: &Path) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let base = folder.path().to_owned();
        let path = |name: &str| base.join(name).to_str().unwrap().to_owned();
        let program = |name: &str| assets.join(name).to_str().unwrap().to_owned();
        let certificates = Certificates::make(folder.path());
        process::run("openssl", &["genrsa", "-out", &path("accounts.key"), "2048"]);
        fs::write(path("tokens.csv"), format!("{TOKEN},quell,1,system:masters\n")).unwrap();
        let (clients, peers, port) = (process::port(), process::port(), process::port());
        let url = |port: u16| format!("http://127.0.0.1:{port}");
        let etcd = [
            program("etcd"),
            "--data-dir".into(),
            path("etcd"),
            "--unsafe-no-fsync".into(),
            "--listen-client-urls".into(),
            url(clients),
            "--advertise-client-urls".into(),
            url(clients),
            "--listen-peer-urls".into(),
            url(peers),
            "--initial-advertise-peer-urls".into(),
            url(peers),
            "--initial-cluster".into(),
            format!("default={}", url(peers)),
        ];
        let etcd =
            Process::start(etcd.iter().map(String::as_str), &[], &folder.path().join("etcd.log"));
        let server = [
            program("kube-apiserver"),
            format!("--etcd-servers={}", url(clients)),
            format!("--secure-port={port}"),
            "--bind-address=127.0.0.1".into(),
            "--service-cluster-ip-range=10.0.0.0/24".into(),
            format!("--tls-cert-file={}", certificates.certificate.display()),
            format!("--tls-private-key-file={}", certificates.key.display()),
            format!("--token-auth-file={}", path("tokens.csv")),
            "--authorization-mode=RBAC".into(),
            "--disable-admission-plugins=ServiceAccount".into(),
            "--service-account-issuer=https://127.0.0.1".into(),
            format!("--service-account-key-file={}", path("accounts.key")),
            format!("--service-account-signing-key-file={}", path("accounts.key")),
        ];
        let server = Process::start(
            server.iter().map(String::as_str),
            &[],
            &folder.path().join("server.log"),
        );
        let authority =
            reqwest::Certificate::from_pem(&fs::read(&certificates.authority).unwrap()).unwrap();
        let client =
            reqwest::Client::builder().no_proxy().tls_certs_only([authority]).build().unwrap();
        let this = Self { port, client, folder, _server: server, _etcd: etcd };
        wait::until("kube-apiserver is ready", Duration::from_mins(1), async || {
            match this.request(Method::GET, "/readyz").send().await {
                Ok(reply) if reply.status().is_success() => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })
        .await;
        fs::write(path("kubeconfig"), format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: real\n\
             clusters: [{{ name: real, cluster: {{ server: 'https://127.0.0.1:{port}', certificate-authority: authority.pem }} }}]\n\
             users: [{{ name: quell, user: {{ token: {TOKEN} }} }}]\n\
             contexts: [{{ name: real, context: {{ cluster: real, user: quell }} }}]\n"
        )).unwrap();
        this
    }

    fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.client
            .request(method, format!("https://127.0.0.1:{}{path}", self.port))
            .bearer_auth(TOKEN)
    }

    async fn create(&self, path: &str, object: Value) {
        let reply = self.request(Method::POST, path).json(&object).send().await.unwrap();
        let (status, text) = (reply.status(), reply.text().await.unwrap());
        assert!(status.is_success(), "{status}: {text}");
    }

    async fn get(&self, path: &str) -> Value {
        self.request(Method::GET, path).send().await.unwrap().json().await.unwrap()
    }
}

#[tokio::test]
async fn a_real_api_server_does_what_ours_does() {
    let Some(assets) = std::env::var_os("KUBEBUILDER_ASSETS") else {
        eprintln!("skipped: KUBEBUILDER_ASSETS names no folder with etcd and kube-apiserver");
        return;
    };
    let real = Real::start(Path::new(&assets)).await;
    real.create(
        "/api/v1/namespaces",
        json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "shop" } }),
    )
    .await;
    real.create("/apis/apps/v1/namespaces/shop/deployments", json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "api" },
        "spec": { "replicas": 3, "selector": { "matchLabels": { "app": "api" } }, "template": {
            "metadata": { "labels": { "app": "api" } },
            "spec": { "containers": [
                { "name": "app", "image": "api:1", "env": [{ "name": "LEVEL", "value": "info" }] },
                { "name": "proxy", "image": "proxy:1" },
            ] },
        } },
    })).await;
    real.create(
        "/api/v1/nodes",
        json!({ "apiVersion": "v1", "kind": "Node", "metadata": { "name": "node-1" } }),
    )
    .await;
    let file = real.folder.path().join("kubeconfig");
    let targets = Rig::targets_of(Cluster::Kubeconfig { file, context: None });
    let deployment = "/apis/apps/v1/namespaces/shop/deployments/api";
    let perform = async |action: &quell::model::action::Action| {
        let intent = quell::model::run::Intent {
            action: Some(action.clone()),
            timeout: Duration::from_secs(20),
            ..super::intent()
        };
        done(quell::act::perform(&intent, 1, &targets, &std::collections::BTreeMap::new()).await)
    };
    for action in [
        on_api("kubernetes.scale", &json!({ "by": 2 })),
        on_api("kubernetes.restart", &json!({})),
        on_api(
            "kubernetes.set_env",
            &json!({ "container": "app", "env": { "LEVEL": null, "MODE": "safe" } }),
        ),
        json!({ "kubernetes.cordon": { "cluster": "prod", "node": "node-1" } }),
    ] {
        let prepared =
            super::prepare(&action, &targets).await.unwrap_or_else(|outcome| panic!("{outcome:?}"));
        perform(&prepared.action).await;
        let once = (real.get(deployment).await, real.get("/api/v1/nodes/node-1").await);
        perform(&prepared.action).await;
        assert_eq!(
            (real.get(deployment).await, real.get("/api/v1/nodes/node-1").await),
            once,
            "again: {action}"
        );
    }
    let written = real.get(deployment).await;
    assert_eq!(written["spec"]["replicas"], 5);
    let containers = &written["spec"]["template"]["spec"]["containers"];
    assert_eq!(containers[0]["env"], json!([{ "name": "MODE", "value": "safe" }]));
    assert_eq!(containers.as_array().unwrap().len(), 2);
    assert_eq!(real.get("/api/v1/nodes/node-1").await["spec"]["unschedulable"], true);
}
