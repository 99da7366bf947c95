//! kill -9 of the real binary at random moments, under load: what was answered is stored, what was done was written down
//! before, what may not be repeated is not, and everything comes to its end.
//!
//! A few kills in every run of the tests; `tests/run campaign` has a thousand on each engine, or `--kills N`. The moments follow
//! from `QUELL_SEED`; the machine decides the rest.

mod load;
mod proof;

use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rand::RngExt as _;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use serde_json::json;
use tokio::time::Instant;

use crate::campaign::load::Load;
use crate::support::http;
use crate::support::plant::Plant;
use crate::support::postgres;
use crate::support::quell::Quell;
use crate::support::recorder::Recorder;

/// Kills of a short campaign, and of a whole one.
const FEW: u64 = 20;
const MANY: u64 = 1000;
/// Every other one is killed while it starts, the rest within this time after it began to serve.
const SERVES: Duration = Duration::from_secs(1);
/// Longest time until one serves, on a busy machine.
const STARTS_WITHIN: Duration = Duration::from_mins(1);
/// Leases of the dead have ended by then, and their runs too.
const ENDS_WITHIN: Duration = Duration::from_mins(5);

const TOKEN: &str = "hush-dana-0123456789";

/// Repeating `restart` changes nothing; `charge` must happen at most once, so that people are asked about it.
fn playbook(name: &str, on_unknown: &str) -> String {
    format!(
        "playbook: {name}\nparameters: {{ unit: {{ type: string, pattern: \"[a-z0-9-]+\", required: true }} }}\nsteps:\n  \
         - {{ name: {name}, http: {{ server: plant, method: POST, url: \"/{name}/{{{{ unit }}}}\" }}, timeout: 5s, on_unknown: {on_unknown} }}\n"
    )
}

fn quell(storage: &str, plant: &Plant, people: &Recorder) -> Quell {
    let quell = Quell::prepare("", &[]).with_token(TOKEN);
    let config = json!({
        "listen": quell.address(),
        "external_url": quell.url(""),
        "storage": storage,
        "mode": "auto",
        "link_key": "hush-0123456789abcdef0123456789abcdef",
        "targets": { "http": { "plant": { "url": plant.url("") } } },
        "operators": [{ "name": "dana", "tier": 4, "token": TOKEN }],
        "channels": { "people": { "webhook": { "url": people.url("/hook") } } },
        "severities": { "critical": { "notify": ["people"] } },
        "limits": { "rate": "100000 per 1h", "concurrent": 1000, "failures": "100000 per 1h",
            "storm": { "targets": 100_000, "within": "5m", "cooldown": "10m" } },
    });
    let rule = |name: &str| {
        json!({
            "name": name,
            "match": [format!("alertname=\"{name}\""), "unit!=\"\""],
            "group_by": ["unit"],
            "target": "unit/{{ labels.unit }}",
            "response": [{ "playbook": name, "with": { "unit": "{{ labels.unit }}" } }],
            "verify": {
                "scrape": { "url": plant.url("/metrics/{{ labels.unit }}"), "select": "unit_healthy" },
                "healthy": "value == 1.0", "within": "20s", "hold": "1s",
            },
        })
    };
    quell.write("quell.yml", &config.to_string());
    quell.write("rules/rules.yml", &json!({ "rules": load::RULES.map(rule) }).to_string());
    quell.write("playbooks/restart.yml", &playbook("restart", "retry"));
    quell.write("playbooks/charge.yml", &playbook("charge", "ask"));
    quell
}

/// What a supervisor counted.
#[derive(Debug, Default)]
struct Counted {
    kills: AtomicU64,
    /// Starts that were waited for until it served, and how long that took in all.
    starts: AtomicU64,
    started_in_ms: AtomicU64,
}

