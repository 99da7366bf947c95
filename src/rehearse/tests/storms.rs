//! Very much at once: a storm over all targets, and a group that is too sick.

use super::*;
use crate::model::incident::Notice;
use crate::model::incident::NoticeKind;

const MANY: &str = r#"
rules:
  - name: hosts
    match: [alertname="HostDown"]
    target: host/{{ labels.host }}
    response:
      - { playbook: restart, with: { unit: "{{ labels.host }}" } }
    verify: { promql: up, healthy: value == 1, within: 2m, hold: 30s }
    page: { unless_fixed_within: 10m }
    limits: { settle: 1s }
  - name: pods
    match: [alertname="PodSick"]
    target: pod/{{ labels.host }}
    response:
      - { playbook: restart, with: { unit: "{{ labels.host }}" } }
    verify: { promql: up, healthy: value == 1, within: 2m, hold: 30s }
    page: { unless_fixed_within: 10m }
    population: { of: 'count(kube_pod_info)' }
"#;

const RESTART: &str = r#"
playbook: restart
parameters:
  unit: { type: string, required: true }
steps:
  - name: restart
    http: { method: POST, url: "http://hosts/restart/{{ unit }}" }
"#;

fn library() -> Library {
    let loaded = loaded_of(MANY, RESTART, "tests: []");
    let words = loaded.render(false);
    loaded.library.unwrap_or_else(|| panic!("{words}"))
}

fn start() -> Timestamp {
    "2026-01-05T10:00:00Z".parse().unwrap()
}

fn at(seconds: u64) -> Timestamp {
    crate::model::time::after(start(), Duration::from_secs(seconds))
}

fn of_host(name: &str, host: u64) -> Labels {
    let host = format!("h{host}");
    [("alertname", name), ("host", host.as_str()), ("severity", "major")].into_iter().collect()
}

fn over(labels: Labels, ended: Timestamp) -> Alert {
    Alert { status: AlertStatus::Resolved, ends_at: Some(ended), ..firing(labels, start()) }
}

/// What came of it: effects with their times, and notices on the channel that pages.
struct Came {
    effects: Vec<Timestamp>,
    pages: Vec<Notice>,
}

fn came(world: &mut World<'_>) -> Came {
    let mut came = Came { effects: Vec::new(), pages: Vec::new() };
    for happening in world.happenings() {
        match happening.what {
            What::Run { event, .. } => {
                if let Event::StepStarted { intent, .. } = *event
                    && intent.action.is_some()
                {
                    came.effects.push(happening.at);
                }
            }
            What::Told(owed) if owed.channel == "pager" => came.pages.push(owed.notice.clone()),
            _ => {}
        }
    }
    came
}

/// Given so many hosts that go down one after another within `seconds`, and are back after ten minutes.
fn storm(hosts: u64, seconds: u64) -> Came {
    let library = library();
    let mut world = World::with(&library, &library.config, Memory::Stream, start());
    let when = |host: u64| host * seconds / hosts;
    for host in 0..hosts {
        world.alert(at(when(host)), &firing(of_host("HostDown", host), at(when(host))), "am", 0);
    }
    for host in 0..hosts {
        world.alert(at(600), &over(of_host("HostDown", host), at(600)), "am", 0);
    }
    world.run_until(at(3600));
    came(&mut world)
}

#[test]
fn g01_a_storm_stops_all_automation_and_one_page_explains() {
    let came = storm(200, 60);
    // the first came alone, each a second of settling before it was acted on: the 21st comes after 6.3 s
    assert!(came.effects.len() <= 5, "{:?}", came.effects);
    assert!(came.effects.iter().all(|effect| *effect <= at(7)), "{:?}", came.effects);
    let opened: Vec<&str> = came
        .pages
        .iter()
        .filter(|it| it.kind != NoticeKind::Resolved)
        .map(|it| it.labels.get("alertname"))
        .collect();
    assert_eq!(opened, ["QuellStorm"]);
}

#[test]
fn g01_all_at_the_same_instant_have_no_effect_at_all() {
    let came = storm(200, 0);
    assert_eq!(came.effects, []);
}

