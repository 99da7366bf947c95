//! Where statements are sent: through the pool each by itself, or those of a transaction one after another.

use std::fmt;
use std::ops::Deref;
use std::ops::DerefMut;
use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::StreamExt as _;
use futures_util::TryStreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream;
use futures_util::stream::BoxStream;
use sqlx::Any;
use sqlx::AnyConnection;
use sqlx::Either;
use sqlx::Execute;
use sqlx::Executor;
use sqlx::SqlStr;
use sqlx::any::AnyArguments;
use sqlx::any::AnyQueryResult;
use sqlx::any::AnyRow;
use sqlx::any::AnyStatement;
use sqlx::any::AnyTypeInfo;
use sqlx::error::BoxDynError;

use super::Generation;
use super::Pool;
use super::group::Member;
use crate::crash;
use crate::crash::Point;

/// One answer of the database: how many rows were changed, or a row.
pub(super) type Step = Either<AnyQueryResult, AnyRow>;

/// A transaction; dropped without [`Transaction::commit`], it is rolled back.
#[derive(Debug)]
pub(in crate::store) struct Transaction(Line);

/// Where the statements of a transaction are sent.
pub(in crate::store) struct Line {
    tx: Held,
    pool: Pool,
    generation: Arc<Generation>,
}

/// What holds a transaction together.
enum Held {
    /// A connection of its own.
    Alone(sqlx::Transaction<'static, Any>),
    /// A place among those that are committed together.
    Member(Member),
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Line")
    }
}

impl Held {
    async fn ask(&mut self, question: Question, wanted: Wanted) -> sqlx::Result<Vec<Step>> {
        match self {
            Self::Alone(tx) => ask(&mut **tx, question, wanted).await,
            Self::Member(member) => member.ask(question, wanted).await,
        }
    }

    fn connection(&mut self) -> sqlx::Result<&mut AnyConnection> {
        match self {
            Self::Alone(tx) => Ok(&mut **tx),
            Self::Member(member) => member.connection(),
        }
    }
}

impl Line {
    async fn ask(&mut self, question: Question, wanted: Wanted) -> sqlx::Result<Vec<Step>> {
        let answer = self.pool.watched(&self.generation, self.tx.ask(question, wanted)).await;
        if let (Err(error), Held::Member(member)) = (&answer, &mut self.tx) {
            member.failed(error);
        }
        answer
    }
}

impl Transaction {
    /// Commits. An error leaves open whether it did.
    pub(in crate::store) async fn commit(self) -> sqlx::Result<()> {
        let Line { tx, pool, generation } = self.0;
        match tx {
            Held::Alone(tx) => pool.watched(&generation, tx.commit()).await,
            Held::Member(member) => pool.watched(&generation, member.commit()).await,
        }
    }

    /// Rolls back, and returns when what it has seen is on disk: whoever returns what he found says nothing that may be undone.
    pub(in crate::store) async fn leave(self) -> sqlx::Result<()> {
        let Line { tx, pool, generation } = self.0;
        match tx {
            Held::Alone(tx) => pool.watched(&generation, tx.rollback()).await,
            Held::Member(member) => pool.watched(&generation, member.leave()).await,
        }
    }
}

impl Deref for Transaction {
    type Target = Line;

    fn deref(&self) -> &Line {
        &self.0
    }
}

impl DerefMut for Transaction {
    fn deref_mut(&mut self) -> &mut Line {
        &mut self.0
    }
}

/// What is asked, apart from who wrote it.
pub(super) struct Question {
    sql: SqlStr,
    arguments: Option<AnyArguments>,
    persistent: bool,
}

/// How much of the answer is read.
#[derive(Debug, Clone, Copy)]
pub(super) enum Wanted {
    All,
    First,
}

impl Question {
    fn of<'q>(mut query: impl Execute<'q, Any>) -> sqlx::Result<Self> {
        let arguments = query.take_arguments().map_err(sqlx::Error::Encode)?;
        let persistent = query.persistent();
        Ok(Self { sql: query.sql(), arguments, persistent })
    }

    /// Words without values, which are prepared once.
    pub(super) fn words(sql: &'static str) -> Self {
        let arguments = Some(AnyArguments::default());
        Self { sql: SqlStr::from_static(sql), arguments, persistent: true }
    }

    /// Whether it changes nothing.
    pub(super) fn is_read(&self) -> bool {
        self.sql.as_str().trim_start().starts_with("SELECT")
    }
}

