use std::time::Duration;

use jiff::Timestamp;

use crate::api::testing::Quell;
use crate::api::testing::Reply;
use crate::api::testing::START;
use crate::api::testing::at;
use crate::api::testing::config;
use crate::decide::link::Act;
use crate::decide::link::Link;
use crate::decide::link::sign;
use crate::model::config::Operator;
use crate::model::config::Secret;
use crate::model::incident::Incident;
use crate::model::incident::IncidentId;
use crate::model::incident::IncidentStatus;
use crate::model::incident::RunId;
use crate::model::run::Stop;
use crate::model::time::after;

const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

async fn plain() -> (Quell, String) {
    let quell = Quell::configured(config()).await;
    quell.incident().await;
    let path = link(&quell, IncidentId(1));
    (quell, path)
}

fn link(quell: &Quell, incident: IncidentId) -> String {
    let expires_at = after(at(START), Duration::from_hours(1));
    let link = Link { act: Act::Ack(incident), ..in_slack(expires_at) };
    format!("/act/{}", sign(&link, &quell.state.link_key))
}

fn in_slack(expires_at: Timestamp) -> Link {
    Link {
        act: Act::Ack(IncidentId(1)),
        operator: String::new(),
        channel: "slack".into(),
        message: 1,
        expires_at,
    }
}

async fn incident(quell: &Quell) -> Incident {
    quell.state.store.incident(IncidentId(1)).await.unwrap().unwrap()
}

/// The sentence of a page.
fn words(reply: &Reply) -> String {
    assert_eq!(reply.header("content-type"), "text/html; charset=utf-8", "{}", reply.text);
    let body = reply.text.split("</h1>").nth(1).unwrap();
    let body = body.split("<table").next().unwrap();
    let text = body.split('<').map(|part| part.split_once('>').map_or(part, |(_, text)| text));
    format!(
        "{} {}",
        reply.status,
        text.collect::<Vec<_>>().join(" ").split_whitespace().collect::<Vec<_>>().join(" ")
    )
}

#[tokio::test]
async fn looking_changes_nothing_ever() {
    let (quell, path) = plain().await;
    let before = incident(&quell).await;
    for (method, agent) in [
        ("GET", "Slackbot-LinkExpanding 1.0"),
        ("HEAD", "curl"),
        ("GET", "Mozilla/5.0"),
        ("OPTIONS", "Mozilla/5.0"),
        ("PUT", "curl"),
    ] {
        quell.send(method, &path, &[("user-agent", agent), FORM], "name=x").await;
        assert_eq!(incident(&quell).await, before, "{method}");
    }
    assert_eq!(quell.state.store.notifications_of(IncidentId(1)).await.unwrap().len(), 1);
}

