//! Sixty of a hundred targets fire, a thousand alerts in ten seconds: no effect, one page (G1, G2, G18).

use serde_json::json;

use crate::experiments::rig;
use crate::experiments::rig::Rig;
use crate::support::quell::Quell;
use crate::support::wait;

const UNITS: usize = 100;
const ILL: usize = 60;
/// Alerts, over ten waves of the sixty and more of them.
const ALERTS: usize = 1000;

/// A thousand alerts of sixty units, a hundred in a body, one body after another.
async fn alarm(rig: &Rig, quell: &Quell) {
    let mut sent = 0;
    while sent < ALERTS {
        let alerts: Vec<_> = (sent..sent + 100)
            .map(|it| {
                let unit = format!("u{}", it % ILL);
                rig.plant.sicken(&unit);
                rig::alert("firing", &unit, rig::STARTED)
            })
            .collect();
        quell.post("/api/v1/webhook/alertmanager", &rig::body("firing", &alerts)).await;
        sent += alerts.len();
    }
}

/// Waits until every unit that is ill was judged, and none may act.
async fn all_are_held(quell: &Quell) {
    wait::until("sixty are held", wait::PATIENCE, async || {
        let page = quell.get("/api/v1/decisions?limit=500").await;
        let items = page["items"].as_array().unwrap();
        let held: std::collections::BTreeSet<String> = items
            .iter()
            .filter(|it| it["verdict"]["is"] == "hold")
            .map(|it| it["target"].to_string())
            .collect();
        if held.len() >= ILL { Ok(()) } else { Err((held.len(), items.len())) }
    })
    .await;
}

#[tokio::test]
async fn e01_most_of_a_population() {
    let mut rig = Rig::new().await;
    let units: Vec<String> = (0..UNITS).map(|it| format!("u{it}")).collect();
    rig.rule()["population"] = json!({ "of": units });
    rig.rule()["limits"] = json!({ "settle": "2s" });
    let quell = rig.serve().await;
    let began = rig::now();
    alarm(&rig, &quell).await;
    all_are_held(&quell).await;
    rig.paged(1).await;
    // a second alarm changes nothing
    alarm(&rig, &quell).await;
    all_are_held(&quell).await;
    assert_eq!(rig.plant.effects(), []);
    assert_eq!(rig.pages(), 1, "{:#?}", rig.page_words());
    let took = rig::now().duration_since(began);
    rig.report(1, "mass alarm of a population", Some(took.try_into().unwrap_or_default()));
}

#[tokio::test]
async fn e01_targets_that_have_nothing_in_common() {
    let mut rig = Rig::new().await;
    rig.rule()["limits"] = json!({ "settle": "2s" });
    let quell = rig.serve().await;
    let began = rig::now();
    alarm(&rig, &quell).await;
    all_are_held(&quell).await;
    rig.paged(1).await;
    assert_eq!(rig.plant.effects(), []);
    assert_eq!(rig.pages(), 1, "{:#?}", rig.page_words());
    let took = rig::now().duration_since(began);
    rig.report(1, "mass alarm without a population", Some(took.try_into().unwrap_or_default()));
}
