//! Scale, restart, environment, and whether a workload is ready.

use quell::model::action::Action;
use quell::model::run::Health;
use quell::model::run::Outcome;
use serde_json::json;

use crate::kubernetes::Rig;
use crate::kubernetes::done;
use crate::kubernetes::failed;
use crate::kubernetes::on_api;
use crate::support::apiserver::Fault;
use crate::support::apiserver::Refused;

const STAMP: &str = "kubectl.kubernetes.io/restartedAt";

#[tokio::test]
async fn scale_by_two_is_made_absolute_and_repeating_it_changes_nothing() {
    let rig = Rig::start().await;
    let prepared =
        rig.prepared(&on_api("kubernetes.scale", &json!({ "by": 2, "max": "10" }))).await;
    assert!(rig.cluster.writes().is_empty(), "preparing reads only");
    let (_, output) = done(rig.perform(&prepared.action).await);
    assert_eq!(output, json!({ "before": 3, "after": 5 }));
    assert_eq!(rig.cluster.pods("shop").len(), 5);
    let (summary, output) = done(rig.perform(&prepared.action).await);
    assert!(summary.contains("already"), "{summary}");
    assert_eq!((output, rig.cluster.writes().len()), (json!({ "before": 3, "after": 5 }), 1));

    // and back
    let (_, output) = done(rig.perform(&prepared.previous.unwrap()).await);
    assert_eq!((output, rig.cluster.pods("shop").len()), (json!({ "before": 5, "after": 3 }), 3));
}

#[tokio::test]
async fn scale_to_where_it_is_has_nothing_to_take_back() {
    let rig = Rig::start().await;
    let prepared = rig.prepared(&on_api("kubernetes.scale", &json!({ "replicas": "3" }))).await;
    assert_eq!(prepared.previous, None);
    done(rig.perform(&prepared.action).await);
    assert!(rig.cluster.writes().is_empty());
}

#[tokio::test]
async fn a_number_that_somebody_else_wrote_is_not_overwritten() {
    let rig = Rig::start().await;
    let prepared = rig.prepared(&on_api("kubernetes.scale", &json!({ "replicas": "5" }))).await;
    rig.cluster.change("deployments", "shop", "api", |it| it["spec"]["replicas"] = 8.into());
    let (reason, retryable) = failed(rig.perform(&prepared.action).await);
    assert!(
        reason.contains("has 8 replicas, neither the 3 it had nor the 5") && !retryable,
        "{reason}"
    );
    // the undo of a scale that was done, after an autoscaler went on
    let (reason, _) = failed(rig.perform(&prepared.previous.unwrap()).await);
    assert!(reason.contains("has 8 replicas"), "{reason}");
    assert_eq!(rig.api()["spec"]["replicas"], 8);
}

#[tokio::test]
async fn an_object_that_was_written_at_the_same_moment_is_read_again() {
    let rig = Rig::start().await;
    let prepared = rig.prepared(&on_api("kubernetes.scale", &json!({ "replicas": "4" }))).await;
    let conflict = Refused::new(409, "Conflict", "the object has been modified");
    rig.cluster.inject("PUT", "/scale", 2, Fault::Answer(conflict));
    done(rig.perform(&prepared.action).await);
    assert_eq!((rig.api()["spec"]["replicas"].clone(), rig.cluster.writes().len()), (json!(4), 1));
}

#[tokio::test]
async fn what_kubernetes_calls_differently_is_refused_before_anything_is_asked() {
    let rig = Rig::start().await;
    for name in ["../../../api/v1/nodes/node-1", "Api", "a/b", "-a", "", "a?dryRun=All", "a%2Fb"] {
        let action = json!({ "kubernetes.scale": {
            "cluster": "prod", "namespace": "shop", "workload": { "kind": "deployment", "name": name }, "replicas": "1" } });
        let (reason, retryable) = rig.unprepared(&action).await;
        assert!(reason.contains("is no name of Kubernetes") && !retryable, "{reason}");
    }
    assert!(rig.cluster.requests().is_empty());
    let (reason, _) = rig
        .unprepared(&json!({ "kubernetes.cordon": { "cluster": "nowhere", "node": "node-1" } }))
        .await;
    assert!(
        reason.contains("no server `nowhere` in targets.kubernetes") && reason.contains("prod"),
        "{reason}"
    );
}

#[tokio::test]
async fn restart_writes_the_prepared_time_once_and_replaces_the_pods_once() {
    let rig = Rig::start().await;
    let before = rig.cluster.pods("shop");
    let prepared = rig.prepared(&on_api("kubernetes.restart", &json!({}))).await;
    let (_, output) = done(rig.perform(&prepared.action).await);
    let annotations = rig.api()["spec"]["template"]["metadata"]["annotations"].clone();
    assert_eq!(
        (&annotations[STAMP], &output["stamp"]),
        (&json!("2026-01-05T10:00:01Z"), &annotations[STAMP])
    );
    assert_eq!(annotations["quell/restarted-by"], "r-1/1");
    let after = rig.cluster.pods("shop");
    assert!(before.iter().all(|pod| !after.contains(pod)) && after.len() == 3);

    done(rig.perform(&prepared.action).await);
    assert_eq!((rig.cluster.pods("shop"), rig.cluster.writes().len()), (after.clone(), 1));
    // somebody restarted it later: writing the older time would replace its pods for nothing
    rig.cluster.change("deployments", "shop", "api", |it| {
        it["spec"]["template"]["metadata"]["annotations"][STAMP] = "2026-01-05T11:00:00Z".into();
    });
    let (summary, _) = done(rig.perform(&prepared.action).await);
    assert!(summary.contains("somebody else"), "{summary}");
    assert_eq!(rig.cluster.writes().len(), 1);
}

