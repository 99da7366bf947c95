//! Raw types to the model: every value checked on its own. What spans files is checked in `link`.

pub(crate) mod action;
pub(crate) mod alertmanager;
pub(crate) mod ask;
mod audit;
pub(crate) mod channel;
pub(crate) mod config;
pub(crate) mod each;
pub(crate) mod harm;
pub(crate) mod limits;
pub(crate) mod parameter;
pub(crate) mod playbook;
pub(crate) mod probe;
pub(crate) mod proof;
pub(crate) mod retention;
pub(crate) mod rule;
pub(crate) mod schedule;
pub(crate) mod sealed;
pub(crate) mod secret;
pub(crate) mod step;
mod target;
pub(crate) mod test;
pub(crate) mod text;
pub(crate) mod updates;
pub(crate) mod window;
