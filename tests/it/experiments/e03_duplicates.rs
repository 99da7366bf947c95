//! Three replicas, one webhook fifty times, shuffled, resolved before it fires: one run, one effect a step (G7).

use serde_json::Value;
use tokio::task::JoinSet;

use crate::experiments::rig;
use crate::experiments::rig::Rig;
use crate::support::http;
use crate::support::postgres;
use crate::support::quell::Quell;
use crate::support::wait;

const COPIES: usize = 50;

/// Posts each body to the replicas in turn, all at once.
async fn storm(replicas: &[Quell], bodies: impl Iterator<Item = Value>) {
    let mut posts = JoinSet::new();
    for (index, body) in bodies.enumerate() {
        let url = replicas[index % replicas.len()].webhook();
        let request = http::client().post(url).json(&body);
        posts.spawn(async move { http::json(request).await });
    }
    posts.join_all().await;
}

#[tokio::test]
async fn e03_duplicates_postgres() {
    let mut rig = Rig::new().await;
    rig.config["storage"] = postgres::database().await.into();
    let two = rig.playbooks[0].1.clone()
        + "  - { name: warm, http: { server: plant, method: PUT, url: \"/warm/{{ unit }}\" } }\n";
    rig.playbooks[0].1 = two;
    let mut replicas = vec![rig.quell(), rig.quell(), rig.quell()];
    // migrations one after another, work at once
    for replica in &mut replicas {
        replica.serve().await;
    }
    rig.plant.sicken("a");
    rig.plant.gate().shut();

    let firing = || rig::body("firing", &[rig::alert("firing", "a", rig::STARTED)]);
    let resolved = || rig::body("resolved", &[rig::alert("resolved", "a", rig::STARTED)]);
    storm(&replicas, (0..10).map(|_| resolved())).await;
    storm(&replicas, (0..COPIES).map(|_| firing())).await;
    rig.plant.affected(1).await;
    // while the first step is in flight: more of both, in an order that has nothing of theirs
    let mixed = (0..COPIES).map(|it| if it * 7919 % 101 % 5 == 0 { resolved() } else { firing() });
    storm(&replicas, mixed).await;
    storm(&replicas, (0..3).map(|_| firing())).await;
    rig.plant.gate().open();
    rig.plant.affected(2).await;
    rig::until_runs(&replicas[0], &["r-1 restart fixed"]).await;
    storm(&replicas, (0..COPIES).map(|_| firing())).await;
    storm(&replicas, (0..10).map(|_| resolved())).await;
    wait::until("it is over", wait::PATIENCE, async || {
        let incident = replicas[1].get("/api/v1/incidents/i-1").await;
        if incident["incident"]["status"] == "resolved" { Ok(()) } else { Err(incident) }
    })
    .await;
    // Alertmanager was partitioned, and says it all again
    storm(&replicas, (0..COPIES).map(|_| firing())).await;
    wait::until("it is judged once more", wait::PATIENCE, async || {
        let episodes = replicas[2].get("/api/v1/episodes?limit=10").await;
        let decisions = replicas[2].get("/api/v1/decisions?limit=100").await;
        let open = episodes["items"][0]["open"] == true;
        let judged = decisions["items"][0]["reason"].as_str().unwrap_or_default().to_owned();
        if open && !judged.contains("guards proceed") {
            Ok(judged)
        } else {
            Err((episodes, judged))
        }
    })
    .await;

    assert_eq!(rig::runs(&replicas[2]).await, ["r-1 restart fixed"]);
    assert_eq!(rig.plant.keys(), [("r-1/1".to_owned(), 1), ("r-1/2".to_owned(), 1)].into());
    let workers = replicas.iter().filter(|it| it.log().contains("performed")).count();
    assert_eq!(workers, 1, "two replicas worked on it");
    rig::audit_holds(&replicas[0]).await;
    rig.report(3, "duplicates over three replicas", None);
}
