use super::*;
use crate::decide::own;
use crate::model::config::Channel;
use crate::model::config::Secret;
use crate::model::config::Severity;
use crate::model::incident::IncidentId;
use crate::model::labels::Labels;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_767_607_200 + seconds).unwrap()
}

/// A pager, Slack, mail to two people, and a hook; critical tells pager and Slack, and after a while the hook.
fn config() -> Config {
    let slack = || Channel::Slack { webhook_url: Secret::default() };
    let mut config = Config::default();
    config.channels.insert(
        "pager".into(),
        Channel::PagerDuty { routing_key: Secret::default(), url: String::new() },
    );
    config.channels.insert("slack".into(), slack());
    config.channels.insert("hook".into(), slack());
    config.channels.insert(
        "mail".into(),
        Channel::Email {
            smtp: Secret::default(),
            from: "q@x".into(),
            to: vec!["ada@x".into(), "bob@x".into()],
            ca_file: None,
        },
    );
    config.paging.insert("pager".into());
    let critical = Severity {
        notify: vec!["slack".into(), "pager".into()],
        ack_within: None,
        escalate_to: vec!["hook".into()],
        updates: None,
    };
    config.severities.insert("critical".into(), critical);
    config
}

fn notice(kind: NoticeKind) -> Notice {
    Notice {
        kind,
        incident: IncidentId(1),
        title: String::new(),
        severity: "critical".into(),
        headline: "help".into(),
        details: vec!["first".into()],
        tried: Vec::new(),
        proposes: None,
        labels: Labels::default(),
        opened_at: at(0),
        at: at(0),
    }
}

/// Who is told instead of `failed`, and with what words.
fn told(config: &Config, failed: &str, tried: &[&str], down: &[&str]) -> Vec<String> {
    let tried: Vec<String> = tried.iter().map(|it| (*it).to_owned()).collect();
    let down = down.iter().map(|it| (*it).to_owned()).collect();
    let why = Why::GivenUp("connection refused");
    let owed = instead(config, failed, &tried, &down, &notice(NoticeKind::NeedsYou), why);
    for it in &owed {
        let words =
            format!("sent here because channel {failed} could not be reached: connection refused");
        assert_eq!(it.notice.details, ["first".to_owned(), words]);
    }
    owed.into_iter()
        .map(|it| format!("{} {}", it.channel, it.recipient).trim().to_owned())
        .collect()
}

/// Given a channel that does not deliver, when its fallback, its severity's `escalate_to` and others are there, then the first of
/// them is told; each once.
#[test]
fn g18_undelivered_notices_fall_to_fallback_then_escalate_to_then_any_other() {
    let mut config = config();
    config
        .fallbacks
        .insert("pager".into(), Fallback { to: Some("mail".into()), ..Fallback::default() });
    assert_eq!(told(&config, "pager", &["pager", "slack"], &[]), ["mail ada@x", "mail bob@x"]);
    assert_eq!(told(&config, "mail", &["pager", "slack", "mail"], &[]), ["hook"]);
    assert_eq!(told(&config, "slack", &["slack"], &[]), ["hook"]);
    assert_eq!(
        told(&config, "hook", &["slack", "pager", "hook"], &[]),
        ["mail ada@x", "mail bob@x"]
    );
    let all = ["slack", "pager", "hook", "mail"];
    assert_eq!(told(&config, "hook", &all, &[]), Vec::<String>::new(), "each once");
}

#[test]
fn g18_a_channel_that_fails_stands_in_last() {
    let config = config();
    assert_eq!(told(&config, "slack", &["slack"], &["hook"]), ["pager"]);
    assert_eq!(told(&config, "slack", &["slack"], &["hook", "pager", "mail"]), ["hook"]);
}

