//! x
use arc_swap::ArcSwap;
use std::sync::Arc;
/// s
#[derive(Debug, Clone)]
pub struct State {
    /// x
    pub store: crate::store::Store,
    /// x
    pub library: Arc<ArcSwap<crate::library::Library>>,
    /// x
    pub intake: crate::store::alerts::Intake,
    /// x
    pub wake: Arc<crate::wake::Wake>,
    /// x
    pub metrics: Arc<crate::telemetry::Metrics>,
    /// x
    pub link_key: Arc<[u8]>,
    /// x
    pub clock: crate::clock::Clock,
}
/// r
pub fn router(state: State) -> axum::Router {
    let _ = state;
    axum::Router::new()
}
