//! The ten failure experiments: the real binary against targets that note the time, the key and the epoch of each effect,
//! and people who note each page. Each prints one line: effects, pages, and the time to stop.
//!
//! `tests/run experiments` runs them all and shows the lines. Those that take minutes are `#[ignore]`d in `tests/run`.

mod e03_duplicates;
mod e04_zombie;
mod e05_crash_sweep;
mod e08_clock;
mod e10_hostile;
mod rig;
