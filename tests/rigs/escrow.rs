//! The escrow job platform: its API as a Deployment of an API server of Kubernetes, whose releases and pods its metrics follow, a
//! real `PostgreSQL` with its jobs and Prisma's migrations, a real Redis, its admin endpoints, and a registry of images.

use std::sync::Arc;
use std::sync::Mutex;

use axum::Json;
use axum::Router;
use axum::extract::Path;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use axum::routing::post;
use serde_json::Value;
use serde_json::json;
use sqlx::Connection as _;
use sqlx::PgConnection;
use sqlx::Row as _;
use tokio::time::Instant;

use crate::rigs::site::Plan;
use crate::rigs::stand;
use crate::rigs::stand::Effects;
use crate::support::apiserver::ApiServer;
use crate::support::http::Served;
use crate::support::postgres;
use crate::support::redis::Redis;

/// What runs at the beginning.
pub(crate) const GOOD: &str = "1.8.0";
/// What fails a fifth of its requests.
pub(crate) const BAD: &str = "1.9.0";
/// What quell shows the admin endpoints.
const TOKEN: &str = "hush-escrow-admin-0123456789";
const REQUESTS_PER_SECOND: f64 = 100.0;

/// Tables of the platform that the runbook names.
const SCHEMA: &str = r#"
CREATE TABLE "Job" (id text PRIMARY KEY, "escrowPending" boolean NOT NULL, "escrowDeployed" boolean NOT NULL);
CREATE TABLE "Event" (id bigserial PRIMARY KEY, type text NOT NULL, metadata jsonb NOT NULL);
CREATE TABLE _prisma_migrations (id text PRIMARY KEY, started_at timestamptz NOT NULL, finished_at timestamptz, rolled_back_at timestamptz);
INSERT INTO _prisma_migrations VALUES ('first', now() - interval '1 day', now() - interval '1 day', NULL);
"#;

/// The platform.
#[derive(Debug)]
pub(crate) struct Escrow {
    served: Served,
    platform: Arc<Platform>,
}

#[derive(Debug)]
struct Platform {
    cluster: ApiServer,
    redis: Redis,
    database: String,
    effects: Effects,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    /// Cores that all pods together need.
    load: f64,
    /// Whether the chain takes no deployment, however often it is sent.
    chain_stuck: bool,
    succeeded: f64,
    failed: f64,
    used: f64,
    counted_until: Instant,
}

impl Escrow {
    /// Healthy, with two pods.
    pub(crate) async fn start() -> Self {
        let cluster = ApiServer::start().await;
        cluster.deployment("escrow", "escrow-api", 2, &image(GOOD));
        let inner = Inner {
            load: 0.4,
            chain_stuck: false,
            succeeded: 0.0,
            failed: 0.0,
            used: 0.0,
            counted_until: Instant::now(),
        };
        let (redis, database) = (Redis::start().await, postgres::database().await);
        let platform = Arc::new(Platform {
            cluster,
            redis,
            database,
            effects: Effects::new(),
            inner: Mutex::new(inner),
        });
        sqlx::raw_sql(SCHEMA).execute(&mut platform.connect().await).await.unwrap();
        let router = Router::new()
            .route("/metrics", get(metrics))
            .route("/api/admin/health", get(async || StatusCode::OK))
            .route("/api/admin/jobs/{job}/escrow", get(state))
            .route("/api/admin/jobs/{job}/escrow/retry", post(retry))
            .route("/api/admin/jobs/{job}/escrow/rollback", post(rollback))
            .route("/v2/escrow-api/manifests/{tag}", get(manifest))
            .with_state(Arc::clone(&platform));
        Self { served: Served::start(router).await, platform }
    }

    /// The runbook's site with this platform in it.
    pub(crate) fn plan(&self) -> Plan {
        let kubeconfig = self.platform.cluster.kubeconfig();
        Plan::of("escrow")
            .replacing("/etc/quell/escrow.kubeconfig", kubeconfig.to_str().unwrap())
            .replacing("registry.escrow.svc:5000", &self.served.address())
            .replacing("host: ops.example.com,", "host: 127.0.0.1, port: 1,")
            .env("QUELL_ESCROW_DATABASE_URL", &self.platform.database)
            .env("QUELL_ESCROW_REDIS_URL", self.platform.redis.url())
            .env("QUELL_ESCROW_ADMIN_URL", &self.served.url(""))
            .env("QUELL_ESCROW_ADMIN_TOKEN", TOKEN)
            .scraping("escrow-api", self.served.address())
            .scraping("escrow-health", self.served.address())
    }

    /// A version is deployed, as the pipeline does.
    pub(crate) fn deploy(&self, version: &str) {
        self.platform.cluster.change("deployments", "escrow", "escrow-api", |it| {
            it["spec"]["template"]["spec"]["containers"][0]["image"] = image(version).into();
        });
    }

    /// All pods together need so many cores; each may use one.
    pub(crate) fn load(&self, cores: f64) {
        self.platform.inner.lock().unwrap().load = cores;
    }

    /// The chain takes no deployment of an escrow from now on.
    pub(crate) fn chain_is_stuck(&self) {
        self.platform.inner.lock().unwrap().chain_stuck = true;
    }

    /// The escrow of a job was sent to the chain, and is pending.
    pub(crate) async fn pending(&self, job: &str) {
        let insert = r#"INSERT INTO "Job" VALUES ($1, true, false)"#;
        let mut connection = self.platform.connect().await;
        sqlx::query(insert).bind(job).execute(&mut connection).await.unwrap();
    }

