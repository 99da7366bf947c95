//! Steps for each of some items, questions to people, and secrets: what a playbook can do beyond one action after another.

use std::fs;

use reqwest::Method;
use reqwest::StatusCode;
use serde_json::Value;
use serde_json::json;

use crate::journeys::fixture::SLACK;
use crate::journeys::fixture::Site;
use crate::support::shop::Fault;

const ROLL: &str = r#"
playbook: roll
steps:
  - name: find-hosts
    command: { shell: "printf 'web-1\nweb-2\nweb-3\nweb-4\n'" }
  - name: restart
    for_each: steps["find-hosts"].output.lines
    waves: [1, 100%]
    bake: 1s
    between: { probe: { command: { argv: [/bin/sh, note.sh, look] } }, within: 1s }
    if: item != "web-2"
    command: { argv: [/bin/sh, restart.sh, "{{ item }}", "{{ index }}"] }
    undo: { command: { argv: [/bin/sh, note.sh, undo, "{{ item }}", "{{ steps.restart.output.stdout }}"] } }
"#;

/// A site whose only remedy is this playbook.
async fn with(playbook: &str, name: &str) -> Site {
    let mut site = Site::new().await;
    site.quell.write(&format!("playbooks/{name}.yml"), playbook);
    site.respond_with(&[name]);
    site
}

/// The events of one kind in a run's journal, with their times.
fn events<'a>(run: &'a Value, kind: &str) -> Vec<(jiff::Timestamp, &'a Value)> {
    let journal = run["journal"].as_array().unwrap();
    let of_kind = journal.iter().filter_map(|it| Some((it, it["event"].get(kind)?)));
    of_kind.map(|(it, event)| (it["at"].as_str().unwrap().parse().unwrap(), event)).collect()
}

#[tokio::test]
async fn items_go_in_waves_and_one_that_fails_takes_the_others_back() {
    let mut site = with(ROLL, "roll").await;
    let restart = "echo \"restart $1 $2\" >> notes\nprintf \"was $1\"\ntest \"$1\" != web-4\n";
    site.quell.write("restart.sh", restart);
    site.serve().await;
    site.shop.inject(Fault::Unfixable);
    site.posts("firing").await;
    let run = site.until_run(1, "failed").await;
    assert_eq!(
        site.notes(),
        [
            "restart web-1 0",
            "look",
            "restart web-3 2",
            "restart web-4 3",
            "undo web-3 was web-3",
            "undo web-1 was web-1"
        ]
    );
    let listed = events(&run, "listed");
    assert_eq!(listed[0].1["items"], json!(["web-1", "web-2", "web-3", "web-4"]));
    let started: Vec<_> = events(&run, "step_started").into_iter().skip(1).collect();
    let keys: Vec<&Value> = started.iter().map(|(_, it)| &it["intent"]["key"]).collect();
    assert_eq!(keys, ["r-1/2.1", "r-1/2.3", "r-1/2.4"]);
    let baked = started[1].0.duration_since(started[0].0);
    assert!(baked.as_millis() >= 1000, "{baked:?}");
    let outcome = run["run"]["outcome"].as_str().unwrap();
    assert!(
        outcome.starts_with(
            "roll on process/shop: step 2 (restart), item 4 of 4 (web-4) failed: exit 1 in"
        ),
        "{outcome}"
    );
    assert!(outcome.ends_with("; undone"), "{outcome}");
    let did = run["did"].as_array().unwrap();
    assert!(did.contains(&json!("  web-2: skipped: if: item != \"web-2\" is false")), "{did:#?}");
    let shown = site.quell.cli(&["runs", "r-1"]).await;
    let line = "step 2/2 restart: 4 items in waves up to 1, 4: web-1, web-2, web-3, web-4";
    assert!(shown.out.contains(line), "{}", shown.out);
}

#[tokio::test]
async fn what_is_worse_between_two_waves_stops_the_rest() {
    let mut site = with(&ROLL.replace("note.sh, look", "-c, 'exit 1'"), "roll").await;
    site.quell.write("restart.sh", "echo \"restart $1\" >> notes\n");
    site.serve().await;
    site.shop.inject(Fault::Unfixable);
    site.posts("firing").await;
    let run = site.until_run(1, "failed").await;
    assert_eq!(site.notes(), ["restart web-1", "undo web-1 "]);
    let outcome = run["run"]["outcome"].as_str().unwrap();
    assert!(outcome.contains("step 2 (restart) stopped after 1 of 4 items: "), "{outcome}");
}