#[tokio::test]
async fn the_page_says_what_will_happen_and_runs_nothing() {
    let (quell, path) = plain().await;
    let reply = quell.get(&path).await;
    assert_eq!(reply.status, 200);
    for (header, value) in [
        (
            "content-security-policy",
            "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
        ),
        ("cache-control", "no-store"),
        ("referrer-policy", "no-referrer"),
        ("x-frame-options", "DENY"),
        ("x-robots-tag", "noindex, nofollow"),
        ("x-content-type-options", "nosniff"),
    ] {
        assert_eq!(reply.header(header), value, "{header}");
    }
    assert!(!reply.text.contains("<script"));
    assert!(!reply.text.contains("<api>"), "labels are escaped");
    assert!(reply.text.contains("&lt;api&gt;: HighErrorRate, critical"));
    let page = reply.text.split("</style>").nth(1).unwrap();
    let page = page.replace(path.trim_start_matches("/act/"), "TOKEN").replace('<', "\n<");
    insta::assert_snapshot!(page, @r#"
    </head>

    <body>
    <h1>&lt;api&gt;: HighErrorRate, critical
    </h1>

    <table>
    <tr>
    <th>incident
    <td>i-1
    <tr>
    <th>status
    <td>open
    <tr>
    <th>began
    <td>2026-11-21 02:28:00 UTC (12m ago)
    <tr>
    <th>rule
    <td>api-error-rate
    <tr>
    <th>alertname
    <td>HighErrorRate
    <tr>
    <th>service
    <td>&lt;api&gt;
    </table>
    <form method="post" action="/act/TOKEN">
    <p>Acknowledging says that a person has it: the channels that were told of i-1 are told so, and nobody is reminded that it waits for an answer. A remedy that is at work goes on to its end; what has not begun waits for a yes.
    </p>
    <label>Your name, if you like
    <input name="name" maxlength="80" autocomplete="name">
    </label>
    <button>Acknowledge i-1
    </button>
    </form>
    <p>
    <small>Recorded as coming by the link in slack, which works once, until 2026-11-21 03:40:00 UTC.
    </small>
    </p>

    </body>
    </html>
    "#);
}

#[tokio::test]
async fn a_link_acknowledges_once_and_says_by_whom() {
    for (form, by) in [
        ("name=Dana+%3Cb%3E", "Dana <b>, by the link in slack"),
        ("name=++", "the link in slack"),
        ("", "the link in slack"),
        ("name=a%0Ab%00c", "abc, by the link in slack"),
    ] {
        let (quell, path) = plain().await;
        let reply = quell.send("POST", &path, &[FORM], form).await;
        assert_eq!(reply.status, 200, "{}", reply.text);
        assert!(!reply.text.contains("<b>"), "escaped");
        assert_eq!(incident(&quell).await.acked_by, by);
        assert_eq!(
            quell.state.store.notifications_of(IncidentId(1)).await.unwrap().len(),
            2,
            "told"
        );
        quell.state.clock.advance(Duration::from_mins(1));
        let again = quell.send("POST", &path, &[FORM], "name=eve").await;
        assert_eq!(again.status, 409);
        assert!(again.text.contains("Already acknowledged by"), "{}", again.text);
        assert!(again.text.contains("2026-11-21 02:40:00 UTC"), "{}", again.text);
        assert_eq!(incident(&quell).await.acked_by, by, "eve came too late");
        let look = quell.get(&path).await;
        assert!(look.status == 200 && !look.text.contains("<form"), "{}", look.text);
    }
}

#[tokio::test]
async fn a_long_name_is_cut() {
    let (quell, path) = plain().await;
    quell.send("POST", &path, &[FORM], format!("name={}", "é".repeat(200))).await;
    assert_eq!(
        incident(&quell).await.acked_by,
        format!("{}, by the link in slack", "é".repeat(80))
    );
    let reply = quell.send("POST", &path, &[FORM], "x".repeat(5000)).await;
    assert_eq!(reply.status, 413);
}

#[tokio::test]
async fn what_cannot_be_used_says_why() {
    let (quell, path) = plain().await;
    let (last, rest) = (path.len() - 1, &path[..path.len() - 1]);
    let forged = format!("{rest}{}", if path[last..] == *"A" { "B" } else { "A" });
    insta::assert_snapshot!(words(&quell.get(&forged).await), @"403 This quell did not make this link; copy all of it, or use the newest message Q0515");
    insta::assert_snapshot!(words(&quell.send("POST", "/act/x", &[FORM], "").await), @"403 This quell did not make this link; copy all of it, or use the newest message Q0515");
    let gone = link(&quell, IncidentId(9));
    insta::assert_snapshot!(words(&quell.get(&gone).await), @"404 There is no incident i-9 Q0507");
    insta::assert_snapshot!(words(&quell.send("POST", &path, &[], "name=x").await), @"415 Expected content-type application/x-www-form-urlencoded, as the page&#39;s form sends Q0518");
    quell.post("/api/v1/incidents/i-1/ack", "").await;
    insta::assert_snapshot!(words(&quell.get(&path).await), @"200 Already acknowledged by dana at 2026-11-21 02:40:00 UTC");
    insta::assert_snapshot!(words(&quell.send("POST", &path, &[FORM], "").await), @"409 Already acknowledged by dana at 2026-11-21 02:40:00 UTC Q0509");
    let labels = r#"{"alerts":[{"status":"resolved","labels":{"alertname":"HighErrorRate","service":"<api>"}}]}"#;
    quell.webhook(labels).await;
    quell.state.store.resolve_incident(IncidentId(1), Vec::new()).await.unwrap();
    insta::assert_snapshot!(words(&quell.get(&path).await), @"200 Resolved at 2026-11-21 02:40:00 UTC");
    insta::assert_snapshot!(words(&quell.send("POST", &path, &[FORM], "").await), @"409 Resolved at 2026-11-21 02:40:00 UTC Q0509");
    quell.state.clock.advance(Duration::from_secs(3601));
    insta::assert_snapshot!(words(&quell.get(&path).await), @"410 This link is too old; use the newest message, or the command line Q0514");
    insta::assert_snapshot!(words(&quell.send("POST", &path, &[FORM], "").await), @"410 This link is too old; use the newest message, or the command line Q0514");
    assert_eq!(incident(&quell).await.status, IncidentStatus::Resolved);
}

#[tokio::test]
async fn scripts_get_json() {
    let (quell, path) = plain().await;
    let json = ("accept", "application/json");
    let look = quell.send("GET", &path, &[json], "").await;
    assert_eq!(
        (look.json()["act"].as_str(), look.json()["incident"]["id"].as_str()),
        (Some("acknowledge"), Some("i-1"))
    );
    let done = quell.send("POST", &path, &[json, FORM], "").await;
    assert_eq!(done.json()["acknowledged"], true);
    let again = quell.send("POST", &path, &[json, FORM], "").await;
    insta::assert_snapshot!(again.problem(), @"409 /errors/Q0509 not possible now: already acknowledged by the link in slack at 2026-11-21 02:40:00 UTC");
    insta::assert_snapshot!(quell.send("GET", "/act/x", &[json], "").await.problem(), @"403 /errors/Q0515 link not valid: this quell did not make this link; copy all of it, or use the newest message");
    assert_eq!(again.header("cache-control"), "no-store");
}

#[tokio::test]
async fn only_the_links_own_page_may_send_its_form() {
    let (quell, path) = plain().await;
    for (headers, expected) in [
        (vec![("sec-fetch-site", "cross-site")], 403),
        (vec![("sec-fetch-site", "same-site")], 403),
        (vec![("origin", "https://evil.example")], 403),
        (vec![("origin", "null"), ("sec-fetch-site", "cross-site")], 403),
        (vec![("origin", "http://quell.example.com")], 403),
        (vec![("origin", "https://quell.example.com"), ("sec-fetch-site", "same-origin")], 200),
    ] {
        let mut all = vec![FORM];
        all.extend(&headers);
        let reply = quell.send("POST", &path, &all, "").await;
        assert_eq!(reply.status, expected, "{headers:?}: {}", reply.text);
    }
    for headers in [
        vec![("origin", "http://10.0.0.7:9797"), ("host", "10.0.0.7:9797")],
        vec![("origin", "https://q.example"), ("host", "q.example")],
        vec![("origin", "null")],
        vec![("origin", "null"), ("sec-fetch-site", "same-origin")],
        vec![],
    ] {
        let (quell, path) = plain().await;
        let mut all = vec![FORM];
        all.extend(&headers);
        assert_eq!(quell.send("POST", &path, &all, "").await.status, 200, "{headers:?}");
    }
}

/// Path of a link to the plan of r-1, in Slack, or in the mail to an operator alone.
fn to_decide(quell: &Quell, digest: &str, operator: &str, message: i64) -> String {
    let act = Act::Decide { run: RunId(1), digest: digest.to_owned() };
    let expires_at = after(at(START), Duration::from_mins(20));
    let link = Link { act, operator: operator.into(), message, ..in_slack(expires_at) };
    format!("/act/{}", sign(&link, &quell.state.link_key))
}

/// A plan that needs so many people of tier 3, who are dana and fred; erin has tier 1.
async fn proposed(approvals: u8) -> (Quell, String) {
    let mut config = config();
    let fred = Operator {
        name: "fred".into(),
        token: Some(Secret::new("fred-token")),
        ..config.operators[0].clone()
    };
    config.operators.push(fred);
    // opening a store is a large future: each test would hold it
    let quell = Box::pin(Quell::configured(config)).await;
    let digest = quell.awaiting(approvals).await;
    (quell, digest)
}

async fn state(quell: &Quell) -> &'static str {
    quell.state.store.run(RunId(1)).await.unwrap().unwrap().state.as_str()
}

