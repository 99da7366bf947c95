//! `postgres.*`.

use super::kubernetes::Here;
use super::required;
use super::server;
use crate::decide::parameters::is_template;
use crate::library::build::text;
use crate::library::codes;
use crate::library::diagnostic::Diagnostic;
use crate::library::field::Field;
use crate::library::raw::List;
use crate::library::raw::Opt;
use crate::library::raw::TemplateText;
use crate::library::raw::action::postgres::RawActivity;
use crate::library::raw::action::postgres::RawBlockers;
use crate::library::raw::action::postgres::RawExecute;
use crate::library::raw::action::postgres::RawKillIdle;
use crate::library::raw::action::postgres::RawTerminate;
use crate::model::action::Span;
use crate::model::action::TargetKind;
use crate::model::action::postgres::Activity;
use crate::model::action::postgres::Blockers;
use crate::model::action::postgres::Execute;
use crate::model::action::postgres::KillIdle;
use crate::model::action::postgres::Postgres;
use crate::model::action::postgres::Terminate;

/// Lines of a read, when a playbook does not say.
const LINES: u32 = 20;
/// Connections that `postgres.kill_idle` ends at most, when a playbook does not say.
const MOST: u32 = 10;

/// The name of a server under `targets.postgres`.
pub(crate) fn postgres_server(here: Here<'_>, field: Field<TemplateText>) -> String {
    let found = field.need(here.at, here.span, here.whose, "server");
    found.map(|it| server(here.at, it, TargetKind::Postgres, here.names)).unwrap_or_default()
}

/// A statement: a template inside could become another one.
pub(crate) fn sql(here: Here<'_>, field: Field<String>) -> String {
    let Some(found) = field.need(here.at, here.span, here.whose, "sql") else {
        return String::new();
    };
    if is_template(&found.value) {
        let offset = found.value.find("{{").or_else(|| found.value.find("{%"));
        let message = "a template inside SQL: a value from an alert could become a statement";
        let diagnostic = Diagnostic::error(codes::SQL_TEMPLATE, message);
        let diagnostic =
            diagnostic.note("pass it through `parameters:` and write $1 in the statement");
        here.at.report(here.at.inside(found.span, &found.written, offset), diagnostic);
    } else if found.value.trim().is_empty() {
        let message = "expected a statement, got nothing";
        here.at.report(found.span, Diagnostic::error(codes::VALUE, message));
    }
    found.value
}

/// Values that are bound.
pub(crate) fn parameters(here: Here<'_>, list: Opt<List<TemplateText>>) -> Vec<String> {
    let list = list.and_then(Field::found).map(|it| it.value).unwrap_or_default();
    text::templates(here.at, list, here.names)
}

/// `postgres.terminate`
pub(crate) fn terminate(here: Here<'_>, raw: RawTerminate) -> Postgres {
    Postgres::Terminate(Terminate {
        server: postgres_server(here, raw.server),
        backend: required(here, "backend", raw.backend),
    })
}

/// `postgres.kill_idle`
pub(crate) fn kill_idle(here: Here<'_>, raw: RawKillIdle) -> Postgres {
    let RawKillIdle { server, idle_for, most, user, database, application } = raw;
    let idle_for = idle_for.need(here.at, here.span, here.whose, "idle_for");
    let perhaps = |field: Opt<TemplateText>| {
        field.and_then(Field::found).map(|it| text::template(here.at, it, here.names))
    };
    let idle_for = text::span(here.at, idle_for.map(Field::of), here.names);
    Postgres::KillIdle(KillIdle {
        server: postgres_server(here, server),
        idle_for: idle_for.unwrap_or_else(|| Span(String::new())),
        most: text::most(here.at, most, here.names, MOST),
        user: perhaps(user),
        database: perhaps(database),
        application: perhaps(application),
        backends: None,
    })
}

/// `postgres.blockers`
pub(crate) fn blockers(here: Here<'_>, raw: RawBlockers) -> Postgres {
    let waiting_for = text::span(here.at, raw.waiting_for, here.names);
    Postgres::Blockers(Blockers {
        server: postgres_server(here, raw.server),
        waiting_for: waiting_for.unwrap_or_else(|| Span("0s".into())),
        lines: text::most(here.at, raw.lines, here.names, LINES),
    })
}

/// `postgres.activity`
pub(crate) fn activity(here: Here<'_>, raw: RawActivity) -> Postgres {
    Postgres::Activity(Activity {
        server: postgres_server(here, raw.server),
        lines: text::most(here.at, raw.lines, here.names, LINES),
    })
}

/// `postgres.execute`
pub(crate) fn execute(here: Here<'_>, raw: RawExecute) -> Postgres {
    let RawExecute {
        server,
        sql: statement,
        parameters: values,
        transaction,
        once,
        statement_timeout,
    } = raw;
    let transaction = transaction.and_then(Field::found).is_none_or(|it| it.value);
    let once = once.and_then(Field::found);
    if let Some(once) = once.as_ref().filter(|once| once.value && !transaction) {
        let message = "`once` does not go together with `transaction: false`";
        let label = "without a transaction, nothing can tell whether it happened";
        here.at.report(once.span, Diagnostic::error(codes::VALUE, message).label(label));
    }
    Postgres::Execute(Execute {
        server: postgres_server(here, server),
        sql: sql(here, statement),
        parameters: parameters(here, values),
        transaction,
        once: once.is_some_and(|it| it.value),
        statement_timeout: statement_timeout
            .and_then(Field::found)
            .and_then(|it| text::duration(here.at, &it)),
    })
}
