//! The engine as a whole, seen from outside.

mod protocol;
pub(crate) mod simulation;
