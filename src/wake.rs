//! What one part of the process tells another: there may be work, stop taking alerts, load the files again.
//! A wake-up may be lost: polling is the truth.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

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

/// Wakes one kind of loop: here at once, and in other replicas by whoever carries it there.
#[derive(Debug)]
pub struct Bell {
    here: Notify,
    rung: AtomicBool,
    elsewhere: Arc<Notify>,
}

impl Bell {
    fn new(elsewhere: &Arc<Notify>) -> Self {
        let elsewhere = Arc::clone(elsewhere);
        Self { here: Notify::new(), rung: AtomicBool::new(false), elsewhere }
    }

    /// There may be work for this loop, here or in another replica.
    pub fn notify_one(&self) {
        self.here.notify_one();
        self.rung.store(true, Ordering::Release);
        self.elsewhere.notify_one();
    }

    /// Another replica says so.
    pub fn ring_here(&self) {
        self.here.notify_one();
    }

    /// Waits until somebody says so.
    pub async fn notified(&self) {
        self.here.notified().await;
    }
}

/// Shared by the HTTP edge, the engine and the signal handlers.
#[derive(Debug)]
pub struct Wake {
    /// Episodes may be due.
    pub intake: Bell,
    /// Runs may be due.
    pub work: Bell,
    /// Notifications may be due.
    pub deliver: Bell,
    /// Something of quell itself may be wrong, or right again.
    pub watch: Bell,
    /// Alerts are refused with 503 and readiness says no: another replica should take them.
    pub draining: AtomicBool,
    /// The last reload, when it failed.
    pub failed_reload: ArcSwapOption<FailedReload>,
    /// Asks for a reload of the files.
    pub reload: mpsc::Sender<oneshot::Sender<Reloaded>>,
    elsewhere: Arc<Notify>,
}

impl Wake {
    /// A wake and the receiving end of its reload requests.
    pub fn new() -> (Self, mpsc::Receiver<oneshot::Sender<Reloaded>>) {
        let (reload, requests) = mpsc::channel(4);
        let elsewhere = Arc::default();
        let wake = Self {
            intake: Bell::new(&elsewhere),
            work: Bell::new(&elsewhere),
            deliver: Bell::new(&elsewhere),
            watch: Bell::new(&elsewhere),
            draining: AtomicBool::new(false),
            failed_reload: ArcSwapOption::empty(),
            reload,
            elsewhere,
        };
        (wake, requests)
    }

    /// Waits until a bell has rung here, and gives the names of all that have since the last time.
    pub async fn rung(&self) -> String {
        loop {
            self.elsewhere.notified().await;
            let rung =
                self.bells().into_iter().filter(|(_, it)| it.rung.swap(false, Ordering::AcqRel));
            let names: Vec<&str> = rung.map(|(name, _)| name).collect();
            if !names.is_empty() {
                return names.join(" ");
            }
        }
    }

    /// Rings here the bells that another replica names; all of them when nobody knows which.
    pub fn heard(&self, names: Option<&str>) {
        for (name, bell) in self.bells() {
            if names.is_none_or(|names| names.split(' ').any(|it| it == name)) {
                bell.ring_here();
            }
        }
    }

    fn bells(&self) -> [(&'static str, &Bell); 4] {
        let Self { intake, work, deliver, watch, .. } = self;
        [("intake", intake), ("work", work), ("deliver", deliver), ("watch", watch)]
    }

    /// Wakes all loops.
    pub fn all(&self) {
        self.intake.notify_one();
        self.work.notify_one();
        self.deliver.notify_one();
        self.watch.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_rings_here_is_told_once_and_what_is_heard_is_not_told_back() {
        let (wake, _reloads) = Wake::new();
        wake.intake.notify_one();
        wake.intake.notify_one();
        wake.deliver.notify_one();
        assert_eq!(wake.rung().await, "intake deliver");
        wake.heard(Some("work watch"));
        wake.work.notified().await;
        wake.watch.notified().await;
        wake.heard(None);
        wake.work.notified().await;
        wake.all();
        assert_eq!(wake.rung().await, "intake work deliver watch");
    }
}
