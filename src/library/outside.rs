//! The team's other files: Prometheus's alerting rules and Alertmanager's routes, held against quell's rules.
//!
//! An alert's labels are known in part: those that its rule sets or its expression fixes. What follows is three-valued,
//! and only what is certain is said.

use std::path::Path;
use std::path::PathBuf;

use super::diagnostic::At;
use super::diagnostic::Diagnostic;
use super::files::Reader;
use super::yaml::Node;

mod alertmanager;
mod alerts;
mod labels;
mod paths;
mod prometheus;
mod receiver;
mod route;

/// Files beside quell's own, for `quell check`.
#[derive(Debug, Clone, Default)]
pub struct Outside {
    /// Files of Prometheus rules, folders and patterns of them, and prometheus.yml.
    pub prometheus_rules: Vec<PathBuf>,
    /// alertmanager.yml.
    pub alertmanager: Option<PathBuf>,
    /// Where Alertmanager posts to quell, when it is not quell's own path.
    pub quell_url: Option<String>,
}

impl Reader<'_> {
    /// Reads them, and holds what was read before against them.
    pub(crate) fn outside(&mut self, outside: &Outside) {
        let alerts = (!outside.prometheus_rules.is_empty())
            .then(|| prometheus::read(self, &outside.prometheus_rules));
        let routing = outside
            .alertmanager
            .as_deref()
            .and_then(|path| alertmanager::read(self, path, outside.quell_url.as_deref()));
        self.counts.alerts = alerts.as_ref().map_or(0, |it| it.alerts.len());
        if let Some(routing) = &routing {
            receiver::check(self.sink, self.config.as_ref(), routing);
            route::check(self.sink, self.config.as_ref(), routing);
        }
        if let Some(alerts) = &alerts {
            alerts::check(
                self.sink,
                self.config.as_ref(),
                &self.gathered,
                alerts,
                routing.as_ref(),
            );
        }
    }

    /// The documents of one file, to `visit`.
    fn documents(&mut self, path: &Path, visit: &mut dyn FnMut(At<'_>, &Node)) {
        let Some((name, text)) = self.text(path, None) else { return };
        let at = At { file: &name, text: &text, sink: self.sink };
        let Some(documents) = super::yaml::parse(&text, at) else {
            super::build::secret::mask_lines(at);
            self.secretive.insert(name);
            return;
        };
        for node in &documents {
            visit(at, node);
        }
        self.secretive.insert(name);
    }
}

fn wrong(at: At<'_>, node: &Node, code: &'static str, message: String, label: &str) {
    at.report(node.span, Diagnostic::error(code, message).label(label));
}
