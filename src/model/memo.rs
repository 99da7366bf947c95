//! What was made of a text, for as long as someone uses it.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::Weak;

/// So many values are kept before those are dropped that nothing uses.
const SWEEP: usize = 1024;

/// Values by the text that they are made of: equal texts share one value. A memory of a pure function: nothing but
/// time and space depends on it.
#[derive(Debug)]
pub struct Memo<T>(Mutex<Known<T>>);

#[derive(Debug)]
struct Known<T> {
    values: HashMap<Box<str>, Weak<T>>,
    sweep_at: usize,
}

impl<T> Default for Memo<T> {
    fn default() -> Self {
        Self(Mutex::new(Known { values: HashMap::new(), sweep_at: SWEEP }))
    }
}

impl<T> Memo<T> {
    /// The value of this text, if someone uses it.
    pub fn get(&self, text: &str) -> Option<Arc<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).values.get(text)?.upgrade()
    }

    /// The value of this text: the one in use, or a new one.
    pub fn get_or<E>(&self, text: &str, new: impl FnOnce() -> Result<T, E>) -> Result<Arc<T>, E> {
        if let Some(known) = self.get(text) {
            return Ok(known);
        }
        // not under the lock; of two that make the same, the later one stays
        let value = Arc::new(new()?);
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.values.len() >= known.sweep_at {
            known.values.retain(|_, it| it.strong_count() > 0);
            known.sweep_at = (known.values.len() * 2).max(SWEEP);
        }
        known.values.insert(text.into(), Arc::downgrade(&value));
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn length(memo: &Memo<usize>, text: &str) -> Arc<usize> {
        memo.get_or(text, || Ok::<_, ()>(text.len())).unwrap()
    }

    #[test]
    fn equal_texts_share_a_value_while_it_is_used() {
        let memo = Memo::default();
        let one = length(&memo, "abc");
        assert!(Arc::ptr_eq(&one, &length(&memo, "abc")));
        drop(one);
        assert_eq!(memo.get("abc"), None);
        assert_eq!(*length(&memo, "abc"), 3);
    }

    #[test]
    fn what_cannot_be_made_is_tried_again() {
        let memo = Memo::<usize>::default();
        assert_eq!(memo.get_or("a", || Err("wrong")), Err("wrong"));
        assert_eq!(memo.get_or("a", || Ok::<_, ()>(1)), Ok(Arc::new(1)));
    }

    #[test]
    fn what_nobody_uses_is_forgotten() {
        let memo = Memo::default();
        let kept = length(&memo, "kept");
        for number in 0..10 * SWEEP {
            length(&memo, &number.to_string());
        }
        let known = memo.0.lock().unwrap().values.len();
        assert!(known <= SWEEP, "{known}");
        assert!(Arc::ptr_eq(&kept, &length(&memo, "kept")));
    }
}
