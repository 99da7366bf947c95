//! The probe `redis`: one command that only reads.

use std::time::Duration;

use ::redis::Value;

use super::samples;
use super::samples::Age;
use super::samples::Point;
use super::samples::Wanted;
use crate::decide::condition::Condition;
use crate::decide::condition::Scope;
use crate::model::config::Targets;
use crate::model::labels::Labels;
use crate::model::probe::REDIS_READS;
use crate::model::probe::RedisProbe;
use crate::model::run::Observation;
use crate::net;
use crate::net::Kind;
use crate::net::Trouble;
use crate::net::redis::Place;

/// Longest time for one observation, the connection included.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Longest text of an answer that is kept.
const SHOWN: usize = 200;

/// Asks once. With a condition, it must hold of the answer, and what cannot be asked is unknown. Without one, the server itself is
/// what is looked at: one that refuses connections, loads its data, or does not answer is unhealthy.
pub(super) async fn observe(probe: &RedisProbe, targets: &Targets, age: Age) -> Observation {
    let name = &probe.server;
    let Some(target) = targets.redis.get(name) else {
        return super::unknown(format!("no server `{name}` in targets.redis of quell.yml"));
    };
    let ping = ["PING".to_owned()];
    let words = if probe.command.is_empty() { &ping[..] } else { &probe.command[..] };
    let command = match read_only(words) {
        Ok(command) => command,
        Err(reason) => return super::unknown(reason),
    };
    let place = Place {
        url: target.url.reveal(),
        ca_file: target.ca_file.as_deref(),
        database: None,
        timeout: TIMEOUT,
    };
    let asking = async {
        let (mut connection, _) = net::redis::connect(&place).await?;
        let answer = command.query_async::<Value>(&mut connection).await;
        answer.map_err(|error| net::redis::trouble(&error, TIMEOUT))
    };
    let answer = match tokio::time::timeout(TIMEOUT, asking).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(trouble)) => return blind(probe, &trouble),
        Err(_) => {
            let reason = format!("no answer within {TIMEOUT:?}");
            return blind(probe, &Trouble { kind: Kind::Later, code: None, reason });
        }
    };
    match &probe.healthy {
        None => super::healthy(format!("redis `{name}` answered {}", shown(&answer, words))),
        Some(healthy) => judge(&answer, probe.field.as_deref(), healthy, age),
    }
}

/// The command, if it is one that changes nothing.
fn read_only(words: &[String]) -> Result<::redis::Cmd, String> {
    let (first, rest) = words.split_first().ok_or("there is no command")?;
    let name = first.to_ascii_uppercase();
    if !REDIS_READS.contains(&name.as_str()) {
        let known = REDIS_READS.join(", ");
        return Err(format!("`{first}` is no command of a probe; there are: {known}"));
    }
    let mut command = ::redis::cmd(&name);
    command.arg(rest);
    Ok(command)
}

fn judge(answer: &Value, field: Option<&str>, healthy: &str, age: Age) -> Observation {
    let text = match text(answer) {
        Ok(text) => text,
        Err(reason) => return super::unknown(format!("{reason} (healthy: {healthy})")),
    };
    let text = match field {
        None => text,
        Some(field) => match of_info(&text, field) {
            Some(value) => value,
            None => {
                return super::unknown(format!("no field `{field}` in INFO (healthy: {healthy})"));
            }
        },
    };
    // keys that are not there have a TTL of -2, those that stay one of -1: numbers like all others
    if let Ok(value) = text.trim().parse::<f64>() {
        let labels = labels(field, &text);
        return samples::judge(&[Point { value, labels, at: None }], Wanted::from(healthy), age);
    }
    word(&text, field, healthy)
}

/// Holds a text against the condition, which may then name `labels` only: there is no number that it could be.
fn word(text: &str, field: Option<&str>, healthy: &str) -> Observation {
    let seen = format!("{:?} (healthy: {healthy})", short(text));
    let Ok(condition) = Condition::new(healthy, &["labels"]) else {
        return super::unknown(format!("{seen}: no number; say `labels.text == …`"));
    };
    match condition.evaluate(&Scope::new().labels("labels", &labels(field, text))) {
        Ok(true) => super::healthy(seen),
        Ok(false) => super::unhealthy(seen),
        Err(reason) => super::unknown(format!("{seen}: {reason}")),
    }
}

fn labels(field: Option<&str>, text: &str) -> Labels {
    let field = field.map(|field| ("field", field));
    std::iter::once(("text", text)).chain(field).collect()
}