#[tokio::test]
async fn an_empty_list_never_means_everything() {
    let mut site = with(&ROLL.replace(r"web-1\nweb-2\nweb-3\nweb-4\n", ""), "roll").await;
    site.serve().await;
    site.shop.inject(Fault::Unfixable);
    site.posts("firing").await;
    let run = site.until_run(1, "failed").await;
    assert_eq!(site.notes(), Vec::<String>::new());
    let outcome = run["run"]["outcome"].as_str().unwrap();
    assert!(
        outcome.ends_with("for_each: the list is empty: there is nothing to do it for"),
        "{outcome}"
    );
}

const SCALE: &str = r#"
playbook: scale
steps:
  - name: never
    if: labels.service == "another"
    command: { argv: [/bin/sh, note.sh, never] }
  - name: how-many
    ask:
      question: "how many of {{ labels.service }}?"
      answers:
        replicas: { type: integer, min: 1, max: 5, description: how many to run }
        how: { type: enum, values: [slow, fast], default: slow }
      tier: 2
  - name: sure
    ask: { question: "{{ steps['how-many'].output.replicas }}, really?" }
  - name: scale
    if: steps.sure.output.answer && steps.never.output == null && steps.never.is == "skipped"
    command:
      argv: [/bin/sh, note.sh, scale, "{{ steps['how-many'].output.replicas }}", "{{ steps['how-many'].output.how }}"]
"#;

async fn answer(site: &Site, token: &str, body: &Value) -> (StatusCode, Value) {
    let request = site.quell.request(Method::POST, "/api/v1/runs/r-1/answer");
    let reply = request.bearer_auth(token).json(body).send().await.unwrap();
    (reply.status(), reply.json().await.unwrap())
}

#[tokio::test]
async fn people_are_asked_and_later_steps_know_their_answers() {
    let mut site = with(SCALE, "scale").await;
    site.serve().await;
    site.shop.inject(Fault::Unfixable);
    site.posts("firing").await;
    let run = site.until_run(1, "awaiting answer").await;
    assert_eq!(run["asks"]["question"], "how many of shop?");
    assert_eq!(run["asks"]["answers"]["replicas"]["max"], 5.0);
    let told = site.told(SLACK, "how many of shop?").await;
    assert!(told.contains("quell answer r-1 how=… replicas=… --step how-many --by NAME"), "{told}");
    assert!(told.contains("replicas: a whole number from 1 to 5; how many to run"), "{told}");

    // a question waits through a restart, and through answers that do not fit
    site.quell.kill9();
    site.quell.serve().await;
    for (arguments, code, words) in [
        (
            &["replicas=3", "--step", "sure"][..],
            1,
            "r-1 asks `how-many` now, not `sure`; look again",
        ),
        (&["replicas=many"], 1, "r-1: answer `replicas`: `many` is not a whole number"),
        (&["replicas=6"], 1, "`6` is above the maximum of 5"),
        (&["how=fast"], 1, "answer `replicas` is missing: it takes a whole number from 1 to 5"),
        (&["replica=3"], 1, "there is no answer `replica`; it asks for: how, replicas"),
        (&["replicas=3", "replicas=4"], 1, "answer `replicas` is given twice"),
        (&["three"], 1, "`three` is no answer"),
        (&["happened"], 1, "r-1 is awaiting answer, not in doubt"),
        (&["replicas=3", "--by", "kim"], 1, "r-1 needs one person of tier 2, and kim has tier 1"),
        (&["replicas=3", "--by", "eve"], 1, "`eve` is no operator in quell.yml"),
    ] {
        let mut line = vec!["answer", "r-1"];
        line.extend(arguments);
        if !arguments.contains(&"--step") && *arguments != ["happened"] {
            line.extend(["--step", "how-many"]);
        }
        if !arguments.contains(&"--by") {
            line.extend(["--by", "dana"]);
        }
        let said = site.quell.cli(&line).await;
        assert_eq!(said.code, code, "{arguments:?} {said:?}");
        assert!(said.err.contains(words), "{arguments:?} {said:?}");
    }
    let line = ["answer", "r-1", "replicas=3", "--by", "dana"];
    let said = site.quell.cli(&line).await;
    assert!(said.err.contains("r-1 asks more than once"), "{said:?}");
    let said = site.quell.cli(&[&line[..], &["--step", "how-many"]].concat()).await;
    assert_eq!(said.code, 0, "{said:?}");
    site.told(SLACK, "3, really?").await;
    let run = site.until_run(1, "awaiting answer").await;
    assert_eq!(run["asks"]["step"], "sure");

    // the second over HTTP: yes or no
    let (status, problem) = answer(&site, "hush-kim-0123456789", &json!({})).await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "{problem}");
    // one who still answers the first
    let late = json!({ "answers": { "answer": true }, "step": "how-many" });
    let (status, problem) = answer(&site, "hush-kim-0123456789", &late).await;
    assert_eq!(status, StatusCode::CONFLICT, "{problem}");
    let perhaps = json!({ "answers": { "answer": "perhaps" }, "step": "sure" });
    let (status, problem) = answer(&site, "hush-kim-0123456789", &perhaps).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert_eq!(problem["detail"], "r-1: answer `answer`: `perhaps` is not true or false");
    let yes = json!({ "answers": { "answer": true }, "step": "sure" });
    let (status, _) = answer(&site, "hush-kim-0123456789", &yes).await;
    assert_eq!(status, StatusCode::OK);
    site.until_run(1, "verifying").await;
    site.shop.inject(Fault::None);
    let run = site.until_run(1, "fixed").await;
    assert_eq!(site.notes(), ["scale 3 slow"]);
    let answered: Vec<&Value> = events(&run, "answered").into_iter().map(|(_, it)| it).collect();
    assert_eq!(answered[0], &json!({ "by": "dana", "answers": { "replicas": 3, "how": "slow" } }));
    assert_eq!(answered[1]["by"], "kim");
    let (status, _) = answer(&site, "hush-kim-0123456789", &yes).await;
    assert_eq!(status, StatusCode::CONFLICT, "it asks nothing any more");
    let audit = site.quell.cli(&["audit", "verify"]).await;
    assert_eq!(audit.code, 0, "{audit:?}");
}

