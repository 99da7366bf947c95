//! `kubernetes.rollback`: pinned, once, and never to what was left.

use serde_json::Value;
use serde_json::json;

use crate::kubernetes::Rig;
use crate::kubernetes::done;
use crate::kubernetes::failed;

fn rollback(revision: Option<&str>) -> Value {
    let mut body = json!({ "cluster": "prod", "namespace": "shop", "deployment": "api" });
    if let Some(revision) = revision {
        body["revision"] = revision.into();
    }
    json!({ "kubernetes.rollback": body })
}

/// A Deployment that was `api:1`, then `api:2`, and so on.
async fn deployed(images: u32) -> Rig {
    let rig = Rig::start().await;
    for image in 2..=images {
        deploy(&rig, &format!("api:{image}"));
    }
    rig
}

fn deploy(rig: &Rig, image: &str) {
    rig.cluster.change("deployments", "shop", "api", |it| {
        it["spec"]["template"]["spec"]["containers"][0]["image"] = image.into();
    });
}

fn image(rig: &Rig) -> Value {
    rig.api()["spec"]["template"]["spec"]["containers"][0]["image"].clone()
}

#[tokio::test]
async fn the_revision_before_comes_back_once_and_repeating_does_not_toggle() {
    let rig = deployed(3).await;
    let prepared = rig.prepared(&rollback(None)).await;
    let (_, output) = done(rig.perform(&prepared.action).await);
    assert_eq!((image(&rig), output), (json!("api:2"), json!({ "from": 3, "to": 2 })));
    assert_eq!(
        rig.api()["spec"]["template"]["metadata"]["labels"],
        json!({ "app": "api" }),
        "without the hash"
    );
    for _ in 0..2 {
        done(rig.perform(&prepared.action).await);
        assert_eq!((image(&rig), rig.cluster.writes().len()), (json!("api:2"), 1));
    }
    // what it left is never returned to by a rollback, neither as the one before nor by its number
    let (reason, retryable) = rig.unprepared(&rollback(None)).await;
    assert!(reason.contains("itself rolled back from") && !retryable, "{reason}");
    let (reason, _) = rig.unprepared(&rollback(Some("3"))).await;
    assert!(reason.contains("itself rolled back from"), "{reason}");
    rig.done(&rollback(Some("1"))).await;
    assert_eq!(image(&rig), "api:1");
}

#[tokio::test]
async fn taking_a_rollback_back_returns_what_it_left() {
    let rig = deployed(2).await;
    let prepared = rig.prepared(&rollback(None)).await;
    done(rig.perform(&prepared.action).await);
    let back = prepared.previous.unwrap();
    done(rig.perform(&back).await);
    assert_eq!(image(&rig), "api:2");
    done(rig.perform(&back).await);
    assert_eq!(rig.cluster.writes().len(), 2);
    assert_eq!(rig.api()["metadata"]["annotations"].get("quell/rolled-back-from"), None);
}

#[tokio::test]
async fn a_deployment_that_was_changed_meanwhile_is_left_alone() {
    let rig = deployed(2).await;
    let prepared = rig.prepared(&rollback(None)).await;
    deploy(&rig, "api:3");
    let (reason, retryable) = failed(rig.perform(&prepared.action).await);
    assert!(reason.contains("changed meanwhile") && !retryable, "{reason}");
    assert_eq!((image(&rig), rig.cluster.writes().len()), (json!("api:3"), 0));
}

#[tokio::test]
async fn a_change_that_does_not_matter_here_is_read_again_and_the_rollback_goes_on() {
    let rig = deployed(2).await;
    let prepared = rig.prepared(&rollback(None)).await;
    // another client writes between the read and the patch: the patch's `test` fails
    rig.cluster.change_before("PATCH", "/deployments/api", "deployments", "shop", "api", |it| {
        it["metadata"]["annotations"]["team"] = "shop".into();
    });
    done(rig.perform(&prepared.action).await);
    assert_eq!(
        (image(&rig), &rig.api()["metadata"]["annotations"]["team"]),
        (json!("api:1"), &json!("shop"))
    );
}

#[tokio::test]
async fn what_must_not_be_rolled_back_is_refused_with_the_reason() {
    let rig = Rig::start().await;
    let (reason, _) = rig.unprepared(&rollback(None)).await;
    assert!(reason.contains("no revision before 1"), "{reason}");
    deploy(&rig, "api:2");
    for (revision, words) in [
        ("2", "at revision 2 already"),
        ("7", "no revision 7; it has: 1, 2"),
        ("0", "1 or more"),
        ("x", "whole number"),
    ] {
        let (reason, _) = rig.unprepared(&rollback(Some(revision))).await;
        assert!(reason.contains(words), "{reason}");
    }
    rig.cluster.change("deployments", "shop", "api", |it| it["spec"]["paused"] = true.into());
    let (reason, _) = rig.unprepared(&rollback(None)).await;
    assert!(reason.contains("is paused"), "{reason}");
    rig.cluster.change("deployments", "shop", "api", |it| it["spec"]["paused"] = false.into());
    rig.cluster.hold_controllers(true);
    deploy(&rig, "api:3");
    let (reason, retryable) = rig.unprepared(&rollback(None)).await;
    assert!(reason.contains("not seen its last change") && retryable, "{reason}");
    assert!(rig.cluster.writes().is_empty());
}

#[tokio::test]
async fn a_revision_whose_replica_set_is_gone_is_not_made_up() {
    let rig = deployed(2).await;
    let prepared = rig.prepared(&rollback(None)).await;
    let sets = rig.cluster.list("replicasets", "shop");
    let first = sets
        .iter()
        .find(|it| it["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "1")
        .unwrap();
    rig.cluster.remove("replicasets", "shop", first["metadata"]["name"].as_str().unwrap());
    let (reason, _) = failed(rig.perform(&prepared.action).await);
    assert!(reason.contains("revision 1") && reason.contains("is gone"), "{reason}");
    assert!(rig.cluster.writes().is_empty());
}
