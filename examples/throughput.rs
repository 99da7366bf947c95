use quell::library::{self, Tested};
use quell::model::alert::{Alert, AlertStatus};
use quell::model::labels::Labels;
use quell::model::time::after;
use quell::rehearse::{Memory, World, firing, scenario};
use std::time::{Duration, Instant};
fn main() {
    let tested = Tested {
        config: None,
        rules: vec!["rules".into(), "playbooks".into()],
        tests: vec!["rules".into()],
    };
    let loaded = library::load_tests(&tested);
    let library = loaded.library.unwrap();
    let t = Instant::now();
    let mut n = 0;
    while t.elapsed() < Duration::from_secs(3) {
        for s in &loaded.scenarios {
            assert!(scenario::run(&library, s).passed());
            n += 1;
        }
    }
    println!("{:.0} tests/s on one core", n as f64 / t.elapsed().as_secs_f64());
    for matching in [1u64, 10, 2] {
        let start: jiff::Timestamp = "2026-01-05T10:00:00Z".parse().unwrap();
        let mut world = World::with(&library, &library.config, Memory::Stream, start);
        let t = Instant::now();
        let transitions = 100_000u64;
        let mut happened = 0usize;
        for i in 0..transitions / 2 {
            let at = after(start, Duration::from_secs(i * 5));
            let name = if i % matching == 0 { "HighErrorRate" } else { "Other" };
            let labels: Labels = [
                ("alertname", name.to_owned()),
                ("severity", "critical".into()),
                ("service", format!("s{}", i % 500)),
                ("instance", format!("10.0.0.{}:9100", i % 250)),
                ("job", "api".into()),
            ]
            .into_iter()
            .collect();
            world.alert(at, &firing(labels.clone(), at), "am", 0);
            let j = i.wrapping_sub(60);
            if i >= 60 {
                let name = if j % matching == 0 { "HighErrorRate" } else { "Other" };
                let labels: Labels = [
                    ("alertname", name.to_owned()),
                    ("severity", "critical".into()),
                    ("service", format!("s{}", j % 500)),
                    ("instance", format!("10.0.0.{}:9100", j % 250)),
                    ("job", "api".into()),
                ]
                .into_iter()
                .collect();
                let a = Alert {
                    status: AlertStatus::Resolved,
                    ends_at: Some(at),
                    ..firing(labels, at)
                };
                world.alert(at, &a, "am", 0);
            }
            happened += world.happenings().count();
        }
        let s = t.elapsed().as_secs_f64();
        println!(
            "1 in {matching} matching: {:.0} transitions/s; {:?}; {happened} happenings",
            transitions as f64 / s,
            world.counters
        );
    }
}
