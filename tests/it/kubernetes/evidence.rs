//! Events, logs and descriptions: capped, and without what may be secret.

use serde_json::Value;
use serde_json::json;

use crate::kubernetes::Rig;
use crate::kubernetes::failed;

fn read(kind: &str, more: &Value) -> Value {
    let mut body = json!({ "cluster": "prod", "namespace": "shop" });
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    json!({ kind: body })
}

fn text(output: &Value) -> String {
    output["text"].as_str().unwrap().to_owned()
}

fn api() -> Value {
    json!({ "workload": { "kind": "deployment", "name": "api" } })
}

fn event(rig: &Rig, number: u32, kind: &str, name: &str, message: &str) {
    rig.cluster.create("events", json!({
        "metadata": { "namespace": "shop", "name": format!("event-{number}") }, "type": "Warning", "reason": "BackOff",
        "message": message, "count": 3, "lastTimestamp": format!("2026-01-05T10:00:{number:02}Z"),
        "involvedObject": { "kind": kind, "namespace": "shop", "name": name },
    }));
}

#[tokio::test]
async fn events_of_a_workload_are_those_of_what_it_made_too() {
    let rig = Rig::start().await;
    event(&rig, 2, "Pod", "api-7f-1", "back-off restarting");
    event(&rig, 1, "Deployment", "api", "scaled up");
    event(&rig, 3, "Pod", "apiary-1", "of another");
    let (_, output) = rig.done(&read("kubernetes.events", &json!({ "about": api() }))).await;
    assert_eq!(
        text(&output),
        "2026-01-05T10:00:01Z Warning BackOff deployment/api: scaled up (3 times)\n\
         2026-01-05T10:00:02Z Warning BackOff pod/api-7f-1: back-off restarting (3 times)"
    );
    let (_, output) =
        rig.done(&read("kubernetes.events", &json!({ "about": { "pod": "apiary-1" } }))).await;
    assert_eq!(output["count"], 1);
    let (_, output) =
        rig.done(&read("kubernetes.events", &json!({ "about": { "selector": "app=api" } }))).await;
    assert_eq!(output, json!({ "text": "", "count": 0, "cut": false }));
}

#[tokio::test]
async fn many_events_are_cut_to_the_newest() {
    let rig = Rig::start().await;
    for number in 0..59 {
        event(&rig, number, "Pod", "api-1", &"long ".repeat(200));
    }
    let (_, output) =
        rig.done(&read("kubernetes.events", &json!({ "about": { "name": "api-1" } }))).await;
    assert!(text(&output).len() <= 16 << 10 && output["cut"] == true);
    assert!(text(&output).lines().last().unwrap().starts_with("2026-01-05T10:00:58Z"));
}

#[tokio::test]
async fn logs_are_the_last_lines_of_each_pod_that_hold_the_text() {
    let rig = Rig::start().await;
    let pods = rig.pod_names();
    rig.cluster.prints(&pods[0], "one\nERROR two\nthree\nERROR four\nfive\n");
    let (_, output) =
        rig.done(&read("kubernetes.logs", &json!({ "about": api(), "lines": "2" }))).await;
    assert_eq!(text(&output), format!("{0}: ERROR four\n{0}: five", pods[0]));
    let more = json!({ "about": { "selector": "app=api" }, "lines": "1", "containing": "ERROR" });
    let (summary, output) = rig.done(&read("kubernetes.logs", &more)).await;
    assert_eq!(
        (text(&output), summary),
        (format!("{}: ERROR four", pods[0]), "1 lines of 3 pods".into())
    );
    let more = json!({ "about": { "pod": pods[0] }, "lines": "1", "container": "nobody" });
    let action = rig.prepared(&read("kubernetes.logs", &more)).await.action;
    let (reason, _) = failed(rig.perform(&action).await);
    assert!(reason.contains("container nobody is not valid"), "{reason}");
}

#[tokio::test]
async fn a_description_says_what_is_wrong_and_holds_no_environment() {
    let rig = Rig::start().await;
    rig.cluster.breaks("api:2");
    rig.cluster.change("deployments", "shop", "api", |it| {
        let container = &mut it["spec"]["template"]["spec"]["containers"][0];
        container["image"] = "api:2".into();
        container["env"][0]["value"] = "hush-value".into();
    });
    let (_, output) = rig.done(&read("kubernetes.describe", &json!({ "about": api() }))).await;
    let text = text(&output);
    assert!(
        text.contains("deployment/api: 3 replicas wanted") && text.contains("container app: api:2"),
        "{text}"
    );
    assert!(text.contains("app: CrashLoopBackOff") && text.contains("on node-1"), "{text}");
    assert!(!text.contains("hush-value"), "{text}");
    let node =
        json!({ "kubernetes.describe": { "cluster": "prod", "about": { "node": "node-1" } } });
    let (_, output) = rig.done(&node).await;
    assert!(output["text"].as_str().unwrap().starts_with("node node-1: takes pods\n"), "{output}");
    assert!(rig.cluster.writes().is_empty());
}
