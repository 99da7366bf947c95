//! Crash points, for tests of debug builds: `QUELL_CRASH_AT=n` kills the process with SIGKILL at the n-th point, and
//! `QUELL_STOP_AT=n` stops it there with SIGSTOP, until somebody sends SIGCONT. They lie before and after each commit of
//! the store. Release builds have none.

#[cfg(test)]
pub(crate) mod gate;

#[cfg(debug_assertions)]
mod points {
    use std::sync::OnceLock;
    use std::sync::atomic::AtomicU64;
    use std::sync::atomic::Ordering;

    use rustix::process::Signal;

    static SEEN: AtomicU64 = AtomicU64::new(0);
    static AT: OnceLock<[(Option<u64>, Signal); 2]> = OnceLock::new();

    pub(crate) fn point() {
        let at = |name: &str| std::env::var(name).ok()?.parse().ok();
        let wanted = AT.get_or_init(|| {
            [(at("QUELL_CRASH_AT"), Signal::KILL), (at("QUELL_STOP_AT"), Signal::STOP)]
        });
        let here = Some(SEEN.fetch_add(1, Ordering::AcqRel) + 1);
        for (_, signal) in wanted.iter().filter(|(at, _)| *at == here) {
            // nothing can be done when even this fails: the test will see that it goes on
            let _sent = rustix::process::kill_process(rustix::process::getpid(), *signal);
        }
    }
}

#[cfg(debug_assertions)]
pub(crate) use points::point;

/// Nothing, in release builds.
#[cfg(not(debug_assertions))]
pub(crate) fn point() {}

/// Where somebody is in a work that a simulation may interrupt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Point {
    /// Before a statement or a transaction: nothing is held.
    Statement,
    /// After a statement that is its own transaction.
    Stated,
    /// Before a commit.
    Commit,
    /// After it.
    Committed,
    /// Before something outside is asked or done.
    #[cfg(test)]
    Outside,
}

#[cfg(test)]
pub(crate) use gate::pass;

/// Lets everybody pass: only tests of the engine put somebody at the gate.
#[cfg(not(test))]
pub(crate) fn pass(_: Point) -> std::future::Ready<std::io::Result<()>> {
    std::future::ready(Ok(()))
}
