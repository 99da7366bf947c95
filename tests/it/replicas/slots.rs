//! Three replicas: each slot of a schedule once, each slot of a check probed once.

use std::collections::BTreeMap;

use serde_json::json;

use crate::experiments::rig;
use crate::experiments::rig::Rig;
use crate::support::postgres;
use crate::support::recorder::Answer;
use crate::support::wait;

const NOTE: &str = r#"
playbook: note
parameters: { slot: { type: string, required: true } }
steps:
  - name: note
    http: { server: plant, method: POST, url: "/note/{{ slot }}" }
    on_unknown: retry
"#;

/// Slots that are waited for.
const SLOTS: usize = 6;

#[tokio::test]
async fn each_slot_is_begun_once_and_each_check_probed_once_postgres() {
    let mut rig = Rig::new().await;
    rig.config["storage"] = postgres::database().await.into();
    rig.people.always("/probe", Answer::status(200));
    rig.rules["schedules"] = json!([{
        "name": "tick", "cron": "* * * * * *", "playbook": "note",
        "with": { "slot": "{{ labels.slot | replace(':', '-') }}" },
    }]);
    rig.rules["checks"] = json!([{
        "name": "probe", "cron": "* * * * * *", "probe": { "http": { "url": rig.people.url("/probe") } },
    }]);
    rig.playbooks.push(("note.yml", NOTE.to_owned()));
    let mut replicas = [rig.quell(), rig.quell(), rig.quell()];
    let began = rig::now();
    for replica in &mut replicas {
        replica.serve().await;
    }
    let noted = rig.plant.affected(SLOTS).await;
    let mut slots: BTreeMap<&str, usize> = BTreeMap::new();
    for effect in &noted {
        *slots.entry(&effect.unit).or_default() += 1;
    }
    assert!(slots.values().all(|count| *count == 1), "{slots:#?}");
    let probed = wait::until("checks are probed", wait::PATIENCE, async || {
        let probes = rig.people.requests("/probe").len();
        if probes >= SLOTS { Ok(probes) } else { Err(probes) }
    })
    .await;
    let passed = usize::try_from(rig::now().duration_since(began).as_secs()).unwrap();
    assert!(probed <= passed + 4, "{probed} probes in {passed} s: more than one a slot");
    let at_work = replicas.iter().filter(|it| it.log().contains("performed")).count();
    assert!(at_work >= 1);
    for replica in &mut replicas {
        assert!(replica.stop().await.success());
    }
}
