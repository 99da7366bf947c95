//! A private bus, and a service manager of ours on it that speaks as systemd does, for tests.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;
use std::time::Instant;

use futures_util::StreamExt as _;
use tempfile::TempDir;
use tokio::task::JoinSet;
use zbus::Connection;
use zbus::Message;
use zbus::MessageStream;
use zbus::ObjectPath;
use zbus::Variant;
use zbus::connection::Builder;
use zbus::message::Type;

use super::MANAGER;
use super::NAME;
use super::PATH;
use crate::exec;
use crate::exec::Output;
use crate::exec::Running;
use crate::exec::Spawn;

/// How soon the job of `slow.service` ends.
const SLOW: Duration = Duration::from_millis(80);

/// The bus; killed when dropped.
#[derive(Debug)]
pub(crate) struct Bus {
    _process: Running,
    directory: TempDir,
}

impl Bus {
    pub(crate) async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("bus.conf");
        let text = format!(
            "<busconfig><type>session</type><listen>unix:path={}/bus</listen><auth>EXTERNAL</auth>\
             <policy context=\"default\"><allow send_destination=\"*\" eavesdrop=\"true\"/>\
             <allow eavesdrop=\"true\"/><allow own=\"*\"/></policy></busconfig>",
            directory.path().display()
        );
        std::fs::write(&file, text).unwrap();
        let argv = ["dbus-daemon", "--nofork", "--nopidfile", "--config-file"].map(str::to_owned);
        let argv = argv.into_iter().chain([file.display().to_string()]).collect();
        let process = exec::start_to(&Spawn { argv, ..Spawn::default() }, Output::Drop)
            .unwrap_or_else(|error| panic!("install dbus: tests/run does it ({error})"));
        let socket = directory.path().join("bus");
        let deadline = Instant::now() + Duration::from_secs(20);
        while tokio::net::UnixStream::connect(&socket).await.is_err() {
            assert!(Instant::now() < deadline, "dbus-daemon does not answer");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Self { _process: process, directory }
    }

    pub(crate) fn address(&self) -> String {
        format!("unix:path={}/bus", self.directory.path().display())
    }
}

/// What a unit does when somebody asks for a job: by the first part of its name.
///
/// `fast` has ended before the answer is sent, `slow` a while after it, `never` does not end; `secret` and `polkit` are refused, `gone` is not
/// there, `mute` gets no answer because the manager goes; `crash` fails right after it is done; the others end as they are called:
/// `failed`, `timeout`, `canceled`, `dependency`, `skipped`.
#[derive(Debug)]
pub(crate) struct Manager {
    asked: Arc<Mutex<Vec<String>>>,
    active: Arc<Mutex<HashMap<String, &'static str>>>,
    _serving: JoinSet<()>,
}

impl Manager {
    pub(crate) async fn on(bus: &Bus) -> Self {
        let connection = Builder::address(bus.address().as_str()).build().await.unwrap();
        let calls = MessageStream::from(&connection);
        connection.request_name(NAME).await.unwrap();
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let active: Arc<Mutex<HashMap<String, &'static str>>> = Arc::default();
        let mut serving = JoinSet::new();
        serving.spawn(serve(connection, calls, Arc::clone(&asked), Arc::clone(&active)));
        Self { asked, active, _serving: serving }
    }

