//! Pure data: the words of ARCHITECTURE.md as types, and their text forms.

pub mod action;
pub mod alert;
pub mod change;
pub mod config;
pub mod decision;
pub mod explain;
pub mod glass;
pub mod incident;
pub mod labels;
pub mod listed;
pub mod matcher;
pub mod memo;
pub mod number;
pub mod pattern;
pub mod playbook;
pub mod probe;
pub mod re2;
pub mod rule;
pub mod run;
pub mod time;
pub mod trust;
pub mod updates;
pub mod window;
