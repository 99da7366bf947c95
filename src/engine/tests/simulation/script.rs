//! Who acts on quell from outside: Alertmanager, which says things late, twice, in another order and until it is answered, and
//! people.

use std::sync::Arc;
use std::sync::Mutex;

use jiff::Timestamp;

use crate::crash::gate;
use crate::decide::audience;
use crate::decide::episode::Change;
use crate::decide::episode::Heard;
use crate::decide::episode::change;
use crate::decide::tell;
use crate::engine::Engine;
use crate::engine::tests::simulation::files;
use crate::engine::tests::simulation::plant::Plant;
use crate::engine::tests::simulation::world::World;
use crate::model::alert::Alert;
use crate::model::alert::AlertStatus;
use crate::model::alert::Delivery;
use crate::model::incident::Incident;
use crate::model::incident::RunId;
use crate::model::labels::Labels;
use crate::model::run::RunState;
use crate::store::people::Speaker;
use crate::store::people::Spoken;
use crate::store::people::Word;
use crate::store::runs::RunRow;

/// Letters that may overtake one another.
const REORDERED: usize = 5;

/// An alert of the script.
#[derive(Debug)]
struct Trouble {
    labels: Labels,
    began: Option<Timestamp>,
    over: Option<Timestamp>,
}

/// What Alertmanager is at.
#[derive(Debug, Default)]
pub(crate) struct Script {
    troubles: Vec<Trouble>,
    /// Not answered yet.
    mail: Vec<Alert>,
    /// Handed to a replica, and whether that answered.
    posted: Vec<Arc<Post>>,
    pub(crate) answered: usize,
}

/// One webhook under way.
#[derive(Debug)]
struct Post {
    alerts: Vec<Alert>,
    answered: Mutex<Vec<bool>>,
    /// Others about the same alert came in between, so that what is stored may be what they said.
    disturbed: Mutex<bool>,
}

impl Script {
    pub(crate) fn new(world: &mut World) -> Self {
        let mut troubles = Vec::new();
        for _ in 0..=world.dice.below(6) {
            let rule = *world.dice.pick(&files::RULES).unwrap();
            let unit = *world.dice.pick(&files::UNITS).unwrap();
            let labels: Labels = [("alertname", rule), ("severity", "critical"), ("unit", unit)]
                .into_iter()
                .collect();
            if troubles.iter().all(|it: &Trouble| it.labels != labels) {
                troubles.push(Trouble { labels, began: None, over: None });
            }
        }
        let mut this = Self { troubles, ..Self::default() };
        for _ in 0..this.troubles.len() {
            this.something_happens(world);
        }
        this
    }

    /// An alert fires, is repeated, resolves, or fires again.
    pub(crate) fn something_happens(&mut self, world: &mut World) {
        let now = world.now();
        let count = u64::try_from(self.troubles.len()).unwrap();
        let chosen = usize::try_from(world.dice.below(count)).unwrap();
        let trouble = &mut self.troubles[chosen];
        let of = world.dice.below(100);
        match (trouble.began, trouble.over) {
            (None, _) => trouble.began = Some(now),
            (Some(_), None) if of < 25 => trouble.over = Some(now),
            (Some(_), Some(_)) if of < 40 => (trouble.began, trouble.over) = (Some(now), None),
            (Some(_), _) => {}
        }
        let alert = alert_of(trouble);
        let target = format!("unit/{}", trouble.labels.get("unit"));
        {
            let mut plant = world.plant.lock();
            plant.ill.retain(|it| *it != target);
            if trouble.over.is_none() {
                plant.ill.push(target);
            }
        }
        for _ in 0..=world.dice.below(3) {
            self.mail.push(alert.clone());
        }
    }

