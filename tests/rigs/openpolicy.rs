//! OpenPolicy: its metrics and endpoints, its pods in an API server, its cache in a real Redis and its sessions in a real PostgreSQL.
//! What it serves follows from those: errors from what is in the cache, CPU from how many pods there are, the pool from who is
//! connected.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::Mutex;
use tokio_util::task::TaskTracker;

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use redis::AsyncCommands as _;
use sqlx::Connection as _;
use sqlx::PgConnection;
use tokio::time::Instant;

use crate::rigs::site::Plan;
use crate::rigs::site::Site;
use crate::rigs::stand;
use crate::support::apiserver::ApiServer;
use crate::support::http::Served;
use crate::support::postgres::Server;
use crate::support::redis::Redis;

const NAMESPACE: &str = "default";
const REQUESTS_PER_SECOND: f64 = 100.0;
/// Cores that one pod may use.
const CORES: f64 = 2.0;
/// Connections that the pool may hold: `pool_size` and `max_overflow`.
const POOL: (usize, usize) = (2, 4);
/// While one of these is in the cache, half of the requests fail.
const POISON: &str = "bill:c-11";
/// Those that act on the world by themselves: what comes of a fault is to be seen alone.
const SCHEDULES: [&str; 5] = [
    "openpolicy-backup",
    "openpolicy-maintenance",
    "openpolicy-tables",
    "openpolicy-passwords",
    "openpolicy-certificates",
];

/// What is wrong with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Entries of the cache are wrong: half of the requests fail.
    PoisonedCache,
    /// The database does as much as it can.
    BusyDatabase,
    /// More is asked of it than its pods have CPU for, and a little less than two more pods would have.
    Busy,
    /// As many sessions as the pool may hold sit in a transaction and do nothing.
    LeakedSessions,
    /// Somebody holds a lock that another session waits for.
    Locks,
}

/// The service and what it stands on.
#[derive(Debug)]
pub(crate) struct OpenPolicy {
    served: Served,
    pub(crate) database: Server,
    world: Arc<World>,
}

#[derive(Debug)]
struct World {
    cluster: ApiServer,
    cache: Redis,
    database: String,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    /// Cores that are asked for.
    demand: f64,
    active_sessions: f64,
    succeeded: f64,
    failed: f64,
    /// Seconds of CPU by pod.
    used: BTreeMap<String, f64>,
    counted_until: Instant,
    /// Sessions that the faults opened.
    sessions: Vec<PgConnection>,
}

