//! An API server of Kubernetes on the wire, in memory, with the controllers that a cluster has.
//!
//! It speaks HTTPS on loopback to who has its token (or its client certificate), and is as strict as the real one where quell relies on
//! it: versions on PUT, preconditions of UIDs, the three kinds of patch, dry runs that store nothing, budgets that refuse
//! evictions, generations that controllers observe. A Deployment gets replica sets with revisions and pods; a pod is ready at
//! once, unless its image [breaks](ApiServer::breaks). What it does not have: watches, other resources than those that quell uses,
//! admission, and time.
//!
//! ```ignore
//! let cluster = ApiServer::start().await;
//! cluster.deployment("shop", "api", 3, "api:1");
//! let kubeconfig = cluster.kubeconfig();                   // a file: `targets.kubernetes.prod.kubeconfig`
//! cluster.inject("PUT", "/scale", 1, Fault::DropAfter);    // written, and no answer
//! assert_eq!(cluster.get("deployments", "shop", "api")["spec"]["replicas"], 3);
//! assert_eq!(cluster.writes().len(), 0);
//! ```

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;

use serde_json::Value;
use serde_json::json;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::RootCertStore;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::server::WebPkiClientVerifier;

use crate::support::certificates::Certificates;
use crate::support::process;

mod controllers;
mod objects;
mod patch;
mod wire;

use objects::Objects;

/// The token of the kubeconfig: no text that people see may hold it.
pub(crate) const TOKEN: &str = "hush-cluster-token";

/// The server; its connections end when it is dropped.
#[derive(Debug)]
pub(crate) struct ApiServer {
    address: SocketAddr,
    shared: Arc<Shared>,
    certificates: Certificates,
    folder: TempDir,
    _accepting: JoinSet<()>,
}

/// A request as it came.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Seen {
    /// `GET`, …
    pub(crate) method: String,
    /// Decoded.
    pub(crate) path: String,
    /// Decoded.
    pub(crate) query: BTreeMap<String, String>,
    /// `application/merge-patch+json`, …
    pub(crate) content_type: String,
    /// `null` when there is none.
    pub(crate) body: Value,
}

impl Seen {
    /// Whether it changes something.
    pub(crate) fn is_write(&self) -> bool {
        self.method != "GET"
    }

    /// Whether it only pretends to.
    pub(crate) fn is_dry(&self) -> bool {
        self.query.contains_key("dryRun")
    }
}

/// What goes wrong with a request.
#[derive(Debug, Clone)]
pub(crate) enum Fault {
    /// It is read, and nothing happens, ever.
    Hang,
    /// It is carried out, and the answer never comes.
    HangAfter,
    /// The connection is closed before it is looked at.
    DropBefore,
    /// It is carried out, and the connection is closed without an answer.
    DropAfter,
    /// It is not carried out.
    Answer(Refused),
}

/// A `Status` that says no.
#[derive(Debug, Clone)]
pub(crate) struct Refused {
    status: u16,
    reason: String,
    message: String,
    details: Value,
}

impl Refused {
    /// HTTP status, reason (`Conflict`) and message.
    pub(crate) fn new(status: u16, reason: &str, message: &str) -> Self {
        Self { status, reason: reason.into(), message: message.into(), details: json!({}) }
    }

    /// The server says when to come again.
    pub(crate) fn after(mut self, seconds: u32) -> Self {
        self.details["retryAfterSeconds"] = seconds.into();
        self
    }

    fn bad(message: &str) -> Self {
        Self::new(400, "BadRequest", message)
    }

    fn body(&self) -> Value {
        json!({
            "apiVersion": "v1", "kind": "Status", "metadata": {}, "status": "Failure", "code": self.status,
            "reason": self.reason, "message": self.message, "details": self.details,
        })
    }
}

#[derive(Debug)]
struct Shared(Mutex<Inner>);

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap()
    }
}

#[derive(Debug)]
struct Inner {
    objects: Objects,
    tokens: Vec<String>,
    requests: Vec<Seen>,
    writes: Vec<Seen>,
    faults: Vec<(String, String, u32, Fault)>,
    forbidden: Vec<(String, String)>,
    turned_away: bool,
    rival: Option<Rival>,
}

/// Another client that writes once, immediately before a request is looked at.
#[derive(Debug)]
struct Rival {
    method: String,
    part: String,
    key: objects::Key,
    change: fn(&mut Value),
}

impl Inner {
    fn rival(&mut self, seen: &Seen) {
        let meant = |it: &mut Rival| it.method == seen.method && seen.path.contains(&it.part);
        if let Some(rival) = self.rival.take_if(meant) {
            let mut object = self.objects.all[&rival.key].clone();
            (rival.change)(&mut object);
            self.objects.store(&rival.key, object);
            self.objects.settle();
        }
    }

    /// The fault for this request, once less from now on.
    fn fault(&mut self, seen: &Seen) -> Option<Fault> {
        let found = self.faults.iter_mut().find(|(method, part, left, _)| {
            *left > 0 && *method == seen.method && seen.path.contains(part.as_str())
        });
        found.map(|(.., left, fault)| {
            *left -= 1;
            fault.clone()
        })
    }