#[tokio::test]
async fn restart_refuses_what_would_not_restart() {
    let rig = Rig::start().await;
    let prepared = rig.prepared(&on_api("kubernetes.restart", &json!({}))).await;
    rig.cluster.change("deployments", "shop", "api", |it| it["spec"]["paused"] = true.into());
    let (reason, _) = rig.unprepared(&on_api("kubernetes.restart", &json!({}))).await;
    assert!(reason.contains("is paused"), "{reason}");
    let (reason, retryable) = failed(rig.perform(&prepared.action).await);
    assert!(reason.contains("is paused") && !retryable, "{reason}");
    rig.cluster.set("daemonsets", "shop", "agent", 2);
    rig.cluster.change("daemonsets", "shop", "agent", |it| {
        it["spec"]["updateStrategy"] = json!({ "type": "OnDelete" });
    });
    let workload = json!({ "workload": { "kind": "daemonset", "name": "agent" } });
    let (reason, _) = rig.unprepared(&on_api("kubernetes.restart", &workload)).await;
    assert!(reason.contains("OnDelete"), "{reason}");
    assert!(rig.cluster.writes().is_empty());
}

#[tokio::test]
async fn sets_are_restarted_as_deployments_are() {
    let rig = Rig::start().await;
    for (resource, kind) in [("statefulsets", "statefulset"), ("daemonsets", "daemonset")] {
        rig.cluster.set(resource, "shop", "db", 2);
        let workload = json!({ "kind": kind, "name": "db" });
        rig.done(&on_api("kubernetes.restart", &json!({ "workload": workload }))).await;
        let written =
            &rig.cluster.get(resource, "shop", "db")["spec"]["template"]["metadata"]["annotations"];
        assert_eq!(written[STAMP], "2026-01-05T10:00:01Z");
        let seen = rig.ready(&workload).await;
        assert_eq!(seen.health, Health::Healthy, "{seen:?}");
    }
}

