//! Connections to the database, of which there are few.

use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::sync::SemaphorePermit;

/// How many connections there are.
pub(super) const SIZE: usize = 8;

/// How long a request waits for one.
const PATIENCE: Duration = Duration::from_millis(250);

/// A bounded pool.
#[derive(Debug)]
pub(super) struct Pool {
    free: Semaphore,
    leaking: AtomicBool,
}

/// A connection that was taken; returned when dropped, unless the pool leaks.
#[derive(Debug)]
pub(super) struct Connection<'a> {
    permit: Option<SemaphorePermit<'a>>,
    pool: &'a Pool,
}

impl Pool {
    /// All connections free.
    pub(super) fn new() -> Self {
        Self { free: Semaphore::new(SIZE), leaking: AtomicBool::new(false) }
    }

    /// Waits for a connection; `None` when none came free in time.
    pub(super) async fn take(&self) -> Option<Connection<'_>> {
        let permit = tokio::time::timeout(PATIENCE, self.free.acquire()).await.ok()?.ok()?;
        Some(Connection { permit: Some(permit), pool: self })
    }

    /// From now on connections are taken and never returned.
    pub(super) fn leak(&self) {
        self.leaking.store(true, Ordering::Relaxed);
    }

    /// How many connections are taken.
    pub(super) fn in_use(&self) -> usize {
        SIZE - self.free.available_permits()
    }
}

impl Drop for Connection<'_> {
    fn drop(&mut self) {
        if let Some(permit) = self.permit.take()
            && self.pool.leaking.load(Ordering::Relaxed)
        {
            permit.forget();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn connections_come_back_until_the_pool_leaks() {
        let pool = Pool::new();
        for _ in 0..2 * SIZE {
            assert!(pool.take().await.is_some());
        }
        assert_eq!(pool.in_use(), 0);
        pool.leak();
        for _ in 0..SIZE {
            assert!(pool.take().await.is_some());
        }
        assert_eq!(pool.in_use(), SIZE);
        assert!(pool.take().await.is_none(), "waits in vain");
    }
}