    fn forbidden(&self, seen: &Seen) -> Option<Refused> {
        let mut rules = self.forbidden.iter();
        let found =
            rules.any(|(method, part)| *method == seen.method && seen.path.contains(part.as_str()));
        found.then(|| {
            let message = format!("User \"quell\" cannot {} {}", seen.method, seen.path);
            Refused::new(403, "Forbidden", &message)
        })
    }
}

impl ApiServer {
    /// An empty cluster of two nodes, `node-1` and `node-2`.
    pub(crate) async fn start() -> Self {
        let folder = TempDir::new().unwrap();
        let certificates = Certificates::make(folder.path());
        let acceptor = TlsAcceptor::from(Arc::new(tls(&certificates)));
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let inner = Inner {
            objects: Objects::default(),
            tokens: vec![TOKEN.to_owned()],
            requests: Vec::new(),
            writes: Vec::new(),
            faults: Vec::new(),
            forbidden: Vec::new(),
            turned_away: false,
            rival: None,
        };
        let shared = Arc::new(Shared(Mutex::new(inner)));
        let mut accepting = JoinSet::new();
        accepting.spawn(wire::accept(listener, acceptor, Arc::clone(&shared)));
        let this = Self { address, shared, certificates, folder, _accepting: accepting };
        for node in ["node-1", "node-2"] {
            this.create("nodes", json!({ "metadata": { "name": node }, "spec": {} }));
        }
        this.kubeconfig_with(TOKEN);
        this
    }

