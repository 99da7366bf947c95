//! Credentials, kubeconfigs, and what is known when the wire breaks.

use std::time::Duration;

use quell::model::config::Cluster;
use quell::model::run::Outcome;
use serde_json::Value;
use serde_json::json;

use crate::kubernetes::Rig;
use crate::kubernetes::done;
use crate::kubernetes::failed;
use crate::kubernetes::on_api;
use crate::support::apiserver::ApiServer;
use crate::support::apiserver::Fault;
use crate::support::apiserver::Refused;
use crate::support::apiserver::TOKEN;
use crate::support::process;

fn scale() -> Value {
    on_api("kubernetes.scale", &json!({ "replicas": "5" }))
}

fn denied(outcome: &Outcome, words: &str) {
    let Outcome::Denied { reason, .. } = outcome else { panic!("{outcome:?}") };
    assert!(reason.contains(words) && reason.contains("see targets.kubernetes.prod"), "{reason}");
}

fn unknown(outcome: &Outcome, words: &str) {
    let Outcome::Unknown { reason } = outcome else { panic!("{outcome:?}") };
    assert!(reason.contains(words), "{reason}");
}

#[tokio::test]
async fn an_answer_that_never_came_is_unknown_and_asking_again_finds_out() {
    let rig = Rig::start().await;
    let prepared = rig.prepared(&scale()).await;
    rig.cluster.inject("PUT", "/scale", 1, Fault::DropAfter);
    unknown(&rig.perform(&prepared.action).await, "nobody knows whether it happened");
    assert_eq!(rig.api()["spec"]["replicas"], 5);
    let (summary, _) = done(rig.perform(&prepared.action).await);
    assert!(summary.contains("already"), "{summary}");
    assert_eq!(rig.cluster.writes().len(), 1);
}

#[tokio::test]
async fn a_write_that_hangs_is_unknown_at_its_timeout_and_a_read_that_hangs_has_failed() {
    let rig = Rig::start().await;
    let prepared = rig.prepared(&scale()).await;
    rig.cluster.inject("PUT", "/scale", 1, Fault::HangAfter);
    unknown(&rig.perform_within(&prepared.action, Duration::from_millis(500)).await, "timed out");
    rig.cluster.inject("GET", "/scale", 1, Fault::Hang);
    let (reason, retryable) =
        failed(rig.perform_within(&prepared.action, Duration::from_millis(500)).await);
    assert!(reason.contains("timed out") && retryable, "{reason}");
    rig.cluster.inject("GET", "/scale", 1, Fault::DropBefore);
    let (reason, retryable) = failed(rig.perform(&prepared.action).await);
    assert!(reason.contains("no answer") && retryable, "{reason}");
}

#[tokio::test]
async fn what_was_not_sent_has_failed_and_may_be_tried_again() {
    let mut rig = Rig::start().await;
    let prepared = rig.prepared(&scale()).await;
    rig.cluster.turns_away(true);
    let (reason, retryable) = failed(rig.perform(&prepared.action).await);
    assert!(reason.contains("could not reach cluster `prod`") && retryable, "{reason}");
    rig.cluster.turns_away(false);
    // nothing listens there
    let text = std::fs::read_to_string(rig.cluster.kubeconfig()).unwrap();
    let server = text.lines().find(|line| line.contains("server:")).unwrap();
    let away = rig.cluster.kubeconfig().with_file_name("away");
    std::fs::write(
        &away,
        text.replace(server, &format!("    server: https://127.0.0.1:{}", process::port())),
    )
    .unwrap();
    rig.targets = Rig::targets_of(Cluster::Kubeconfig { file: away, context: None });
    let (reason, retryable) = failed(rig.perform(&prepared.action).await);
    assert!(reason.contains("connection refused") && retryable, "{reason}");
    assert!(rig.cluster.writes().is_empty());
}

#[tokio::test]
async fn what_the_server_says_decides_between_failed_unknown_and_denied() {
    let rig = Rig::start().await;
    let prepared = rig.prepared(&scale()).await;
    let status = |status: u16, reason: &str, message: &str| Refused::new(status, reason, message);
    for (refused, expected) in [
        (status(503, "ServiceUnavailable", "apiserver is shutting down"), "failed true"),
        (status(429, "TooManyRequests", "too many requests").after(1), "failed true"),
        (status(500, "InternalError", "boom"), "failed true"),
        (status(500, "InternalError", "etcdserver: request timed out"), "unknown"),
        (status(504, "Timeout", "request did not complete within the allotted time"), "unknown"),
        (status(502, "", "bad gateway"), "unknown"),
        (status(422, "Invalid", "spec.replicas: Invalid value"), "failed false"),
        (status(404, "NotFound", "deployments \"api\" not found"), "failed false"),
        (
            status(403, "Forbidden", "deployments.apps \"api\" is forbidden: exceeded quota: pods"),
            "failed false",
        ),
        (
            status(
                403,
                "Forbidden",
                "admission webhook \"policy.example.com\" denied the request: no",
            ),
            "failed false",
        ),
        (
            status(
                403,
                "Forbidden",
                "deployments.apps \"api\" is forbidden: User \"quell\" cannot update",
            ),
            "denied",
        ),
        (status(403, "Forbidden", "who knows"), "denied"),
        (status(401, "Unauthorized", "Unauthorized"), "denied"),
    ] {
        rig.cluster.inject("PUT", "/scale", 1, Fault::Answer(refused.clone()));
        let outcome = rig.perform(&prepared.action).await;
        let seen = match &outcome {
            Outcome::Failed { retryable, .. } => format!("failed {retryable}"),
            Outcome::Unknown { .. } => "unknown".into(),
            Outcome::Denied { .. } => "denied".into(),
            Outcome::Done { .. } => "done".into(),
        };
        assert_eq!(seen, expected, "{refused:?}: {outcome:?}");
    }
    assert!(rig.cluster.writes().is_empty());
}

