//! Several replicas on one `PostgreSQL`, and what may happen to it, to them and to the network between: nothing lost, nothing
//! twice, nothing done that is not written.

mod outages;
mod partition;
mod slots;
mod upgrade;
mod wakes;
mod zombie;

use serde_json::Value;

use crate::experiments::rig::Rig;
use crate::support::process;
use crate::support::quell::Quell;
use crate::support::wait;

/// A playbook whose step is asked about when nobody knows whether it happened.
const ASK: &str = r#"
playbook: restart
parameters: { unit: { type: string, required: true } }
steps:
  - name: restart
    http: { server: plant, method: POST, url: "/restart/{{ unit }}" }
    timeout: TIMEOUT
    on_unknown: ask
"#;

/// Units, the database they share, and a step with this timeout.
async fn rig(database: &str, timeout: &str) -> Rig {
    let mut rig = Rig::new().await;
    rig.config["storage"] = database.into();
    rig.playbooks = vec![("restart.yml", ASK.replace("TIMEOUT", timeout))];
    rig
}

/// Waits until the log says this.
async fn says(quell: &Quell, words: &str) {
    wait::until(&format!("it says: {words}"), wait::PATIENCE, async || {
        let log = quell.log();
        if log.contains(words) { Ok(()) } else { Err(log) }
    })
    .await;
}

/// How often the log says this.
fn said(quell: &Quell, words: &str) -> usize {
    quell.log().matches(words).count()
}

/// Posts the alert of a unit until it is taken, as Alertmanager does; gives back how often it was refused with 503.
async fn post_until_taken(quell: &Quell, unit: &str) -> usize {
    let mut refused = 0;
    wait::until("the alert is taken", wait::PATIENCE, async || {
        let reply = try_post(quell, unit).await;
        if reply.0 == 200 {
            return Ok(());
        }
        assert_eq!(reply.0, 503, "{reply:?}");
        refused += 1;
        Err(reply)
    })
    .await;
    refused
}

/// Posts the alert of a unit once: the status, and the body.
async fn try_post(quell: &Quell, unit: &str) -> (u16, Value) {
    use crate::experiments::rig;
    let body = rig::body("firing", &[rig::alert("firing", unit, rig::STARTED)]);
    let path = "/api/v1/webhook/alertmanager";
    let reply = quell.request(reqwest::Method::POST, path).json(&body).send().await.unwrap();
    let status = reply.status().as_u16();
    if status == 503 {
        // 1 when the delivery before this one waits already
        let again = &reply.headers()["retry-after"];
        assert!(again == "5" || again == "1", "{again:?}");
    }
    (status, reply.json().await.unwrap())
}

/// Tells of a test that cannot run here.
fn skip(test: &str, why: &str) {
    #[expect(clippy::print_stdout, reason = "a test that proves nothing says so")]
    {
        println!("{test} is skipped: {why}");
    }
}

#[test]
fn the_programs_that_networks_are_made_with_are_there() {
    process::run("ip", &["-V"]);
}
