//! A service manager, asked over D-Bus.
//!
//! ```text
//! connect ──▶ state      what a unit is doing
//!         ──▶ change     listen for the end of jobs ─▶ ask for one ─▶ wait for its end ─▶ its real result
//! ```
//!
//! What a caller must know when something fails is whether the job may have been begun: [`Failure`].

use std::collections::HashMap;
use std::num::NonZeroUsize;

use futures_util::StreamExt as _;
use zbus::Connection;
use zbus::Error;
use zbus::MatchRule;
use zbus::Message;
use zbus::MessageStream;
use zbus::OwnedObjectPath;
use zbus::OwnedVariant;
use zbus::connection::Builder;
use zbus::fdo;
use zbus::message::Type;

/// Its name on the bus.
const NAME: &str = "org.freedesktop.systemd1";
/// Where it is.
const PATH: &str = "/org/freedesktop/systemd1";
/// Its interface.
const MANAGER: &str = "org.freedesktop.systemd1.Manager";
/// That of a unit.
const UNIT: &str = "org.freedesktop.systemd1.Unit";
/// That of a unit that is a service.
const SERVICE: &str = "org.freedesktop.systemd1.Service";
/// That of whatever has properties.
const PROPERTIES: &str = "org.freedesktop.DBus.Properties";
/// Ends of jobs that wait to be read: a boot or a `daemon-reload` makes many at once.
const MOST_WAITING: NonZeroUsize = NonZeroUsize::new(4096).unwrap();
/// Longest name of a unit.
const LONGEST: usize = 255;
/// What units are called.
const SUFFIXES: [&str; 11] = [
    "automount",
    "device",
    "mount",
    "path",
    "scope",
    "service",
    "slice",
    "socket",
    "swap",
    "target",
    "timer",
];

/// Which bus.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place<'a> {
    /// That of the system.
    System,
    /// That of the user this process runs as.
    User,
    /// At a D-Bus address.
    Address(&'a str),
}

/// What is asked of a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// To be stopped and started.
    Restart,
    /// To be started.
    Start,
    /// To be stopped.
    Stop,
}

/// What a unit is doing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct State {
    /// `loaded`, `not-found`, `masked`, …
    pub load: String,
    /// `active`, `inactive`, `failed`, `activating`, `deactivating`, `reloading`.
    pub active: String,
    /// `running`, `dead`, `auto-restart`, …
    pub sub: String,
    /// How a service ended last: `success`, `exit-code`, `signal`, …; empty for other units.
    pub result: String,
}

/// What went wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// Nothing was asked: there is no way to it now.
    Unreachable(String),
    /// The credential is not enough: nothing was done.
    Denied(String),
    /// The manager said no: nothing was done.
    Refused(String),
    /// It was asked, and nobody answered: it may have been done.
    Lost(String),
}

/// A connection to a service manager.
#[derive(Debug)]
pub struct Manager {
    bus: Connection,
}

/// Whether a text can be the name of a unit: no path, no option, and a suffix. The error says what was expected.
pub fn check_name(name: &str) -> Result<(), String> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || ":-_.\\@".contains(c);
    let suffix = name.rsplit_once('.').filter(|(stem, _)| !stem.is_empty());
    let fits = name.len() <= LONGEST && name.chars().all(is_plain) && !name.starts_with(['-', '.']);
    if fits && suffix.is_some_and(|(_, suffix)| SUFFIXES.contains(&suffix)) {
        return Ok(());
    }
    let shown: String = name.chars().take(80).collect();
    Err(format!(
        "expected the name of a unit with its suffix, such as `nginx.service`, got {shown:?}"
    ))
}

