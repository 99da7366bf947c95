//! What one part of the process tells another: there may be work, stop taking alerts, load the files again.
//! A wake-up may be lost: polling is the truth.

use std::sync::atomic::AtomicBool;

use arc_swap::ArcSwapOption;
use jiff::Timestamp;
use tokio::sync::Notify;
use tokio::sync::mpsc;
use tokio::sync::oneshot;

/// Answer to a request to reload: what is in force now, or why nothing changed.
pub type Reloaded = Result<String, Refused>;

/// Why a reload changed nothing.
#[derive(Debug, Clone, PartialEq)]
pub struct Refused {
    /// For people: every error with its place.
    pub words: String,
    /// The same for programs.
    pub diagnostics: serde_json::Value,
}

impl From<&str> for Refused {
    fn from(words: &str) -> Self {
        Self { words: words.to_owned(), diagnostics: serde_json::Value::Array(Vec::new()) }
    }
}

/// A set of files that could not be loaded, so that an older one is in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedReload {
    /// Since when the files on disk have errors.
    pub since: Timestamp,
    /// Digest of the set that was tried last.
    pub digest: String,
    /// How many errors it has.
    pub errors: usize,
    /// The first of them, with its place.
    pub first: String,
}

/// Shared by the HTTP edge, the engine and the signal handlers.
#[derive(Debug)]
pub struct Wake {
    /// Episodes may be due.
    pub intake: Notify,
    /// Runs may be due.
    pub work: Notify,
    /// Notifications may be due.
    pub deliver: Notify,
    /// Something of quell itself may be wrong, or right again.
    pub watch: Notify,
    /// Alerts are refused with 503 and readiness says no: another replica should take them.
    pub draining: AtomicBool,
    /// The last reload, when it failed.
    pub failed_reload: ArcSwapOption<FailedReload>,
    /// Asks for a reload of the files.
    pub reload: mpsc::Sender<oneshot::Sender<Reloaded>>,
}

impl Wake {
    /// A wake and the receiving end of its reload requests.
    pub fn new() -> (Self, mpsc::Receiver<oneshot::Sender<Reloaded>>) {
        let (reload, requests) = mpsc::channel(4);
        let wake = Self {
            intake: Notify::new(),
            work: Notify::new(),
            deliver: Notify::new(),
            watch: Notify::new(),
            draining: AtomicBool::new(false),
            failed_reload: ArcSwapOption::empty(),
            reload,
        };
        (wake, requests)
    }

    /// Wakes all loops.
    pub fn all(&self) {
        self.intake.notify_one();
        self.work.notify_one();
        self.deliver.notify_one();
        self.watch.notify_one();
    }
}
