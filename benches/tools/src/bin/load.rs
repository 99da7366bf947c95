//! Posts alerts and measures: see `USAGE`. Prints one line of JSON.
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use quell_bench_tools::Arguments;
use quell_bench_tools::ended;
use quell_bench_tools::load;
use quell_bench_tools::load::Load;
use quell_bench_tools::load::Mix;
use quell_bench_tools::load::body::Kind;

const USAGE: &str = "\
usage: load ADDRESS… [--path /] [--kind webhook|alertmanager] [--alerts 1] [--mix new|repeat|mixed] [--known 500]
            [--connections 64] [--rate PER_SECOND] [--seconds 5] [--warm 1] [--count REQUESTS] [--timeout 10]
            [--marks UDP_PORT] [--drain 1]";

const NAMES: [&str; 13] = [
    "path",
    "kind",
    "alerts",
    "mix",
    "known",
    "connections",
    "rate",
    "seconds",
    "warm",
    "count",
    "timeout",
    "marks",
    "drain",
];

fn settings() -> Result<Load, String> {
    let given = Arguments::of_process(&NAMES)?;
    let servers: Result<Vec<SocketAddr>, _> = given.others.iter().map(|it| it.parse()).collect();
    let servers = servers.map_err(|_| USAGE.to_owned())?;
    if servers.is_empty() {
        return Err(USAGE.to_owned());
    }
    let kind = match given.or("kind", "webhook".to_owned())?.as_str() {
        "webhook" => Kind::Webhook,
        "alertmanager" => Kind::Alertmanager,
        other => return Err(format!("--kind: no kind {other}\n{USAGE}")),
    };
    Ok(Load {
        servers,
        kind,
        path: given.or("path", "/".to_owned())?,
        alerts: given.or("alerts", 1)?,
        mix: given.or("mix", Mix::New)?,
        known: given.or("known", 500)?,
        connections: given.or("connections", 64)?,
        rate: given.get("rate")?,
        seconds: given.or("seconds", 5.0)?,
        warm: given.or("warm", 1.0)?,
        count: given.get("count")?,
        timeout: Duration::from_secs_f64(given.or("timeout", 10.0)?),
        marks: given.get("marks")?,
        drain: Duration::from_secs_f64(given.or("drain", 1.0)?),
    })
}

fn print(load: &Load) -> Result<(), String> {
    println!("{}", load::run(load)?.json());
    Ok(())
}

fn main() -> ExitCode {
    ended(settings().and_then(|load| print(&load)))
}
