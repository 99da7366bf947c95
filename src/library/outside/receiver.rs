//! Receivers that post to quell, and how.

use std::time::Duration;

use super::alertmanager::Routing;
use crate::library::codes;
use crate::library::diagnostic::At;
use crate::library::diagnostic::Diagnostic;
use crate::library::diagnostic::Sink;
use crate::model::config::Config;
use crate::model::time::show_duration;

/// Time that one attempt to post should have.
const PATIENT: Duration = Duration::from_secs(5);

/// Reports what keeps quell from hearing all (`protocols.md §1`).
pub(super) fn check(sink: &Sink, config: Option<&Config>, routing: &Routing) {
    let at = At { file: &routing.file, text: "", sink };
    let warn = |span, code, message: &str, label: &str| {
        at.report(span, Diagnostic::warning(code, message).label(label));
    };
    for webhook in &routing.webhooks {
        if let Some(set) = webhook.send_resolved.as_ref().filter(|it| !it.value) {
            let message = "quell is not told when an alert is over";
            warn(set.span, codes::NOT_RESOLVED, message, "write `true`, or remove the line");
        }
        if let Some(set) = webhook.max_alerts.as_ref().filter(|it| it.value > 0) {
            let message = format!(
                "of a group with more than {} alerts quell sees a part, and acts on none",
                set.value
            );
            warn(set.span, codes::CUT_OFF, &message, "write 0, which means no limit");
        }
        if let Some(span) = webhook.payload {
            let message = "`payload` replaces the body that quell reads";
            warn(span, codes::REPLACED_BODY, message, "remove it");
        }
        if let Some(set) = webhook.timeout.as_ref() {
            let short = set.value < PATIENT && !set.value.is_zero();
            if short {
                let message = format!(
                    "an attempt is given up after {}, and made again with the whole group",
                    show_duration(set.value)
                );
                let label = format!("write at least {}, or remove it", show_duration(PATIENT));
                warn(set.span, codes::HASTY, &message, &label);
            }
        }
        let asks = config.is_some_and(|it| !it.ingest.tokens.is_empty());
        if asks && !webhook.has_credentials {
            let message = "quell.yml has `ingest.tokens`, and this receiver sends no credentials";
            let label = "add `http_config: { authorization: { credentials_file: … } }`";
            warn(webhook.url, codes::NO_CREDENTIALS, message, label);
        }
    }
}
