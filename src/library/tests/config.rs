//! quell.yml.

use std::time::Duration;

use super::check_config;
use super::library;
use crate::model::config::Channel;
use crate::model::config::Fallback;
use crate::model::config::Secret;
use crate::model::playbook::Mode;

#[test]
fn a_missing_variable_and_a_missing_file_are_named_and_values_are_not() {
    insta::assert_snapshot!(check_config(&[("quell.yml", "\
ingest: { tokens: [{ name: am, token: \"${env:NOT_SET}\" }, { name: b, token: \"${env:EMPTY}\" }] }
link_key: \"${file:missing.key}\"
storage: \"${vault:secret}\"
channels:
  slack: { slack: { webhook_url: \"${env:SET}\" } }
operators:
  - { name: \"${env:SET}\", token: \"x-${env:TOKEN\" }
")]), @r#"
    error[Q0130]: environment variable `NOT_SET`, for `token`, is not set, or empty
      ┌─ quell.yml:1:40
      │
    1 │ ingest: { tokens: [{ name: am, token: "${env:NOT_SET}" }, { name: b, token: "${env:EMPTY}" }] }
      │                                        ^^^^^^^^^^^^^^

    error[Q0130]: environment variable `EMPTY`, for `token`, is not set, or empty
      ┌─ quell.yml:1:78
      │
    1 │ ingest: { tokens: [{ name: am, token: "${env:NOT_SET}" }, { name: b, token: "${env:EMPTY}" }] }
      │                                                                              ^^^^^^^^^^^^

    error[Q0131]: file `missing.key`, for `link_key`, cannot be read: no such file or directory
      ┌─ quell.yml:2:12
      │
    2 │ link_key: "${file:missing.key}"
      │            ^^^^^^^^^^^^^^^^^^^

    error[Q0132]: expected `${env:NAME}` or `${file:/path}` under `storage`
      ┌─ quell.yml:3:11
      │
    3 │ storage: "${vault:secret}"
      │           ^^^^^^^^^^^^^^^

    error[Q0120]: expected a URL that begins with http:// or https://
      ┌─ quell.yml:5:34
      │
    5 │   slack: { slack: { webhook_url: "${env:SET}" } }
      │                                  ^^^^^^^^^^^^

    error[Q0132]: `${…}` is replaced in credentials and URLs only
      ┌─ quell.yml:7:13
      │
    7 │   - { name: "${env:SET}", token: *************** }
      │             ^^^^^^^^^^^^ write the value itself

    error[Q0132]: `${` without its `}` under `token`
      ┌─ quell.yml:7:37
      │
    7 │   - { name: "${env:SET}", token: *************** }
      │                                     ^

    1 file, 0 rules, 0 playbooks: 7 errors
    "#);
}

#[test]
fn a_secret_beside_an_error_is_not_shown() {
    insta::assert_snapshot!(check_config(&[("quell.yml", "\
operators: [{ name: dana, tokn: nobody-sees-this, tier: 7 }]
ingest: { tokens: [{ name: a, token: nobody-sees-this, usr: x }] }
channels:
  pager: { pagerduty: { routing_key: nobody } }
  mail: { email: { smtp: 'smtps://quell:nobody@mail.example.com', from: quell, to: [] } }
targets: { redis: { cache: { url: 'redis://:nobody@cache', x: y } } }
")]), @r"
    error[Q0104]: unknown key `tokn`
      ┌─ quell.yml:1:27
      │
    1 │ operators: [{ name: dana, tokn: ****************, tier: 7 }]
      │                           ^^^^ did you mean `token`?
      │
      = an operator takes: name, email, slack_id, tier, token

    error[Q0120]: expected a tier from 1 to 4, got 7
      ┌─ quell.yml:1:57
      │
    1 │ operators: [{ name: dana, tokn: ****************, tier: 7 }]
      │                                                         ^

    error[Q0104]: unknown key `usr`
      ┌─ quell.yml:2:56
      │
    2 │ ingest: { tokens: [{ name: a, token: ****************, usr: * }] }
      │                                                        ^^^ did you mean `user`?
      │
      = a token takes: name, token, user

    error[Q0120]: expected an integration key of 32 letters and digits
      ┌─ quell.yml:4:38
      │
    4 │   pager: { pagerduty: { routing_key: ****** } }
      │                                      ^^^^^^ this one has 6 characters

    error[Q0120]: expected a mail address such as oncall@example.com
      ┌─ quell.yml:5:73
      │
    5 │   mail: { email: { smtp: ***************************************, from: quell, to: [] } }
      │                                                                         ^^^^^

    error[Q0120]: expected recipients, got an empty list
      ┌─ quell.yml:5:84
      │
    5 │   mail: { email: { smtp: ***************************************, from: quell, to: [] } }
      │                                                                                    ^^

    error[Q0104]: unknown key `x`
      ┌─ quell.yml:6:60
      │
    6 │ targets: { redis: { cache: { url: ***********************, x: * } } }
      │                                                            ^
      │
      = a Redis server takes: url, ca_file

    1 file, 0 rules, 0 playbooks: 7 errors
    ");
}

#[test]
fn a_secret_in_a_file_that_is_not_yaml_is_not_shown() {
    insta::assert_snapshot!(check_config(&[("quell.yml", "\
listen: 127.0.0.1:9797
link_key: \"nobody sees this
")]), @r"
    error[Q0103]: not YAML: invalid indentation in multiline quoted scalar
      ┌─ quell.yml:3:1
      │
    3 │
      │ ^
      │
      = is a quote left open above?

    1 file, 0 rules, 0 playbooks: 1 error
    ");
}

#[test]
fn settings_are_checked() {
    insta::assert_snapshot!(check_config(&[("quell.yml", "\
listen: localhost
external_url: quell.example.com
storage: mysql://db
mode: automatic
rules: [missing/]
ingest: { max_body: 32 bananas }
prometheus: http://localhost:9090
audit: { signing_key: nobody-sees-this, anchor: 'ftp://hush', anchor_every: 2h, origin: ' ' }
channels: { pager: { pagerdty: {} }, chat: slack, both: { slack: {}, webhook: {} } }
limits: { concurrent: 0, storm: {} }
operators: [{ name: dana }, { name: dana }]
")]), @r"
    error[Q0120]: expected an address and a port such as 127.0.0.1:9797
      ┌─ quell.yml:1:9
      │
    1 │ listen: localhost
      │         ^^^^^^^^^

    error[Q0120]: expected a URL that begins with http:// or https://
      ┌─ quell.yml:2:15
      │
    2 │ external_url: quell.example.com
      │               ^^^^^^^^^^^^^^^^^

    error[Q0120]: expected sqlite:FILE or postgres://…
      ┌─ quell.yml:3:10
      │
    3 │ storage: **********
      │          ^^^^^^^^^^

    error[Q0108]: expected observe, approve or auto, got `automatic`
      ┌─ quell.yml:4:7
      │
    4 │ mode: automatic
      │       ^^^^^^^^^

    error[Q0101]: cannot read missing/: no such file or directory
      ┌─ quell.yml:5:9
      │
    5 │ rules: [missing/]
      │         ^^^^^^^^

    error[Q0120]: expected a size from 1KiB to 1GiB, such as 32MiB, or a number of bytes
      ┌─ quell.yml:6:21
      │
    6 │ ingest: { max_body: 32 bananas }
      │                     ^^^^^^^^^^

    error[Q0107]: expected a mapping with the keys of a server, got text
      ┌─ quell.yml:7:13
      │
    7 │ prometheus: http://localhost:9090
      │             ^^^^^^^^^^^^^^^^^^^^^

    error[Q0120]: this is no private key: expected one line such as PRIVATE+KEY+example.com/quell+0a1b2c3d+AeT…
      ┌─ quell.yml:8:23
      │
    8 │ audit: { signing_key: ****************, anchor: ************, anchor_every: 2h, origin: ' ' }
      │                       ^^^^^^^^^^^^^^^^ `quell audit key new FILE` makes one

    error[Q0120]: expected a URL that begins with http:// or https://
      ┌─ quell.yml:8:49
      │
    8 │ audit: { signing_key: ****************, anchor: ************, anchor_every: 2h, origin: ' ' }
      │                                                 ^^^^^^^^^^^^

    error[Q0120]: expected a time from 1s to 1h, such as 1m
      ┌─ quell.yml:8:77
      │
    8 │ audit: { signing_key: ****************, anchor: ************, anchor_every: 2h, origin: ' ' }
      │                                                                             ^^

    error[Q0120]: the name of a log is one line, such as quell.example.com
      ┌─ quell.yml:8:89
      │
    8 │ audit: { signing_key: ****************, anchor: ************, anchor_every: 2h, origin: ' ' }
      │                                                                                         ^^^

    error[Q0108]: expected pagerduty, email, slack or webhook, got `pagerdty`
      ┌─ quell.yml:9:22
      │
    9 │ channels: { pager: { pagerdty: {} }, chat: *****, both: { slack: {}, webhook: {} } }
      │                      ^^^^^^^^ did you mean `pagerduty`?

    error[Q0129]: `slack` needs its settings: write `slack: { … }`
      ┌─ quell.yml:9:44
      │
    9 │ channels: { pager: { pagerdty: {} }, chat: *****, both: { slack: {}, webhook: {} } }
      │                                            ^^^^^

    error[Q0129]: expected exactly one of pagerduty, email, slack or webhook, got 2 keys
      ┌─ quell.yml:9:57
      │
    9 │ channels: { pager: { pagerdty: {} }, chat: *****, both: { slack: {}, webhook: {} } }
      │                                                         ^^^^^^^^^^^^^^^^^^^^^^^^^^

    error[Q0120]: expected a number above zero, got 0
       ┌─ quell.yml:10:23
       │
    10 │ limits: { concurrent: 0, storm: {} }
       │                       ^

    error[Q0121]: operator `dana` is here twice
       ┌─ quell.yml:11:37
       │
    11 │ operators: [{ name: dana }, { name: dana }]
       │                                     ^^^^ first on line 11

    1 file, 0 rules, 0 playbooks: 16 errors
    ");
}

#[test]
fn an_empty_quell_yml_is_an_error() {
    insta::assert_snapshot!(check_config(&[("quell.yml", "")]), @r"
    error[Q0111]: quell.yml is empty
     = rules have `rules:`, `checks:` or `schedules:` at the top of their file, a playbook has `playbook:`

    1 file, 0 rules, 0 playbooks: 1 error
    ");
}

#[test]
fn everything_that_is_written_arrives() {
    let library = library(&[
        (
            "quell.yml",
            "\
listen: 0.0.0.0:9000
storage: sqlite:/var/lib/quell.db
mode: approve
prometheus: { url: 'http://prom:9090/', headers: { Authorization: 'Bearer ${env:TOKEN}' } }
ingest: { tokens: [{ name: am, token: '${file:token}', user: alertmanager }], max_body: 1MiB, max_waiting_alerts: 7, max_wait: 3s }
targets:
  redis: { cache: { url: 'redis://cache' } }
  http: { shop: { url: 'http://shop:8000/' } }
channels:
  mail: { email: { smtp: 'smtps://mail.example.com', from: q@example.com, to: [a@example.com, b@example.com], ca_file: ca.pem } }
  pager: { pagerduty: { routing_key: 0123456789abcdef0123456789abcdef } }
severities: { critical: { notify: [pager, mail], ack_within: 15m, escalate_to: [mail] } }
limits: { rate: 9 per 30m, concurrent: 2, max_age: 2m, cooldown: 90s }
operators: [{ name: dana, email: dana@example.com, tier: 3, token: '${env:TOKEN}' }]
",
        ),
        ("token", "  padded \n"),
    ]);
    let config = &library.config;
    assert_eq!(config.listen.to_string(), "0.0.0.0:9000");
    assert_eq!(config.external_url, "http://0.0.0.0:9000");
    assert_eq!((config.mode.value, config.mode.place.line), (Mode::Approve, 3));
    let prometheus = config.prometheus.as_ref().expect("prometheus");
    assert_eq!(prometheus.url, "http://prom:9090");
    assert_eq!(prometheus.headers["Authorization"].reveal(), "Bearer token-that-nobody-may-see");
    assert_eq!(config.ingest.tokens[0].token.reveal(), "padded");
    assert_eq!(config.ingest.tokens[0].user.as_deref(), Some("alertmanager"));
    assert_eq!((config.ingest.max_body_bytes, config.ingest.max_waiting_alerts), (1 << 20, 7));
    assert_eq!(config.ingest.max_wait, Duration::from_secs(3));
    assert_eq!(config.targets.http["shop"].url, "http://shop:8000");
    assert_eq!(config.targets.redis["cache"].url.reveal(), "redis://cache");
    let Channel::Email { to, ca_file, .. } = &config.channels["mail"] else { panic!("mail") };
    assert_eq!(to.len(), 2);
    assert!(ca_file.as_ref().is_some_and(|it| it.is_absolute() && it.ends_with("ca.pem")));
    assert_eq!(config.channels["pager"].kind(), "pagerduty");
    assert_eq!(config.severities["critical"].ack_within, Some(Duration::from_mins(15)));
    assert_eq!(config.limits.rate.value.per, Duration::from_mins(30));
    assert_eq!((config.limits.concurrent.value, config.limits.max_age.value.as_secs()), (2, 120));
    assert_eq!(config.operators[0].tier, 3);
    assert!(!format!("{library:?}").contains("nobody"), "Debug shows a secret");
}

#[test]
fn silence_means_the_documented_defaults() {
    let library = library(&[("quell.yml", "unmatched: []\n")]);
    let file = library.config.file.clone().unwrap();
    // beside quell.yml, so that every command finds what the server uses
    let beside = |name: &str| std::path::Path::new(&file).with_file_name(name);
    let expected = crate::model::config::Config {
        storage: Secret::new(format!("sqlite:{}", beside("quell.db").display())),
        pause_file: beside("quell.pause"),
        file: Some(file.clone()),
        ..crate::model::config::Config::default()
    };
    assert_eq!(library.config, expected);
}

#[test]
fn files_are_looked_at_between_ten_times_a_second_and_once_an_hour() {
    for (text, expected) in [("100ms", 100), ("10s", 10_000), ("1h", 3_600_000)] {
        let library = library(&[("quell.yml", &format!("watch: {text}\n"))]);
        assert_eq!(library.config.watch, Some(Duration::from_millis(expected)), "{text}");
    }
    assert_eq!(library(&[("quell.yml", "mode: auto\n")]).config.watch, None);
    insta::assert_snapshot!(check_config(&[("quell.yml", "watch: 99ms\n")]), @"
    error[Q0120]: expected a time from 100ms to 1h, such as 10s
      ┌─ quell.yml:1:8
      │
    1 │ watch: 99ms
      │        ^^^^

    1 file, 0 rules, 0 playbooks: 1 error
    ");
}

#[test]
fn g18_a_channel_may_name_who_stands_in_and_when() {
    let library = library(&[("quell.yml", "\
channels:
  pager: { webhook: { url: http://x.example.com/, pages: true, fallback: slack, fallback_after: 2m } }
  slack: { slack: { webhook_url: http://x.example.com/ } }
heartbeat: { url: http://x.example.com/ping/uuid }
")]);
    let config = &library.config;
    let pager = &config.fallbacks["pager"];
    assert_eq!((pager.to.as_deref(), pager.after), (Some("slack"), Duration::from_mins(2)));
    assert_eq!(config.fallbacks["slack"], Fallback::default());
    let heartbeat = config.heartbeat.as_ref().unwrap();
    assert_eq!((heartbeat.method, heartbeat.every), ("POST", Duration::from_mins(1)));
    assert!(!format!("{heartbeat:?}").contains("uuid"), "the URL is a credential");
}

#[test]
fn g18_a_channel_that_cannot_stand_in_and_a_heartbeat_out_of_range_are_errors() {
    insta::assert_snapshot!(check_config(&[("quell.yml", "\
channels:
  pager: { webhook: { url: http://x.example.com/, fallback: slcak, fallback_after: soon } }
  slack: { slack: { webhook_url: http://x.example.com/, fallback: slack } }
heartbeat: { url: ftp://x.example.com/, every: 100ms, method: PUT }
ingest: { tokens: [{ name: 'quell:watch', token: hush-hush }] }
")]), @r"
    error[Q0126]: unknown channel `slcak`
      ┌─ quell.yml:2:61
      │
    2 │   pager: { webhook: { url: *********************, fallback: *****, fallback_after: **** } }
      │                                                             ^^^^^ did you mean `slack`?
      │
      = `channels` has: pager, slack

    error[Q0112]: `soon` is not a duration; write one like 90s, 5m or 1h30m
      ┌─ quell.yml:2:84
      │
    2 │   pager: { webhook: { url: *********************, fallback: *****, fallback_after: **** } }
      │                                                                                    ^^^^

    error[Q0120]: channel `slack` cannot stand in for itself
      ┌─ quell.yml:3:67
      │
    3 │   slack: { slack: { webhook_url: *********************, fallback: slack } }
      │                                                                   ^^^^^ name another one

    error[Q0120]: expected a URL that begins with http:// or https://
      ┌─ quell.yml:4:19
      │
    4 │ heartbeat: { url: ********************, every: 100ms, method: PUT }
      │                   ^^^^^^^^^^^^^^^^^^^^

    error[Q0120]: expected a time from 1s to 1h, such as 1m
      ┌─ quell.yml:4:48
      │
    4 │ heartbeat: { url: ********************, every: 100ms, method: PUT }
      │                                                ^^^^^

    error[Q0108]: expected POST or GET, got `PUT`
      ┌─ quell.yml:4:63
      │
    4 │ heartbeat: { url: ********************, every: 100ms, method: PUT }
      │                                                               ^^^

    error[Q0120]: the name of a token cannot begin with `quell:`
      ┌─ quell.yml:5:28
      │
    5 │ ingest: { tokens: [{ name: 'quell:watch', token: ********* }] }
      │                            ^^^^^^^^^^^^^

    1 file, 0 rules, 0 playbooks: 7 errors
    ");
}