#[tokio::test]
async fn a_question_that_nobody_answers_or_that_is_denied_fails_its_step() {
    let ask = "playbook: ask\nsteps:\n  - { name: q, ask: { question: go on?, within: WITHIN } }\n  - { name: act, command: { argv: [/bin/sh, note.sh, acted] } }\n";
    for (within, words) in [("1s", "nobody answered within 1s"), ("1h", "dana said no")] {
        let mut site = with(&ask.replace("WITHIN", within), "ask").await;
        site.serve().await;
        site.shop.inject(Fault::Unfixable);
        site.posts("firing").await;
        if within == "1h" {
            site.until_run(1, "awaiting answer").await;
            let said = site.quell.cli(&["answer", "r-1", "no", "--by", "dana"]).await;
            assert_eq!(said.code, 0, "{said:?}");
        }
        let run = site.until_run(1, "failed").await;
        let outcome = run["run"]["outcome"].as_str().unwrap();
        assert!(outcome.contains(&format!("step 1 (q) failed: {words}")), "{outcome}");
        assert_eq!(site.notes(), Vec::<String>::new());
    }
}

#[tokio::test]
async fn a_question_is_no_longer_asked_when_the_alert_has_resolved() {
    let mut site = with(SCALE, "scale").await;
    site.serve().await;
    site.shop.inject(Fault::Unfixable);
    site.posts("firing").await;
    site.until_run(1, "awaiting answer").await;
    site.posts("resolved").await;
    site.until_run(1, "superseded").await;
}

const SECRET: &str = "0123-deploy-\"quoted\"-4567";

const DEPLOY: &str = r#"
playbook: deploy
parameters:
  token: { type: string, secret: true, required: true }
  note: { type: string, required: true }
steps:
  - name: deploy
    command:
      argv: [/bin/sh, deploy.sh, "{{ note }}"]
      env: { TOKEN: "{{ token }}", WORDS: "{{ note }}" }
    undo: { http: { server: shop, method: DELETE, url: /cache, headers: { X-Token: "undo {{ token }}" } } }
  - name: tell
    http:
      server: shop
      method: POST
      url: /restart
      headers: { Authorization: "Bearer {{ token }}", X-Note: "{{ note }}" }
      json: { auth: { token: "{{ token }}" }, note: "{{ note }}" }
  - name: repeat
    command: { argv: [/bin/sh, note.sh, "{{ steps.deploy.output.stdout }}"] }
  - name: stray
    command: { shell: cat got; cat got >&2; exit 1 }
"#;

