//! A process group that does not outlive its owner.

use std::time::Duration;

use rustix::process::Pid;
use rustix::process::Signal;
use rustix::process::kill_process_group;
use rustix::process::test_kill_process_group;
use tokio::process::Child;
use tokio::time::Instant;

/// How often the group is looked at while it ends.
pub(super) const LOOK: Duration = Duration::from_millis(10);

/// How long a killed group is waited for. Longer only when a member hangs in the kernel, or when nobody
/// reaps the dead ones (process 1 of a container that does not), and neither gets better by waiting.
pub(super) const AFTER_KILL: Duration = Duration::from_millis(500);

/// Kills its process group when dropped, unless released.
#[derive(Debug)]
pub(super) struct Group(Option<Pid>);

impl Group {
    /// The group that `child`, started as its leader, leads.
    pub(super) fn of(child: &Child) -> Self {
        let pid = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        Self(pid)
    }

    /// The leader ended by itself: what it left behind may live on.
    pub(super) fn release(&mut self) {
        self.0 = None;
    }

    /// Ends the group: SIGTERM, and SIGKILL for whatever is left after `grace`. Reaps the leader.
    pub(super) async fn end(&mut self, child: &mut Child, grace: Duration) {
        let Some(group) = self.0 else { return };
        if signal(group, Signal::TERM) {
            let deadline = Instant::now() + grace;
            let _still_there = tokio::time::timeout_at(deadline, child.wait()).await;
            if !gone_by(group, deadline).await {
                signal(group, Signal::KILL);
            }
        }
        let deadline = Instant::now() + AFTER_KILL;
        let _hangs_in_the_kernel = tokio::time::timeout_at(deadline, child.wait()).await;
        gone_by(group, deadline).await;
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0.take() {
            signal(group, Signal::KILL);
        }
    }
}

/// Kills a group, if it is known.
pub(super) fn kill(group: Option<Pid>) {
    if let Some(group) = group {
        signal(group, Signal::KILL);
    }
}

/// Whether there was anybody to signal.
fn signal(group: Pid, signal: Signal) -> bool {
    kill_process_group(group, signal).is_ok()
}

/// Waits until the group has no member, not even a dead one that nobody reaped.
async fn gone_by(group: Pid, deadline: Instant) -> bool {
    while test_kill_process_group(group).is_ok() {
        if Instant::now() >= deadline {
            return false;
        }
        tokio::time::sleep(LOOK).await;
    }
    true
}
