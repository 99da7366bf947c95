//! The ten failure experiments: the real binary against targets that note the time, the key and the epoch of each effect,
//! and people who note each page. Each prints one line: effects, pages, and the time to stop.
//!
//! `tests/run experiments` runs them all and shows the lines. Those that take minutes are `#[ignore]`d in `tests/run`.

mod e01_mass_alarm;
mod e02_blind_monitoring;
mod e03_duplicates;
mod e04_zombie;
mod e05_crash_sweep;
mod e06_useless_fix;
mod e07_herd;
mod e08_clock;
mod e09_dependencies_lost;
mod e10_hostile;
pub(crate) mod rig;
