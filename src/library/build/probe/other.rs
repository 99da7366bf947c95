//! The probes `tls`, `postgres` and `redis`.

use super::host_and_port;
use crate::decide::parameters::is_template;
use crate::library::build::action;
use crate::library::build::action::kubernetes;
use crate::library::build::action::kubernetes::Here;
use crate::library::build::action::postgres::parameters;
use crate::library::build::action::postgres::postgres_server;
use crate::library::build::action::postgres::sql;
use crate::library::build::text;
use crate::library::codes;
use crate::library::diagnostic::Diagnostic;
use crate::library::field::Field;
use crate::library::raw::probe::RawPostgresProbe;
use crate::library::raw::probe::RawProbe;
use crate::library::raw::probe::RawRedisProbe;
use crate::library::raw::probe::RawTls;
use crate::library::suggest::did_you_mean;
use crate::library::suggest::short;
use crate::model::action::TargetKind;
use crate::model::probe::PostgresProbe;
use crate::model::probe::Probe;
use crate::model::probe::REDIS_READS;
use crate::model::probe::RedisProbe;
use crate::model::probe::TlsProbe;

/// Two weeks: time to see what is wrong with a renewal.
const UNEXPIRED: &str = "value > 14.0";
/// What the values of INFO are found in.
const INFO: &str = "INFO";

/// The probe that asks a server of `targets`, or for a certificate.
pub(super) fn probe(here: Here<'_>, raw: RawProbe, healthy: Option<String>) -> Option<Probe> {
    let RawProbe { tls: certificate, postgres: query, redis: command, .. } = raw;
    let RawProbe { kubernetes_ready, systemd_active, ssh, .. } = raw;
    if let Some(raw) = certificate.and_then(Field::found) {
        return tls(Here { span: raw.span, ..here }, *raw.value, healthy);
    }
    if let Some(raw) = query.and_then(Field::found) {
        return Some(postgres(Here { span: raw.span, ..here }, *raw.value, healthy));
    }
    if let Some(raw) = command.and_then(Field::found) {
        return Some(redis(Here { span: raw.span, ..here }, *raw.value, healthy));
    }
    if let Some(raw) = kubernetes_ready.and_then(Field::found) {
        let here = Here { span: raw.span, ..here };
        return Some(Probe::KubernetesReady(kubernetes::ready(here, *raw.value)));
    }
    if let Some(raw) = systemd_active.and_then(Field::found) {
        let here = Here { span: raw.span, ..here };
        return Some(Probe::SystemdActive(action::other::unit(here, *raw.value)));
    }
    let raw = ssh.and_then(Field::found)?;
    Some(Probe::Ssh(action::other::ssh(Here { span: raw.span, ..here }, *raw.value)))
}

/// `tls`
fn tls(here: Here<'_>, raw: RawTls, healthy: Option<String>) -> Option<Probe> {
    let address = raw.address.need(here.at, here.span, here.whose, "address")?;
    let server_name = raw.server_name.and_then(Field::found);
    Some(Probe::Tls(TlsProbe {
        address: host_and_port(here.at, address, here.names),
        server_name: server_name.map(|it| text::template(here.at, it, here.names)),
        ca_file: raw.ca_file.and_then(Field::found).map(|it| it.value.into()),
        healthy: healthy.unwrap_or_else(|| UNEXPIRED.to_owned()),
    }))
}

/// `postgres`
fn postgres(here: Here<'_>, raw: RawPostgresProbe, healthy: Option<String>) -> Probe {
    Probe::Postgres(PostgresProbe {
        server: postgres_server(here, raw.server),
        sql: sql(here, raw.sql),
        parameters: parameters(here, raw.parameters),
        healthy,
    })
}

/// `redis`
fn redis(here: Here<'_>, raw: RawRedisProbe, healthy: Option<String>) -> Probe {
    let at = here.at;
    let server = raw.server.need(at, here.span, here.whose, "server");
    let server = server.map(|it| action::server(at, it, TargetKind::Redis, here.names));
    let written = raw.command.and_then(Field::found);
    let place = written.as_ref().map_or(here.span, |it| it.span);
    let mut command = match written {
        Some(list) if list.value.is_empty() => {
            let message = "expected a command, got an empty list";
            at.report(list.span, Diagnostic::error(codes::VALUE, message));
            Vec::new()
        }
        Some(list) => text::templates(at, list.value, here.names),
        None => vec!["PING".to_owned()],
    };
    if let Some(name) = command.first_mut() {
        let word = name.to_ascii_uppercase();
        if !REDIS_READS.contains(&word.as_str()) {
            // a template could become any command
            let reads = REDIS_READS.join(", ");
            let message = format!("`{}` is not a command that a probe may send", short(name));
            let found = Diagnostic::error(codes::VALUE, message);
            let found = found.label(did_you_mean(&word, REDIS_READS));
            at.report(place, found.note(format!("those that only read: {reads}")));
        }
        *name = word;
    }
    let field = raw.field.and_then(Field::found);
    let is_info = command.first().is_some_and(|it| it == INFO);
    match &field {
        Some(field) if !is_info => {
            let message = "`field` goes together with the command INFO only";
            at.report(field.span, Diagnostic::error(codes::VALUE, message));
        }
        None if is_info && healthy.is_some() => {
            let message = "INFO gives many values: `field` says which is judged";
            at.report(place, Diagnostic::error(codes::VALUE, message));
        }
        Some(field) if is_template(&field.value) => {
            let message = "the name of a field is written out";
            at.report(field.span, Diagnostic::error(codes::VALUE, message));
        }
        _ => {}
    }
    Probe::Redis(RedisProbe {
        server: server.unwrap_or_default(),
        command,
        field: field.map(|it| it.value),
        healthy,
    })
}