/// Kills a replica again and again, and starts it at once; serves in the end.
async fn supervise(mut quell: Quell, mut dice: StdRng, counted: &Counted, kills: u64) -> Quell {
    let client = http::client();
    let began = Instant::now();
    quell.serve().await;
    let start = u64::try_from(began.elapsed().as_millis()).unwrap();
    quell.kill9();
    loop {
        let began = Instant::now();
        quell.launch();
        let starting = dice.random_bool(0.5);
        let life = if starting { start } else { u64::try_from(SERVES.as_millis()).unwrap() };
        let life = Duration::from_millis(dice.random_range(0..life));
        let url = quell.url("/health/ready");
        let ready = async {
            while http::answers(&client, &url).await.is_err() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            let took = u64::try_from(began.elapsed().as_millis()).unwrap();
            counted.starts.fetch_add(1, Ordering::Relaxed);
            counted.started_in_ms.fetch_add(took, Ordering::Relaxed);
        };
        if !starting {
            tokio::time::timeout(STARTS_WITHIN, ready).await.unwrap();
            tokio::time::sleep(life).await;
        } else if tokio::time::timeout(life, ready).await.is_ok() {
            tokio::time::sleep_until(began + life).await;
        }
        assert_eq!(quell.ended(), None, "it ended by itself:\n{}", quell.log());
        quell.kill9();
        if counted.kills.fetch_add(1, Ordering::Relaxed) + 1 >= kills {
            quell.serve().await;
            return quell;
        }
    }
}

async fn campaign(storages: Vec<String>, kills: u64) {
    let number = |name: &str| std::env::var(name).ok().map(|it| it.parse().unwrap());
    let kills = number("QUELL_KILLS").unwrap_or(kills);
    let mut dice = StdRng::seed_from_u64(number("QUELL_SEED").unwrap_or(0));
    let engine = storages[0].split(':').next().unwrap().to_owned();
    let began = Instant::now();
    let (plant, people) = (Plant::start().await, Recorder::start().await);
    let replicas: Vec<Quell> = storages.iter().map(|it| quell(it, &plant, &people)).collect();
    let count = replicas.len();
    let storage = proof::url(&storages[0], &replicas[0]);
    let load = Load::new(plant, replicas.iter().map(|it| it.url("")).collect(), TOKEN);
    let counted = Counted::default();
    let supervisors = replicas.into_iter().map(|replica| {
        let dice = StdRng::seed_from_u64(dice.random());
        supervise(replica, dice, &counted, kills)
    });
    let supervisors = futures_util::future::join_all(supervisors);
    let under_fire = AtomicBool::new(true);
    let (replicas, ()) = tokio::join!(
        async {
            let replicas = supervisors.await;
            under_fire.store(false, Ordering::Release);
            replicas
        },
        load.runs(&under_fire),
    );
    load.settles_the_rest(ENDS_WITHIN, async || proof::active(&storage).await).await;
    let found = proof::of(&storage, &load).await;
    let audit = replicas[0].cli(&["audit", "verify"]).await;
    assert_eq!(audit.code, 0, "{audit:#?}");
    let starts = counted.starts.load(Ordering::Relaxed).max(1);
    #[expect(clippy::print_stdout, reason = "the runner shows it with the test")]
    {
        println!(
            "campaign {engine}, {count} replicas: {} kills in {} s, {} webhooks answered and stored, {} runs ended, {} effects \
             ({} repeated as they may be), {} in doubt and asked about, 0 of {} charges twice; a start takes {} ms",
            counted.kills.load(Ordering::Relaxed),
            began.elapsed().as_secs(),
            load.answered(),
            found.runs,
            found.effects,
            found.repeated,
            load.settled(),
            found.charges,
            counted.started_in_ms.load(Ordering::Relaxed) / starts,
        );
    }
}

async fn on_postgres(kills: u64) {
    let database = postgres::database().await;
    campaign(vec![database; 3], kills).await;
}

#[tokio::test]
async fn a_few_kills_sqlite() {
    campaign(vec!["sqlite:quell.db".into()], FEW).await;
}

#[tokio::test]
async fn a_few_kills_postgres() {
    on_postgres(FEW).await;
}

#[tokio::test]
#[ignore = "minutes: tests/run campaign"]
async fn many_kills_sqlite() {
    campaign(vec!["sqlite:quell.db".into()], MANY).await;
}

#[tokio::test]
#[ignore = "minutes: tests/run campaign"]
async fn many_kills_postgres() {
    on_postgres(MANY).await;
}
