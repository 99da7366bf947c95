//! A backup beside a running server, and a quell that goes on from it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use crate::journeys::fixture::Site;
use crate::journeys::fixture::decided;
use crate::journeys::fixture::delivery;
use crate::journeys::fixture::ran;
use crate::journeys::fixture::runs;
use crate::support::wait;

#[tokio::test]
async fn a_backup_is_made_beside_the_server_and_what_is_restored_waits_for_a_person() {
    let mut site = Site::new().await;
    site.serve().await;
    site.shop.poison_cache().await;
    site.posts("firing").await;
    site.until_run(1, "fixed").await;
    site.posts("resolved").await;
    site.until_of_shop(1, "resolved").await;

    let made = site.quell.cli(&["backup", "night.backup"]).await;
    assert_eq!(made.code, 0, "{made:?}");
    assert!(
        made.out.starts_with("night.backup: ") && made.out.contains("not in it: quell.yml"),
        "{made:?}"
    );
    assert!(made.out.contains("quell.db.link-key"), "{made:?}");
    let file = site.quell.folder().join("night.backup");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let again = site.quell.cli(&["backup", "night.backup"]).await;
    assert!(again.code == 2 && again.err.contains("night.backup is there already"), "{again:?}");
    let nowhere = site.quell.cli(&["backup", "no/such/folder"]).await;
    assert!(nowhere.code == 2 && nowhere.err.contains("could not write"), "{nowhere:?}");
    let beside = site.quell.cli(&["restore", "night.backup"]).await;
    assert!(
        beside.code == 2 && beside.err.contains("another quell serves the database"),
        "{beside:?}"
    );

    assert!(site.quell.stop().await.success());
    let full = site.quell.cli(&["restore", "night.backup"]).await;
    assert!(full.code == 2 && full.err.contains("the database is not empty"), "{full:?}");
    for end in ["", "-wal", "-shm"] {
        drop(fs::remove_file(site.quell.folder().join(format!("quell.db{end}"))));
    }
    let mut cut = fs::read(&file).unwrap();
    cut.truncate(cut.len() / 2);
    fs::write(site.quell.folder().join("cut.backup"), cut).unwrap();
    let damaged = site.quell.cli(&["restore", "cut.backup"]).await;
    assert!(damaged.code == 2 && damaged.err.contains("Q0421"), "{damaged:?}");
    let restored = site.quell.cli(&["restore", "night.backup"]).await;
    assert_eq!(restored.code, 0, "{restored:?}");
    assert!(restored.out.contains("everything is paused"), "{restored:?}");

    site.quell.serve().await;
    let whole = site.until_of_shop(1, "resolved").await;
    assert_eq!(runs(&whole), ran(&[("flush-cache", "fixed")]));
    site.shop.poison_cache().await;
    let later = delivery("firing", "shop", "2026-01-05T11:00:00.000Z");
    site.quell.post("/api/v1/webhook/alertmanager", &later).await;
    wait::until("it waits", wait::PATIENCE, async || {
        let whole = site.of_shop(2).await;
        if decided(&whole).1.contains("paused by restore") { Ok(()) } else { Err(whole) }
    })
    .await;
    let id = site.of_shop(2).await["incident"]["id"].as_str().unwrap().to_owned();
    assert!(id.trim_start_matches("i-").parse::<u64>().unwrap() > 100_000, "{id} was given before");
    let resumed = site.quell.cli(&["resume"]).await;
    assert_eq!(resumed.code, 0, "{resumed:?}");
    wait::until("it acts", wait::PATIENCE, async || {
        let whole = site.of_shop(2).await;
        if runs(&whole) == ran(&[("flush-cache", "fixed")]) { Ok(()) } else { Err(whole) }
    })
    .await;
    let audit = site.quell.cli(&["audit", "verify"]).await;
    assert_eq!(audit.code, 0, "{audit:?}");
}