/// `name:value` lines, with headings between them.
fn of_info(info: &str, field: &str) -> Option<String> {
    let line = info.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))?;
    Some(line.trim().to_owned())
}

fn text(answer: &Value) -> Result<String, String> {
    match answer {
        Value::Int(number) => Ok(number.to_string()),
        Value::Double(number) => Ok(number.to_string()),
        Value::BulkString(bytes) => {
            String::from_utf8(bytes.clone()).map_err(|_| "the answer is no text".into())
        }
        Value::SimpleString(text) | Value::VerbatimString { text, .. } => Ok(text.clone()),
        Value::Okay => Ok("OK".into()),
        Value::Nil => Err("there is no such key".into()),
        _ => Err("the answer is neither a number nor a text".into()),
    }
}

/// For people: a value of a key may be a customer's, and only its size is told.
fn shown(answer: &Value, words: &[String]) -> String {
    let get = words.first().is_some_and(|word| word.eq_ignore_ascii_case("GET"));
    match text(answer) {
        Ok(text) if get || text.len() > SHOWN => format!("{} bytes", text.len()),
        Ok(text) => short(&text),
        Err(reason) => format!("({reason})"),
    }
}

fn short(text: &str) -> String {
    text.chars().take(SHOWN).collect()
}

fn blind(probe: &RedisProbe, trouble: &Trouble) -> Observation {
    let measured = format!("redis `{}`: {}", probe.server, trouble.reason);
    match trouble.kind {
        Kind::Credential => super::denied(measured),
        _ if probe.healthy.is_some() => super::unknown(measured),
        Kind::Later | Kind::Lost => super::unhealthy(measured),
        Kind::Never => super::unknown(measured),
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::model::run::Health;

    fn check(answer: &Value, field: Option<&str>, healthy: &str, health: Health, measured: &str) {
        let age = Age { now: Timestamp::UNIX_EPOCH, max: Duration::from_mins(1) };
        let seen = judge(answer, field, healthy, age);
        assert_eq!((seen.health, seen.measured.as_str()), (health, measured), "{healthy}");
    }

    #[test]
    fn a_number_is_the_value_and_a_text_is_a_label() {
        let bulk = |text: &str| Value::BulkString(text.into());
        check(&Value::Int(7), None, "value < 9.0", Health::Healthy, "7 (healthy: value < 9.0)");
        check(&bulk("9"), None, "value < 9.0", Health::Unhealthy, "9 (healthy: value < 9.0)");
        let ok = "labels.text == \"ok\"";
        check(&bulk("ok"), None, ok, Health::Healthy, &format!("\"ok\" (healthy: {ok})"));
        check(&bulk("no"), None, ok, Health::Unhealthy, &format!("\"no\" (healthy: {ok})"));
        let number = "\"no\" (healthy: value < 9.0): no number; say `labels.text == …`";
        check(&bulk("no"), None, "value < 9.0", Health::Unknown, number);
        let none = "there is no such key (healthy: value < 9.0)";
        check(&Value::Nil, None, "value < 9.0", Health::Unknown, none);
    }

    #[test]
    fn a_field_of_info_is_found_by_its_whole_name() {
        let info = Value::BulkString(
            "# Memory\r\nused_memory_peak:5\r\nused_memory:3\r\nmaxmemory_policy:noeviction\r\n"
                .into(),
        );
        let less = "value < 4.0";
        check(&info, Some("used_memory"), less, Health::Healthy, "3 (healthy: value < 4.0)");
        let policy = "labels.text == \"noeviction\" && labels.field == \"maxmemory_policy\"";
        let measured = format!("\"noeviction\" (healthy: {policy})");
        check(&info, Some("maxmemory_policy"), policy, Health::Healthy, &measured);
        let missing = "no field `used` in INFO (healthy: value < 4.0)";
        check(&info, Some("used"), less, Health::Unknown, missing);
    }

    #[test]
    fn only_commands_that_read_are_sent() {
        for command in ["FLUSHALL", "SET", "CONFIG", "EVAL", "GETDEL", "get x"] {
            let error = read_only(&[command.into(), "a".into()]).unwrap_err();
            assert!(error.contains("is no command of a probe; there are: PING, LLEN"), "{error}");
        }
        for command in REDIS_READS.iter().chain(&["ping", "Info"]) {
            read_only(&[(*command).into()]).unwrap();
        }
    }
}
