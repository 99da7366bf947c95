//! Commits of `SQLite` shared by all who write at the same time: one flush of the disk for many.
//!
//! There is one connection, and who writes takes turns. Each transaction is a savepoint of a larger one, the [`Group`], which
//! begins with the first and is committed by a task of its own when nobody else waits for a turn. Who commits gives the turn
//! away, and is answered when that commit is on disk.
//!
//! Any future here may be dropped at any await. So each statement leaves a mark while it is under way, and whoever has the
//! next turn first sees to what was left: a transaction that ended without a commit is taken back, and one that `SQLite`
//! itself took back, with all that was in it, is told to all.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;

use sqlx::Any;
use sqlx::AnyConnection;
use sqlx::pool::PoolConnection;
use tokio::sync::Mutex;
use tokio::sync::OwnedMutexGuard;
use tokio::sync::oneshot;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use super::Generation;
use super::Outage;
use super::Pool;
use super::line::Question;
use super::line::Step;
use super::line::Wanted;
use super::line::ask;
use crate::store::database_words;

/// Members of one group, at most.
const MOST: usize = 256;

/// Errors after which `SQLite` may have rolled the whole transaction back by itself: `BUSY`, `NOMEM`, `INTERRUPT`, `IOERR`,
/// `FULL`.
const FATAL: [u32; 5] = [5, 7, 9, 10, 13];

/// Who has the turn, and who waits for it.
#[derive(Debug)]
pub(super) struct Groups {
    group: Arc<Mutex<Group>>,
    waiting: AtomicUsize,
    /// How long a group that could be committed takes others in, while there are some.
    gathers: Duration,
}

/// What is committed together, while there is something.
#[derive(Debug, Default)]
pub(super) struct Group {
    open: Option<Open>,
    /// How often something was committed.
    #[cfg(test)]
    commits: usize,
}

/// A transaction of many.
#[derive(Debug)]
struct Open {
    connection: PoolConnection<Any>,
    generation: Arc<Generation>,
    /// Who waits for the commit.
    members: Vec<oneshot::Sender<sqlx::Result<()>>>,
    /// A statement is under way, or was when its future was dropped: nobody heard its error.
    asked: bool,
    /// It was not begun, or nobody knows: that was being asked when a future was dropped.
    doubted: bool,
    /// A savepoint was made, by a transaction that has not ended or was dropped.
    inside: bool,
}

/// A turn, held by a transaction.
#[derive(Debug)]
pub(super) struct Member {
    group: OwnedMutexGuard<Group>,
}

/// What others did in the same transaction was not written, and so nothing was.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Lost(String);

impl Lost {
    fn error(words: impl Into<String>) -> sqlx::Error {
        sqlx::Error::AnyDriverError(Box::new(Self(words.into())))
    }
}

/// Counts one that waits for its turn.
struct Waits<'a>(&'a AtomicUsize);

impl<'a> Waits<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::AcqRel);
        Self(count)
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Groups {
    pub(super) fn new(gathers: Duration) -> Self {
        Self { group: Arc::default(), waiting: AtomicUsize::new(0), gathers }
    }

    /// Waits for a turn, first come first served.
    async fn turn(&self) -> OwnedMutexGuard<Group> {
        let _counted = Waits::new(&self.waiting);
        Arc::clone(&self.group).lock_owned().await
    }

    /// Begins a transaction in the group.
    pub(super) async fn begin(&self, pool: &Pool) -> sqlx::Result<Member> {
        let mut group = self.turn().await;
        let open = group.enter(pool).await?;
        let begun = open.say("SAVEPOINT member").await;
        match begun {
            // from here on, a drop takes it back
            Ok(()) => open.inside = true,
            Err(error) => {
                group.failed(&error);
                return Err(error);
            }
        }
        Ok(Member { group })
    }

    /// One statement, answered when it is on disk, as what it has seen.
    pub(super) async fn ask(
        &self,
        pool: &Pool,
        question: Question,
        wanted: Wanted,
    ) -> sqlx::Result<Vec<Step>> {
        let mut group = self.turn().await;
        group.settle().await;
        if question.is_read() && group.open.is_none() {
            let generation = pool.0.now.load_full();
            return ask(&generation.pool, question, wanted).await;
        }
        let open = group.enter(pool).await?;
        let steps = open.ask(question, wanted).await;
        let committed = open.joined();
        if let Err(error) = &steps {
            group.failed(error);
        }
        drop(group);
        let committed = heard(committed).await;
        let steps = steps?;
        committed.map(|()| steps)
    }

    /// Commits the group that is open when nobody else waits for a turn, or when it is full.
    async fn finish(&self, pool: &Pool) {
        let mut could_since = None;
        let mut group = loop {
            // those who were answered together come back together
            tokio::task::yield_now().await;
            let group = Arc::clone(&self.group).lock_owned().await;
            let waited = could_since.get_or_insert_with(Instant::now).elapsed();
            let full = group.open.as_ref().is_none_or(|it| it.members.len() >= MOST);
            if full || waited >= self.gathers || self.waiting.load(Ordering::Acquire) == 0 {
                break group;
            }
        };
        group.settle().await;
        let Some(mut open) = group.open.take() else { return };
        let generation = Arc::clone(&open.generation);
        // when all have left, the disk need not hear of it
        let words = if open.members.is_empty() { "ROLLBACK" } else { "COMMIT" };
        let committed = pool.watched(&generation, open.say(words)).await;
        #[cfg(test)]
        {
            group.commits += 1;
        }
        if let Err(error) = &committed {
            return open.lose(error);
        }
        let members = std::mem::take(&mut open.members);
        // the connection goes back first: who is answered may need it
        drop(open);
        drop(group);
        for member in members {
            // who no longer waits has it committed all the same
            drop(member.send(Ok(())));
        }
    }

    /// How many wait for their turn.
    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Acquire)
    }

    /// How often something was committed.
    #[cfg(test)]
    pub(super) async fn commits(&self) -> usize {
        self.group.lock().await.commits
    }
}