#[test]
fn g18_only_what_must_arrive_goes_to_another_channel() {
    for (kind, arrives) in [
        (NoticeKind::Opened, true),
        (NoticeKind::NeedsYou, true),
        (NoticeKind::Progress, false),
        (NoticeKind::Acknowledged, false),
        (NoticeKind::Resolved, false),
    ] {
        let why = Why::Late(Duration::from_mins(5), "");
        let owed = instead(&config(), "pager", &[], &BTreeSet::new(), &notice(kind), why);
        assert_eq!(!owed.is_empty(), arrives, "{kind:?}");
        let words = "sent here because channel pager has not delivered it for 5m";
        assert!(owed.iter().all(|it| it.notice.details.last().unwrap() == words));
    }
}

fn trouble(channel: &str, recipient: &str, since: i64, gave_up: bool) -> Trouble {
    Trouble {
        channel: channel.into(),
        recipient: recipient.into(),
        reason: format!("down since {since}"),
        since: at(since),
        gave_up,
    }
}

/// Given deliveries that fail, when they have for less than a minute and none was given up, then the channel does not fail yet.
#[test]
fn g18_a_channel_fails_when_a_notice_was_given_up_or_after_a_minute() {
    let config = config();
    for (gave_up, now, fails) in [(false, 59, false), (false, 60, true), (true, 0, true)] {
        let troubles = [trouble("slack", "", 0, gave_up)];
        let failing = failing(&config, &troubles, at(now));
        assert_eq!(failing.contains_key("slack"), fails, "{gave_up} {now}");
    }
    let troubles = [trouble("mail", "ada@x", 30, true), trouble("mail", "bob@x", 0, true)];
    assert_eq!(failing(&config, &troubles, at(90))["mail"].reason, "down since 0");
    let gone = [trouble("mail", "eve@x", 0, true), trouble("fax", "", 0, true)];
    assert_eq!(failing(&config, &gone, at(90)).len(), 0, "nobody tells them any more");
}

#[test]
fn g18_nobody_can_be_told_when_every_channel_fails() {
    let config = config();
    let mut troubles: Vec<Trouble> =
        ["pager", "slack", "hook"].map(|name| trouble(name, "", 0, true)).into();
    assert!(!is_silent(&config, &failing(&config, &troubles, at(0))));
    troubles.push(trouble("mail", "ada@x", 0, true));
    assert!(is_silent(&config, &failing(&config, &troubles, at(0))));
    let nobody = Config::default();
    assert!(!is_silent(&nobody, &failing(&nobody, &[], at(0))), "quell was never asked to tell");
}

/// A channel that reaches nobody is not told that it does.
#[test]
fn g18_a_failing_channel_is_told_of_on_the_others() {
    let config = config();
    let alert = own::channel_failing("pager", "connection refused", at(0));
    let notice = Notice { labels: alert.labels, ..notice(NoticeKind::Opened) };
    let told = |config: &Config, notice: &Notice| -> Vec<String> {
        let owed = audience::owed(config, notice, true);
        owed.into_iter().map(|it| it.channel).collect()
    };
    assert_eq!(told(&config, &notice), ["slack"]);
    let alert = own::channel_failing("slack", "404", at(0));
    let notice = Notice { labels: alert.labels, ..notice };
    assert_eq!(told(&config, &notice), ["pager"]);
    let mut bare = config;
    bare.severities.clear();
    assert_eq!(told(&bare, &notice), ["pager"], "critical, so whoever pages");
    bare.paging.clear();
    bare.unmatched = vec!["hook".into(), "slack".into()];
    assert_eq!(told(&bare, &notice), ["hook"]);
}

#[test]
fn a_ticket_about_quell_pages_nobody_unless_nobody_else_is_there() {
    let mut config = config();
    config.severities.clear();
    let alert = own::chronic("r", "t", "often", at(0));
    let notice =
        Notice { labels: alert.labels, severity: "warning".into(), ..notice(NoticeKind::Opened) };
    let owed = audience::owed(&config, &notice, true);
    let told: BTreeSet<String> = owed.into_iter().map(|it| it.channel).collect();
    assert_eq!(told, ["hook", "mail", "slack"].map(str::to_owned).into());
    config.channels.retain(|name, _| name == "pager");
    let owed = audience::owed(&config, &notice, true);
    assert_eq!(owed.len(), 1);
}