#[test]
fn g01_one_target_less_is_no_storm() {
    let storms = |hosts| {
        let came = storm(hosts, 60);
        came.pages.iter().any(|it| it.labels.get("alertname") == "QuellStorm")
    };
    assert_eq!((storms(20), storms(21)), (false, true));
}

#[test]
fn g01_work_resumes_when_it_has_been_calm_for_the_cooldown_without_a_break() {
    let library = library();
    let mut world = World::new(&library, start());
    for host in 0..21 {
        world.alert(at(0), &firing(of_host("HostDown", host), at(0)), "am", 0);
    }
    for host in 1..21 {
        world.alert(at(60), &over(of_host("HostDown", host), at(60)), "am", 0);
    }
    // they leave the span of 5m at 300 s, and it must be calm for 10m from then on
    world.run_until(at(3600));
    let came = came(&mut world);
    let first = came.effects.first().copied().expect("the host that is still down is acted on");
    assert!((at(900)..=at(930)).contains(&first), "{first}");
}

#[test]
fn g01_a_group_that_is_too_sick_is_left_alone_and_others_are_served() {
    let library = library();
    let mut world = World::new(&library, start());
    world.counts("pods", Some(10), Some(5));
    for pod in 0..3 {
        world.alert(at(0), &firing(of_host("PodSick", pod), at(0)), "am", 0);
    }
    world.alert(at(0), &firing(of_host("HostDown", 1), at(0)), "am", 0);
    world.run_until(at(300));
    let before = came(&mut world);
    assert_eq!(before.effects.len(), 1, "the host alone");
    let names = before.pages.iter().map(|it| it.labels.get("alertname"));
    let of_pods: Vec<&str> = names.filter(|name| *name != "HostDown").collect();
    assert_eq!(of_pods, ["QuellGroupTooSick"]);
    // at the limit it is no longer above it, and after the cooldown work goes on
    world.come_to(at(400));
    world.counts("pods", Some(10), Some(4));
    world.run_until(at(1000));
    assert_eq!(came(&mut world).effects, [], "still within the cooldown");
    for pod in 0..3 {
        // Alertmanager repeats what goes on, or it would be stale
        world.alert(at(1000), &firing(of_host("PodSick", pod), at(0)), "am", 0);
    }
    world.run_until(at(1100));
    assert!(!came(&mut world).effects.is_empty());
}

/// Given an alert that fires for 15 s every 30 s, when it has done so three times, then it is one incident, which is over when it
/// has been quiet for five minutes; and no more is done for it than the loop breaker allows.
#[test]
fn g05_a_flapping_alert_counts_as_one_incident() {
    let library = library();
    let mut world = World::new(&library, start());
    for turn in 0..40 {
        let began = at(30 * turn);
        world.alert(began, &firing(of_host("HostDown", 1), began), "am", 0);
        let ended = at(30 * turn + 15);
        world.alert(
            ended,
            &Alert { starts_at: Some(began), ..over(of_host("HostDown", 1), ended) },
            "am",
            0,
        );
    }
    let last = 30 * 39 + 15;
    let mut opened = BTreeSet::new();
    let mut resolved = Vec::new();
    world.run_until(at(last + 3600));
    for happening in world.happenings() {
        match happening.what {
            What::Opened(it) if it.rule == "hosts" => drop(opened.insert(it.id)),
            What::Resolved(it) if it.rule == "hosts" => resolved.push((it.id, happening.at)),
            _ => {}
        }
    }
    assert_eq!(opened.len(), 2, "two, and from the third on the second again");
    let over: Vec<_> = resolved.iter().filter(|(_, when)| *when > at(80)).collect();
    assert_eq!(over.len(), 1, "{resolved:?}");
    assert_eq!(over[0].1, at(last + 300), "quiet for five minutes");
}

/// A simulation to look at: `cargo nextest run --run-ignored only --no-capture storm_over_ten_thousand`.
#[test]
#[ignore = "a figure, not a test: it prints effects, pages and memory"]
fn storm_over_ten_thousand_targets() {
    let came = storm(10_000, 60);
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find(|line| line.starts_with("VmHWM")).unwrap_or("VmHWM unknown");
    let pages = came.pages.iter().filter(|it| it.kind != NoticeKind::Resolved).count();
    println!("10,000 targets: {} effects, {pages} pages, {peak}", came.effects.len());
}
