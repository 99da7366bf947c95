use std::collections::BTreeMap;

use super::*;
use crate::exec::ssh::testing::Sshd;
use crate::model::config::SshHost;

const LONG: Duration = Duration::from_secs(30);

fn targets(sshd: &Sshd, key: &str) -> Targets {
    let host = SshHost {
        host: "127.0.0.1".into(),
        port: Some(sshd.port),
        user: Some(sshd.user.clone()),
        identity_file: Some(sshd.path(key)),
        known_hosts: Some(sshd.path("known")),
    };
    Targets { ssh: BTreeMap::from([("web-1".to_owned(), host)]), ..Targets::default() }
}

fn on(server: &str, words: &[&str]) -> Ssh {
    let argv = words.iter().map(ToString::to_string).collect();
    Ssh { server: server.into(), argv, directory: None }
}

#[tokio::test]
async fn a_process_of_another_host_is_a_command() {
    let sshd = Sshd::start().await;
    let known = targets(&sshd, "key");
    let it =
        async |words: &[&str]| perform(&on("web-1", words), LONG, &known, &Mask::default()).await;
    let Outcome::Done { output, .. } = it(&["printf", "a\nb\n"]).await else { panic!() };
    assert_eq!((&output["lines"], &output["exit"]), (&serde_json::json!(["a", "b"]), &0.into()));
    let outcome = it(&["sh", "-c", "echo full >&2; exit 3"]).await;
    let Outcome::Failed { reason, retryable: true } = outcome else { panic!("{outcome:?}") };
    assert!(reason.starts_with("exit 3 in ") && reason.ends_with(": full"), "{reason}");

    let outcome = perform(&on("web-2", &["true"]), LONG, &known, &Mask::default()).await;
    let Outcome::Failed { reason, retryable: false } = outcome else { panic!("{outcome:?}") };
    assert!(
        reason.contains("no server `web-2` in targets.ssh") && reason.contains("web-1"),
        "{reason}"
    );

    let stranger = targets(&sshd, "stranger");
    let outcome = perform(&on("web-1", &["true"]), LONG, &stranger, &Mask::default()).await;
    assert!(matches!(outcome, Outcome::Denied { .. }), "{outcome:?}");
}