#[tokio::test]
async fn set_env_changes_its_variables_only_and_puts_them_back() {
    let rig = Rig::start().await;
    let before = rig.api()["spec"]["template"].clone();
    let action = on_api(
        "kubernetes.set_env",
        &json!({ "env": { "LEVEL": null, "MAINTENANCE_MODE": "true" } }),
    );
    let prepared = rig.prepared(&action).await;
    let (_, output) = done(rig.perform(&prepared.action).await);
    assert_eq!(output, json!({ "before": { "LEVEL": "info", "MAINTENANCE_MODE": null } }));
    let container = &rig.api()["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(container["env"], json!([{ "name": "MAINTENANCE_MODE", "value": "true" }]));
    assert_eq!(container["image"], "api:1");
    let pods = rig.cluster.pods("shop");
    done(rig.perform(&prepared.action).await);
    assert_eq!(
        (rig.cluster.pods("shop"), rig.cluster.writes().len()),
        (pods, 1),
        "the same again changes nothing"
    );

    done(rig.perform(&prepared.previous.unwrap()).await);
    assert_eq!(rig.api()["spec"]["template"], before);
}

#[tokio::test]
async fn set_env_refuses_what_it_could_not_take_back_or_does_not_know() {
    let rig = Rig::start().await;
    rig.cluster.change("deployments", "shop", "api", |it| {
        let spec = &mut it["spec"]["template"]["spec"];
        spec["containers"][0]["env"] = json!([{ "name": "KEY", "valueFrom": { "secretKeyRef": { "name": "s", "key": "k" } } }]);
        spec["containers"].as_array_mut().unwrap().push(json!({ "name": "proxy", "image": "proxy:1" }));
    });
    let set = |more| on_api("kubernetes.set_env", &more);
    let (reason, _) = rig.unprepared(&set(json!({ "env": { "A": "1" } }))).await;
    assert!(reason.contains("several containers") && reason.contains("app, proxy"), "{reason}");
    let (reason, _) =
        rig.unprepared(&set(json!({ "env": { "KEY": "1" }, "container": "app" }))).await;
    assert!(reason.contains("valueFrom"), "{reason}");
    let (reason, _) =
        rig.unprepared(&set(json!({ "env": { "A": "1" }, "container": "nobody" }))).await;
    assert!(reason.contains("no container `nobody`"), "{reason}");
    let prepared = rig.prepared(&set(json!({ "env": { "A": "1" }, "container": "proxy" }))).await;
    rig.cluster.change("deployments", "shop", "api", |it| {
        it["spec"]["template"]["spec"]["containers"][1]["env"] =
            json!([{ "name": "A", "value": "2" }]);
    });
    let (reason, _) = failed(rig.perform(&prepared.action).await);
    assert!(reason.contains("somebody else changed that"), "{reason}");
    assert!(rig.cluster.writes().is_empty());
}

#[tokio::test]
async fn a_workload_is_ready_when_it_is_rolled_out() {
    let rig = Rig::start().await;
    let api = json!({ "kind": "deployment", "name": "api" });
    assert_eq!(rig.ready(&api).await.health, Health::Healthy);
    rig.cluster.hold_controllers(true);
    rig.done(&on_api("kubernetes.restart", &json!({}))).await;
    let seen = rig.ready(&api).await;
    assert_eq!(seen.health, Health::Unhealthy, "{seen:?}");
    assert!(seen.measured.contains("not seen"), "{seen:?}");
    rig.cluster.hold_controllers(false);
    assert_eq!(rig.ready(&api).await.health, Health::Healthy);
    rig.cluster.breaks("api:2");
    rig.cluster.change("deployments", "shop", "api", |it| {
        it["spec"]["template"]["spec"]["containers"][0]["image"] = "api:2".into();
    });
    let seen = rig.ready(&api).await;
    assert_eq!(seen.health, Health::Unhealthy, "{seen:?}");
    let seen = rig.ready(&json!({ "kind": "deployment", "name": "gone" })).await;
    assert_eq!(seen.health, Health::Unhealthy, "{seen:?}");
    rig.cluster.forbid("GET", "/deployments/api");
    let seen = rig.ready(&api).await;
    assert_eq!((seen.health, seen.denied), (Health::Unknown, true), "{seen:?}");
    rig.cluster.turns_away(true);
    let seen = rig.ready(&json!({ "kind": "deployment", "name": "gone" })).await;
    assert_eq!((seen.health, seen.denied), (Health::Unknown, false), "{seen:?}");
}

#[tokio::test]
async fn what_was_not_prepared_is_not_done() {
    let rig = Rig::start().await;
    for action in [
        on_api("kubernetes.scale", &json!({ "replicas": "9" })),
        on_api("kubernetes.restart", &json!({})),
        on_api("kubernetes.set_env", &json!({ "env": { "A": "1" } })),
        json!({ "kubernetes.rollback": { "cluster": "prod", "namespace": "shop", "deployment": "api" } }),
        json!({ "kubernetes.drain": { "cluster": "prod", "node": "node-1" } }),
        json!({ "kubernetes.delete_pod": { "cluster": "prod", "namespace": "shop", "pod": "api-1", "most": "1" } }),
    ] {
        let action: Action = serde_json::from_value(action).unwrap();
        let outcome = rig.perform(&action).await;
        assert!(matches!(outcome, Outcome::Failed { retryable: false, .. }), "{outcome:?}");
    }
    assert!(rig.cluster.requests().is_empty());
}

#[tokio::test]
async fn a_dry_run_hears_what_the_server_would_say_and_changes_nothing() {
    let rig = Rig::start().await;
    rig.done(&json!({ "kubernetes.cordon": { "cluster": "prod", "node": "node-1" } })).await;
    let pod = rig.pod_names()[0].clone();
    let before = (rig.api(), rig.cluster.pods("shop"), rig.cluster.writes());
    for action in [
        on_api("kubernetes.scale", &json!({ "by": 2 })),
        on_api("kubernetes.restart", &json!({})),
        on_api("kubernetes.set_env", &json!({ "env": { "A": "1" } })),
        json!({ "kubernetes.uncordon": { "cluster": "prod", "node": "node-1" } }),
        json!({ "kubernetes.drain": { "cluster": "prod", "node": "node-1" } }),
        json!({ "kubernetes.delete_pod": { "cluster": "prod", "namespace": "shop", "pod": pod, "most": "1" } }),
    ] {
        let (summary, _) = done(rig.dry_run(&action).await);
        assert!(summary.starts_with("the server accepts it in a dry run"), "{summary}");
    }
    assert_eq!((rig.api(), rig.cluster.pods("shop"), rig.cluster.writes()), before);
    let asked = rig.cluster.requests();
    assert_eq!(
        asked.iter().filter(|it| it.is_dry()).count(),
        8,
        "one each, and one for each pod of the node"
    );

    let quota = Refused::new(
        403,
        "Forbidden",
        "deployments.apps \"api\" is forbidden: exceeded quota: pods",
    );
    rig.cluster.inject("PUT", "/scale", 1, Fault::Answer(quota));
    let (reason, _) = failed(rig.dry_run(&on_api("kubernetes.scale", &json!({ "by": 2 }))).await);
    assert!(reason.contains("exceeded quota"), "{reason}");
    rig.cluster.inject("PUT", "/scale", 1, Fault::DropBefore);
    let (_, retryable) =
        failed(rig.dry_run(&on_api("kubernetes.scale", &json!({ "by": 2 }))).await);
    assert!(retryable, "nothing can have happened");
}
