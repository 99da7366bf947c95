use std::time::Duration;

use serde_json::json;

use super::*;
use crate::decide::link;
use crate::decide::machine;
use crate::model::action::Command;
use crate::model::action::HttpCall;
use crate::model::action::RedisFlush;
use crate::model::config::Endpoint;
use crate::model::config::Secret;
use crate::model::config::Server;
use crate::model::playbook::OnFailure;
use crate::model::playbook::OnUnknown;
use crate::model::playbook::Parameter;
use crate::model::playbook::ParameterKind;
use crate::model::playbook::Retry;
use crate::model::playbook::Step;
use crate::model::playbook::Undo;
use crate::model::playbook::What;
use crate::model::probe::HttpProbe;

const KEY: &[u8] = b"0123456789abcdef0123456789abcdef";

fn http(server: Option<&str>, secret: Option<&str>) -> Action {
    let mut sealed = Sealed::default();
    if let Some(name) = secret {
        let pieces = vec![Piece::Text("Bearer ".into()), Piece::Secret(name.into())];
        sealed.named.insert("authorization".into(), pieces);
    }
    Action::Http(HttpCall {
        server: server.map(str::to_owned),
        method: "POST".into(),
        url: "/x".into(),
        headers: BTreeMap::new(),
        body: None,
        json: None,
        sealed,
        status: Vec::new(),
    })
}

fn redis(server: &str) -> Action {
    Action::RedisFlush(RedisFlush { server: server.into(), database: None, slices: None })
}

fn redis_at(url: &str) -> Server {
    Server { url: Secret::new(url), ca_file: None }
}

fn step(what: What, undo: Option<Action>) -> Step {
    Step {
        name: "s".into(),
        what,
        condition: None,
        each: None,
        hold: None,
        timeout: Duration::from_secs(1),
        retry: Retry::default(),
        on_failure: OnFailure::Abort,
        on_unknown: OnUnknown::Ask,
        undo: undo.map(|it| Undo::Action(Box::new(it))),
        line: 1,
    }
}

fn playbook(steps: Vec<Step>, on_resolve: Vec<Step>) -> Playbook {
    let token = Parameter {
        kind: ParameterKind::String,
        required: false,
        default: None,
        pattern: None,
        min: None,
        max: None,
        secret: true,
        description: String::new(),
    };
    let plain = Parameter { secret: false, ..token.clone() };
    Playbook {
        name: "deploy".into(),
        parameters: [("token".to_owned(), token), ("where".to_owned(), plain)].into(),
        on_resolve,
        ..machine::tests::playbook(steps)
    }
}

fn config() -> Config {
    let endpoint = |token: &str| Endpoint {
        url: "http://shop".into(),
        headers: [("authorization".to_owned(), Secret::new(token))].into(),
    };
    let mut config = Config::default();
    config.targets.http.insert("shop".into(), endpoint("Bearer hush"));
    config.targets.http.insert("mail".into(), endpoint("Bearer hush"));
    config.targets.redis.insert("cache".into(), redis_at("redis://:hush@cache"));
    config.secrets.insert("deploy-token".into(), Secret::new("hush-deploy"));
    config.prometheus = Some(endpoint("Bearer hush"));
    config
}

fn check(steps: Vec<Step>, parameters: Value, expected: &[&str]) {
    let parameters = serde_json::from_value(parameters).unwrap();
    let used = used(&playbook(steps, Vec::new()), &parameters, &config().targets);
    assert_eq!(used, expected);
}

#[test]
fn g19_a_playbook_uses_the_credentials_of_its_steps_undos_and_parameters() {
    let act = |action| step(What::Action(action), None);
    check(vec![act(Action::Command(Command::default()))], json!({}), &[]);
    check(vec![act(http(None, None))], json!({}), &["playbooks.deploy"]);
    check(vec![act(http(Some("shop"), None))], json!({}), &["targets.http.shop"]);
    let undone = step(What::Wait(Duration::ZERO), Some(redis("cache")));
    check(vec![undone], json!({}), &["targets.redis.cache"]);
    check(
        vec![act(http(None, Some("token")))],
        json!({ "token": "deploy-token", "where": "secret-looking" }),
        &["secrets.deploy-token"],
    );
    let query =
        Probe::Promql { query: "up".into(), healthy: "value == 1".into(), min_sources: None };
    let look = step(What::Probe { probe: query, within: Duration::from_secs(1) }, None);
    check(vec![look], json!({}), &["prometheus"]);
    let page = Probe::Scrape {
        url: "http://x".into(),
        select: "up".into(),
        healthy: "true".into(),
        min_sources: None,
    };
    let look = step(What::Probe { probe: page, within: Duration::from_secs(1) }, None);
    check(vec![look], json!({}), &["playbooks.deploy"]);
    let later = playbook(Vec::new(), vec![act(redis("cache"))]);
    let found = used(&later, &BTreeMap::new(), &config().targets);
    assert_eq!(found, ["targets.redis.cache"], "on_resolve");
}

