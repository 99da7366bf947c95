//! Restarts succeed and help nothing, and then the alert flaps: at most k effects, the breaker opens, people are paged; other
//! units are still served (G5, G16).

use std::time::Duration;

use serde_json::json;

use crate::experiments::rig;
use crate::experiments::rig::Rig;
use crate::support::quell::Quell;
use crate::support::wait;

/// `ineffective` of this experiment.
const K: usize = 3;

#[tokio::test]
async fn e06_useless_fix() {
    let mut rig = Rig::new().await;
    rig.config["limits"] = json!({ "cooldown": "1s", "ineffective": format!("{K} per 6h") });
    rig.rule()["verify"]["within"] = json!("1s");
    rig.rule()["verify"]["hold"] = json!("0s");
    // a rule of its own, since this one loses the trust to act alone
    let mut other = rig.rule().clone();
    other["name"] = json!("another");
    other["match"] = json!(["alertname=\"UnitSlow\""]);
    rig.rules["rules"].as_array_mut().unwrap().push(other);
    let quell = rig.serve().await;
    rig.plant.is_beyond_help();
    rig.plant.sicken("a");
    let began = rig::now();
    // it flaps: every firing is a new one, and none is helped by what is tried
    let mut last = 0;
    for round in 0..2 * K {
        let at = began + jiff::SignedDuration::from_secs(60 * i64::try_from(round).unwrap());
        let firing = rig::alert("firing", "a", &at.to_string());
        quell.post("/api/v1/webhook/alertmanager", &rig::body("firing", &[firing])).await;
        wait::until("it is tried, or refused", wait::PATIENCE, async || {
            let runs = rig::runs(&quell).await;
            let over = runs.iter().filter(|it| it.ends_with("failed")).count();
            let refused = refused(&quell).await;
            if over > last || refused { Ok(()) } else { Err((runs, refused)) }
        })
        .await;
        last = rig.plant.effects().len();
        let mut resolved = rig::alert("resolved", "a", &at.to_string());
        resolved["endsAt"] = json!(at + jiff::SignedDuration::from_secs(30));
        quell.post("/api/v1/webhook/alertmanager", &rig::body("resolved", &[resolved])).await;
        wait::until("it is over", wait::PATIENCE, async || {
            // from the third on the incident stays open: what flaps is one
            let page = quell.get("/api/v1/episodes?limit=50").await;
            let fires = |it: &&serde_json::Value| it["open"] == true && it["labels"]["unit"] == "a";
            let incidents = quell.get("/api/v1/incidents?limit=50").await;
            let open = |it: &serde_json::Value| it["rule"] == "ill" && it["status"] != "resolved";
            // what fires again in the moment in which its incident is resolved may open one more
            let resolves = round < 2 && incidents["items"].as_array().unwrap().iter().any(open);
            if resolves || page["items"].as_array().unwrap().iter().any(|it| fires(&it)) {
                Err(page)
            } else {
                Ok(())
            }
        })
        .await;
    }
    let effects = rig.plant.effects();
    assert_eq!(effects.len(), K, "{effects:?}");
    let incidents = quell.get("/api/v1/incidents?limit=50").await;
    let of_rule = |it: &&serde_json::Value| it["rule"] == "ill";
    let count = incidents["items"].as_array().unwrap().iter().filter(of_rule).count();
    assert_eq!(count, 2, "from the third time on it is the second again");
    rig::decided(&quell, "did not help unit/a", 1).await;
    rig.told("people are needed").await;
    let stopped = effects.last().unwrap().at.duration_since(began);
    let stopped = Duration::try_from(stopped).unwrap_or_default();

    rig.report(6, "a fix that does not help", Some(stopped));

    // another unit is served all the same
    let mut other = rig::alert("firing", "b", rig::STARTED);
    other["labels"]["alertname"] = json!("UnitSlow");
    rig.plant.sicken("b");
    quell.post("/api/v1/webhook/alertmanager", &rig::body("firing", &[other])).await;
    let effects = rig.plant.affected(K + 1).await;
    assert_eq!(effects.last().unwrap().unit, "b");
}

/// Whether the last decision of the rule refused to try again what did not help. Others may follow it: quell tells of what it
/// did to the rule.
async fn refused(quell: &Quell) -> bool {
    let page = quell.get("/api/v1/decisions?limit=500").await;
    let last = page["items"].as_array().unwrap().iter().find(|it| it["rule"] == "ill");
    last.is_some_and(|it| it["reason"].as_str().unwrap().contains("did not help unit/a"))
}