    /// `RestartUnit nginx.service`, in order.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    /// Returns once a job was asked for.
    pub(crate) async fn until_asked(&self) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while self.asked().is_empty() {
            assert!(Instant::now() < deadline, "nobody asked for a job");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// From now on a unit is in this state.
    pub(crate) fn set(&self, unit: &str, state: &'static str) {
        self.active.lock().unwrap().insert(unit.to_owned(), state);
    }
}

async fn serve(
    bus: Connection,
    mut calls: MessageStream,
    asked: Arc<Mutex<Vec<String>>>,
    active: Arc<Mutex<HashMap<String, &'static str>>>,
) {
    let mut job = 0_u32;
    while let Some(Ok(call)) = calls.next().await {
        if call.message_type() != Type::MethodCall {
            continue;
        }
        let header = call.header();
        let member = header.member().unwrap().to_string();
        match member.as_str() {
            "Subscribe" => bus.reply(&header, &()).await.unwrap(),
            "LoadUnit" => {
                let unit: String = call.body().deserialize().unwrap();
                bus.reply(&header, &path_of(&unit)).await.unwrap();
            }
            "GetAll" => {
                let unit = unit_of(header.path().unwrap());
                let state = active.lock().unwrap().get(&unit).copied().unwrap_or("active");
                bus.reply(&header, &properties(&unit, state)).await.unwrap();
            }
            "Get" => {
                let unit = unit_of(header.path().unwrap());
                let state = active.lock().unwrap().get(&unit).copied();
                let result = if state == Some("failed") { "exit-code" } else { "success" };
                bus.reply(&header, &Variant::from(result)).await.unwrap();
            }
            "RestartUnit" | "StartUnit" | "StopUnit" => {
                let (unit, mode): (String, String) = call.body().deserialize().unwrap();
                assert_eq!(mode, "replace");
                asked.lock().unwrap().push(format!("{member} {unit}"));
                job += 1;
                if unit.starts_with("mute") {
                    return;
                }
                let after = if member == "StopUnit" { "inactive" } else { "active" };
                let after = if unit.starts_with("crash") || unit.starts_with("failed") {
                    "failed"
                } else {
                    after
                };
                active.lock().unwrap().insert(unit.clone(), after);
                change(&bus, &call, &unit, job).await;
            }
            other => panic!("{other} was not expected"),
        }
    }
}

/// A job, as the name of its unit says.
async fn change(bus: &Connection, call: &Message, unit: &str, number: u32) {
    let header = call.header();
    let job = ObjectPath::try_from(format!("{PATH}/job/{number}")).unwrap();
    let other = ObjectPath::try_from(format!("{PATH}/job/{}", number + 1000)).unwrap();
    let stem = unit.split('.').next().unwrap();
    let ends = async |job: &ObjectPath<'_>, result: &str| {
        let body = (number, job, unit, result);
        bus.emit_signal(None::<&str>, PATH, MANAGER, "JobRemoved", &body).await.unwrap();
    };
    match stem {
        "gone" => {
            let name = "org.freedesktop.systemd1.NoSuchUnit";
            let said = format!("Unit {unit} not found.");
            bus.reply_error(&header, name, &said).await.unwrap();
            return;
        }
        "secret" => {
            let name = "org.freedesktop.DBus.Error.AccessDenied";
            bus.reply_error(&header, name, &"Permission denied").await.unwrap();
            return;
        }
        "polkit" => {
            let name = "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired";
            bus.reply_error(&header, name, &"Interactive authentication required.").await.unwrap();
            return;
        }
        "fast" => ends(&job, "done").await,
        _ => {}
    }
    bus.reply(&header, &job).await.unwrap();
    // that of somebody else says nothing of ours
    ends(&other, "failed").await;
    match stem {
        "fast" | "never" => {}
        "slow" => {
            tokio::time::sleep(SLOW).await;
            ends(&job, "done").await;
        }
        "failed" | "timeout" | "canceled" | "dependency" | "skipped" | "assert" => {
            ends(&job, stem).await;
        }
        _ => ends(&job, "done").await,
    }
}

fn properties(unit: &str, active: &'static str) -> HashMap<&'static str, Variant<'static>> {
    let load = if unit.starts_with("gone") { "not-found" } else { "loaded" };
    let sub = match active {
        "active" => "running",
        "failed" => "failed",
        "activating" => "start",
        _ => "dead",
    };
    HashMap::from([
        ("LoadState", Variant::from(load)),
        ("ActiveState", Variant::from(active)),
        ("SubState", Variant::from(sub)),
    ])
}

fn path_of(unit: &str) -> ObjectPath<'static> {
    let name = unit.replace('.', "_2e");
    ObjectPath::try_from(format!("{PATH}/unit/{name}")).unwrap()
}

fn unit_of(path: &ObjectPath<'_>) -> String {
    path.as_str().rsplit('/').next().unwrap().replace("_2e", ".")
}
