//! The real binary: `quell serve` in a folder of its own, and the other commands against it.

use std::fs;
use std::path::Path;
use std::process::ExitStatus;
use std::process::Stdio;

use reqwest::Method;
use reqwest::RequestBuilder;
use serde_json::Value;
use serde_json::json;
use tempfile::TempDir;

use crate::support::http;
use crate::support::process;
use crate::support::process::Process;

const BINARY: &str = env!("CARGO_BIN_EXE_quell");

/// The server; its folder holds `quell.yml`, `quell.db` and the files given.
#[derive(Debug)]
pub(crate) struct Quell {
    binary: String,
    port: u16,
    token: Option<String>,
    environment: Vec<(String, String)>,
    client: reqwest::Client,
    process: Option<Process>,
    folder: TempDir,
}

/// What a command printed, and how it ended.
#[derive(Debug)]
pub(crate) struct Printed {
    /// Standard output.
    pub(crate) out: String,
    /// Standard error.
    pub(crate) err: String,
    /// 0 fine, 1 found problems, 2 could not run.
    pub(crate) code: i32,
}

/// A webhook body with one alert of these labels, `firing` or `resolved`.
pub(crate) fn webhook(status: &str, labels: &Value) -> Value {
    let ends_at =
        if status == "resolved" { "2026-01-05T10:05:00Z" } else { "0001-01-01T00:00:00Z" };
    json!({
        "version": "4", "receiver": "quell", "status": status,
        "alerts": [{
            "status": status, "labels": labels, "annotations": {},
            "startsAt": "2026-01-05T10:00:00Z", "endsAt": ends_at,
        }],
    })
}

impl Printed {
    /// Standard output as JSON, of a command that ended well.
    pub(crate) fn json(&self) -> Value {
        assert_eq!(self.code, 0, "{self:#?}");
        serde_json::from_str(&self.out).unwrap_or_else(|e| panic!("{e}: {self:#?}"))
    }
}

impl Quell {
    /// Writes `config` as `quell.yml`, with `listen` and `external_url` before it, and `files` (path and text)
    /// beside it; serves, and waits until it is ready.
    pub(crate) async fn start(config: &str, files: &[(&str, &str)]) -> Self {
        let mut this = Self::prepare(config, files);
        this.serve().await;
        this
    }

    /// The folder only, for what has to happen before it serves.
    pub(crate) fn prepare(config: &str, files: &[(&str, &str)]) -> Self {
        let folder = TempDir::new().unwrap();
        let port = process::port();
        let (token, environment) = (None, Vec::new());
        let (binary, client) = (BINARY.to_owned(), http::client());
        let this = Self { binary, port, token, environment, client, process: None, folder };
        let listen = format!("listen: {}\nexternal_url: {}\n", this.address(), this.url(""));
        this.write("quell.yml", &(listen + config));
        for (path, text) in files {
            this.write(path, text);
        }
        this
    }

    /// Requests and commands from now on are this operator's.
    pub(crate) fn with_token(mut self, token: &str) -> Self {
        self.token = Some(token.to_owned());
        self
    }

    /// Serves by another binary: another version.
    pub(crate) fn by(mut self, binary: &str) -> Self {
        binary.clone_into(&mut self.binary);
        self
    }

    /// Sets a variable for the server and the commands started from now on.
    pub(crate) fn with_env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Unsets a variable that [`Self::with_env`] set.
    pub(crate) fn without_env(&mut self, name: &str) {
        self.environment.retain(|(set, _)| set != name);
    }

    /// Starts the server, for the first time or again on the same folder and port.
    pub(crate) async fn serve(&mut self) {
        self.launch();
        self.is_ready().await;
    }

    async fn is_ready(&mut self) {
        let url = self.url("/health/ready");
        let process = self.process.as_mut().unwrap();
        process.ready(async || http::answers(&self.client, &url).await).await;
    }

    /// Starts a server that is expected to refuse; gives back how it ended and what it said.
    pub(crate) async fn refuses_to_serve(&mut self) -> (ExitStatus, String) {
        self.launch();
        let mut process = self.process.take().unwrap();
        let status = process.wait().await;
        (status, process.log())
    }

    /// Starts the server without waiting until it is ready, for what is about to die.
    pub(crate) fn launch(&mut self) {
        assert!(self.process.is_none(), "stop it before it is started again");
        self.launch_under(&[]);
    }

    /// Serves as [`Self::serve`] does, on a disk that seems full: no file may grow beyond `bytes`.
    pub(crate) async fn serve_with_files_up_to(&mut self, bytes: u64) {
        self.launch_with_files_up_to(bytes);
        self.is_ready().await;
    }

    /// The same without waiting until it is ready, which it may never be.
    pub(crate) fn launch_with_files_up_to(&mut self, bytes: u64) {
        // the write fails, as on a full disk, only when its signal is ignored
        let script = format!("trap '' XFSZ; ulimit -f {}; exec \"$@\"", bytes / 512);
        self.launch_under(&["/bin/sh", "-c", &script, "sh"]);
    }