impl OpenPolicy {
    /// Healthy: three pods of the API, three scrapers, the pages.
    pub(crate) async fn start() -> Self {
        let cluster = ApiServer::start().await;
        for (name, replicas) in [("openpolicy", 3), ("openpolicy-scrapers", 3), ("web-ui", 2)] {
            cluster.deployment(NAMESPACE, name, replicas, &format!("openpolicy/{name}:v2.1.0"));
        }
        let database = Server::start().await;
        database.sql(&["CREATE DATABASE openpolicy", "CREATE ROLE api_user LOGIN"]).await;
        let url = database.url().strip_suffix("/postgres").unwrap().to_owned() + "/openpolicy";
        let mut connection = PgConnection::connect(&url).await.unwrap();
        sqlx::raw_sql(
            "CREATE TABLE bills (id int PRIMARY KEY, title text); INSERT INTO bills VALUES (11, 'C-11'); \
             GRANT ALL ON bills TO api_user",
        )
        .execute(&mut connection)
        .await
        .unwrap();
        let cache = Redis::start().await;
        let inner = Inner {
            demand: 2.0,
            active_sessions: 5.0,
            succeeded: 360_000.0,
            failed: 0.0,
            used: BTreeMap::new(),
            counted_until: Instant::now(),
            sessions: Vec::new(),
        };
        let world = Arc::new(World { cluster, cache, database: url, inner: Mutex::new(inner) });
        let router = Router::new()
            .route("/health", get(async || r#"{"status":"healthy"}"#))
            .route("/api/v1/data-sources", get(async || r#"{"data":[]}"#))
            .route("/robots.txt", get(async || "User-agent: *\n"))
            .route("/metrics", get(metrics))
            .with_state(Arc::clone(&world));
        Self { served: Served::start(router).await, database, world }
    }

    /// The runbook's site with this OpenPolicy in it, serving.
    pub(crate) async fn site(&self) -> Site {
        let here = self.served.url("");
        let site = Plan::of("openpolicy")
            .replacing("https://api.openpolicy.ca", &here)
            .replacing("https://staging.openpolicy.ca", &here)
            .replacing("https://www.parl.ca", &here)
            .replacing(
                "/etc/quell/openpolicy.kubeconfig",
                self.world.cluster.kubeconfig().to_str().unwrap(),
            )
            .env("OPENPOLICY_POSTGRES", self.world.database.trim_start_matches("postgres://"))
            .env("OPENPOLICY_REDIS", self.world.cache.url().trim_start_matches("redis://"))
            .scraping("openpolicy", self.served.address())
            .start()
            .await;
        for schedule in SCHEDULES {
            let said = site.quell.cli(&["pause", &format!("rule:schedule:{schedule}")]).await;
            assert_eq!(said.code, 0, "{said:#?}");
        }
        site
    }

    /// Makes something go wrong.
    pub(crate) async fn fault(&self, fault: Fault) {
        match fault {
            Fault::PoisonedCache => {
                let mut cache = self.world.cache.connect().await;
                for key in [POISON, "bill:c-12", "vote:7"] {
                    let _: () = cache.set(key, "wrong").await.unwrap();
                }
            }
            Fault::BusyDatabase => self.world.inner.lock().unwrap().active_sessions = 180.0,
            Fault::Busy => self.world.inner.lock().unwrap().demand = 5.4,
            Fault::LeakedSessions => {
                for _ in 0..POOL.0 + POOL.1 {
                    self.session("BEGIN; SELECT title FROM bills").await;
                }
            }
            Fault::Locks => {
                self.session("BEGIN; UPDATE bills SET title = 'held' WHERE id = 11").await;
                let url = self.as_application();
                TaskTracker::new().spawn(async move {
                    let mut waits = PgConnection::connect(&url).await.unwrap();
                    let update = "UPDATE bills SET title = 'after it' WHERE id = 11";
                    sqlx::raw_sql(update).execute(&mut waits).await
                });
            }
        }
    }

    /// Less is asked of it again.
    pub(crate) fn calm(&self) {
        self.world.inner.lock().unwrap().demand = 2.0;
    }

    /// How many keys the cache has.
    pub(crate) async fn cached(&self) -> u64 {
        let mut cache = self.world.cache.connect().await;
        redis::cmd("DBSIZE").query_async(&mut cache).await.unwrap()
    }

    /// How many pods the API is to have.
    pub(crate) fn replicas(&self) -> u64 {
        let deployment = self.world.cluster.get("deployments", NAMESPACE, "openpolicy");
        deployment["spec"]["replicas"].as_u64().unwrap()
    }

    /// What was changed in the cluster: `PATCH /apis/…`.
    pub(crate) fn effects(&self) -> Vec<String> {
        let writes = self.world.cluster.writes();
        writes.iter().map(|it| format!("{} {}", it.method, it.path)).collect()
    }

    /// The title of the bill that sessions fight over.
    pub(crate) async fn title(&self) -> String {
        let mut connection = PgConnection::connect(&self.world.database).await.unwrap();
        sqlx::query_scalar("SELECT title FROM bills WHERE id = 11")
            .fetch_one(&mut connection)
            .await
            .unwrap()
    }

    fn as_application(&self) -> String {
        self.world.database.replace("quell@", "api_user@")
    }

    /// A session of the application that has done this, and goes on.
    async fn session(&self, sql: &'static str) {
        let mut session = PgConnection::connect(&self.as_application()).await.unwrap();
        sqlx::raw_sql(sql).execute(&mut session).await.unwrap();
        self.world.inner.lock().unwrap().sessions.push(session);
    }
}

async fn metrics(State(world): State<Arc<World>>) -> String {
    let mut cache = world.cache.connect().await;
    let poisoned: bool = cache.exists(POISON).await.unwrap();
    let mut connection = PgConnection::connect(&world.database).await.unwrap();
    let sessions: i64 =
        sqlx::query_scalar("SELECT count(*) FROM pg_stat_activity WHERE usename = 'api_user'")
            .fetch_one(&mut connection)
            .await
            .unwrap();
    connection.close().await.unwrap();
    let mut inner = world.inner.lock().unwrap();
    let now = Instant::now();
    let seconds = now.duration_since(inner.counted_until).as_secs_f64();
    inner.counted_until = now;
    let failed = if poisoned { 0.5 } else { 0.0 };
    inner.succeeded += seconds * REQUESTS_PER_SECOND * (1.0 - failed);
    inner.failed += seconds * REQUESTS_PER_SECOND * failed;
    let mut samples = vec![
        (r#"http_requests_total{status="200"}"#.to_owned(), inner.succeeded.floor()),
        (r#"http_requests_total{status="500"}"#.to_owned(), inner.failed.floor()),
        (r#"http_request_duration_seconds_bucket{le="0.5"}"#.to_owned(), inner.succeeded.floor()),
        (r#"http_request_duration_seconds_bucket{le="+Inf"}"#.to_owned(), inner.succeeded.floor()),
        (r#"pg_stat_activity_count{state="active"}"#.to_owned(), inner.active_sessions),
        ("pg_settings_max_connections".to_owned(), 1000.0),
        ("openpolicy_db_pool_checked_out".to_owned(), f64::from(i32::try_from(sessions).unwrap())),
        ("openpolicy_db_pool_size".to_owned(), 2.0),
        ("openpolicy_db_pool_max_overflow".to_owned(), 4.0),
    ];
    let running = world.cluster.list("pods", NAMESPACE);
    let running =
        running.iter().filter(|it| it["metadata"]["labels"]["app"] == "openpolicy").count();
    let share = f64::from(u32::try_from(running.max(1)).unwrap());
    let used = (inner.demand / share).min(CORES) * seconds;
    for number in 0..running {
        // as Kubernetes names the pods of a Deployment
        let pod = format!("openpolicy-7d9f8xk4c-{number:05}");
        let of_pod = inner.used.entry(pod.clone()).or_default();
        *of_pod += used;
        let labels = format!(r#"namespace="default",pod="{pod}""#);
        let cpu = format!(r#"container_cpu_usage_seconds_total{{{labels},container="api"}}"#);
        let limit = format!(r#"kube_pod_container_resource_limits{{{labels},resource="cpu"}}"#);
        samples.extend([(cpu, *of_pod), (limit, CORES)]);
    }
    let samples: Vec<(&str, f64)> =
        samples.iter().map(|(name, value)| (name.as_str(), *value)).collect();
    stand::page(&samples)
}