#[tokio::test]
async fn a_missing_right_denies_and_the_credential_is_named() {
    let rig = Rig::start().await;
    let prepared = rig.prepared(&scale()).await;
    rig.cluster.forbid("PUT", "/scale");
    denied(&rig.perform(&prepared.action).await, "cannot PUT");
    rig.cluster.forbid("GET", "/scale");
    denied(&rig.prepare(&scale()).await.unwrap_err(), "cannot GET");
}

#[tokio::test]
async fn a_token_that_was_renewed_in_the_file_is_used_at_once() {
    let rig = Rig::start().await;
    let prepared = rig.prepared(&scale()).await;
    rig.cluster.accepts(&["another-hush-token"]);
    denied(&rig.perform(&prepared.action).await, "401");
    rig.cluster.kubeconfig_with("another-hush-token");
    done(rig.perform(&prepared.action).await);

    // the same for a token in a file of its own
    let file = rig.cluster.kubeconfig().with_file_name("token");
    std::fs::write(&file, "another-hush-token\n").unwrap();
    let kubeconfig = rig.cluster.write_kubeconfig("by-file", "{ tokenFile: token }");
    let rig = Rig {
        targets: Rig::targets_of(Cluster::Kubeconfig {
            file: kubeconfig,
            context: Some("prod".into()),
        }),
        ..rig
    };
    done(rig.perform(&prepared.action).await);
    rig.cluster.accepts(&["the-third-token-of-this-test"]);
    std::fs::write(&file, "the-third-token-of-this-test").unwrap();
    done(rig.perform(&prepared.action).await);
}

#[tokio::test]
async fn a_client_certificate_is_a_credential() {
    let rig = Rig::start().await;
    let (certificate, key) = rig.cluster.client_certificate();
    let user = format!(
        "{{ client-certificate: {}, client-key: {} }}",
        certificate.display(),
        key.display()
    );
    let file = rig.cluster.write_kubeconfig("certified", &user);
    let rig = Rig { targets: Rig::targets_of(Cluster::Kubeconfig { file, context: None }), ..rig };
    rig.cluster.accepts(&[]);
    rig.done(&scale()).await;
    assert_eq!(rig.api()["spec"]["replicas"], 5);
}

#[tokio::test]
async fn a_kubeconfig_that_cannot_be_used_says_why_and_nothing_of_what_is_in_it() {
    let cluster = ApiServer::start().await;
    let with = |from: &str, to: &str| {
        std::fs::read_to_string(cluster.kubeconfig()).unwrap().replace(from, to)
    };
    for (name, text, words) in [
        (
            "exec",
            with(
                &format!("{{ token: {TOKEN} }}"),
                "{ exec: { apiVersion: client.authentication.k8s.io/v1, command: hush-plugin } }",
            ),
            "`exec` plugin, which quell does not run",
        ),
        (
            "insecure",
            with("certificate-authority: authority.pem", "insecure-skip-tls-verify: true"),
            "`insecure-skip-tls-verify`",
        ),
        (
            "proxied",
            with(
                "certificate-authority: authority.pem",
                "certificate-authority: authority.pem\n    proxy-url: http://127.0.0.1:1",
            ),
            "`proxy-url`",
        ),
        ("plain", with("https://127.0.0.1", "http://10.0.0.1"), "not https"),
        ("no-ca", with("authority.pem", "nowhere.pem"), "`certificate-authority` cannot be read"),
        (
            "no-context",
            with("current-context: prod", "current-context: other"),
            "no context `other`; it has: prod",
        ),
        ("broken", with("token: ", "token: : ["), "it is no kubeconfig"),
        ("empty-token", with(&format!("token: {TOKEN}"), "tokenFile: nowhere"), "entity not found"),
    ] {
        let file = cluster.kubeconfig().with_file_name(name);
        std::fs::write(&file, text).unwrap();
        let targets = Rig::targets_of(Cluster::Kubeconfig { file, context: None });
        let outcome = super::prepare(&scale(), &targets).await.unwrap_err();
        let (reason, _) = failed(outcome);
        assert!(reason.contains(words), "{name}: {reason}");
        assert!(
            reason.starts_with("targets.kubernetes.prod of quell.yml: ")
                && !reason.contains("hush"),
            "{name}: {reason}"
        );
    }
    let targets = Rig::targets_of(Cluster::InCluster);
    if std::env::var_os("KUBERNETES_SERVICE_HOST").is_none() {
        let outcome = super::prepare(&scale(), &targets).await.unwrap_err();
        assert!(failed(outcome).0.contains("`in_cluster` holds in a pod"));
    }
}

#[tokio::test]
async fn a_server_that_is_not_the_one_of_the_ca_gets_no_credential() {
    let (mine, other) = (Rig::start().await, ApiServer::start().await);
    // the other's address with the authority of mine
    let text = std::fs::read_to_string(other.kubeconfig()).unwrap();
    let file = mine.cluster.kubeconfig().with_file_name("mixed");
    std::fs::write(&file, text).unwrap();
    let rig = Rig { targets: Rig::targets_of(Cluster::Kubeconfig { file, context: None }), ..mine };
    let (reason, retryable) = rig.unprepared(&scale()).await;
    assert!(reason.contains("no secure connection") && retryable, "{reason}");
    assert!(other.requests().is_empty());
}