impl Execute<'_, Any> for Question {
    fn sql(self) -> SqlStr {
        self.sql
    }

    fn statement(&self) -> Option<&AnyStatement> {
        None
    }

    fn take_arguments(&mut self) -> Result<Option<AnyArguments>, BoxDynError> {
        Ok(self.arguments.take())
    }

    fn persistent(&self) -> bool {
        self.persistent
    }
}

/// Asks, and waits for the answer. Nobody reads so many rows that they should not be in memory together.
pub(super) async fn ask<'c>(
    on: impl Executor<'c, Database = Any>,
    question: Question,
    wanted: Wanted,
) -> sqlx::Result<Vec<Step>> {
    match wanted {
        Wanted::All => on.fetch_many(question).try_collect().await,
        Wanted::First => {
            Ok(on.fetch_optional(question).await?.map(Either::Right).into_iter().collect())
        }
    }
}

impl Pool {
    /// Begins a transaction.
    pub(in crate::store) async fn begin(&self) -> sqlx::Result<Transaction> {
        gate(Point::Statement).await?;
        let generation = self.0.now.load_full();
        let tx = match &self.0.groups {
            None => Held::Alone(self.watched(&generation, generation.pool.begin()).await?),
            Some(groups) => {
                // boxed, or each future of the store that writes would be as large as all of this
                Held::Member(self.watched(&generation, groups.begin(self).boxed()).await?)
            }
        };
        Ok(Transaction(Line { tx, pool: self.clone(), generation }))
    }

    /// One statement, which is its own transaction.
    async fn ask(&self, question: Question, wanted: Wanted) -> sqlx::Result<Vec<Step>> {
        gate(Point::Statement).await?;
        let generation = self.0.now.load_full();
        let steps = match &self.0.groups {
            None => self.watched(&generation, ask(&generation.pool, question, wanted)).await?,
            Some(groups) => self.watched(&generation, groups.ask(self, question, wanted)).await?,
        };
        gate(Point::Stated).await?;
        Ok(steps)
    }
}

impl<'c> Executor<'c> for &'c Pool {
    type Database = Any;

    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> BoxStream<'e, sqlx::Result<Step>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Any>,
    {
        let question = Question::of(query);
        in_turn(async move { self.ask(question?, Wanted::All).await })
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, sqlx::Result<Option<AnyRow>>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Any>,
    {
        let question = Question::of(query);
        async move { Ok(first(self.ask(question?, Wanted::First).await?)) }.boxed()
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [AnyTypeInfo],
    ) -> BoxFuture<'e, sqlx::Result<AnyStatement>>
    where
        'c: 'e,
    {
        async move {
            let generation = self.0.now.load_full();
            let statement = (&generation.pool).prepare_with(sql, parameters);
            self.watched(&generation, statement).await
        }
        .boxed()
    }
}

impl<'c> Executor<'c> for &'c mut Line {
    type Database = Any;

    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> BoxStream<'e, sqlx::Result<Step>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Any>,
    {
        let question = Question::of(query);
        in_turn(async move { self.ask(question?, Wanted::All).await })
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, sqlx::Result<Option<AnyRow>>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Any>,
    {
        let question = Question::of(query);
        async move { Ok(first(self.ask(question?, Wanted::First).await?)) }.boxed()
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [AnyTypeInfo],
    ) -> BoxFuture<'e, sqlx::Result<AnyStatement>>
    where
        'c: 'e,
    {
        async move {
            let statement = self.tx.connection()?.prepare_with(sql, parameters);
            self.pool.watched(&self.generation, statement).await
        }
        .boxed()
    }
}

/// Where simulations stop whoever asks, or break his connection.
async fn gate(point: Point) -> sqlx::Result<()> {
    crash::pass(point).await.map_err(sqlx::Error::Io)
}

fn first(steps: Vec<Step>) -> Option<AnyRow> {
    steps.into_iter().find_map(Either::right)
}

/// The steps of an answer, one after another.
fn in_turn<'e>(
    steps: impl Future<Output = sqlx::Result<Vec<Step>>> + Send + 'e,
) -> BoxStream<'e, sqlx::Result<Step>> {
    stream::once(steps)
        .map_ok(|steps| stream::iter(steps.into_iter().map(Ok)))
        .try_flatten()
        .boxed()
}