#[tokio::test]
async fn g11_looking_at_a_plan_never_approves_it() {
    let (quell, digest) = proposed(1).await;
    for operator in ["", "dana"] {
        let path = to_decide(&quell, &digest, operator, 1);
        for (method, agent) in [
            ("GET", "Slackbot-LinkExpanding 1.0"),
            ("HEAD", "Barracuda Sentinel"),
            ("GET", "Mozilla/5.0"),
            ("PUT", "curl"),
        ] {
            let body = "say=approve&token=dana-token";
            quell.send(method, &path, &[("user-agent", agent), FORM], body).await;
        }
    }
    assert_eq!(state(&quell).await, "awaiting approval");
    assert_eq!(quell.state.store.journal(RunId(1)).await.unwrap().len(), 1, "nothing was written");
}

#[tokio::test]
async fn g11_the_page_shows_the_plan_who_must_approve_and_how_the_link_knows_them() {
    let (quell, digest) = proposed(2).await;
    let path = to_decide(&quell, &digest, "", 1);
    let reply = quell.get(&path).await;
    let page = reply.text.split("</style>").nth(1).unwrap();
    let page = page.replace(path.trim_start_matches("/act/"), "TOKEN").replace('<', "\n<");
    let page = page.replace(&digest[..16], "DIGEST");
    let from = page.find("<th>proposes").unwrap();
    insta::assert_snapshot!(&page[from..], @r#"
    <th>proposes
    <td>restart on kubernetes/prod/deployment/api (r-1)
    <tr>
    <th>
    <td>step 1 restart: command systemctl restart api
    <tr>
    <th>needs
    <td>2 people of tier 3
    <tr>
    <th>until
    <td>2026-11-21 03:00:00 UTC
    <tr>
    <th>digest
    <td>DIGEST
    </table>
    <form method="post" action="/act/TOKEN">
    <input type="hidden" name="say" value="approve">
    <p>Approving says yes to exactly this plan. When it needs no more people, it begins at once, if it is still true.
    </p>
    <label>Your operator token
    <input name="token" type="password" required autocomplete="off">
    </label>
    <button>Approve r-1
    </button>
    </form>
    <form method="post" action="/act/TOKEN">
    <input type="hidden" name="say" value="reject">
    <p>Rejecting ends it, and people take over.
    </p>
    <label>Your operator token
    <input name="token" type="password" required autocomplete="off">
    </label>
    <label>Why
    <input name="reason" maxlength="500" required>
    </label>
    <button>Reject r-1
    </button>
    </form>
    <p>
    <small>Others can read the message with this link, so your token says who you are: it counts once, and with your tier.
    </small>
    </p>
    <p>
    <small>Recorded as coming by the link in slack, which works once, until 2026-11-21 03:00:00 UTC.
    </small>
    </p>

    </body>
    </html>
    "#);
    let alone = quell.get(&to_decide(&quell, &digest, "dana", 2)).await;
    assert!(alone.text.contains("You are dana: this link was sent to you alone."));
    assert!(!alone.text.contains("name=\"token\""), "{}", alone.text);
}

/// Given a plan that two people must approve, when one uses every way there is, then it waits; the second begins it.
#[tokio::test]
async fn g11_no_link_lets_one_person_count_twice_or_choose_a_tier() {
    let (quell, digest) = proposed(2).await;
    let shared = |message| to_decide(&quell, &digest, "", message);
    let say = async |path: &str, form: &str| {
        words(&quell.send("POST", path, &[FORM], form.to_owned()).await)
    };
    let first = shared(1);
    insta::assert_snapshot!(say(&first, "say=approve").await, @"403 This is the token of no operator; nothing was done, and the link still works Q0506");
    insta::assert_snapshot!(say(&first, "say=approve&token=wrong").await, @"403 This is the token of no operator; nothing was done, and the link still works Q0506");
    insta::assert_snapshot!(say(&first, "say=approve&token=erin-token&tier=4").await, @"403 R-1 needs 2 people of tier 3, and erin has tier 1 Q0506");
    insta::assert_snapshot!(say(&first, "token=dana-token").await, @"400 Expected say=approve, or say=reject and a reason, as the page&#39;s forms send Q0513");
    assert_eq!(state(&quell).await, "awaiting approval");
    insta::assert_snapshot!(say(&first, "say=approve&token=dana-token").await, @"200 Restart on kubernetes/prod/deployment/api: approved by dana; needs one more person of tier 3");
    insta::assert_snapshot!(say(&first, "say=approve&token=fred-token").await, @"409 This link was used by dana at 2026-11-21T02:40:00Z; each works once Q0509");
    insta::assert_snapshot!(words(&quell.get(&first).await), @"200 This link was used by dana at 2026-11-21 02:40:00 UTC; each works once");
    insta::assert_snapshot!(say(&shared(2), "say=approve&token=dana-token").await, @"409 Dana has approved already; it needs one more person of tier 3 Q0509");
    let alone = to_decide(&quell, &digest, "dana", 3);
    insta::assert_snapshot!(say(&alone, "say=approve&token=fred-token").await, @"409 Dana has approved already; it needs one more person of tier 3 Q0509");
    assert_eq!(state(&quell).await, "awaiting approval");
    let told = quell.state.store.notifications_of(IncidentId(1)).await.unwrap();
    let asks = told.iter().find(|it| it.notice.proposes == Some(RunId(1))).unwrap();
    insta::assert_snapshot!(asks.notice.headline, @"restart on kubernetes/prod/deployment/api: approved by dana; needs one more person of tier 3 within 20m: quell approve r-1");
    insta::assert_snapshot!(say(&shared(2), "say=approve&token=fred-token").await, @"200 Approved by fred: it begins");
    assert_eq!(state(&quell).await, "running");
    insta::assert_snapshot!(say(&shared(4), "say=approve&token=fred-token").await, @"409 R-1 is running, not awaiting approval Q0509");
}

#[tokio::test]
async fn g11_a_link_rejects_for_a_reason_and_people_are_told_it() {
    let (quell, digest) = proposed(1).await;
    let path = to_decide(&quell, &digest, "dana", 1);
    let say = async |form: &str| words(&quell.send("POST", &path, &[FORM], form.to_owned()).await);
    insta::assert_snapshot!(say("say=reject").await, @"400 Say why r-1 is rejected: people are told the reason Q0513");
    insta::assert_snapshot!(say("say=reject&reason=++").await, @"400 Say why r-1 is rejected: people are told the reason Q0513");
    insta::assert_snapshot!(say("say=reject&reason=a+deploy+is+under+way").await, @"200 Restart on kubernetes/prod/deployment/api: rejected by dana: a deploy is under way");
    insta::assert_snapshot!(say("say=reject&reason=again").await, @"409 This link was used by dana at 2026-11-21T02:40:00Z; each works once Q0509");
    assert_eq!(state(&quell).await, "rejected");
    let told = quell.state.store.notifications_of(IncidentId(1)).await.unwrap();
    insta::assert_snapshot!(told.last().unwrap().notice.headline, @"restart on kubernetes/prod/deployment/api: rejected by dana: a deploy is under way");
}

#[tokio::test]
async fn g11_a_link_to_another_plan_or_after_its_time_does_nothing() {
    let (quell, digest) = proposed(1).await;
    let other = to_decide(&quell, &"0".repeat(64), "dana", 1);
    insta::assert_snapshot!(words(&quell.send("POST", &other, &[FORM], "say=approve").await), @"409 The plan of r-1 is not the one of this link Q0509");
    let path = to_decide(&quell, &digest, "gone", 1);
    insta::assert_snapshot!(words(&quell.send("POST", &path, &[FORM], "say=approve").await), @"403 Gone is no operator any more Q0506");
    quell.state.clock.advance(Duration::from_secs(20 * 60 + 1));
    let late = to_decide(&quell, &digest, "dana", 1);
    let reply = quell.send("POST", &late, &[FORM], "say=approve").await;
    assert_eq!(reply.status, 410, "{}", reply.text);
    assert_eq!(state(&quell).await, "awaiting approval");
}

#[tokio::test]
async fn g15_a_link_takes_over_once_and_stops_what_is_at_work() {
    let (quell, _) = proposed(1).await;
    let expires_at = after(at(START), Duration::from_hours(1));
    let link = Link { act: Act::Take(IncidentId(1)), ..in_slack(expires_at) };
    let path = format!("/act/{}", sign(&link, &quell.state.link_key));
    let look = quell.get(&path).await;
    assert!(look.text.contains("Taking over stops quell"), "{}", look.text);
    assert_eq!(incident(&quell).await.taken_by, "", "looking takes nothing");
    let reply = quell.send("POST", &path, &[FORM], "name=Dana").await;
    insta::assert_snapshot!(words(&reply), @"200 Taken over by Dana, by the link in slack; `quell give-back i-1` lets quell act again");
    let taken = incident(&quell).await;
    assert_eq!(taken.taken_by, "Dana, by the link in slack");
    assert_eq!(taken.status, IncidentStatus::Acknowledged);
    let stop = quell.state.store.stop_requested(RunId(1)).await.unwrap();
    assert_eq!(stop, Some(Stop::TakenOver { by: "Dana, by the link in slack".into() }));
    insta::assert_snapshot!(words(&quell.send("POST", &path, &[FORM], "name=Eve").await), @"409 This link was used by Dana, by the link in slack at 2026-11-21 02:40:00 UTC; each works once Q0509");
    insta::assert_snapshot!(words(&quell.get(&path).await), @"200 Already taken over by Dana, by the link in slack at 2026-11-21 02:40:00 UTC");
}
