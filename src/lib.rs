//! quell receives Prometheus alerts, decides whether a machine may act, runs the remedy, checks that it
//! helped, and tells the people who need to know.
//!
//! ```text
//! main → cli → app                  start, wire, stop          demo: a shop to try it on
//! engine   rehearse  api            joins I/O with decisions │ the same without I/O │ the HTTP edge: JSON API, links
//! library  store  act  probe  notify     one outside thing each; they do not know one another
//! history  webhook                  alerts of the past, and bodies of senders
//! decide                            pure functions: no await, clock, randomness or logging
//! model                             pure data
//! exec                              processes, by the clock
//! clock, error, telemetry, net, wake, crash          leaves: time, errors, metrics, HTTP client, signals
//! ```
//!
//! Imports point down, never sideways; `tests/it/tidy.rs` enforces it. ARCHITECTURE.md is the map.

pub mod act;
pub mod api;
pub mod app;
pub mod cli;
pub mod clock;
mod crash;
pub mod decide;
pub mod demo;
pub mod engine;
pub mod error;
pub mod exec;
pub mod history;
pub mod library;
pub mod model;
pub mod net;
pub mod notify;
pub mod probe;
pub mod rehearse;
pub mod store;
pub mod telemetry;
pub mod wake;
pub mod webhook;
