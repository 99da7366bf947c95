//! Commits that are shared: how many there are, and that nobody hears of what others fail at, except where all is lost.

use std::pin::pin;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::task::JoinHandle;
use tokio_util::task::TaskTracker;

use super::*;
use crate::store::Engine;
use crate::store::database_words;
use crate::store::pool;

const LONGEST: Duration = Duration::from_secs(20);

/// A database of one table.
struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    async fn new() -> (Self, Pool) {
        let place = Self { dir: tempfile::tempdir().unwrap() };
        let pool = place.open().await;
        let create = "CREATE TABLE t (who TEXT PRIMARY KEY NOT NULL, what TEXT NOT NULL)";
        sqlx::query(create).execute(&pool).await.unwrap();
        (place, pool)
    }

    async fn open(&self) -> Pool {
        sqlx::any::install_default_drivers();
        let url = format!("sqlite://{}?mode=rwc", self.dir.path().join("t.db").display());
        let pool = pool(1, Engine::Sqlite).connect(&url).await.unwrap();
        // long enough for whoever a test lets wait
        Pool::with(pool, LONGEST, Some(Groups::new(LONGEST)))
    }
}

async fn insert(on: impl sqlx::Executor<'_, Database = sqlx::Any>, who: &str) -> sqlx::Result<()> {
    insert_of(on, who, 1).await
}

async fn insert_of(
    on: impl sqlx::Executor<'_, Database = sqlx::Any>,
    who: &str,
    size: usize,
) -> sqlx::Result<()> {
    let sql = "INSERT INTO t (who, what) VALUES ($1, $2)";
    sqlx::query(sql).bind(who).bind("x".repeat(size)).execute(on).await.map(drop)
}

async fn stored(pool: &Pool) -> Vec<String> {
    sqlx::query_scalar("SELECT who FROM t ORDER BY who").fetch_all(pool).await.unwrap()
}

async fn commits(pool: &Pool) -> usize {
    pool.0.groups.as_ref().unwrap().commits().await
}

fn spawn<T: Send + 'static>(task: impl Future<Output = T> + Send + 'static) -> JoinHandle<T> {
    TaskTracker::new().spawn(task)
}

/// Begins a transaction as soon as it is its turn.
fn begins(pool: &Pool) -> JoinHandle<Transaction> {
    let pool = pool.clone();
    spawn(async move { pool.begin().await.unwrap() })
}

