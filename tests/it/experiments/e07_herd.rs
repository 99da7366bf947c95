//! Flush with the store at 80 % of its load; restart ten replicas: slice by slice, enough always stay, and starts are spread
//! (G4, G9, G10).

use serde_json::json;

use crate::experiments::rig;
use crate::experiments::rig::Rig;
use crate::support::wait;

const REPLICAS: usize = 10;
const STAY: usize = 8;

#[tokio::test]
async fn e07_ten_replicas() {
    let mut rig = Rig::new().await;
    let units: Vec<String> = (0..REPLICAS).map(|it| format!("r{it}")).collect();
    rig.config["limits"] =
        json!({ "max_unhealthy": "100%", "concurrent": 10, "rate": "100 per 1h" });
    // whatever the alerts say, the plant counts: a replica that is being restarted is away
    rig.rule()["population"] = json!({ "of": units });
    rig.rule()["limits"] = json!({ "min_available": STAY, "settle": "1s" });
    rig.rule()["redundancy_group"] = json!("replicas");
    rig.plant.is_slow(std::time::Duration::from_millis(300));
    let quell = rig.serve().await;
    // two of ten ask for it: both may go, the second when the first is well again
    for unit in ["r0", "r1"] {
        rig.plant.sicken(unit);
        rig::post(&quell, "firing", unit).await;
    }
    let effects = rig.plant.affected(2).await;
    let apart = effects[1].at.duration_since(effects[0].at);
    assert!(apart.as_millis() >= 1300, "two members of one group at once: {apart:?}");
    rig::until_runs(&quell, &["r-1 restart fixed", "r-2 restart fixed"]).await;
    for unit in ["r0", "r1"] {
        rig::post(&quell, "resolved", unit).await;
    }
    wait::until("both are over", wait::PATIENCE, async || {
        let open = quell.get("/api/v1/incidents?status=open&limit=10").await;
        if open["items"].as_array().unwrap().is_empty() { Ok(()) } else { Err(open) }
    })
    .await;
    // all ten ask for it: too few would stay
    for unit in &units {
        rig.plant.sicken(unit);
    }
    let alerts: Vec<_> =
        units.iter().map(|it| rig::alert("firing", it, "2026-01-05T10:06:00Z")).collect();
    quell.post("/api/v1/webhook/alertmanager", &rig::body("firing", &alerts)).await;
    rig::decided(&quell, "at least 8", REPLICAS - 2).await;
    assert_eq!(rig.plant.effects().len(), 2);
    rig.report(7, "ten replicas of one group", None);
}

const SLICES: usize = 3;

const FLUSH: &str = r#"
playbook: restart
parameters: { unit: { type: string, required: true } }
cache:
  load: { scrape: { url: "PLANT/gauge/load", select: gauge }, healthy: value < 0.8 }
  hit_ratio: { scrape: { url: "PLANT/gauge/hits", select: gauge }, healthy: value > 0.5 }
steps:
  - name: flush
    for_each: [s0, s1, s2]
    waves: [1, 2, 3]
    http: { server: plant, method: DELETE, url: "/flush/{{ item }}" }
    on_unknown: retry
"#;

#[tokio::test]
#[ignore = "minutes: tests/run experiments"]
async fn e07_flush_by_slices() {
    let mut rig = Rig::new().await;
    rig.playbooks = vec![("restart.yml", FLUSH.replace("PLANT", &rig.plant.url("")))];
    rig.rule()["verify"]["within"] = json!("2m");
    rig.plant.sicken("a");
    rig.plant.gauge("load", 0.8);
    rig.plant.gauge("hits", 0.9);
    let mut quell = rig.quell().with_env("RUST_LOG", "info,quell=debug");
    quell.serve().await;
    rig::post(&quell, "firing", "a").await;
    rig::decided(&quell, "load does not allow it", 1).await;
    assert_eq!(rig.plant.effects(), [], "flushed while the store had no room");
    // room again; each slice leaves the cache cold until it has warmed up
    rig.plant.gauge("load", 0.3);
    rig.plant.cools("hits", 0.2);
    for slice in 0..SLICES {
        rig.plant.affected(slice + 1).await;
        if slice + 1 < SLICES {
            wait::until("the next slice waits", wait::PATIENCE, async || {
                let log = quell.log();
                let held = log.matches("hit ratio does not allow it").count();
                if held > slice { Ok(()) } else { Err(held) }
            })
            .await;
            assert_eq!(rig.plant.effects().len(), slice + 1, "the next slice did not wait");
            rig.plant.gauge("hits", 0.9);
        }
    }
    assert_eq!(rig.plant.effects().len(), SLICES);
    assert!(rig.plant.keys().values().all(|count| *count == 1));
    rig.report(7, "flush by slices, each waits until the cache is warm", None);
}
