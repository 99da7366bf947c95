//! Pure decisions: no await, no clock, no randomness, no logging; `now` is a parameter.
#![deny(clippy::wildcard_enum_match_arm)]

pub mod answer;
pub mod audience;
pub mod check;
pub mod condition;
pub mod episode;
pub mod explain;
pub mod guard;
pub mod harm;
pub mod items;
pub mod link;
pub mod machine;
pub mod matching;
pub mod own;
pub mod page;
pub mod parameters;
pub mod plan;
pub mod render;
pub mod respond;
pub mod response;
pub mod schedule;
pub mod slots;
pub mod spread;
pub mod stepping;
pub mod target;
pub mod tell;
pub mod trip;
pub mod window;