#[tokio::test]
async fn a_secret_reaches_what_needs_it_and_nothing_else() {
    let mut site = with(DEPLOY, "deploy").await;
    site.quell = site.quell.with_env("DEPLOY_TOKEN", SECRET);
    site.config["secrets"] = json!({ "deploy-token": "${env:DEPLOY_TOKEN}" });
    // text of an alert that looks like a reference to a secret stays text
    let note = "{{ annotations.summary }} [secret deploy-token]";
    site.rule()["response"] =
        json!([{ "playbook": "deploy", "with": { "token": "deploy-token", "note": note } }]);
    let script = "printf '%s' \"$TOKEN\" > got\nprintf '%s' \"$WORDS\" > words\nprintf 'token is %s' \"$TOKEN\"\necho \"$TOKEN\" >&2\n";
    site.quell.write("deploy.sh", script);
    site.quell = site.quell.with_env("RUST_LOG", "trace");
    site.serve().await;
    site.shop.inject(Fault::Unfixable);
    site.posts("firing").await;
    let run = site.until_run(1, "failed").await;

    let folder = site.quell.folder();
    assert_eq!(fs::read_to_string(folder.join("got")).unwrap(), SECRET);
    let plain = "37 % of requests <fail> & more [secret deploy-token]";
    assert_eq!(fs::read_to_string(folder.join("words")).unwrap(), plain);
    let effects = site.shop.effects();
    assert_eq!(effects[0].headers["authorization"], format!("Bearer {SECRET}"));
    assert_eq!(effects[0].headers["x-note"], plain);
    let body: Value = serde_json::from_slice(&effects[0].body).unwrap();
    assert_eq!(body, json!({ "auth": { "token": SECRET }, "note": plain }));
    assert_eq!(effects[1].headers["x-token"], format!("undo {SECRET}"));
    // what came back says that something was there
    assert_eq!(site.notes(), ["token is [secret deploy-token]"]);
    let intent = &events(&run, "step_started")[0].1["intent"]["action"]["command"];
    assert_eq!(intent["env"]["TOKEN"], "[secret deploy-token]");
    assert_eq!(intent["sealed"]["named"], json!({ "TOKEN": [{ "secret": "deploy-token" }] }));

    let escaped = json!(SECRET).to_string();
    let forms = [SECRET, escaped.trim_matches('"'), "0123-deploy-"];
    let holds = |text: &str| forms.iter().any(|form| text.contains(form));
    let paths = [
        "/api/v1/runs/r-1",
        "/api/v1/runs",
        "/api/v1/rules",
        "/api/v1/playbooks",
        "/api/v1/incidents/i-1",
        "/api/v1/decisions",
        "/api/v1/notifications?state=sent",
        "/api/v1/audit",
    ];
    for path in paths {
        let text = site.quell.get(path).await.to_string();
        assert!(!holds(&text), "{path} holds the secret: {text}");
    }
    for line in [
        &["runs", "r-1"][..],
        &["runs", "r-1", "--json"],
        &["incidents", "i-1"],
        &["explain", "-l", "alertname=HighErrorRate", "-l", "service=shop"],
        &["check"],
    ] {
        let shown = site.quell.cli(line).await;
        assert!(!holds(&shown.out) && !holds(&shown.err), "{line:?}: {shown:?}");
        assert!(shown.code == 0 && !shown.out.is_empty(), "{line:?}: {shown:?}");
    }
    let told = site.messages(SLACK).join("\n");
    assert!(!holds(&told), "{told}");
    assert!(site.quell.log().contains("TRACE"));
    let status = site.quell.stop().await;
    assert!(status.success(), "{status}");
    let mut looked_at = Vec::new();
    for entry in fs::read_dir(site.quell.folder()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() || name == "got" {
            continue;
        }
        let text = String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned();
        assert!(!holds(&text), "{name} holds the secret");
        looked_at.push(name);
    }
    for name in ["quell.db", "log"] {
        assert!(looked_at.iter().any(|it| it == name), "{looked_at:?}");
    }
}

#[tokio::test]
async fn a_secret_that_a_reload_took_away_voids_the_plan_that_uses_it() {
    let mut site = with(DEPLOY, "deploy").await;
    site.config["mode"] = json!("approve");
    site.config["secrets"] = json!({ "deploy-token": "hush-0123456789" });
    site.rule()["response"] =
        json!([{ "playbook": "deploy", "with": { "token": "deploy-token", "note": "x" } }]);
    site.serve().await;
    site.shop.inject(Fault::Unfixable);
    site.posts("firing").await;
    let run = site.until_run(1, "awaiting approval").await;
    site.config["secrets"] = json!({ "other-token": "hush-0123456789" });
    site.rule()["response"] =
        json!([{ "playbook": "deploy", "with": { "token": "other-token", "note": "x" } }]);
    site.write();
    site.quell.hang_up();
    site.until_logged("are in force", 1).await;
    assert_eq!(run["run"]["playbook"], "deploy");
    let run = site.until_run(1, "superseded").await;
    let outcome = run["run"]["outcome"].as_str().unwrap();
    assert!(outcome.contains("parameter token of deploy has another value"), "{outcome}");
    // and it is proposed anew, with the secret that there is
    site.until_run(2, "awaiting approval").await;
}