/// Connects. Only ends by itself: the caller bounds it.
pub async fn connect(place: Place<'_>) -> Result<Manager, Failure> {
    let (builder, name) = match place {
        Place::System => (Builder::system(), "the bus of the system".to_owned()),
        Place::User => {
            let Ok(directory) = std::env::var("XDG_RUNTIME_DIR") else {
                return Err(Failure::Unreachable(
                    "there is no bus of the user: XDG_RUNTIME_DIR is not set".into(),
                ));
            };
            let address = format!("unix:path={}/bus", escaped(&directory));
            let name = format!("the bus of the user ({address})");
            (Builder::address(address.as_str()), name)
        }
        Place::Address(address) => (Builder::address(address), format!("the bus at {address}")),
    };
    match builder.build().await {
        Ok(bus) => Ok(Manager { bus }),
        Err(error) => Err(not_connected(&name, &error)),
    }
}

fn not_connected(name: &str, error: &Error) -> Failure {
    let denied = match error {
        Error::Handshake(_) => true,
        Error::InputOutput(io) | Error::Connection(io, _) => {
            io.kind() == std::io::ErrorKind::PermissionDenied
        }
        _ => false,
    };
    let reason = format!("{name} cannot be used: {}", words(error));
    if denied { Failure::Denied(reason) } else { Failure::Unreachable(reason) }
}

impl Manager {
    /// What a unit is doing; one that is not there is `not-found`.
    pub async fn state(&self, unit: &str) -> Result<State, Failure> {
        let answer = self.call(PATH, MANAGER, "LoadUnit", &(unit,)).await;
        let answer = answer.map_err(|error| reading(&error))?;
        let path: OwnedObjectPath = read(&answer)?;
        let answer = self.call(path.as_str(), PROPERTIES, "GetAll", &(UNIT,)).await;
        let answer = answer.map_err(|error| reading(&error))?;
        let properties: HashMap<String, OwnedVariant> = read(&answer)?;
        let text = |name: &str| {
            let value = properties.get(name).and_then(|it| it.try_clone().ok());
            value.and_then(|it| String::try_from(it).ok()).unwrap_or_default()
        };
        let (load, active, sub) = (text("LoadState"), text("ActiveState"), text("SubState"));
        if active.is_empty() {
            return Err(Failure::Refused(format!("the manager does not say what {unit} is doing")));
        }
        let mut state = State { load, active, sub, result: String::new() };
        if unit.ends_with(".service") {
            let asked = &(SERVICE, "Result");
            // a unit that is not loaded has none
            if let Ok(answer) = self.call(path.as_str(), PROPERTIES, "Get", asked).await {
                let value = read::<OwnedVariant>(&answer).ok();
                state.result = value.and_then(|it| String::try_from(it).ok()).unwrap_or_default();
            }
        }
        Ok(state)
    }

    /// Asks for a job and waits for its end: the result is what the manager says of it (`done`, `failed`, `timeout`, `canceled`,
    /// `dependency`, `skipped`, …). Only ends by itself: dropped in the middle, the job goes on.
    pub async fn change(&self, unit: &str, change: Change) -> Result<String, Failure> {
        // before the job: it may have ended before the answer is here
        let mut ends = self.ends_of_jobs().await.map_err(|error| reading(&error))?;
        let method = match change {
            Change::Restart => "RestartUnit",
            Change::Start => "StartUnit",
            Change::Stop => "StopUnit",
        };
        let answer = self.call(PATH, MANAGER, method, &(unit, "replace")).await;
        let answer = answer.map_err(|error| changing(&error))?;
        let job: OwnedObjectPath = answer
            .body()
            .deserialize()
            .map_err(|error| Failure::Lost(format!("the manager's answer is no job: {error}")))?;
        while let Some(message) = ends.next().await {
            let Ok(message) = message else { continue };
            let body = message.body();
            let Ok(end) = body.deserialize::<(u32, OwnedObjectPath, String, String)>() else {
                continue;
            };
            if end.1 == job {
                return Ok(end.3);
            }
        }
        Err(Failure::Lost(format!(
            "the connection to the bus ended before the job ({}) did",
            job.as_str()
        )))
    }