#[test]
fn g19_a_server_by_parameter_is_that_one_and_by_an_earlier_step_any() {
    let act = |action| step(What::Action(action), None);
    check(
        vec![act(http(Some("{{ where }}"), None))],
        json!({ "where": "mail" }),
        &["targets.http.mail"],
    );
    check(
        vec![act(http(Some("{{ steps.find.output.text }}"), None))],
        json!({}),
        &["targets.http.mail", "targets.http.shop"],
    );
}

#[test]
fn g19_a_refusal_names_what_the_call_carried() {
    let command = Action::Command(Command::default());
    for (action, expected) in [
        (http(Some("shop"), None), vec!["targets.http.shop"]),
        (http(None, Some("deploy-token")), vec!["secrets.deploy-token"]),
        (
            http(Some("shop"), Some("deploy-token")),
            vec!["secrets.deploy-token", "targets.http.shop"],
        ),
        (http(None, None), vec!["playbooks.deploy"]),
        (redis("cache"), vec!["targets.redis.cache"]),
        (command, vec!["playbooks.deploy"]),
    ] {
        let denied = || Outcome::Denied { credentials: Vec::new(), reason: "401".into() };
        let named = of_action("deploy", Some(&action), denied());
        assert_eq!(named.denied(), expected, "{action:?}");
    }
    let failed = || Outcome::Failed { reason: "500".into(), retryable: true };
    assert_eq!(of_action("deploy", Some(&redis("cache")), failed()), failed());
}

#[test]
fn g19_a_refused_probe_names_prometheus_or_its_playbook() {
    let denied = || Outcome::Denied { credentials: Vec::new(), reason: "401".into() };
    let query =
        Probe::Promql { query: "up".into(), healthy: "value == 1".into(), min_sources: None };
    assert_eq!(of_probe("deploy", &query, denied()).denied(), ["prometheus"]);
    let page = Probe::Http(HttpProbe {
        url: "http://shop".into(),
        status: None,
        json: BTreeMap::new(),
        timeout: Duration::from_secs(1),
    });
    assert_eq!(of_probe("deploy", &page, denied()).denied(), ["playbooks.deploy"]);
}

/// Given a refused credential, when an undo would call out with it, then it does not, and a person is told.
#[test]
fn g19_an_undo_does_not_call_out_with_a_refused_credential() {
    let undo = http(Some("shop"), None);
    let withheld =
        |denied: &[&'static str]| withheld("deploy", Some(&undo), denied.iter().copied());
    assert_eq!(withheld(&[]), None);
    assert_eq!(withheld(&["targets.http.mail", "secrets.shop"]), None);
    let Some(Outcome::Failed { reason, retryable: false }) = withheld(&["targets.http.shop"])
    else {
        panic!()
    };
    assert!(reason.contains("`quell credential clear targets.http.shop`"), "{reason}");
}

#[test]
fn g19_a_changed_credential_is_told_from_the_same_one_without_keeping_it() {
    let names = ["targets.http.shop", "targets.redis.cache", "secrets.deploy-token", "prometheus"];
    let before = config();
    let mut after = config();
    let new = |token: &str| Endpoint {
        url: "http://shop".into(),
        headers: [("authorization".to_owned(), Secret::new(token))].into(),
    };
    after.targets.http.insert("shop".into(), new("Bearer new"));
    after.targets.redis.insert("cache".into(), redis_at("redis://:new@cache"));
    after.secrets.insert("deploy-token".into(), Secret::new("new-deploy"));
    after.prometheus = Some(new("Bearer new"));
    for name in names {
        let then = mark(&before, name, KEY).unwrap();
        assert!(!then.contains("hush"), "{then}");
        assert!(!changed(&then, &mark(&before, name, KEY).unwrap()), "{name}: the same");
        assert!(changed(&then, &mark(&after, name, KEY).unwrap()), "{name}: another");
        let other_key = mark(&after, name, b"another key, which says nothing").unwrap();
        assert!(!changed(&then, &other_key), "{name}: under another key nobody can tell");
        assert!(!changed("", &then), "{name}: nothing was known then");
    }
    let shop = mark(&before, "targets.http.shop", KEY);
    assert_ne!(shop, mark(&before, "targets.redis.cache", KEY));
    for unknown in ["targets.http.nobody", "playbooks.deploy", "secrets.gone", "", "x"] {
        assert_eq!(mark(&before, unknown, KEY), None, "{unknown}");
    }
}

/// The key also signs links: what is marked must never be a signature of one.
#[test]
fn a_mark_is_no_signature_of_a_link() {
    let now = jiff::Timestamp::from_second(1_767_607_200).unwrap();
    let mut config = config();
    config.secrets.insert("deploy-token".into(), Secret::new("1:ack:1:9999999999:slack"));
    let mark = mark(&config, "secrets.deploy-token", KEY).unwrap();
    let payload = URL_SAFE_NO_PAD.encode("1:ack:1:9999999999:slack");
    for tag in mark.split('.') {
        assert_eq!(link::verify(&format!("{payload}.{tag}"), KEY, now), Err(link::Invalid::Forged));
    }
}
