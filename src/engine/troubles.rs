//! Troubles that last: said once in a while, not at each try.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use tokio::time::Instant;

/// The same words of the same loop are said again after this.
const AGAIN_AFTER: Duration = Duration::from_mins(5);

/// What each loop said last, and when.
#[derive(Debug, Default)]
pub struct Troubles(Mutex<BTreeMap<&'static str, (String, Instant)>>);

impl Troubles {
    /// Whether this is to be said, which it then is.
    pub fn is_news(&self, task: &'static str, words: &str, now: Instant) -> bool {
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((last, at)) = said.get(task)
            && last == words
            && now.saturating_duration_since(*at) < AGAIN_AFTER
        {
            return false;
        }
        said.insert(task, (words.to_owned(), now));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lasts_is_said_once_in_a_while_and_news_at_once() {
        let (troubles, start) = (Troubles::default(), Instant::now());
        let later = |secs| start + Duration::from_secs(secs);
        assert!(troubles.is_news("worker", "the disk is full", start));
        assert!(!troubles.is_news("worker", "the disk is full", later(1)));
        assert!(troubles.is_news("intake", "the disk is full", later(1)));
        assert!(troubles.is_news("worker", "the disk cannot be written", later(2)));
        assert!(!troubles.is_news("worker", "the disk cannot be written", later(300)));
        assert!(troubles.is_news("worker", "the disk cannot be written", later(302)));
    }
}
