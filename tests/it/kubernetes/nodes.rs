//! Cordon, drain, and deleting pods: this pod, and no other.

use std::time::Duration;

use quell::model::run::Outcome;
use serde_json::Value;
use serde_json::json;

use crate::kubernetes::Rig;
use crate::kubernetes::done;
use crate::kubernetes::failed;
use crate::support::apiserver::Fault;
use crate::support::apiserver::Refused;
use crate::support::wait;

fn on_node(kind: &str) -> Value {
    json!({ kind: { "cluster": "prod", "node": "node-1" } })
}

fn delete(more: &Value) -> Value {
    let mut body = json!({ "cluster": "prod", "namespace": "shop", "most": "1" });
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    json!({ "kubernetes.delete_pod": body })
}

/// Pods of the rig that stand on the node.
fn on_first(rig: &Rig) -> usize {
    rig.cluster.list("pods", "").iter().filter(|pod| pod["spec"]["nodeName"] == "node-1").count()
}

#[tokio::test]
async fn cordon_is_taken_back_by_uncordon_only_if_it_changed_anything() {
    let rig = Rig::start().await;
    let prepared = rig.prepared(&on_node("kubernetes.cordon")).await;
    done(rig.perform(&prepared.action).await);
    done(rig.perform(&prepared.action).await);
    assert_eq!(rig.cluster.get("nodes", "", "node-1")["spec"]["unschedulable"], true);
    assert_eq!(rig.cluster.writes().len(), 1);
    let again = rig.prepared(&on_node("kubernetes.cordon")).await;
    assert_eq!(again.previous, None, "a person's cordon is not taken back");
    done(rig.perform(&prepared.previous.unwrap()).await);
    assert_eq!(rig.cluster.get("nodes", "", "node-1")["spec"].get("unschedulable"), None);
}

#[tokio::test]
async fn drain_evicts_what_may_go_and_never_deletes() {
    let rig = Rig::start().await;
    rig.cluster.set("daemonsets", "kube-system", "agent", 1);
    rig.cluster.create("pods", json!({
        "metadata": { "namespace": "kube-system", "name": "proxy", "annotations": { "kubernetes.io/config.mirror": "x" } },
        "spec": { "nodeName": "node-1" }, "status": { "phase": "Running" },
    }));
    let (reason, _) = rig.unprepared(&on_node("kubernetes.drain")).await;
    assert!(reason.contains("kubernetes.cordon"), "{reason}");
    rig.done(&on_node("kubernetes.cordon")).await;
    assert_eq!(on_first(&rig), 5);
    let (summary, output) = rig.done(&on_node("kubernetes.drain")).await;
    assert_eq!(output["evicted"].as_array().unwrap().len(), 3, "{summary}");
    assert_eq!(on_first(&rig), 2, "the agent and the mirror pod stay");
    assert_eq!(rig.cluster.pods("shop").len(), 3, "on the other node");
    let writes = rig.cluster.writes();
    assert!(writes.iter().all(|it| it.method != "DELETE"), "{writes:?}");
}

#[tokio::test]
async fn drain_refuses_to_lose_what_nobody_said_may_be_lost() {
    let rig = Rig::start().await;
    rig.done(&on_node("kubernetes.cordon")).await;
    rig.cluster.create("pods", json!({
        "metadata": { "namespace": "shop", "name": "alone" }, "spec": { "nodeName": "node-1" }, "status": { "phase": "Running" },
    }));
    let (reason, _) = rig.unprepared(&on_node("kubernetes.drain")).await;
    assert!(reason.contains("`unmanaged: evict`") && reason.contains("alone"), "{reason}");
    rig.cluster.change("pods", "shop", "alone", |it| {
        it["spec"]["volumes"] = json!([{ "name": "tmp", "emptyDir": {} }]);
    });
    let mut drain = on_node("kubernetes.drain");
    drain["kubernetes.drain"]["unmanaged"] = true.into();
    let (reason, _) = rig.unprepared(&drain).await;
    assert!(reason.contains("`empty_dir: delete`"), "{reason}");
    drain["kubernetes.drain"]["empty_dir"] = true.into();
    rig.done(&drain).await;
    assert_eq!(on_first(&rig), 0);
}

#[tokio::test]
async fn drain_waits_for_a_budget_as_long_as_the_server_says() {
    let rig = Rig::start().await;
    rig.done(&on_node("kubernetes.cordon")).await;
    let prepared = rig.prepared(&on_node("kubernetes.drain")).await;
    let busy = Refused::new(
        429,
        "TooManyRequests",
        "Cannot evict pod as it would violate the pod's disruption budget.",
    );
    rig.cluster.inject("POST", "/eviction", 1, Fault::Answer(busy.after(1)));
    done(rig.perform(&prepared.action).await);
    let evictions =
        rig.cluster.requests().iter().filter(|it| it.path.ends_with("/eviction")).count();
    assert_eq!((evictions, on_first(&rig)), (4, 0));
}

