//! The real Prometheus and Alertmanager, for `quell demo --with-prometheus`.

use std::fs::OpenOptions;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use crate::demo::ready;
use crate::demo::ready::Starting;
use crate::error::Error;
use crate::exec;
use crate::exec::Output;
use crate::exec::Running;
use crate::exec::Spawn;

/// What Prometheus is called on disk.
const PROMETHEUS: [&str; 1] = ["prometheus"];

/// What Alertmanager is called: by Debian, and by everybody else.
const ALERTMANAGER: [&str; 2] = ["prometheus-alertmanager", "alertmanager"];

/// Longest time each may take to start.
const STARTS_WITHIN: Duration = Duration::from_secs(30);

/// Longest time each may take to end.
const GRACE: Duration = Duration::from_secs(5);

/// The programs, found in PATH.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Programs {
    prometheus: PathBuf,
    alertmanager: PathBuf,
}

/// Both, running. Dropping it kills them.
#[derive(Debug)]
pub struct Monitoring {
    prometheus: Running,
    alertmanager: Running,
}

impl Programs {
    /// Looks in PATH.
    pub fn find() -> Result<Self, Error> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let folders: Vec<_> = std::env::split_paths(&path).collect();
        Self::find_in(&folders)
    }

    fn find_in(folders: &[PathBuf]) -> Result<Self, Error> {
        let find = |names: &[&str]| {
            let places = names.iter().flat_map(|name| folders.iter().map(move |it| it.join(name)));
            places.into_iter().find(|place| rustix::fs::access(place, rustix::fs::Access::EXEC_OK).is_ok() && place.is_file()).ok_or_else(|| {
                Error::new("Q0910", format!("no {} in PATH", names.join(" or ")))
                    .hint("install Prometheus and Alertmanager, or run `quell demo` without --with-prometheus")
            })
        };
        Ok(Self { prometheus: find(&PROMETHEUS)?, alertmanager: find(&ALERTMANAGER)? })
    }
}

/// A port on loopback that was free a moment ago, for a program that cannot say which one it took.
pub fn free_address() -> Result<SocketAddr, Error> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .map_err(|error| Error::new("Q0901", "no free port on loopback").because(error))
}

impl Monitoring {
    /// Starts both on the files that [`super::files::Folder::write`] wrote, with their data and logs in `folder`,
    /// and waits until they are ready.
    pub async fn start(
        programs: &Programs,
        folder: &Path,
        (prometheus_file, prometheus): (&Path, SocketAddr),
        (alertmanager_file, alertmanager): (&Path, SocketAddr),
    ) -> Result<Self, Error> {
        let prometheus_arguments = [
            format!("--config.file={}", prometheus_file.display()),
            format!("--storage.tsdb.path={}", folder.join("prometheus-data").display()),
            format!("--web.listen-address={prometheus}"),
        ];
        let alertmanager_arguments = [
            format!("--config.file={}", alertmanager_file.display()),
            format!("--storage.path={}", folder.join("alertmanager-data").display()),
            format!("--web.listen-address={alertmanager}"),
            // empty: no cluster, so no port beside the one above
            "--cluster.listen-address=".to_owned(),
        ];
        let (prometheus, alertmanager) = tokio::try_join!(
            start("Prometheus", &programs.prometheus, &prometheus_arguments, folder, prometheus),
            start(
                "Alertmanager",
                &programs.alertmanager,
                &alertmanager_arguments,
                folder,
                alertmanager
            ),
        )?;
        Ok(Self { prometheus, alertmanager })
    }

    /// Ends both, and returns when their processes are gone.
    pub async fn stop(self) {
        tokio::join!(self.prometheus.terminate(GRACE), self.alertmanager.terminate(GRACE));
    }
}

async fn start(
    name: &str,
    program: &Path,
    arguments: &[String],
    folder: &Path,
    address: SocketAddr,
) -> Result<Running, Error> {
    let log = folder.join(format!("{}.log", name.to_lowercase()));
    let output = OpenOptions::new().create(true).append(true).open(&log).map_err(|error| {
        Error::new("Q0902", format!("{}: cannot write the log", log.display())).because(error)
    })?;
    let argv = std::iter::once(program.display().to_string()).chain(arguments.iter().cloned());
    let spawn = Spawn { argv: argv.collect(), ..Spawn::default() };
    let mut running = exec::start_to(&spawn, Output::File(output))
        .map_err(|message| Error::new("Q0905", message))?;
    let mut starting = Starting { name, running: &mut running, log: &log, within: STARTS_WITHIN };
    let url = format!("http://{address}/-/ready");
    ready::until_answers(&url, &mut starting).await?;
    Ok(running)
}

#[cfg(test)]
mod tests;
