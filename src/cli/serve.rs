//! `quell serve` and `quell check`.

use std::path::PathBuf;

use tokio::signal::unix::SignalKind;
use tokio::signal::unix::signal;

use crate::app::App;
use crate::cli::Place;
use crate::cli::environment;
use crate::cli::output;
use crate::clock::Clock;
use crate::error::Error;
use crate::library;
use crate::telemetry;

/// Serves until SIGTERM or Ctrl-C; SIGHUP loads the files again.
pub(super) async fn run(at: &Place) -> Result<(), Error> {
    telemetry::log("info,sqlx=warn");
    let library = at.library()?;
    let (rules, mode) = (library.rules.rules().len(), library.config.mode.value);
    let failed = |error| Error::new("Q0002", format!("could not listen for signals: {error}"));
    // before anything begins: who is told to stop while starting stops in good order too
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let mut hangup = signal(SignalKind::hangup()).map_err(failed)?;
    let app = App::start(library, Clock::System).await?;
    tracing::info!(address = %app.address, rules, mode = mode.as_str(), "quell is ready");
    if mode == crate::model::playbook::Mode::Observe {
        tracing::info!(
            "mode observe: nothing acts until quell.yml says `mode: approve` or `mode: auto`"
        );
    }
    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = hangup.recv() => {
                // what came of it is logged where it is done
                drop(app.reload().await);
            }
        }
    }
    tracing::info!("stopping: what was accepted is finished first");
    app.stop().await;
    tracing::info!("stopped");
    Ok(())
}

/// Checks the files.
pub(super) fn check(at: &Place, paths: &[PathBuf]) -> Result<(), Error> {
    let loaded = if paths.is_empty() {
        library::check(at.file().as_deref(), &environment)
    } else {
        library::check_paths(paths, &environment)
    };
    if at.json {
        output::json(&loaded.diagnostics);
    } else {
        output::line(loaded.render(output::colour()).trim_end());
    }
    if loaded.library.is_some() { Ok(()) } else { Err(Error::problems("Q0100", "")) }
}
