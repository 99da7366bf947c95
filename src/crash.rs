//! Crash points, for tests of debug builds: `QUELL_CRASH_AT=n` kills the process with SIGKILL at the n-th point. They
//! lie before and after each commit of the store. Release builds have none.

#[cfg(debug_assertions)]
mod points {
    use std::sync::OnceLock;
    use std::sync::atomic::AtomicU64;
    use std::sync::atomic::Ordering;

    static SEEN: AtomicU64 = AtomicU64::new(0);
    static AT: OnceLock<Option<u64>> = OnceLock::new();

    pub(crate) fn point() {
        let at = AT.get_or_init(|| std::env::var("QUELL_CRASH_AT").ok()?.parse().ok());
        if *at == Some(SEEN.fetch_add(1, Ordering::AcqRel) + 1) {
            let me = rustix::process::getpid();
            // nothing can be done when even this fails: the test will see that it lives
            let _killed = rustix::process::kill_process(me, rustix::process::Signal::KILL);
        }
    }
}

#[cfg(debug_assertions)]
pub(crate) use points::point;

/// Nothing, in release builds.
#[cfg(not(debug_assertions))]
pub(crate) fn point() {}
