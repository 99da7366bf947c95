//! `quell demo`: a real shop service, broken and repaired before your eyes.
//!
//! ```text
//! files      quell.yml, rules and playbooks of the demo, in a folder of its own
//! shop       the service itself: `quell demo-shop`, run as a child process
//! process    owns the shop's process and restarts it: `quell demo-restart-shop` asks it to
//! prometheus the real Prometheus and Alertmanager, when asked for and installed
//! narrate    one line of the story, ready to print
//! ```
//!
//! Nothing is acted: requests, faults, processes and repairs are real, only small.

pub mod files;
pub mod narrate;
pub mod process;
pub mod prometheus;
mod ready;
pub mod shop;
