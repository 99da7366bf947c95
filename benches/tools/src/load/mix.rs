//! Which alerts are next.

use std::collections::VecDeque;

use super::body::Says;

/// What the alerts of a load say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mix {
    /// Each is new.
    New,
    /// Each has been sent before, and says nothing new.
    Repeat,
    /// Of ten bodies, eight say nothing new, one is new, and one ends what was.
    Mixed,
}

impl std::str::FromStr for Mix {
    type Err = ();

    fn from_str(word: &str) -> Result<Self, ()> {
        match word {
            "new" => Ok(Self::New),
            "repeat" => Ok(Self::Repeat),
            "mixed" => Ok(Self::Mixed),
            _ => Err(()),
        }
    }
}

/// A body to send.
#[derive(Debug, Clone, Copy)]
pub(super) struct Next {
    /// Number of its first alert.
    pub(super) first: u64,
    pub(super) says: Says,
    /// Whether it is new, so that it can end later.
    is_new: bool,
}

/// Hands out numbers.
#[derive(Debug)]
pub(super) struct Block {
    first: u64,
    /// Alerts of a body.
    alerts: u64,
    mix: Mix,
    /// Bodies that are repeated, and how many of them have been sent.
    known: u64,
    acquainted: u64,
    handed_out: u64,
    turn: u64,
    /// New ones that the server took.
    open: VecDeque<u64>,
}

impl Block {
    pub(super) fn new(first: u64, alerts: u64, mix: Mix, known: u64) -> Self {
        let known = if mix == Mix::New { 0 } else { known.max(1) };
        let (acquainted, handed_out, turn, open) = (0, known, 0, VecDeque::new());
        Self { first, alerts, mix, known, acquainted, handed_out, turn, open }
    }

    /// Whether some of what is repeated has not been sent yet.
    pub(super) fn is_to_acquaint(&self) -> bool {
        self.acquainted < self.known
    }

    fn body(&self, number: u64) -> u64 {
        self.first + number * self.alerts
    }

    /// The next body.
    pub(super) fn next(&mut self, acquaint: bool) -> Next {
        if acquaint {
            self.acquainted += 1;
            let first = self.body(self.acquainted - 1);
            return Next { first, says: Says::Firing, is_new: false };
        }
        self.turn += 1;
        match (self.mix, self.turn % 10) {
            (Mix::Mixed, 5) if !self.open.is_empty() => {
                let first = self.open.pop_front().unwrap_or_default();
                Next { first, says: Says::Resolved, is_new: false }
            }
            (Mix::New, _) | (Mix::Mixed, 0 | 5) => {
                self.handed_out += 1;
                Next { first: self.body(self.handed_out - 1), says: Says::Firing, is_new: true }
            }
            (Mix::Repeat | Mix::Mixed, _) => {
                let first = self.body(self.turn % self.known);
                Next { first, says: Says::Firing, is_new: false }
            }
        }
    }

    /// The server took it.
    pub(super) fn taken(&mut self, next: Next) {
        if next.is_new && self.mix == Mix::Mixed {
            self.open.push_back(next.first);
        }
    }
}