    /// A kubeconfig file with the token: its path.
    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.folder.path().join("kubeconfig")
    }

    /// Writes the kubeconfig file anew, with another token.
    pub(crate) fn kubeconfig_with(&self, token: &str) {
        self.write_kubeconfig("kubeconfig", &format!("{{ token: {token} }}"));
    }

    /// Writes another kubeconfig file whose user is this YAML; gives back its path.
    pub(crate) fn write_kubeconfig(&self, name: &str, user: &str) -> PathBuf {
        let text = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: prod\n\
             clusters:\n- name: prod\n  cluster:\n    server: https://{}\n    certificate-authority: authority.pem\n\
             users:\n- name: quell\n  user: {user}\n\
             contexts:\n- name: prod\n  context: {{ cluster: prod, user: quell }}\n",
            self.address
        );
        let path = self.folder.path().join(name);
        fs::write(&path, text).unwrap();
        path
    }

    /// A client certificate and its key, which the server accepts: paths beside the kubeconfig.
    pub(crate) fn client_certificate(&self) -> (PathBuf, PathBuf) {
        let path = |name: &str| self.folder.path().join(name).to_str().unwrap().to_owned();
        let (key, request, certificate) =
            (path("client.key"), path("client.csr"), path("client.pem"));
        let extensions = path("client.ext");
        fs::write(&extensions, "basicConstraints=critical,CA:FALSE\n").unwrap();
        let new_key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
        process::run(
            "openssl",
            &[&["req", "-subj", "/CN=quell"], &new_key[..], &["-keyout", &key, "-out", &request]]
                .concat(),
        );
        process::run(
            "openssl",
            &[
                "x509",
                "-req",
                "-days",
                "1",
                "-in",
                &request,
                "-CA",
                self.certificates.authority.to_str().unwrap(),
                "-CAkey",
                &path("authority.key"),
                "-CAcreateserial",
                "-extfile",
                &extensions,
                "-out",
                &certificate,
            ],
        );
        (certificate.into(), key.into())
    }

    /// Tokens that are good from now on.
    pub(crate) fn accepts(&self, tokens: &[&str]) {
        self.lock().tokens = tokens.iter().map(ToString::to_string).collect();
    }

    /// From now on this user may not do `method` where the path holds `part`.
    pub(crate) fn forbid(&self, method: &str, part: &str) {
        self.lock().forbidden.push((method.into(), part.into()));
    }

    /// The next `times` requests of this method, where the path holds `part`, go wrong.
    pub(crate) fn inject(&self, method: &str, part: &str, times: u32, fault: Fault) {
        self.lock().faults.push((method.into(), part.into(), times, fault));
    }

    /// Whether connections are closed as soon as they are made, before any request.
    pub(crate) fn turns_away(&self, away: bool) {
        self.lock().turned_away = away;
    }

    /// Whether controllers rest: what is written is not done, and no status changes.
    pub(crate) fn hold_controllers(&self, held: bool) {
        let mut inner = self.lock();
        inner.objects.held = held;
        inner.objects.settle();
    }

    /// Whether deleted pods stay, ending, until [`Self::end_pods`].
    pub(crate) fn pods_linger(&self, lingering: bool) {
        self.lock().objects.lingering = lingering;
    }

    /// Pods that are ending are gone.
    pub(crate) fn end_pods(&self) {
        let mut inner = self.lock();
        inner.objects.all.retain(|_, object| object["metadata"]["deletionTimestamp"].is_null());
        inner.objects.settle();
    }

    /// Pods of this image do not become ready.
    pub(crate) fn breaks(&self, image: &str) {
        self.lock().objects.broken_images.insert(image.to_owned());
    }

    /// What containers of pods with this prefix have printed.
    pub(crate) fn prints(&self, pods: &str, text: &str) {
        self.lock().objects.logs.insert(pods.to_owned(), text.to_owned());
    }

    /// Creates an object as a person would; controllers see it at once.
    pub(crate) fn create(&self, resource: &str, object: Value) -> Value {
        let mut inner = self.lock();
        let created = inner.objects.create(resource, object);
        inner.objects.settle();
        let key = objects::key_of(resource, &created);
        inner.objects.all[&key].clone()
    }

    /// Creates a Deployment with one container, `app`; its pods have the label `app: NAME`.
    pub(crate) fn deployment(
        &self,
        namespace: &str,
        name: &str,
        replicas: u32,
        image: &str,
    ) -> Value {
        self.create("deployments", workload(namespace, name, replicas, image))
    }

    /// Creates a workload of another sort (`statefulsets` or `daemonsets`) as [`Self::deployment`] does.
    pub(crate) fn set(&self, resource: &str, namespace: &str, name: &str, replicas: u32) -> Value {
        self.create(resource, workload(namespace, name, replicas, "app:1"))
    }

    /// Creates a budget for pods with `app: NAME` that allows so many disruptions.
    pub(crate) fn budget(&self, namespace: &str, name: &str, allowed: u32) -> Value {
        self.create(
            "poddisruptionbudgets",
            json!({
                "metadata": { "namespace": namespace, "name": format!("{name}-{allowed}") },
                "spec": { "selector": { "matchLabels": { "app": name } } },
                "status": { "disruptionsAllowed": allowed },
            }),
        )
    }

    /// Changes an object as another client would.
    pub(crate) fn change(
        &self,
        resource: &str,
        namespace: &str,
        name: &str,
        change: impl FnOnce(&mut Value),
    ) {
        let mut inner = self.lock();
        let key = (resource.to_owned(), namespace.to_owned(), name.to_owned());
        let mut object = inner.objects.all[&key].clone();
        change(&mut object);
        inner.objects.store(&key, object);
        inner.objects.settle();
    }

    /// Changes an object as another client would, immediately before the next request of this method where the path holds `part`.
    pub(crate) fn change_before(
        &self,
        method: &str,
        part: &str,
        resource: &str,
        namespace: &str,
        name: &str,
        change: fn(&mut Value),
    ) {
        let key = (resource.to_owned(), namespace.to_owned(), name.to_owned());
        self.lock().rival = Some(Rival { method: method.into(), part: part.into(), key, change });
    }

    /// Removes an object as another client would.
    pub(crate) fn remove(&self, resource: &str, namespace: &str, name: &str) {
        let mut inner = self.lock();
        inner.objects.all.remove(&(resource.to_owned(), namespace.to_owned(), name.to_owned()));
        inner.objects.settle();
    }

    /// An object as it is; panics when there is none.
    pub(crate) fn get(&self, resource: &str, namespace: &str, name: &str) -> Value {
        let key = (resource.to_owned(), namespace.to_owned(), name.to_owned());
        self.lock().objects.all[&key].clone()
    }

    /// All objects of a resource in a namespace (empty: in all).
    pub(crate) fn list(&self, resource: &str, namespace: &str) -> Vec<Value> {
        self.lock().objects.list(resource, namespace, "", "")
    }

    /// Names and UIDs of the pods of a namespace.
    pub(crate) fn pods(&self, namespace: &str) -> Vec<(String, String)> {
        let text =
            |object: &Value, field: &str| object["metadata"][field].as_str().unwrap().to_owned();
        self.list("pods", namespace)
            .iter()
            .map(|pod| (text(pod, "name"), text(pod, "uid")))
            .collect()
    }

    /// Everything that was asked so far.
    pub(crate) fn requests(&self) -> Vec<Seen> {
        self.lock().requests.clone()
    }

    /// Everything that was changed so far by requests; dry runs and what was refused are not among it.
    pub(crate) fn writes(&self) -> Vec<Seen> {
        self.lock().writes.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.shared.lock()
    }
}

fn workload(namespace: &str, name: &str, replicas: u32, image: &str) -> Value {
    json!({
        "metadata": { "namespace": namespace, "name": name, "labels": { "app": name }, "annotations": {} },
        "spec": {
            "replicas": replicas, "selector": { "matchLabels": { "app": name } },
            "template": {
                "metadata": { "labels": { "app": name } },
                "spec": { "containers": [{
                    "name": "app", "image": image, "env": [{ "name": "LEVEL", "value": "info" }],
                }] },
            },
        },
    })
}

fn tls(certificates: &Certificates) -> ServerConfig {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(&certificates.authority).unwrap()).unwrap();
    let clients =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
    let clients = clients.allow_unauthenticated().build().unwrap();
    let chain = vec![CertificateDer::from_pem_file(&certificates.certificate).unwrap()];
    let key = PrivateKeyDer::from_pem_file(&certificates.key).unwrap();
    let builder = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap();
    builder.with_client_cert_verifier(clients).with_single_cert(chain, key).unwrap()
}