/// Waits until `count` wait for a turn.
async fn queue(pool: &Pool, count: usize) {
    while pool.0.groups.as_ref().unwrap().waiting() < count {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_who_write_at_the_same_time_share_commits() {
    let (_place, pool) = Place::new().await;
    let before = commits(&pool).await;
    let each = (0..200).map(|number| {
        let pool = pool.clone();
        spawn(async move {
            let who = format!("{number:03}");
            if number % 2 == 0 {
                return insert(&pool, &who).await;
            }
            let mut tx = pool.begin().await?;
            insert(&mut *tx, &who).await?;
            tx.commit().await
        })
    });
    for done in join_all(each).await {
        done.unwrap().unwrap();
    }
    assert_eq!(stored(&pool).await.len(), 200);
    let shared = commits(&pool).await - before;
    assert!(shared <= 40, "{shared} commits of 200");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_is_rolled_back_leaves_the_others() {
    let (_place, pool) = Place::new().await;
    let before = commits(&pool).await;
    let mut first = pool.begin().await.unwrap();
    let second = begins(&pool);
    queue(&pool, 1).await;
    insert(&mut *first, "first").await.unwrap();
    let first = spawn(first.commit());
    let mut second = second.await.unwrap();
    let third = begins(&pool);
    queue(&pool, 1).await;
    insert(&mut *second, "second").await.unwrap();
    assert!(insert(&mut *second, "first").await.is_err(), "it is there already");
    drop(second);
    let mut third = third.await.unwrap();
    insert(&mut *third, "third").await.unwrap();
    third.commit().await.unwrap();
    first.await.unwrap().unwrap();
    assert_eq!(commits(&pool).await - before, 1);
    assert_eq!(stored(&pool).await, ["first", "third"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_that_ends_the_group_fails_all_of_it_and_the_next_works() {
    let (_place, pool) = Place::new().await;
    // SQLite takes the whole transaction back when there is no room for a page
    let pages: i64 = sqlx::query_scalar("PRAGMA page_count").fetch_one(&pool).await.unwrap();
    let limit = format!("PRAGMA max_page_count = {}", pages + 20);
    let mut first = pool.begin().await.unwrap();
    sqlx::query(sqlx::AssertSqlSafe(limit)).fetch_all(&mut *first).await.unwrap();
    let second = begins(&pool);
    queue(&pool, 1).await;
    insert(&mut *first, "first").await.unwrap();
    let first = spawn(first.commit());
    let mut second = second.await.unwrap();
    let error = insert_of(&mut *second, "second", 1_000_000).await.unwrap_err();
    assert_eq!(database_words(&error), "the disk is full");
    assert!(insert(&mut *second, "again").await.is_err(), "there is no transaction any more");
    assert!(second.commit().await.is_err());
    let error = first.await.unwrap().unwrap_err();
    assert_eq!(database_words(&error), "the disk is full", "what it was told is not on disk");
    insert(&pool, "third").await.unwrap();
    assert_eq!(stored(&pool).await, ["third"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_reads_in_a_group_hears_nothing_that_is_not_on_disk() {
    let (_place, pool) = Place::new().await;
    let before = commits(&pool).await;
    let mut first = pool.begin().await.unwrap();
    let reads = spawn({
        let pool = pool.clone();
        async move { stored(&pool).await }
    });
    queue(&pool, 1).await;
    insert(&mut *first, "first").await.unwrap();
    let (committed, seen) = tokio::join!(first.commit(), reads);
    committed.unwrap();
    assert_eq!(seen.unwrap(), ["first"]);
    assert_eq!(commits(&pool).await - before, 1);
    assert_eq!(stored(&pool).await, ["first"]);
    assert_eq!(commits(&pool).await - before, 1, "to read alone needs none");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_goes_away_in_the_middle_leaves_nothing_behind() {
    let (_place, pool) = Place::new().await;
    let mut expected = Vec::new();
    for polls in 0..60 {
        let leaves = async {
            let mut tx = pool.begin().await?;
            insert(&mut *tx, &format!("{polls:02} a")).await?;
            insert(&mut *tx, &format!("{polls:02} b")).await?;
            tx.commit().await
        };
        let alone = async { insert(&pool, &format!("{polls:02} c")).await };
        let stays = spawn({
            let pool = pool.clone();
            async move { insert(&pool, &format!("{polls:02} d")).await }
        });
        {
            let (mut leaves, mut alone) = (pin!(leaves), pin!(alone));
            for _ in 0..polls {
                let done = futures_util::poll!(&mut leaves).is_ready();
                if done || futures_util::poll!(&mut alone).is_ready() {
                    break;
                }
                tokio::task::yield_now().await;
            }
        }
        stays.await.unwrap().unwrap();
        expected.push(format!("{polls:02} d"));
    }
    insert(&pool, "last").await.unwrap();
    let stored = stored(&pool).await;
    for who in &expected {
        assert!(stored.contains(who), "{who}: {stored:?}");
    }
    for polls in 0..60 {
        let half = |letter| stored.contains(&format!("{polls:02} {letter}"));
        assert_eq!(half("a"), half("b"), "{polls} polls: half a transaction");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn to_close_waits_for_the_commit_that_is_under_way() {
    let (place, pool) = Place::new().await;
    let each = (0..20).map(|number| {
        let pool = pool.clone();
        spawn(async move {
            let mut tx = pool.begin().await?;
            insert(&mut *tx, &format!("{number:02}")).await?;
            tx.commit().await
        })
    });
    let each: Vec<_> = each.collect();
    tokio::time::sleep(Duration::from_millis(1)).await;
    pool.close().await;
    assert!(pool.connections().is_closed());
    let again = place.open().await;
    let stored = stored(&again).await;
    for (number, done) in join_all(each).await.into_iter().enumerate() {
        let done = done.unwrap().map_err(|error| database_words(&error));
        let held = stored.contains(&format!("{number:02}"));
        match done {
            Ok(()) => assert!(held, "{number}"),
            Err(words) => assert_eq!((words.as_str(), held), ("the database is closed", false)),
        }
    }
}