    /// A webhook with one to three letters goes to a replica.
    pub(crate) fn post(&mut self, world: &mut World) {
        self.collect();
        let Some(replica) = world.any_replica() else { return };
        let mut alerts = Vec::new();
        for _ in 0..=world.dice.below(3) {
            let most = self.mail.len().min(REORDERED);
            if most > 0 {
                let chosen = world.dice.below(u64::try_from(most).unwrap());
                alerts.push(self.mail.remove(usize::try_from(chosen).unwrap()));
            }
        }
        if alerts.is_empty() {
            return;
        }
        let same = |a: &Alert, b: &Alert| a.labels == b.labels;
        let mut disturbed = alerts
            .iter()
            .enumerate()
            .any(|(at, it)| alerts.iter().skip(at + 1).any(|b| same(it, b)));
        for other in &self.posted {
            if other.alerts.iter().any(|a| alerts.iter().any(|b| same(a, b))) {
                *other.disturbed.lock().unwrap() = true;
                disturbed = true;
            }
        }
        let answered = Mutex::new(vec![false; alerts.len()]);
        let post = Arc::new(Post { alerts, answered, disturbed: Mutex::new(disturbed) });
        self.posted.push(Arc::clone(&post));
        let plant = world.plant.clone();
        world.begin(replica, "webhook", |engine| deliver(engine, plant, post));
    }

    /// What was not answered is said again.
    fn collect(&mut self) {
        let mut still = Vec::new();
        for post in std::mem::take(&mut self.posted) {
            if Arc::strong_count(&post) > 1 {
                still.push(post);
                continue;
            }
            let answered = post.answered.lock().unwrap();
            for (alert, answered) in post.alerts.iter().zip(answered.iter()) {
                if *answered {
                    self.answered += 1;
                } else {
                    self.mail.push(alert.clone());
                }
            }
        }
        self.posted = still;
    }

    /// Whether everything that was said was answered.
    pub(crate) fn is_said(&mut self) -> bool {
        self.collect();
        self.mail.is_empty() && self.posted.is_empty()
    }

    /// All trouble ends; nothing is ill any more.
    pub(crate) fn ends(&mut self, world: &World) {
        for trouble in &mut self.troubles {
            if trouble.began.is_some() {
                trouble.over = trouble.over.or(Some(world.now()));
                self.mail.push(alert_of(trouble));
            }
        }
        world.plant.lock().ill.clear();
    }

    /// What was answered is stored: every alert that ended is closed.
    pub(crate) async fn judge(&self, world: &World) {
        for trouble in self.troubles.iter().filter(|it| it.began.is_some()) {
            let latest = world.store.latest_episode(&trouble.labels.fingerprint()).await.unwrap();
            if latest.is_none_or(|episode| episode.open) {
                world
                    .plant
                    .violate(format!("the end of {} was answered and not stored", trouble.labels));
            }
        }
    }
}

fn alert_of(trouble: &Trouble) -> Alert {
    let status = if trouble.over.is_some() { AlertStatus::Resolved } else { AlertStatus::Firing };
    Alert {
        status,
        labels: trouble.labels.clone(),
        annotations: Labels::default(),
        starts_at: trouble.began,
        ends_at: trouble.over,
        generator_url: String::new(),
    }
}

/// The HTTP edge: each alert a delivery of its own, at once, so that the writer commits them together.
async fn deliver(engine: Engine, plant: Plant, post: Arc<Post>) {
    let answers = post.alerts.iter().map(|alert| {
        let alerts = vec![alert.clone()];
        let delivery =
            Delivery { source: "am".into(), receiver: "quell".into(), truncated: 0, alerts };
        engine.intake.accept(delivery)
    });
    let answers = futures_util::future::join_all(answers).await;
    for (at, answer) in answers.iter().enumerate() {
        if answer.is_ok() {
            is_stored(&engine, &plant, &post, &post.alerts[at]).await;
            post.answered.lock().unwrap()[at] = true;
        }
    }
}

/// What is answered is on disk: said again, it says nothing new.
async fn is_stored(engine: &Engine, plant: &Plant, post: &Post, alert: &Alert) {
    let open = gate::open();
    let latest = engine.store.latest_episode(&alert.labels.fingerprint()).await.unwrap();
    drop(open);
    let again = change(latest.as_ref().map(Heard::from).as_ref(), alert, 0, engine.clock.now());
    let lost = match (&latest, *post.disturbed.lock().unwrap()) {
        (None, _) => alert.status == AlertStatus::Firing,
        (Some(_), disturbed) => !disturbed && !matches!(again, Change::Nothing | Change::Update),
    };
    if lost {
        plant.violate(format!(
            "{:?} {} was answered and is not stored: {latest:?}",
            alert.status, alert.labels
        ));
    }
}

