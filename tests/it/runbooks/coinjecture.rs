//! COINjecture, end to end.

use crate::rigs::coinjecture::Coin;
use crate::rigs::coinjecture::Fault;
use crate::rigs::coinjecture::NEW;
use crate::rigs::coinjecture::OLD;

/// Given a node that drifts, then what it logged is kept, it is returned to legacy mode, that is verified, an issue is filed, and
/// people are told.
#[tokio::test]
async fn coin_node_that_drifts_is_returned_to_legacy_mode() {
    let coin = Coin::start().await;
    let site = coin.plan().start().await;
    coin.fault(&Fault::Drift("node-07"));
    let run = site.until_run("safe-codec-mode", "fixed").await;
    assert!(run.to_string().contains("PARITY DRIFT height=1042"), "{run:#}");
    let effects = coin.effects().all();
    assert!(effects[0].starts_with("node-07 parity_diff_analysis.sh --log "), "{effects:?}");
    assert_eq!(
        effects[1..],
        ["node-07 set_codec_mode.sh legacy_only", "node-07 systemctl restart coinjectured"]
    );
    let issues = coin.issues.requests("/repos/Quigles1337/COINjecture1337-REFACTOR/issues");
    assert_eq!(issues.len(), 1);
    assert_eq!(issues[0].json()["labels"][0], "parity-drift");
    site.until_it_is("ParityDriftDetected", "resolved").await;
    site.told("node-07: parity drift detected").await;
    site.audit_holds().await;
}

/// Given a state violation, then production is halted at once and all node operators are told, a person is asked for the block to
/// return to, and only then the chain is returned to it.
#[tokio::test]
async fn coin_state_violation_halts_production_and_asks_for_the_block() {
    let coin = Coin::start().await;
    let site = coin.plan().start().await;
    // what a count was before is known
    site.shows("count(coinjecture_state_violations_total offset 6s)", 21).await;
    coin.fault(&Fault::Violation);
    let run = site.until_run("halt-and-return", "awaiting answer").await;
    assert_eq!(coin.effects().all(), ["control emergency_halt.sh"]);
    assert!(run.to_string().contains("StateRootMismatch block=0bad"), "{run:#}");
    site.mailed("node-operators@coinjecture.com").await;
    let id = run["run"]["id"].as_str().unwrap();
    let said = site
        .quell
        .cli(&["answer", id, "last_good=0x1f2e3d4c", "bad=0x0badb10c", "--by", "kim"])
        .await;
    assert_ne!(said.code, 0, "kim is of tier 2: {said:#?}");
    let said = site
        .quell
        .cli(&["answer", id, "last_good=0x1f2e3d4c", "bad=0x0badb10c", "--by", "dana"])
        .await;
    assert_eq!(said.code, 0, "{said:#?}");
    site.until_run("halt-and-return", "fixed").await;
    assert_eq!(
        coin.effects().all(),
        [
            "control emergency_halt.sh",
            "control coinjectured reorg --to-block 0x1f2e3d4c",
            "control forensics.sh --issue state-violation --block 0x0badb10c",
        ]
    );
    site.audit_holds().await;
}

/// Given an IPFS node that a restart does not bring back, then the quorum is lowered; and when the node is back, it is taken back.
#[tokio::test]
async fn coin_quorum_is_lowered_while_a_node_is_away_and_taken_back() {
    let coin = Coin::start().await;
    let site = coin.plan().start().await;
    coin.fault(&Fault::Away("ipfs-2", false));
    site.until_run("lower-pin-quorum", "fixed").await;
    let before = coin.effects().all();
    assert_eq!(before, ["ipfs-2 systemctl restart ipfs", "control set_pin_quorum.sh 1/2"]);
    coin.fault(&Fault::Back("ipfs-2"));
    let after = coin.effects().until("control audit_cids.sh --repair").await;
    assert_eq!(after[2..], ["control set_pin_quorum.sh 2/3", "control audit_cids.sh --repair"]);
    site.until_it_is("PinQuorumFailure", "resolved").await;
    site.audit_holds().await;
}

/// Given two of three IPFS nodes away, then nothing is restarted and the quorum stays: too many are ill, and people are told.
#[tokio::test]
async fn coin_two_nodes_away_are_left_to_people() {
    let coin = Coin::start().await;
    let site = coin.plan().start().await;
    coin.fault(&Fault::Away("ipfs-1", true));
    coin.fault(&Fault::Away("ipfs-2", true));
    site.until("PinQuorumFailure", "refused", |it| {
        it["decisions"].as_array().unwrap().iter().any(|decision| {
            decision["rulings"].as_array().is_some_and(|all| {
                all.iter().any(|ruling| {
                    ruling["guard"] == "max unhealthy" && ruling["verdict"]["is"] != "proceed"
                })
            })
        })
    })
    .await;
    site.told("PinQuorumFailure").await;
    assert_eq!(coin.effects().all(), [""; 0]);
}

/// Given a rollout that a person requested and whose checklist another answered, when the canary drifts while it is watched, then
/// the canary is returned to the version before, without asking; and nothing else was touched.
#[tokio::test]
async fn coin_rollout_is_rolled_back_when_the_canary_drifts() {
    let coin = Coin::start().await;
    let site = coin.plan().start().await;
    coin.request("rollout/requested", NEW);
    let run = site.until_run("rollout", "awaiting answer").await;
    assert_eq!(coin.effects().all(), [""; 0]);
    let id = run["run"]["id"].as_str().unwrap();
    let list = [
        "quality_gates=done",
        "determinism=done",
        "parity=done",
        "security=done",
        "sboms=done",
        "release_notes=done",
        "rollback_plan=done",
    ];
    let line = [&["answer", id][..], &list, &["--step", "checklist", "--by", "dana"]].concat();
    let said = site.quell.cli(&line).await;
    assert_eq!(said.code, 0, "{said:#?}");
    coin.effects().until("canary systemctl restart coinjectured").await;
    coin.fault(&Fault::Drift("canary"));
    site.until_run("rollout", "failed").await;
    assert_eq!(
        coin.effects().all(),
        [
            format!("canary git checkout {NEW}"),
            "canary build_and_install.sh".to_owned(),
            "canary set_codec_mode.sh shadow".to_owned(),
            "canary systemctl restart coinjectured".to_owned(),
            format!("canary git checkout {OLD}"),
            "canary systemctl restart coinjectured".to_owned(),
        ][..]
    );
    site.told("canary is well").await;
    site.audit_holds().await;
}