    /// A migration was done a moment ago.
    pub(crate) async fn migrated(&self) {
        let insert = "INSERT INTO _prisma_migrations VALUES ('second', now(), now(), NULL)";
        sqlx::query(insert).execute(&mut self.platform.connect().await).await.unwrap();
    }

    /// Events of the platform: `escrow.rollback {"by": "quell", …}`.
    pub(crate) async fn events(&self) -> Vec<String> {
        let select = r#"SELECT type || ' ' || metadata::text FROM "Event" ORDER BY id"#;
        let rows = sqlx::query(select).fetch_all(&mut self.platform.connect().await).await.unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    }

    /// Whether the escrow of a job is pending, and whether it is deployed.
    pub(crate) async fn flags(&self, job: &str) -> (bool, bool) {
        let select = r#"SELECT "escrowPending", "escrowDeployed" FROM "Job" WHERE id = $1"#;
        let mut connection = self.platform.connect().await;
        let row = sqlx::query(select).bind(job).fetch_one(&mut connection).await.unwrap();
        (row.get(0), row.get(1))
    }

    /// Requests to the admin endpoints that change something.
    pub(crate) fn effects(&self) -> &Effects {
        &self.platform.effects
    }

    /// The version that runs, and in how many pods.
    pub(crate) fn runs(&self) -> (String, u64) {
        self.platform.runs()
    }
}

fn image(version: &str) -> String {
    format!("escrow-api:{version}")
}

impl Platform {
    async fn connect(&self) -> PgConnection {
        PgConnection::connect(&self.database).await.unwrap()
    }

    fn runs(&self) -> (String, u64) {
        let deployment = self.cluster.get("deployments", "escrow", "escrow-api");
        let image = &deployment["spec"]["template"]["spec"]["containers"][0]["image"];
        let version = image.as_str().unwrap().rsplit(':').next().unwrap().to_owned();
        (version, deployment["spec"]["replicas"].as_u64().unwrap())
    }
}

async fn metrics(State(platform): State<Arc<Platform>>) -> String {
    let (version, pods) = platform.runs();
    let mut pending = Vec::new();
    let select = r#"SELECT id, "escrowPending" FROM "Job""#;
    for row in sqlx::query(select).fetch_all(&mut platform.connect().await).await.unwrap() {
        let series = format!(r#"escrow_pending{{job_id="{}"}}"#, row.get::<String, _>(0));
        pending.push((series, f64::from(u8::from(row.get::<bool, _>(1)))));
    }
    let mut inner = platform.inner.lock().unwrap();
    let now = Instant::now();
    let seconds = now.duration_since(inner.counted_until).as_secs_f64();
    inner.counted_until = now;
    let failing = if version == BAD { 0.2 } else { 0.0 };
    inner.failed += seconds * REQUESTS_PER_SECOND * failing;
    inner.succeeded += seconds * REQUESTS_PER_SECOND * (1.0 - failing);
    inner.used += seconds * inner.load;
    let pods = f64::from(u32::try_from(pods).unwrap());
    let mut samples = vec![
        (format!(r#"escrow_build_info{{version="{version}"}}"#), 1.0),
        (r#"http_requests_total{status="200"}"#.to_owned(), inner.succeeded.floor()),
        (r#"http_requests_total{status="500"}"#.to_owned(), inner.failed.floor()),
        ("process_cpu_seconds_total".to_owned(), inner.used),
        ("process_start_time_seconds".to_owned(), 1.0),
        (r#"nodejs_gc_duration_seconds_sum{kind="major"}"#.to_owned(), 0.0),
        (
            r#"kube_pod_container_resource_limits{namespace="escrow",container="api",resource="cpu"}"#
                .to_owned(),
            // a core each; two jobs scrape this page, and the rule adds up
            pods / 2.0,
        ),
        ("probe_success".to_owned(), 1.0),
    ];
    samples.extend(pending);
    let samples: Vec<(&str, f64)> = samples.iter().map(|(name, it)| (name.as_str(), *it)).collect();
    stand::page(&samples)
}

async fn state(State(platform): State<Arc<Platform>>, Path(job): Path<String>) -> Json<Value> {
    let stuck = platform.inner.lock().unwrap().chain_stuck;
    Json(json!({ "job": job, "chain": if stuck { "not found" } else { "in the pool" } }))
}

async fn retry(State(platform): State<Arc<Platform>>, Path(job): Path<String>) -> StatusCode {
    platform.effects.note(&format!("retry {job}"));
    if !platform.inner.lock().unwrap().chain_stuck {
        let update =
            r#"UPDATE "Job" SET "escrowPending" = false, "escrowDeployed" = true WHERE id = $1"#;
        let mut connection = platform.connect().await;
        sqlx::query(update).bind(job).execute(&mut connection).await.unwrap();
    }
    StatusCode::ACCEPTED
}

async fn rollback(State(platform): State<Arc<Platform>>, Path(job): Path<String>) -> StatusCode {
    platform.effects.note(&format!("rollback {job}"));
    StatusCode::OK
}

async fn manifest(Path(tag): Path<String>) -> StatusCode {
    if [GOOD, BAD].contains(&tag.as_str()) { StatusCode::OK } else { StatusCode::NOT_FOUND }
}
