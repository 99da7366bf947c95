//! One test binary: what spans more than one module, on real servers where they exist.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers outside #[test] are not covered by allow-*-in-tests"
)]

mod bad_input;
mod campaign;
mod cli;
mod crashes;
mod databases;
mod experiments;
mod journeys;
mod kubernetes;
mod outages;
mod rehearsal;
mod replicas;
#[path = "../rigs/mod.rs"]
mod rigs;
mod runbooks;
mod servers;
mod store;
mod support;
mod tidy;
