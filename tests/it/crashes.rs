//! Nothing lost and nothing twice, when quell dies: the real binary, killed at every commit of a story, or in the middle
//! of a step.

mod commands;
mod in_flight;
mod slots;
pub(crate) mod story;
pub(crate) mod sweep;
