//! Databases in the `PostgreSQL` that `tests/postgres.sh` starts once for all tests, and servers of a test's own.

use std::env;
use std::fs;
use std::path::PathBuf;

use rustix::process::Signal;
use rustix::process::kill_process;
use sqlx::Connection as _;
use sqlx::PgConnection;
use tempfile::TempDir;

use crate::support::process;
use crate::support::process::Process;
use crate::support::wait;

/// The URL of a new, empty database. It goes away with the server.
///
/// nextest starts the server for tests with `postgres` in their path.
pub(crate) async fn database() -> String {
    let server = env::var("QUELL_TEST_POSTGRES").unwrap_or_else(|_| {
        panic!(
            "no PostgreSQL for tests: run tests/run, or cargo nextest run on a test with `postgres` in its \
             path, or first: export QUELL_TEST_POSTGRES=$(tests/postgres.sh $$)"
        )
    });
    let name = format!("test_{:032x}", rand::random::<u128>());
    let mut connection = PgConnection::connect(&server).await.unwrap();
    // The name is ours, hexadecimal digits; DDL takes no bind variables.
    let create = sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}"));
    sqlx::query(create).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    let mut url = url::Url::parse(&server).unwrap();
    url.set_path(&name);
    url.into()
}

/// A server of a test's own, to be stopped, killed and made a standby of another.
#[derive(Debug)]
pub(crate) struct Server {
    folder: TempDir,
    host: String,
    port: u16,
    /// What stands before its command line.
    under: Vec<String>,
    process: Option<Process>,
}

impl Server {
    /// Started, and empty.
    pub(crate) async fn start() -> Self {
        let mut this = Self::prepare("127.0.0.1", &[]);
        this.serve().await;
        this
    }

    /// With an empty database; it will be found at `host`, and be started by these words.
    pub(crate) fn prepare(host: &str, under: &[&str]) -> Self {
        let this = Self::folder(host, under);
        let data = this.data();
        let arguments = ["--no-sync", "--username=quell", "--auth=trust", "--encoding=UTF8"];
        let place = format!("--pgdata={}", data.display());
        Self::run("initdb", &[&arguments[..], &["--locale=C.UTF-8", &place]].concat());
        let hba = data.join("pg_hba.conf");
        let anybody = "host all all all trust\nhost replication all all trust\n";
        fs::write(&hba, fs::read_to_string(&hba).unwrap() + anybody).unwrap();
        this
    }

    /// A standby of this one, which has all that it has and gets what it will get.
    pub(crate) async fn standby(&self) -> Self {
        let mut standby = Self::folder(&self.host, &[]);
        let (data, port) = (standby.data().display().to_string(), self.port.to_string());
        let source = ["-h", &self.host, "-p", &port, "-U", "quell", "-D", &data];
        Self::run("pg_basebackup", &[&source[..], &["-R", "-X", "stream", "-c", "fast"]].concat());
        standby.serve().await;
        standby
    }

    fn folder(host: &str, under: &[&str]) -> Self {
        let folder = TempDir::new().unwrap();
        if rustix::process::geteuid().is_root() {
            process::run("chown", &["postgres:", folder.path().to_str().unwrap()]);
        }
        let under = under.iter().map(ToString::to_string).collect();
        Self { folder, host: host.to_owned(), port: process::port(), under, process: None }
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Runs a program of PostgreSQL's to the end.
    fn run(program: &str, arguments: &[&str]) {
        let line = Self::line(program);
        let rest: Vec<&str> =
            line[1..].iter().map(String::as_str).chain(arguments.iter().copied()).collect();
        process::run(&line[0], &rest);
    }

    /// A program of the newest version that is installed. None of them wants to be run by root.
    fn line(program: &str) -> Vec<String> {
        let versions = fs::read_dir("/usr/lib/postgresql")
            .unwrap_or_else(|e| panic!("no PostgreSQL, run tests/install.sh: {e}"));
        let number =
            |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().parse::<u32>().ok();
        let newest = versions.map(|it| it.unwrap().path()).max_by_key(number).unwrap();
        let program = newest.join("bin").join(program).display().to_string();
        let mut line = Vec::new();
        if rustix::process::geteuid().is_root() {
            let user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups"];
            line.extend(user.map(str::to_owned));
        }
        line.push(program);
        line
    }

    /// Starts it without waiting until it answers.
    pub(crate) fn launch(&mut self) {
        let (data, port) = (self.data().display().to_string(), self.port.to_string());
        let mut line = self.under.clone();
        line.extend(Self::line("postgres"));
        line.extend(["-D", &data, "-c", "unix_socket_directories=", "-c"].map(str::to_owned));
        line.push(format!("port={port}"));
        // what a killed server has said is written stays written: the machine goes on
        line.extend(["-c", "listen_addresses=*", "-c", "fsync=off"].map(str::to_owned));
        self.process = Some(Process::start(line, &[], &self.folder.path().join("log")));
    }

    /// Starts it, for the first time or again. After a kill -9 that takes until its last process is gone.
    pub(crate) async fn serve(&mut self) {
        self.launch();
        self.is_ready().await;
    }

    /// Waits until it answers.
    pub(crate) async fn is_ready(&mut self) {
        let url = self.url();
        wait::until("PostgreSQL is ready", wait::PATIENCE, async || {
            if self.process.as_mut().unwrap().ended().is_some() {
                self.launch();
            }
            let mut connection = PgConnection::connect(&url).await.map_err(|it| it.to_string())?;
            let one = sqlx::query("SELECT 1").execute(&mut connection).await;
            one.map(drop).map_err(|it| it.to_string())
        })
        .await;
    }

    /// From now on it is found there.
    pub(crate) fn is_found_at(&mut self, host: &str) {
        host.clone_into(&mut self.host);
    }

    /// Where it is.
    pub(crate) fn url(&self) -> String {
        self.url_at(&self.host, self.port)
    }

    /// The same server, found at another place.
    #[expect(clippy::unused_self, reason = "what is named there is this server")]
    pub(crate) fn url_at(&self, host: &str, port: u16) -> String {
        format!("postgres://quell@{host}:{port}/postgres")
    }

    /// Its port.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Its process.
    pub(crate) fn process(&self) -> &Process {
        self.process.as_ref().unwrap()
    }

    /// Does not wait for clients, as a restart does not.
    pub(crate) async fn stop(&mut self) {
        let mut process = self.process.take().unwrap();
        kill_process(process.pid(), Signal::INT).unwrap();
        process.wait().await;
    }

    /// kill -9.
    pub(crate) fn kill9(&mut self) {
        self.process.take().unwrap().kill();
    }

    /// Runs statements, one after another.
    pub(crate) async fn sql(&self, statements: &[&'static str]) {
        let mut connection = PgConnection::connect(&self.url()).await.unwrap();
        for statement in statements {
            sqlx::query(*statement).execute(&mut connection).await.unwrap();
        }
    }

    /// The one number that a query finds.
    pub(crate) async fn number(&self, query: &'static str) -> i64 {
        let mut connection = PgConnection::connect(&self.url()).await.unwrap();
        sqlx::query_scalar(query).fetch_one(&mut connection).await.unwrap()
    }
}
