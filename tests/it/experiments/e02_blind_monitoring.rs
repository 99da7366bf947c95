//! Prometheus answers with nothing, then 503, then samples whose time stands still, then half of the targets: no effect
//! throughout (G3).

use serde_json::json;

use crate::experiments::rig;
use crate::experiments::rig::Rig;
use crate::support::quell::Quell;
use crate::support::recorder::Answer;
use crate::support::recorder::Recorder;

const QUERY: &str = "/api/v1/query";
/// Units that fall ill in each phase: too few in all to be a storm.
const UNITS: usize = 4;

/// An answer of Prometheus: a vector of these values at this time.
fn vector(values: &[&str], at: jiff::Timestamp) -> Answer {
    let seconds = at.as_duration().as_secs_f64();
    let result: Vec<_> = values
        .iter()
        .enumerate()
        .map(|(index, value)| {
            json!({ "metric": { "unit": format!("u{index}") }, "value": [seconds, value] })
        })
        .collect();
    let data = json!({ "resultType": "vector", "result": result });
    Answer::status(200)
        .header("content-type", "application/json")
        .body(json!({ "status": "success", "data": data }).to_string())
}

/// New units fall ill; each is judged and held for want of evidence.
async fn nothing_happens(rig: &Rig, quell: &Quell, phase: &str, reason: &str) {
    let alerts: Vec<_> =
        (0..UNITS).map(|it| rig::alert("firing", &format!("{phase}-{it}"), rig::STARTED)).collect();
    quell.post("/api/v1/webhook/alertmanager", &rig::body("firing", &alerts)).await;
    let before = rig.plant.effects();
    rig::decided(quell, reason, UNITS).await;
    assert_eq!(before, [], "{phase}");
    assert_eq!(rig.plant.effects(), [], "{phase}");
}

#[tokio::test]
async fn e02_blind_monitoring() {
    let mut rig = Rig::new().await;
    let prometheus = Recorder::start().await;
    rig.config["prometheus"] = json!({ "url": prometheus.url("") });
    rig.config["limits"] = json!({ "max_age": "1m" });
    rig.rule()["verify"] = json!({
        "promql": "unit_healthy{unit=\"{{ labels.unit }}\"}", "healthy": "value == 1.0",
        "within": "2s", "hold": "1s",
    });
    prometheus.always(QUERY, vector(&[], rig::now()));
    let quell = rig.serve().await;
    nothing_happens(&rig, &quell, "empty", "no sample").await;

    prometheus.always(QUERY, Answer::status(503).body("Service Unavailable"));
    nothing_happens(&rig, &quell, "down", "503").await;

    let frozen = rig::now() - jiff::SignedDuration::from_mins(10);
    prometheus.always(QUERY, vector(&["0"], frozen));
    nothing_happens(&rig, &quell, "frozen", "old").await;

    // it says what it does not know, as `remote_read` and Thanos do when a part of them is down
    let partial = json!({
        "status": "success", "warnings": ["half of the stores did not answer"],
        "data": { "resultType": "vector", "result": [] },
    });
    let partial = Answer::status(200).body(partial.to_string());
    prometheus.always(QUERY, partial);
    nothing_happens(&rig, &quell, "partial", "half of the stores did not answer").await;
    rig.report(2, "blind monitoring: empty, 503, frozen, with a warning", None);

    // what it lacked was evidence, and nothing else
    prometheus.always(QUERY, vector(&["0"], rig::now()));
    rig::post(&quell, "firing", "seen").await;
    rig.plant.affected(1).await;
    rig::audit_holds(&quell).await;
}

#[tokio::test]
async fn e02_half_of_the_targets() {
    let mut rig = Rig::new().await;
    let prometheus = Recorder::start().await;
    rig.config["prometheus"] = json!({ "url": prometheus.url("") });
    rig.rule()["population"] = json!({
        "of": "count(unit_healthy)", "unhealthy": "count(unit_healthy == 0) or vector(0)" });
    rig.rule().as_object_mut().unwrap().remove("verify");
    // both counts: a hundred, of which one is ill, is answered with one sample each
    prometheus.always(QUERY, vector(&["8"], rig::now()));
    let mut quell = rig.quell();
    // 8 of 8 are ill: nothing begins, and the size of the population is known
    quell.serve().await;
    nothing_happens(&rig, &quell, "whole", "8 of 8").await;
    prometheus.always(QUERY, vector(&["4"], rig::now()));
    nothing_happens(&rig, &quell, "half", "shrank from 8 to 4").await;
    rig.report(2, "blind monitoring: half of the targets", None);
}
