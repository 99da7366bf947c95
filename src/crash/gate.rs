//! Where a simulation decides what becomes of whoever comes by: go on, be stopped for a while, be told that the database
//! failed, die. Without a keeper on this thread, everybody passes.

use std::cell::Cell;
use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::task::Poll;

use jiff::Timestamp;

use crate::crash::Point;

/// What the keeper says to whoever comes to a point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Go on.
    Pass,
    /// Stop here until it is your turn again.
    Stop,
    /// The database fails.
    Fail,
    /// Never go on.
    Die,
}

/// Why somebody gave the turn away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Halt {
    /// The keeper stopped him.
    Stopped,
    /// He sleeps until then.
    Asleep(Timestamp),
    /// The keeper lets him die.
    Dying,
}

/// Decides, and notes it.
pub(crate) type Keeper = Box<dyn FnMut(Point) -> Fate>;

thread_local! {
    static KEEPER: RefCell<Option<Keeper>> = const { RefCell::new(None) };
    static OPEN: Cell<bool> = const { Cell::new(false) };
    static HALT: RefCell<Option<Halt>> = const { RefCell::new(None) };
}

/// Puts a keeper at the gates of this thread, or sends him away.
pub(crate) fn keep(keeper: Option<Keeper>) {
    KEEPER.replace(keeper);
}

/// Everybody passes until this is dropped: for those who only look.
#[derive(Debug)]
pub(crate) struct Open(bool);

/// Opens the gates of this thread.
pub(crate) fn open() -> Open {
    Open(OPEN.replace(true))
}

impl Drop for Open {
    fn drop(&mut self) {
        OPEN.set(self.0);
    }
}

/// Why whoever was polled last is not ready; `None` when he waits for something real.
pub(crate) fn halt() -> Option<Halt> {
    HALT.take()
}

/// Gives the turn away once.
pub(crate) async fn give_way(why: Halt) {
    let mut given = false;
    poll_fn(|_| {
        if std::mem::replace(&mut given, true) {
            return Poll::Ready(());
        }
        HALT.replace(Some(why));
        Poll::Pending
    })
    .await;
}

/// Asks the keeper.
pub(crate) async fn pass(point: Point) -> io::Result<()> {
    let fate = KEEPER.with_borrow_mut(|keeper| match keeper {
        Some(keeper) if !OPEN.get() => keeper(point),
        _ => Fate::Pass,
    });
    match fate {
        Fate::Pass => Ok(()),
        Fate::Stop => {
            give_way(Halt::Stopped).await;
            Ok(())
        }
        Fate::Fail => Err(io::Error::new(io::ErrorKind::ConnectionReset, "the simulation says no")),
        Fate::Die => loop {
            give_way(Halt::Dying).await;
        },
    }
}