/// A person does something, if there is something to do.
pub(crate) async fn a_person(world: &mut World, answers_only: bool) {
    let Some(replica) = world.any_replica() else { return };
    let open = gate::open();
    let runs = world.store.runs(None, None, 100).await.unwrap();
    let incidents = world.store.incidents(None, None, 10).await.unwrap();
    drop(open);
    let waiting: Vec<&RunRow> = runs
        .iter()
        .filter(|it| matches!(it.state, RunState::AwaitingApproval | RunState::InDoubt))
        .collect();
    let plant = world.plant.clone();
    let name = *world.dice.pick(&["dana", "kim"]).unwrap();
    let yes = world.dice.chance(700);
    let what = if answers_only { 0 } else { world.dice.below(100) };
    if what < 50 {
        let Some(row) = world.dice.pick(&waiting) else { return };
        let word = match (row.state, yes) {
            (RunState::InDoubt, happened) => Word::Settle { happened },
            (_, true) => Word::Approve { digest: row.digest.clone() },
            (_, false) => Word::Reject { reason: "no".into() },
        };
        let run = row.id;
        plant.note(|| format!("{name} says {word:?} to {run}"));
        world.begin(replica, &format!("{name} speaks"), move |engine| say(engine, run, name, word));
    } else if what < 70 {
        let active: Vec<RunId> =
            runs.iter().filter(|it| !it.state.is_final()).map(|it| it.id).collect();
        let Some(run) = world.dice.pick(&active).copied() else { return };
        world.begin(replica, &format!("{name} stops {run}"), move |engine| async move {
            if engine.store.cancel_run(run, name).await.is_ok() {
                let now = engine.clock.now();
                plant.note(|| format!("{name} stopped {run}"));
                plant.lock().stopped.push((run.0, now));
            }
        });
    } else if what < 85 {
        let Some(incident) = world.dice.pick(&incidents).map(|it| it.id) else { return };
        let library = Arc::clone(&world.library);
        world.begin(replica, &format!("{name} has {incident}"), move |engine| async move {
            let now = engine.clock.now();
            let told = engine.store.channels_told(incident).await.unwrap_or_default();
            let to = |notice| audience::to_channels(&library.config, &notice, &told);
            let store = &engine.store;
            let done = if yes {
                let owed = |it: &Incident| to(tell::acknowledged(it, name, now));
                store.acknowledge(incident, name, None, owed).await.map(drop)
            } else {
                let owed = |it: &Incident| to(tell::taken(it, name, now));
                store.take_incident(incident, name, None, owed).await.map(drop)
            };
            drop(done);
        });
    } else {
        let is_paused = plant.lock().paused_since.is_some();
        world.begin(replica, "the kill switch", move |engine| async move {
            if is_paused {
                plant.lock().paused_since = None;
                resume(&engine).await;
            } else if engine.store.pause("all", name, "no reason").await.is_ok() {
                let now = engine.clock.now();
                plant.note(|| "paused".to_owned());
                plant.lock().paused_since = Some(now);
            }
        });
    }
}

/// As the API does it.
async fn resume(engine: &Engine) {
    if engine.store.resume("all").await.is_ok() {
        drop(engine.store.wake_all_episodes().await);
    }
}

async fn say(engine: Engine, run: RunId, name: &'static str, word: Word) {
    let library = engine.library.load_full();
    let owed = |spoken: &Spoken<'_>| spoken.owed(&library.config);
    let speaker = Speaker { name, tier: 4, link: None };
    drop(engine.store.say(run, speaker, word, owed).await);
}

/// Ends every pause.
pub(crate) async fn resume_all(world: &World) {
    world.plant.lock().paused_since = None;
    world.store.resume("all").await.unwrap();
    world.store.wake_all_episodes().await.unwrap();
}