impl Group {
    /// The group that is open, or a new one, on which nothing is left of whoever had the turn before.
    async fn enter(&mut self, pool: &Pool) -> sqlx::Result<&mut Open> {
        self.settle().await;
        if self.open.is_none() {
            let generation = pool.0.now.load_full();
            let connection = generation.pool.acquire().await?;
            let opened = self.open.insert(Open {
                connection,
                generation,
                members: Vec::new(),
                asked: false,
                doubted: true,
                inside: false,
            });
            // also for who goes away while it begins
            let pool = pool.clone();
            drop(TaskTracker::new().spawn(async move {
                if let Some(groups) = &pool.0.groups {
                    groups.finish(&pool).await;
                }
            }));
            if let Err(error) = opened.say("BEGIN IMMEDIATE").await {
                self.lose(&error);
                return Err(error);
            }
            opened.doubted = false;
        }
        self.open.as_mut().ok_or_else(|| Lost::error("the transaction was not begun"))
    }

    /// Sees to what was left by a future that was dropped.
    async fn settle(&mut self) {
        if let Some(open) = &mut self.open
            && let Err(error) = open.settle().await
        {
            self.lose(&error);
        }
    }

    /// Sees whether an error was the end of the whole group.
    fn failed(&mut self, error: &sqlx::Error) {
        if is_fatal(error) {
            self.lose(error);
        }
    }

    fn lose(&mut self, error: &sqlx::Error) {
        if let Some(open) = self.open.take() {
            open.lose(error);
        }
    }
}

impl Open {
    async fn ask(&mut self, question: Question, wanted: Wanted) -> sqlx::Result<Vec<Step>> {
        self.asked = true;
        let answer = ask(&mut *self.connection, question, wanted).await;
        self.asked = false;
        answer
    }

    async fn say(&mut self, words: &'static str) -> sqlx::Result<()> {
        self.ask(Question::words(words), Wanted::All).await.map(drop)
    }

    /// A place among those who are told of the commit.
    fn joined(&mut self) -> oneshot::Receiver<sqlx::Result<()>> {
        let (member, committed) = oneshot::channel();
        self.members.push(member);
        committed
    }

    /// Makes sure of the transaction when a statement was left alone, and takes back what was not committed. An error says
    /// that nothing of the group can be committed.
    async fn settle(&mut self) -> sqlx::Result<()> {
        if self.doubted {
            return Err(Lost::error("a transaction was left before it began"));
        }
        if self.asked {
            self.doubted = true;
            // it may have failed in a way that ended the transaction, and then another can begin
            match self.say("BEGIN").await {
                Err(error) if !is_fatal(&error) => {}
                Err(error) => return Err(error),
                Ok(()) => return Err(Lost::error("a statement ended the transaction")),
            }
            self.doubted = false;
        }
        if self.inside {
            // it stays, as do those of others, until the commit: to go back to it twice does no harm
            self.say("ROLLBACK TO member").await?;
            self.inside = false;
        }
        Ok(())
    }

    /// Tells everybody that nothing was committed, or that nobody knows. The connection is closed, which rolls back.
    fn lose(mut self, error: &sqlx::Error) {
        self.connection.close_on_drop();
        let words = database_words(error);
        for member in self.members.drain(..) {
            drop(member.send(Err(Lost::error(words.clone()))));
        }
    }
}

impl Member {
    pub(super) async fn ask(
        &mut self,
        question: Question,
        wanted: Wanted,
    ) -> sqlx::Result<Vec<Step>> {
        self.open()?.ask(question, wanted).await
    }

    pub(super) fn connection(&mut self) -> sqlx::Result<&mut AnyConnection> {
        Ok(&mut *self.open()?.connection)
    }

    /// Sees whether an error was the end of the whole group.
    pub(super) fn failed(&mut self, error: &sqlx::Error) {
        self.group.failed(error);
    }

    /// Gives the turn away, and returns when the group is committed.
    pub(super) async fn commit(mut self) -> sqlx::Result<()> {
        let open = self.open()?;
        open.inside = false;
        let committed = open.joined();
        drop(self);
        heard(committed).await
    }

    /// Gives the turn away without anything to commit, and returns when what was seen is.
    pub(super) async fn leave(mut self) -> sqlx::Result<()> {
        let open = self.open()?;
        if open.members.is_empty() {
            return Ok(());
        }
        let committed = open.joined();
        drop(self);
        heard(committed).await
    }

    fn open(&mut self) -> sqlx::Result<&mut Open> {
        self.group.open.as_mut().ok_or_else(|| Lost::error("the transaction was rolled back"))
    }
}

/// What the commit came to.
async fn heard(committed: oneshot::Receiver<sqlx::Result<()>>) -> sqlx::Result<()> {
    committed.await.unwrap_or_else(|_| Err(Lost::error("quell is stopping")))
}

/// Whether nobody can say after this error what is left of the transaction.
fn is_fatal(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Database(error) => {
            let code = error.code().and_then(|code| code.parse::<u32>().ok());
            code.is_some_and(|code| FATAL.contains(&(code & 0xff)))
        }
        sqlx::Error::AnyDriverError(error) => error.is::<Outage>() || error.is::<Lost>(),
        sqlx::Error::Io(_) | sqlx::Error::Protocol(_) | sqlx::Error::WorkerCrashed => true,
        _ => false,
    }
}
