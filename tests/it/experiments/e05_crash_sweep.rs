//! kill -9 and a full disk at every write of the journal: no effect twice, none that is not recorded, and the audit
//! verifies (G17, G20).

use std::fs;

use futures_util::future::join_all;

use crate::crashes::story::Story;
use crate::crashes::sweep;
use crate::support::wait;

/// Stories told at once.
const AT_ONCE: u32 = 4;
/// The journal of `SQLite` grows by whole pages; a limit so much larger fails some commits later.
const STEP: u64 = 16 << 10;

#[tokio::test]
#[ignore = "minutes: tests/run experiments"]
async fn e05_crash_sweep() {
    let mut crashed = 0;
    loop {
        let next = crashed + 1..=crashed + AT_ONCE;
        let died: Vec<bool> = join_all(next.map(sweep::crash_at)).await;
        crashed += u32::try_from(died.iter().filter(|died| **died).count()).unwrap();
        if died.contains(&false) {
            break;
        }
    }
    assert!(crashed >= 40, "only {crashed} points were passed");
    let filled = disks_fill_up(3..40).await;
    assert!(filled >= 10, "the disk was full only {filled} times");
    report(&format!("{crashed} times kill -9 and {filled} times a full disk"));
}

#[tokio::test]
async fn e05_full_disk() {
    let filled = disks_fill_up(6..10).await;
    assert!(filled >= 3, "the disk was full only {filled} times");
    report(&format!("{filled} times a full disk"));
}

fn report(what: &str) {
    #[expect(clippy::print_stdout, reason = "this line is what the experiment is for")]
    {
        println!(
            "experiment 5, crash sweep: {what}: 0 effects doubled, 0 not recorded, every audit verifies"
        );
    }
}

/// How often the disk was full before the story ended, over these sizes.
async fn disks_fill_up(steps: std::ops::Range<u64>) -> usize {
    let mut filled = 0;
    let sizes: Vec<u64> = steps.map(|it| it * STEP).collect();
    for four in sizes.chunks(4) {
        let ends = join_all(four.iter().map(|bytes| full_at(*bytes))).await;
        filled += ends.into_iter().filter(|full| *full).count();
    }
    filled
}

/// Tells the story on a disk on which no file may grow beyond this, and again with space; says whether it was full.
async fn full_at(bytes: u64) -> bool {
    let mut story = Story::new("retry").await;
    // the tables are there: what fails is the work
    story.quell.serve().await;
    story.quell.kill9();
    let log = story.quell.folder().join("log");
    let before = fs::read_to_string(&log).unwrap().len();
    story.quell.launch_with_files_up_to(bytes);
    let full = wait::until("it fails or the story ends", wait::PATIENCE, async || {
        if story.quell.ended().is_some() {
            return Ok(true);
        }
        let log = fs::read_to_string(&log).unwrap();
        if log[before..].contains("ERROR") {
            return Ok(true);
        }
        let told = story.told();
        if told.len() == crate::crashes::story::TOLD { Ok(false) } else { Err(told) }
    })
    .await;
    story.quell.kill_if_alive();
    story.quell.serve().await;
    let ended = story.plays().await;
    assert_eq!(ended, None, "{bytes} bytes: it died once more");
    let status = story.quell.stop().await;
    assert!(status.success(), "{bytes} bytes: {status}");
    sweep::same_end(&story, u32::try_from(bytes).unwrap()).await;
    full
}
