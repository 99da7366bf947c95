//! Real servers for tests, each on a loopback port of its own, stopped when the value is dropped.
//!
//! `process` starts and stops, `wait` polls with a deadline; the others are one server each. Nothing here sleeps for
//! a fixed time, and nothing outlives the test process, even when that is killed.

pub(crate) mod alertmanager;
pub(crate) mod apiserver;
pub(crate) mod certificates;
pub(crate) mod http;
pub(crate) mod network;
pub(crate) mod plant;
pub(crate) mod postgres;
pub(crate) mod process;
pub(crate) mod prometheus;
pub(crate) mod proxy;
pub(crate) mod quell;
pub(crate) mod recorder;
pub(crate) mod redis;
pub(crate) mod shop;
pub(crate) mod smtp;
pub(crate) mod wait;