    fn launch_under(&mut self, before: &[&str]) {
        let log = self.folder().join("log");
        let line = before.iter().copied().chain([&*self.binary, "serve", "--config", "quell.yml"]);
        self.process = Some(Process::start(line, &self.environment, &log));
    }

    /// The server's process.
    pub(crate) fn process(&self) -> &Process {
        self.process.as_ref().unwrap()
    }

    /// How the server ended, if it did so by itself; then it may be started again.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        let status = self.process.as_mut()?.ended()?;
        self.process = None;
        Some(status)
    }

    /// kill -9, as if the machine had lost power.
    pub(crate) fn kill9(&mut self) {
        self.process.take().unwrap().kill();
    }

    /// kill -9, should it still be there.
    pub(crate) fn kill_if_alive(&mut self) {
        self.process = None;
    }

    /// SIGTERM; waits for the end.
    pub(crate) async fn stop(&mut self) -> ExitStatus {
        self.process.take().unwrap().terminate().await
    }

    /// Sends SIGTERM, and gives back the process that is stopping: wait for its end.
    pub(crate) fn begin_to_stop(&mut self) -> Process {
        let process = self.process.take().unwrap();
        process.ask_to_end();
        process
    }

    /// SIGHUP: it loads its files again.
    pub(crate) fn hang_up(&self) {
        self.process.as_ref().unwrap().hang_up();
    }

    /// Stops in good order and serves again.
    pub(crate) async fn restart(&mut self) {
        let status = self.stop().await;
        assert!(status.success(), "{status}\n{}", self.log());
        self.serve().await;
    }

    /// Runs another command in its folder, as a person would at a terminal.
    pub(crate) async fn cli(&self, arguments: &[&str]) -> Printed {
        self.run_cli(&[], self.folder(), arguments).await
    }

    /// Runs another command in another folder.
    pub(crate) async fn cli_in(&self, folder: &Path, arguments: &[&str]) -> Printed {
        self.run_cli(&[], folder, arguments).await
    }

    /// The same under another program that becomes it, such as one that gives up rights.
    pub(crate) async fn cli_under(&self, before: &[&str], arguments: &[&str]) -> Printed {
        self.run_cli(before, self.folder(), arguments).await
    }

    async fn run_cli(&self, before: &[&str], folder: &Path, arguments: &[&str]) -> Printed {
        let mut words =
            before.iter().copied().chain([&*self.binary]).chain(arguments.iter().copied());
        let mut line = process::command(words.next().unwrap());
        line.args(words).current_dir(folder).stdin(Stdio::null());
        line.env("QUELL_URL", self.url("")).env("NO_COLOR", "1");
        if let Some(token) = &self.token {
            line.env("QUELL_TOKEN", token);
        }
        line.envs(self.environment.iter().map(|(name, value)| (name, value)));
        // Not in this thread: what it asks may be answered by a server inside the test.
        let mut line = tokio::process::Command::from(line);
        let output =
            tokio::time::timeout(crate::support::wait::PATIENCE, line.kill_on_drop(true).output());
        let output = output.await.unwrap_or_else(|_| panic!("quell {arguments:?} does not end"));
        let output = output.unwrap();
        Printed {
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
            code: output
                .status
                .code()
                .unwrap_or_else(|| panic!("{arguments:?}: {}", output.status)),
        }
    }

    /// A request of `path` with the operator's token, for everything that the helpers below are too small for.
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.client.request(method, self.url(path));
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    /// GET, and the JSON of a 2xx answer.
    pub(crate) async fn get(&self, path: &str) -> Value {
        http::json(self.request(Method::GET, path)).await
    }

    /// POST of JSON, and the JSON of a 2xx answer.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> Value {
        http::json(self.request(Method::POST, path).json(body)).await
    }

    /// The text of `/metrics`.
    pub(crate) async fn metrics(&self) -> String {
        let reply = self.request(Method::GET, "/metrics").send().await.unwrap();
        reply.error_for_status().unwrap().text().await.unwrap()
    }

    /// The value of one series of `/metrics`, named as there, such as `quell_incidents_open{status="open"}`.
    pub(crate) async fn metric(&self, series: &str) -> Option<f64> {
        let text = self.metrics().await;
        let value = |line: &str| line.strip_prefix(series)?.strip_prefix(' ')?.trim().parse().ok();
        text.lines().find_map(value)
    }

    /// Where Alertmanager posts to.
    pub(crate) fn webhook(&self) -> String {
        self.url("/api/v1/webhook/alertmanager")
    }

    /// `127.0.0.1:PORT`.
    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The URL of `path`, which begins with a slash or is empty.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address())
    }

    /// Its working directory.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Writes or replaces a file in its folder.
    pub(crate) fn write(&self, path: &str, text: &str) {
        let path = self.folder().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// What the server printed, over all its starts.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder().join("log")).unwrap_or_default()
    }
}

/// The step that a key of an effect is for, `r-1/2`, without the name of the store before it.
pub(crate) fn step_of(key: &str) -> &str {
    // an older quell says the step alone
    key.split_once('/').filter(|(store, _)| store.len() == 8).map_or(key, |(_, step)| step)
}
