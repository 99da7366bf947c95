//! What people and networks get wrong, and what quell says then: every message as an on-call engineer reads it.

mod disk;
mod effects;
mod http;
mod start;

use crate::support::quell::Quell;

/// A message without what differs from run to run.
fn shown(quell: &Quell, text: &str) -> String {
    let folder = quell.folder().to_str().unwrap();
    text.replace(folder, "[folder]").replace(&quell.address(), "[address]")
}