#[tokio::test]
async fn drain_gives_up_at_its_timeout_and_deletes_nothing_instead() {
    let rig = Rig::start().await;
    rig.cluster.budget("shop", "api", 1);
    rig.done(&on_node("kubernetes.cordon")).await;
    let prepared = rig.prepared(&on_node("kubernetes.drain")).await;
    let outcome = rig.perform_within(&prepared.action, Duration::from_secs(2)).await;
    let (reason, retryable) = failed(outcome);
    assert!(
        reason.contains("disruption budget")
            && reason.contains("of 3 pods 0 are gone and 1 are ending")
            && retryable,
        "{reason}"
    );
    assert_eq!(on_first(&rig), 2);
    rig.cluster.budget("shop", "api", 2);
    let (reason, retryable) = failed(rig.perform(&prepared.action).await);
    assert!(reason.contains("more than one PodDisruptionBudget") && !retryable, "{reason}");
    assert_eq!(on_first(&rig), 2);
}

#[tokio::test]
async fn a_drained_pod_is_gone_when_its_uid_is() {
    let rig = Rig::start().await;
    rig.done(&on_node("kubernetes.cordon")).await;
    rig.cluster.pods_linger(true);
    let prepared = rig.prepared(&on_node("kubernetes.drain")).await;
    let performing = rig.perform(&prepared.action);
    let ending = wait::until("all are evicted", wait::PATIENCE, async || {
        let ending = rig.cluster.list("pods", "shop");
        let ending =
            ending.iter().filter(|it| !it["metadata"]["deletionTimestamp"].is_null()).count();
        if ending == 3 { Ok(()) } else { Err(ending) }
    });
    let watching = async {
        ending.await;
        rig.cluster.pods_linger(false);
        rig.cluster.end_pods();
    };
    let (outcome, ()) = tokio::join!(performing, watching);
    done(outcome);
    assert_eq!(on_first(&rig), 0);
}

#[tokio::test]
async fn an_eviction_without_an_answer_is_asked_for_again() {
    let rig = Rig::start().await;
    rig.done(&on_node("kubernetes.cordon")).await;
    let prepared = rig.prepared(&on_node("kubernetes.drain")).await;
    rig.cluster.inject("POST", "/eviction", 1, Fault::DropAfter);
    done(rig.perform(&prepared.action).await);
    assert_eq!(rig.cluster.writes().iter().filter(|it| it.path.ends_with("/eviction")).count(), 3);
}

#[tokio::test]
async fn the_pod_that_was_meant_is_deleted_and_no_other_of_its_name() {
    let rig = Rig::start().await;
    let pod = rig.pod_names()[0].clone();
    let prepared = rig.prepared(&delete(&json!({ "pod": pod }))).await;
    let (_, output) = done(rig.perform(&prepared.action).await);
    assert_eq!(output, json!({ "deleted": [pod], "gone": [] }));
    assert_eq!(rig.cluster.pods("shop").len(), 3, "its owner made another");

    // the same again, also when another pod has the name by now
    rig.cluster.create(
        "pods",
        json!({ "metadata": { "namespace": "shop", "name": pod }, "spec": {}, "status": {} }),
    );
    let (_, output) = done(rig.perform(&prepared.action).await);
    assert_eq!(output, json!({ "deleted": [], "gone": [pod] }));
    assert!(rig.pod_names().contains(&pod));
}

#[tokio::test]
async fn more_pods_than_most_delete_none() {
    let rig = Rig::start().await;
    let (reason, _) = rig.unprepared(&delete(&json!({ "selector": "app=api" }))).await;
    assert!(reason.contains("3 pods with app=api in shop, and `most` is 1"), "{reason}");
    for (more, words) in [
        (json!({ "selector": " " }), "every pod"),
        (json!({ "selector": "app=nobody" }), "there is no pod"),
        (json!({ "pod": "nobody" }), "not found"),
        (json!({ "pod": "a", "selector": "b" }), "either `pod` or `selector`"),
    ] {
        let (reason, _) = rig.unprepared(&delete(&more)).await;
        assert!(reason.contains(words), "{reason}");
    }
    rig.cluster.create(
        "pods",
        json!({ "metadata": { "namespace": "shop", "name": "alone" }, "spec": {}, "status": {} }),
    );
    let (reason, _) = rig.unprepared(&delete(&json!({ "pod": "alone" }))).await;
    assert!(reason.contains("nothing would make these pods anew"), "{reason}");
    assert!(rig.cluster.writes().is_empty());
    let (_, output) = rig.done(&delete(&json!({ "selector": "app=api", "most": "3" }))).await;
    assert_eq!(output["deleted"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn what_was_deleted_before_a_failure_is_said() {
    let rig = Rig::start().await;
    let prepared = rig.prepared(&delete(&json!({ "selector": "app=api", "most": "3" }))).await;
    let second = rig.pod_names()[1].clone();
    rig.cluster.inject("DELETE", &second, 1, Fault::DropBefore);
    let outcome = rig.perform(&prepared.action).await;
    let Outcome::Unknown { reason } = outcome else { panic!("{outcome:?}") };
    assert!(reason.contains("deleted before: api-"), "{reason}");
    // then it is done again, and is so for the first
    let (_, output) = done(rig.perform(&prepared.action).await);
    assert_eq!(
        (output["gone"].as_array().unwrap().len(), output["deleted"].as_array().unwrap().len()),
        (1, 2)
    );
}
