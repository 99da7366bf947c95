//! The product cache: texts that expire.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;

use tokio::time::Instant;

/// Texts by product id.
#[derive(Debug, Default)]
pub(super) struct Cache {
    entries: Mutex<HashMap<u32, Entry>>,
}

#[derive(Debug)]
struct Entry {
    text: Arc<str>,
    expires: Instant,
}

impl Cache {
    /// The text of a product, unless it has expired.
    pub(super) fn get(&self, id: u32, now: Instant) -> Option<Arc<str>> {
        let entries = self.entries();
        let entry = entries.get(&id).filter(|entry| now < entry.expires)?;
        Some(Arc::clone(&entry.text))
    }

    /// Keeps a text for `life`.
    pub(super) fn put(&self, id: u32, text: Arc<str>, now: Instant, life: Duration) {
        self.entries().insert(id, Entry { text, expires: now + life });
    }

    /// Forgets everything; how many entries that were.
    pub(super) fn flush(&self) -> usize {
        let mut entries = self.entries();
        let count = entries.len();
        entries.clear();
        count
    }

    /// How many entries are kept, expired ones included until they are written again.
    pub(super) fn len(&self) -> usize {
        self.entries().len()
    }

    fn entries(&self) -> MutexGuard<'_, HashMap<u32, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_live_as_long_as_they_were_given() {
        let (cache, start) = (Cache::default(), Instant::now());
        let life = Duration::from_secs(2);
        cache.put(7, "seven".into(), start, life);
        assert_eq!(cache.get(7, start).as_deref(), Some("seven"));
        assert_eq!(cache.get(7, start + life), None);
        assert_eq!(cache.get(8, start), None);
        assert_eq!((cache.flush(), cache.len()), (1, 0));
    }
}
