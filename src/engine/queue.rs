//! Episodes whose remedy is held until some run ends: when one does, the first of them are judged again, not only when their
//! time comes. What is forgotten here, or waits at another replica, is judged when its time comes all the same.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::PoisonError;

use crate::engine::Engine;
use crate::model::incident::EpisodeId;
use crate::store::Result;

/// More than this do not stand in line.
const MOST: usize = 1000;
/// How many are judged again when a run ends: its place is for one, but what held another may no longer be what holds it.
const NEXT: usize = 2;

/// Who waits, those that have waited longest first, and for what target.
#[derive(Debug, Default)]
pub struct Queue(Mutex<VecDeque<(EpisodeId, String)>>);

impl Queue {
    /// An episode stands in line; where it does already, it keeps its place.
    pub fn wait(&self, episode: EpisodeId, target: &str) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() < MOST && !all.iter().any(|(it, _)| *it == episode) {
            all.push_back((episode, target.to_owned()));
        }
    }

    /// Takes out who may have a chance now that a run on this target has ended: first who waits for the target.
    pub fn next(&self, target: &str) -> Vec<EpisodeId> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut next = Vec::new();
        while next.len() < NEXT && !all.is_empty() {
            let at = all.iter().position(|(_, it)| it == target).unwrap_or(0);
            next.extend(all.remove(at).map(|(episode, _)| episode));
        }
        next
    }
}

/// A run on this target has ended.
pub async fn let_next(engine: &Engine, target: &str) -> Result<()> {
    let next = engine.queue.next(target);
    if !next.is_empty() {
        engine.store.wake_episodes(&next).await?;
        engine.wake.intake.notify_one();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_for_the_target_is_next_and_then_who_has_waited_longest() {
        let queue = Queue::default();
        for (episode, target) in [(1, "a"), (2, "b"), (3, "b"), (1, "a"), (4, "c")] {
            queue.wait(EpisodeId(episode), target);
        }
        assert_eq!(queue.next("c"), [EpisodeId(4), EpisodeId(1)]);
        assert_eq!(queue.next("x"), [EpisodeId(2), EpisodeId(3)]);
        assert_eq!(queue.next("b"), []);
    }

    #[test]
    fn the_line_is_bounded() {
        let queue = Queue::default();
        for episode in 0..5000 {
            queue.wait(EpisodeId(episode), "t");
        }
        assert_eq!(queue.0.lock().unwrap().len(), MOST);
    }
}