    async fn ends_of_jobs(&self) -> zbus::Result<MessageStream> {
        let rule = MatchRule::builder()
            .msg_type(Type::Signal)
            .sender(NAME)
            .path(PATH)
            .interface(MANAGER)
            .member("JobRemoved")
            .build()?;
        let ends = MessageStream::for_match_rule(rule, &self.bus, Some(MOST_WAITING)).await?;
        // a manager tells nobody of jobs who has not asked; one that cannot be asked is told of the job by itself
        match self.call(PATH, MANAGER, "Subscribe", &()).await {
            Ok(_) | Err(Error::MethodError(..)) => Ok(ends),
            Err(error) => Err(error),
        }
    }

    async fn call<B>(
        &self,
        path: &str,
        interface: &str,
        method: &str,
        body: &B,
    ) -> zbus::Result<Message>
    where
        B: serde::Serialize + zbus::DynamicType,
    {
        self.bus.call_method(Some(NAME), path, Some(interface), method, body).await
    }
}

/// What a failed question means: nothing changed.
fn reading(error: &Error) -> Failure {
    match changing(error) {
        Failure::Lost(reason) => Failure::Unreachable(reason),
        failure => failure,
    }
}

/// What a failed call for a change means.
fn changing(error: &Error) -> Failure {
    let said = words(error);
    match error {
        Error::MethodError(name, _, _) => match name.as_str() {
            "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired" => Failure::Denied(said),
            _ => Failure::Refused(said),
        },
        Error::FDO(error) => match &**error {
            fdo::Error::AccessDenied(_)
            | fdo::Error::AuthFailed(_)
            | fdo::Error::InteractiveAuthorizationRequired(_) => Failure::Denied(said),
            fdo::Error::ServiceUnknown(_) | fdo::Error::NameHasNoOwner(_) => {
                Failure::Unreachable(format!("there is no service manager on the bus: {said}"))
            }
            fdo::Error::NoReply(_)
            | fdo::Error::Timeout(_)
            | fdo::Error::TimedOut(_)
            | fdo::Error::Disconnected(_)
            | fdo::Error::IOError(_)
            | fdo::Error::ZBus(_) => Failure::Lost(said),
            _ => Failure::Refused(said),
        },
        _ => Failure::Lost(said),
    }
}

fn read<T: for<'d> serde::Deserialize<'d> + zbus::Type>(answer: &Message) -> Result<T, Failure> {
    let read = answer.body().deserialize::<T>();
    read.map_err(|error| Failure::Refused(format!("the manager's answer cannot be read: {error}")))
}

/// The error in one line, for people.
fn words(error: &Error) -> String {
    let text = match error {
        Error::MethodError(name, said, _) => match said {
            Some(said) if !said.is_empty() => format!("{said} ({})", short(name.as_str())),
            _ => name.to_string(),
        },
        other => other.to_string(),
    };
    text.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(300).collect()
}

/// The last part of the name of an error.
fn short(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}

/// A path as a D-Bus address holds it.
fn escaped(path: &str) -> String {
    use std::fmt::Write as _;

    let mut text = String::new();
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_/.\\*".contains(&byte) {
            text.push(char::from(byte));
        } else {
            // writing to a text cannot fail
            let _written = write!(text, "%{byte:02x}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_unit_is_no_path_and_no_option() {
        for name in
            ["nginx.service", "getty@tty1.service", r"dev-disk-by\x2dlabel.mount", "a.b.timer"]
        {
            assert_eq!(check_name(name), Ok(()), "{name}");
        }
        let long = format!("{}.service", "a".repeat(LONGEST));
        for name in [
            "nginx",
            "",
            ".service",
            "--force.service",
            "/etc/passwd",
            "../x.service",
            "a b.service",
            "a.service\n",
            "a;b.service",
            "ä.service",
            "nginx.conf",
            &long,
        ] {
            let error = check_name(name).unwrap_err();
            assert!(error.starts_with("expected the name of a unit with its suffix"), "{error}");
            assert!(error.len() < 250, "{error}");
        }
    }

    #[test]
    fn a_directory_stands_escaped_in_an_address() {
        assert_eq!(escaped("/run/user/1000"), "/run/user/1000");
        assert_eq!(escaped("/a b;c,ä"), "/a%20b%3bc%2c%c3%a4");
    }
}

#[cfg(test)]
pub(crate) mod testing;
