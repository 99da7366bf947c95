//! The protocol of claims, leases and fences, as a model that is small enough to be walked through whole.
//!
//! [`store`] is the part of the store: a few operations on rows. `against` plays the same operations in the real store, at random,
//! and compares every answer and every row, so that the model says what the store does. [`system`] adds workers, who do what
//! `engine/worker.rs` does, between two operations at a time; they ask the real [`crate::decide::machine`]. `walk` goes through
//! every order in which workers, time, crashes, people and webhooks may come.
//!
//! A tick of time is longer than a worker may hesitate between an intent and its effect, and shorter than a lease. A worker
//! that is paused is one who gets no turn for some ticks.
//!
//! What is promised, and checked in every state:
//!
//! 1. On one target at most one effect is in flight, none begins by a worker whose run another has taken over, and none that
//!    was asked about (stop, kill switch, alert) more than a tick before. The one exception is the *gap*: a worker that is
//!    paused after its last look at the database and before its request is on the wire, for longer than its lease. Nobody can
//!    close it from this side of the wire; a target that compares fencing tokens refuses it once it has seen a newer one.
//! 2. No effect begins after a refusal or a stop.
//! 3. What must not be repeated (`on_unknown: probe | ask`) happens at most once, but by way of the gap.
//! 4. From every state, time and living workers alone bring every run to its end, or to a question for a person.
//! 5. A run is stuck only when an undo failed, or nobody can know whether it did.

mod against;
mod store;
mod system;
mod walk;
