//! A service manager on a bus of its own that speaks as systemd does, for stand-ins whose parts are units: they say what a
//! unit becomes when it is started or stopped.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::fs;
use std::sync::Arc;
use std::sync::Mutex;

use futures_util::StreamExt as _;
use tempfile::TempDir;
use tokio::task::JoinSet;
use zbus::Connection;
use zbus::MessageStream;
use zbus::ObjectPath;
use zbus::Variant;
use zbus::connection::Builder;
use zbus::message::Type;

use crate::support::process::Process;

const NAME: &str = "org.freedesktop.systemd1";
const PATH: &str = "/org/freedesktop/systemd1";
const MANAGER: &str = "org.freedesktop.systemd1.Manager";

/// `active`, `failed` or `inactive`, by unit.
type States = Arc<Mutex<BTreeMap<String, &'static str>>>;

/// Called when a unit was asked to start, restart or stop, with `StartUnit`, `RestartUnit` or `StopUnit`: what it becomes.
pub(crate) type Becomes = Box<dyn Fn(&str, &str) -> &'static str + Send + Sync>;

/// The manager and its bus, which end when it is dropped.
#[derive(Debug)]
pub(crate) struct Units {
    states: States,
    folder: TempDir,
    _bus: Process,
    _serving: JoinSet<()>,
}

impl Units {
    /// A manager of these units, all of them active.
    pub(crate) async fn start(units: &[&str], becomes: Becomes) -> Self {
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("bus.conf");
        let socket = folder.path().join("bus");
        let text = format!(
            "<busconfig><type>session</type><listen>unix:path={}</listen><auth>EXTERNAL</auth>\
             <policy context=\"default\"><allow send_destination=\"*\" eavesdrop=\"true\"/>\
             <allow eavesdrop=\"true\"/><allow own=\"*\"/></policy></busconfig>",
            socket.display()
        );
        fs::write(&file, text).unwrap();
        let line =
            ["dbus-daemon", "--nofork", "--nopidfile", "--config-file", file.to_str().unwrap()];
        let mut bus = Process::start(line, &[], &folder.path().join("log"));
        bus.ready(async || match tokio::net::UnixStream::connect(&socket).await {
            Ok(_) => Ok(()),
            Err(e) => Err(e.to_string()),
        })
        .await;
        let states: States =
            Arc::new(Mutex::new(units.iter().map(|it| ((*it).to_owned(), "active")).collect()));
        let address = format!("unix:path={}", socket.display());
        let connection = Builder::address(address.as_str()).build().await.unwrap();
        let calls = MessageStream::from(&connection);
        connection.request_name(NAME).await.unwrap();
        let mut serving = JoinSet::new();
        serving.spawn(serve(connection, calls, Arc::clone(&states), becomes));
        Self { states, folder, _bus: bus, _serving: serving }
    }

    /// What `bus:` of a target in quell.yml says.
    pub(crate) fn address(&self) -> String {
        format!("unix:path={}/bus", self.folder.path().display())
    }

    /// A unit becomes so by itself.
    pub(crate) fn set(&self, unit: &str, state: &'static str) {
        self.states.lock().unwrap().insert(unit.to_owned(), state);
    }

    /// What all units are.
    pub(crate) fn all(&self) -> BTreeMap<String, &'static str> {
        self.states.lock().unwrap().clone()
    }
}

async fn serve(bus: Connection, mut calls: MessageStream, states: States, becomes: Becomes) {
    let mut number = 0_u32;
    while let Some(Ok(call)) = calls.next().await {
        if call.message_type() != Type::MethodCall {
            continue;
        }
        let header = call.header();
        let member = header.member().unwrap().to_string();
        match member.as_str() {
            "Subscribe" => bus.reply(&header, &()).await.unwrap(),
            "LoadUnit" | "GetUnit" => {
                let unit: String = call.body().deserialize().unwrap();
                let path = format!("{PATH}/unit/{}", escaped(&unit));
                bus.reply(&header, &ObjectPath::try_from(path).unwrap()).await.unwrap();
            }
            "GetAll" => {
                let state = state_of(&states, header.path().unwrap());
                bus.reply(&header, &properties(state)).await.unwrap();
            }
            "Get" => {
                let state = state_of(&states, header.path().unwrap());
                let result = if state == Some("failed") { "exit-code" } else { "success" };
                bus.reply(&header, &Variant::from(result)).await.unwrap();
            }
            "RestartUnit" | "StartUnit" | "StopUnit" => {
                let (unit, _mode): (String, String) = call.body().deserialize().unwrap();
                number += 1;
                let job = ObjectPath::try_from(format!("{PATH}/job/{number}")).unwrap();
                let after = becomes(&member, &unit);
                states.lock().unwrap().insert(unit.clone(), after);
                bus.reply(&header, &job).await.unwrap();
                let result = if after == "failed" { "failed" } else { "done" };
                let body = (number, &job, unit.as_str(), result);
                bus.emit_signal(None::<&str>, PATH, MANAGER, "JobRemoved", &body).await.unwrap();
            }
            other => panic!("{other} was not expected"),
        }
    }
}

fn properties(state: Option<&'static str>) -> HashMap<&'static str, Variant<'static>> {
    let load = if state.is_some() { "loaded" } else { "not-found" };
    let active = state.unwrap_or("inactive");
    let sub = match active {
        "active" => "running",
        "failed" => "failed",
        _ => "dead",
    };
    HashMap::from([
        ("LoadState", Variant::from(load)),
        ("ActiveState", Variant::from(active)),
        ("SubState", Variant::from(sub)),
    ])
}

/// `nginx_2eservice`: what is no letter or digit stands as its number, as systemd writes it.
fn escaped(unit: &str) -> String {
    let one = |c: char| {
        if c.is_ascii_alphanumeric() { c.to_string() } else { format!("_{:02x}", u32::from(c)) }
    };
    unit.chars().map(one).collect()
}

/// The state of the unit at this path.
fn state_of(states: &States, path: &ObjectPath<'_>) -> Option<&'static str> {
    let name = path.as_str().rsplit('/').next().unwrap();
    states.lock().unwrap().iter().find(|(unit, _)| escaped(unit) == name).map(|(_, state)| *state)
}
