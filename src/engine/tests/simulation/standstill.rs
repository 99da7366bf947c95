//! A worker that stands still for minutes at each point of its way to an effect, while a person sets the kill switch.

use std::time::Duration;

use crate::crash::gate;
use crate::engine::tests::simulation::Stage;
use crate::engine::tests::simulation::dice::Dice;
use crate::engine::tests::simulation::plant::Plant;
use crate::engine::tests::simulation::plant::Weather;
use crate::engine::tests::simulation::world::Perils;
use crate::engine::tests::simulation::world::World;
use crate::model::alert::Alert;
use crate::model::alert::AlertStatus;
use crate::model::alert::Delivery;
use crate::model::labels::Labels;

/// Far beyond any lease.
const STANDS: Duration = Duration::from_mins(10);

/// One run of the rule `asks` is planned, and nobody has begun it.
async fn planned(stage: &Stage) -> (World, Plant) {
    stage.reset().await;
    let pair = (stage.clock.clone(), stage.store.clone());
    let plant = Plant::new(pair, Dice::new(1), Weather { mends: 1000, ..Weather::default() }, true);
    let pair = (&stage.store, &stage.clock);
    let mut world = World::new(pair, &stage.libraries[0], plant.clone(), Dice::new(2), 1).await;
    plant.lock().ill.push("unit/a".to_owned());
    let labels: Labels =
        [("alertname", "asks"), ("severity", "critical"), ("unit", "a")].into_iter().collect();
    let alert = Alert {
        status: AlertStatus::Firing,
        labels,
        annotations: Labels::default(),
        starts_at: Some(world.now()),
        ends_at: None,
        generator_url: String::new(),
    };
    let alerts = vec![alert];
    let delivery = Delivery { source: "am".into(), receiver: "quell".into(), truncated: 0, alerts };
    world.begin(0, "webhook", |engine| async move {
        engine.intake.accept(delivery).await.unwrap();
    });
    while world.turn().await {}
    world.loop_once(0, "episodes");
    while world.turn().await {}
    assert_eq!(world.look().await.runs, 1);
    (world, plant)
}

/// Stops the worker at its `points`th gate; says whether it came so far, and what it did.
async fn stopped_at(stage: &Stage, points: usize) -> (bool, Plant) {
    let (mut world, plant) = planned(stage).await;
    world.perils.borrow_mut().stop = 1000;
    world.loop_once(0, "runs");
    for _ in 0..=points {
        if !world.turn().await {
            // it sleeps, or is done: there is nothing more to stop
            return (false, plant);
        }
    }
    *world.perils.borrow_mut() = Perils::default();
    let open = gate::open();
    world.store.pause("all", "dana", "stop").await.unwrap();
    drop(open);
    plant.lock().paused_since = Some(world.now());
    world.advance_to(crate::model::time::after(world.now(), STANDS));
    for _ in 0..100 {
        if !world.turn().await {
            break;
        }
    }
    (true, plant)
}

#[test]
fn who_stood_still_anywhere_hears_the_kill_switch_before_he_acts() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let stage = Stage::new().await;
        let (mut stops, mut acted) = (0, 0);
        loop {
            let (came, plant) = stopped_at(&stage, stops).await;
            let inner = plant.lock();
            let trace = inner.trace.as_deref().unwrap_or_default().join("\n");
            assert_eq!(inner.violations, Vec::<String>::new(), "stopped at {stops}:\n{trace}");
            acted += usize::from(!inner.effects.is_empty());
            if !came {
                break;
            }
            stops += 1;
        }
        gate::keep(None);
        assert!(stops > 20 && acted > 0, "{stops} stops, {acted} after the effect");
    });
}
