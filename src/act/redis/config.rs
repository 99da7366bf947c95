//! `redis.config_set`: changes a setting of a server that runs, until it is started again.

use std::time::Duration;

use serde_json::json;

use super::Session;
use crate::model::action::redis::RedisConfigSet;
use crate::model::config::Targets;
use crate::model::run::Outcome;

/// Settings that hold a credential, or that let a server write files elsewhere or run code: never touched, nor read.
const REFUSED: &[&str] = &[
    "requirepass",
    "masterauth",
    "masteruser",
    "user",
    "aclfile",
    "dir",
    "dbfilename",
    "appenddirname",
    "appendfilename",
    "loadmodule",
    "logfile",
    "pidfile",
    "unixsocket",
    "enable-protected-configs",
    "enable-module-command",
    "enable-debug-command",
];

/// The action with the value that the setting has now.
pub(in super::super) async fn prepare(
    set: &RedisConfigSet,
    timeout: Duration,
    targets: &Targets,
) -> Result<RedisConfigSet, Outcome> {
    sane(set).map_err(super::super::failed)?;
    let session = Session::open(&set.server, None, timeout, targets).await?;
    let before = Some(session.setting(&set.setting).await?);
    Ok(RedisConfigSet { before, ..set.clone() })
}

/// What takes it back: the value before, if it is another.
pub(in super::super) fn previous(prepared: &RedisConfigSet) -> Option<RedisConfigSet> {
    let before = prepared.before.as_ref()?;
    (!same(before, &prepared.value)).then(|| RedisConfigSet {
        value: before.clone(),
        before: None,
        ..prepared.clone()
    })
}

/// Sets it, if it still has the value that was seen before the intent.
pub(in super::super) async fn set(
    set: &RedisConfigSet,
    timeout: Duration,
    targets: &Targets,
) -> Outcome {
    perform(set, timeout, targets).await.unwrap_or_else(|outcome| outcome)
}

async fn perform(
    set: &RedisConfigSet,
    timeout: Duration,
    targets: &Targets,
) -> Result<Outcome, Outcome> {
    sane(set).map_err(super::super::failed)?;
    let session = Session::open(&set.server, None, timeout, targets).await?;
    let RedisConfigSet { server, setting, value, .. } = set;
    let found = session.setting(setting).await?;
    let before = set.before.as_ref().unwrap_or(&found);
    if same(&found, value) {
        return Ok(Outcome::Done {
            summary: format!("`{setting}` of redis `{server}` is {value} already"),
            output: json!({ "before": before, "after": found }),
        });
    }
    if found != *before {
        return Err(super::super::failed(format!(
            "`{setting}` of redis `{server}` is {found} now, and was {before} when this was decided: \
             somebody else changed it"
        )));
    }
    let mut command = ::redis::cmd("CONFIG");
    command.arg("SET").arg(setting).arg(value);
    session.ask::<()>(&command, "CONFIG SET", 0).await?;
    // what it was made of: the server writes `1gb` as 1073741824
    let after = session.setting(setting).await.unwrap_or_else(|_| value.clone());
    Ok(Outcome::Done {
        summary: format!("`{setting}` of redis `{server}`: {before} → {after}"),
        output: json!({ "before": before, "after": after }),
    })
}

impl Session {
    /// Asks for one setting.
    async fn setting(&self, setting: &str) -> Result<String, Outcome> {
        let mut command = ::redis::cmd("CONFIG");
        command.arg("GET").arg(setting);
        let found: Vec<(String, String)> = self.ask(&command, super::CONFIG_GET, 0).await?;
        let found = found.into_iter().find(|(name, _)| name == setting);
        found.map(|(_, value)| value).ok_or_else(|| {
            super::super::failed(format!("redis `{}` has no setting `{setting}`", self.server))
        })
    }
}

/// CONFIG GET takes patterns, and some settings are nobody's business.
fn sane(set: &RedisConfigSet) -> Result<(), String> {
    let setting = set.setting.as_str();
    let plain = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, b'-' | b'_');
    if setting.is_empty() || !setting.bytes().all(plain) {
        let short: String = setting.chars().take(60).collect();
        return Err(format!("expected the name of a setting in small letters, got `{short}`"));
    }
    if REFUSED.contains(&setting) || setting.ends_with("-pass") || setting.starts_with("tls-") {
        return Err(format!(
            "`{setting}` holds a credential, or decides what files the server reads and writes: quell \
             does not change it"
        ));
    }
    Ok(())
}

/// Whether two values mean the same: sizes may have units.
fn same(one: &str, other: &str) -> bool {
    one.eq_ignore_ascii_case(other) || size(one).is_some_and(|it| size(other) == Some(it))
}

/// As `memtoull` of Redis reads a size: `1k` is 1000, `1kb` is 1024.
fn size(text: &str) -> Option<u64> {
    let text = text.to_ascii_lowercase();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit: u64 = match unit {
        "" | "b" => 1,
        "k" => 1000,
        "kb" => 1 << 10,
        "m" => 1_000_000,
        "mb" => 1 << 20,
        "g" => 1_000_000_000,
        "gb" => 1 << 30,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(setting: &str, value: &str, before: Option<&str>) -> RedisConfigSet {
        let before = before.map(str::to_owned);
        RedisConfigSet {
            server: "cache".into(),
            setting: setting.into(),
            value: value.into(),
            before,
        }
    }

    #[test]
    fn settings_that_hold_credentials_or_name_files_are_refused() {
        for setting in [
            "requirepass",
            "masterauth",
            "user",
            "tls-key-file-pass",
            "dir",
            "dbfilename",
            "aclfile",
        ] {
            let reason = sane(&set(setting, "hush", None)).unwrap_err();
            assert!(reason.starts_with(&format!("`{setting}` holds a credential")), "{reason}");
            assert!(!reason.contains("hush"));
        }
        for setting in ["", "*", "max*", "MaxMemory", "maxmemory timeout", "[a]"] {
            sane(&set(setting, "1", None)).unwrap_err();
        }
        sane(&set("maxmemory-policy", "allkeys-lru", None)).unwrap();
    }

    #[test]
    fn the_value_before_takes_it_back_unless_it_is_the_same() {
        let back = previous(&set("maxmemory", "2gb", Some("1073741824"))).unwrap();
        assert_eq!((back.value.as_str(), back.before), ("1073741824", None));
        assert_eq!(previous(&set("maxmemory", "1gb", Some("1073741824"))), None);
        assert_eq!(previous(&set("maxmemory", "1gb", None)), None);
    }

    #[test]
    fn sizes_are_the_same_whatever_their_unit() {
        for (one, other) in [("1gb", "1073741824"), ("1K", "1000"), ("5mb", "5242880"), ("a", "A")]
        {
            assert!(same(one, other), "{one} {other}");
        }
        for (one, other) in [("1g", "1gb"), ("", "0"), ("99999999999999gb", "1"), ("1x", "1")] {
            assert!(!same(one, other), "{one} {other}");
        }
    }
}
