//! What one part of the process tells another: there may be work, stop taking alerts, load the files again.
//! A wake-up may be lost: polling is the truth.

use std::sync::atomic::AtomicBool;

use tokio::sync::Notify;
use tokio::sync::mpsc;
use tokio::sync::oneshot;

/// Answer to a request to reload: what is in force now, or why nothing changed.
pub type Reloaded = Result<String, String>;

/// Shared by the HTTP edge, the engine and the signal handlers.
#[derive(Debug)]
pub struct Wake {
    /// Episodes may be due.
    pub intake: Notify,
    /// Runs may be due.
    pub work: Notify,
    /// Notifications may be due.
    pub deliver: Notify,
    /// Alerts are refused with 503 and readiness says no: another replica should take them.
    pub draining: AtomicBool,
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
            draining: AtomicBool::new(false),
            reload,
        };
        (wake, requests)
    }

    /// Wakes all loops.
    pub fn all(&self) {
        self.intake.notify_one();
        self.work.notify_one();
        self.deliver.notify_one();
    }
}
