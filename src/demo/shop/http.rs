//! The shop's state and its HTTP routes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use axum::Json;
use axum::Router;
use axum::extract::Path;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::response::Response;
use axum::routing::delete;
use axum::routing::get;
use axum::routing::post;
use serde::Deserialize;
use serde_json::json;
use tokio::time::Instant;

use super::cache::Cache;
use super::fault::Fault;
use super::metrics::Gauges;
use super::metrics::Metrics;
use super::pool;
use super::pool::Pool;
use super::product;
use super::product::Product;
use super::product::Serializer;
use crate::clock::Clock;

/// How long a product read from the database stays in the cache.
const FRESH: Duration = Duration::from_secs(2);

/// How long what a poisoning writes stays in the cache: it does not go away by itself while people watch.
const STUCK: Duration = Duration::from_hours(1);

/// How long the database takes for an answer.
const DATABASE_LATENCY: Duration = Duration::from_millis(2);

/// Everything the process knows. A new one is what a good deploy starts with.
#[derive(Debug)]
pub(super) struct Shop {
    database: BTreeMap<u32, Product>,
    pool: Pool,
    cache: Cache,
    serializer: Mutex<Serializer>,
    metrics: Metrics,
    partner_failures: u16,
}

/// Why a request for a product failed.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("no product {0}")]
    NoProduct(u32),
    #[error("the cache entry of product {id} cannot be read: {cause}")]
    Corrupt { id: u32, cause: serde_json::Error },
    #[error("the partner did not say whether product {0} is in stock")]
    Partner(u32),
    #[error("no database connection came free, {} of {} are taken", .0, pool::SIZE)]
    NoConnection(usize),
}

impl Failure {
    fn status(&self) -> StatusCode {
        match self {
            Self::NoProduct(_) => StatusCode::NOT_FOUND,
            Self::Corrupt { .. } | Self::Partner(_) => StatusCode::INTERNAL_SERVER_ERROR,
            Self::NoConnection(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

impl Shop {
    /// A shop whose partner fails `partner_failures` of a thousand calls.
    pub(super) fn new(partner_failures: u16) -> Self {
        Self {
            database: product::catalogue(),
            pool: Pool::new(),
            cache: Cache::default(),
            serializer: Mutex::new(Serializer::Good),
            metrics: Metrics::new(),
            partner_failures,
        }
    }

    /// A product, always as the cache has it.
    async fn product(&self, id: u32) -> Result<Product, Failure> {
        let text = match self.cache.get(id, Instant::now()) {
            Some(text) => text,
            None => self.fill(id).await?,
        };
        product::decode(&text).map_err(|cause| Failure::Corrupt { id, cause })
    }

    /// Reads a product from the database into the cache.
    async fn fill(&self, id: u32) -> Result<Arc<str>, Failure> {
        let connection =
            self.pool.take().await.ok_or_else(|| Failure::NoConnection(self.pool.in_use()))?;
        tokio::time::sleep(DATABASE_LATENCY).await;
        let product = self.database.get(&id).ok_or(Failure::NoProduct(id));
        drop(connection);
        let text = Arc::from(self.serializer().encode(product?));
        self.cache.put(id, Arc::clone(&text), Instant::now(), FRESH);
        Ok(text)
    }

    /// Asks a partner's service, which is flaky: the errors that every service has.
    fn in_stock(&self, id: u32) -> Result<bool, Failure> {
        if Clock::System.jitter() < self.partner_failures {
            return Err(Failure::Partner(id));
        }
        Ok(!id.is_multiple_of(7))
    }

    fn serializer(&self) -> Serializer {
        *self.serializer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Breaks it.
    fn suffer(&self, fault: Fault) {
        match fault {
            Fault::PoisonedCache => {
                *self.serializer.lock().unwrap_or_else(PoisonError::into_inner) = Serializer::Bad;
                self.poison();
            }
            Fault::PoisonedCacheOnce => self.poison(),
            Fault::LeakedPool => self.pool.leak(),
        }
    }

    /// Fills the cache by the bad serializer, as a deploy does that warms its cache.
    fn poison(&self) {
        let now = Instant::now();
        for (id, product) in &self.database {
            self.cache.put(*id, Serializer::Bad.encode(product).into(), now, STUCK);
        }
    }
}

/// All routes.
pub(super) fn router(shop: Arc<Shop>) -> Router {
    Router::new()
        .route("/products/{id}", get(show_product))
        .route("/health", get(health))
        .route("/metrics", get(metrics))
        .route("/cache", delete(flush_cache))
        .route("/admin/fault", post(inject_fault))
        .with_state(shop)
}

async fn show_product(State(shop): State<Arc<Shop>>, Path(id): Path<u32>) -> Response {
    let found = shop.product(id).await.and_then(|product| Ok((shop.in_stock(id)?, product)));
    let (status, body) = match found {
        Ok((in_stock, it)) => (
            StatusCode::OK,
            json!({ "id": it.id, "name": it.name, "price_cents": it.price_cents, "in_stock": in_stock }),
        ),
        Err(failure) => (failure.status(), json!({ "error": failure.to_string() })),
    };
    shop.metrics.count(status.as_u16());
    (status, Json(body)).into_response()
}

/// Says that the process answers, and no more: like most health pages it sees neither fault.
async fn health() -> Json<serde_json::Value> {
    Json(json!({ "status": "healthy", "pid": std::process::id() }))
}

async fn metrics(State(shop): State<Arc<Shop>>) -> impl IntoResponse {
    let page = shop.metrics.page(Gauges {
        cache_entries: shop.cache.len(),
        pool_in_use: shop.pool.in_use(),
        pool_size: pool::SIZE,
    });
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], page)
}

async fn flush_cache(State(shop): State<Arc<Shop>>) -> Json<serde_json::Value> {
    Json(json!({ "flushed": shop.cache.flush() }))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct FaultRequest {
    kind: Fault,
}

async fn inject_fault(
    State(shop): State<Arc<Shop>>,
    Json(request): Json<FaultRequest>,
) -> Json<serde_json::Value> {
    shop.suffer(request.kind);
    Json(json!({ "fault": request.kind, "story": request.kind.story() }))
}
