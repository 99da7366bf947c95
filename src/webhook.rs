//! From the bytes of a webhook to a delivery: lenient in what an alert may lack, strict in what would lose one.
//!
//! `version` stays "4" over all Alertmanagers since 0.6, and says nothing of which fields exist
//! (`protocols.md §1`, Payload); Grafana says "1". So fields are read by name, unknown ones are skipped, absent ones
//! and `null` have defaults, and only what cannot be an alert refuses the body: the sender would believe it stored.

use std::fmt;

use jiff::Timestamp;
use serde::Deserialize;
use serde::Deserializer;
use serde::de::Error as _;
use serde::de::IgnoredAny;
use serde::de::MapAccess;
use serde::de::SeqAccess;
use serde::de::Visitor;
use serde::de::value::MapAccessDeserializer;
use serde::de::value::SeqAccessDeserializer;
use serde_json::Value;

use crate::model::alert::Alert;
use crate::model::alert::AlertStatus;
use crate::model::alert::Delivery;
use crate::model::labels::Labels;

/// Keys of a foreign body that are named in the refusal.
const SHOWN_KEYS: usize = 12;
/// What a body that is not ours usually is.
const REPLACED: &str = "a `payload:` in the receiver's webhook_config replaces the body: remove it";

/// Why a body is no delivery.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It is not JSON: what was met, and where.
    #[error("not JSON: {0}")]
    NotJson(String),
    /// It is JSON of another shape: what was expected, what was got, and what to do.
    #[error("{0}")]
    NotAWebhook(String),
}

/// Reads a delivery of `source`, received at `now`.
pub fn delivery(bytes: &[u8], source: String, now: Timestamp) -> Result<Delivery, Refused> {
    let bytes = without_mark(bytes);
    let refuse = Refused::NotAWebhook;
    let body: Body =
        serde_json::from_slice(bytes).map_err(|error| {
            match serde_json::from_slice::<IgnoredAny>(bytes) {
                Err(error) => Refused::NotJson(error.to_string()),
                Ok(_) => refuse(shape(&error)),
            }
        })?;
    if !matches!(body.version.as_deref(), None | Some("" | "4" | "1")) {
        let got = body.version.unwrap_or_default();
        return Err(refuse(format!(
            "expected version \"4\" with an alerts array, got version {got:?}"
        )));
    }
    let Some(sent) = body.alerts else {
        return Err(refuse(format!(
            "expected version \"4\" with an alerts array, got an object with {}; {REPLACED}",
            keys(&body.keys)
        )));
    };
    let mut alerts = Vec::with_capacity(sent.len());
    for (index, alert) in sent.into_iter().enumerate() {
        if alert.labels.is_empty() {
            return Err(refuse(format!(
                "alerts[{index}] has no labels, and an alert is known by them; nothing of the body was kept"
            )));
        }
        alerts.push(alert.into_alert(now));
    }
    let receiver = unquote(&body.receiver);
    Ok(Delivery { source, receiver, truncated: body.truncated, alerts })
}

/// Some proxies and test tools prepend a byte order mark, which JSON does not allow.
pub fn without_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)
}

/// What has the wrong shape. Where it stands in a body of one line helps nobody; which alert it is stands before it.
fn shape(error: &serde_json::Error) -> String {
    let words = error.to_string();
    words.rsplit_once(" at line ").map_or(words.as_str(), |(words, _)| words).to_owned()
}

fn keys(keys: &[String]) -> String {
    if keys.is_empty() {
        return "no keys".into();
    }
    let shown: Vec<&str> = keys.iter().take(SHOWN_KEYS).map(String::as_str).collect();
    let more = keys.len() - shown.len();
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("keys {}{more}", shown.join(", "))
}

/// Takes back Go's `regexp.QuoteMeta`, which Alertmanager applies to the name (`protocols.md §1`).
fn unquote(quoted: &str) -> String {
    let mut name = String::with_capacity(quoted.len());
    let mut rest = quoted.chars().peekable();
    while let Some(char) = rest.next() {
        let escapes =
            char == '\\' && rest.peek().is_some_and(|next| r"\.+*?()|[]{}^$".contains(*next));
        name.push(if escapes { rest.next().unwrap_or(char) } else { char });
    }
    name
}

#[derive(Default)]
struct Body {
    version: Option<String>,
    receiver: String,
    truncated: u64,
    alerts: Option<Vec<Sent>>,
    keys: Vec<String>,
}

impl<'de> Deserialize<'de> for Body {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Top;
        impl<'de> Visitor<'de> for Top {
            type Value = Body;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object with version \"4\" and an alerts array")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, _: A) -> Result<Body, A::Error> {
                Err(A::Error::custom(format!(
                    "expected an object with version \"4\" and an alerts array, got an array, as Alertmanager's own /api/v2/alerts takes; or {REPLACED}"
                )))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Body, A::Error> {
                let mut body = Body::default();
                while let Some(key) = map.next_key::<String>()? {
                    match key.as_str() {
                        "version" => body.version = map.next_value::<Text>()?.0,
                        "receiver" => body.receiver = map.next_value::<Text>()?.or_empty(),
                        // what is no number still says that something was cut off
                        "truncatedAlerts" => {
                            body.truncated = match map.next_value::<Text>()?.or_empty().as_str() {
                                "" => 0,
                                count => count.parse().unwrap_or(1),
                            };
                        }
                        "alerts" if body.alerts.is_some() => {
                            let twice = "`alerts` is here twice, and one of them would be lost";
                            return Err(A::Error::custom(twice));
                        }
                        "alerts" => body.alerts = map.next_value::<Option<List>>()?.map(|it| it.0),
                        _ => drop(map.next_value::<IgnoredAny>()?),
                    }
                    body.keys.push(key);
                }
                Ok(body)
            }
        }
        from.deserialize_any(Top)
    }
}

/// `alerts`: a failure names the alert that it is in.
struct List(Vec<Sent>);

impl<'de> Deserialize<'de> for List {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Each;
        impl<'de> Visitor<'de> for Each {
            type Value = List;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("alerts to be an array of objects")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<List, A::Error> {
                let mut alerts = Vec::new();
                loop {
                    let index = alerts.len();
                    let next = seq.next_element();
                    match next
                        .map_err(|error| A::Error::custom(format!("alerts[{index}]: {error}")))?
                    {
                        Some(alert) => alerts.push(alert),
                        None => return Ok(List(alerts)),
                    }
                }
            }
        }
        from.deserialize_any(Each)
    }
}

/// An alert as sent.
#[derive(Default)]
struct Sent {
    status: Text,
    labels: Labels,
    annotations: Labels,
    starts_at: Text,
    ends_at: Text,
    generator_url: Text,
}

impl Sent {
    fn into_alert(self, now: Timestamp) -> Alert {
        let ends_at = instant(self.ends_at);
        let status = match self.status.or_empty().to_ascii_lowercase().as_str() {
            "firing" => AlertStatus::Firing,
            "resolved" => AlertStatus::Resolved,
            // `resolved` means that its end has passed (protocols.md §1)
            _ if ends_at.is_some_and(|ended| ended <= now) => AlertStatus::Resolved,
            _ => AlertStatus::Firing,
        };
        let mut generator_url = self.generator_url.or_empty();
        // PostgreSQL takes no NUL in a text, and one such alert would fail the commit of all that wait with it
        generator_url.retain(|char| !char.is_control());
        Alert {
            status,
            labels: self.labels,
            annotations: self.annotations,
            starts_at: instant(self.starts_at),
            ends_at: ends_at.filter(|_| status == AlertStatus::Resolved),
            generator_url,
        }
    }
}

/// An instant, to the microsecond, which is what the store keeps. Go's zero time, what comes before Unix time and
/// what is no instant are absent: a start is a hint, and an end that nobody can read is taken to be now.
fn instant(text: Text) -> Option<Timestamp> {
    let at: Timestamp = text.0?.trim().parse().ok()?;
    Timestamp::from_microsecond(at.as_microsecond()).ok().filter(|at| *at > Timestamp::UNIX_EPOCH)
}

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "camelCase")]
enum Field {
    Status,
    Labels,
    Annotations,
    StartsAt,
    EndsAt,
    #[serde(rename = "generatorURL")]
    GeneratorUrl,
    #[serde(other)]
    Other,
}

impl<'de> Deserialize<'de> for Sent {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct One;
        impl<'de> Visitor<'de> for One {
            type Value = Sent;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object with labels")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Sent, A::Error> {
                let mut sent = Sent::default();
                while let Some(field) = map.next_key::<Field>()? {
                    match field {
                        Field::Status => sent.status = map.next_value()?,
                        Field::Labels => sent.labels = map.next_value::<Pairs>()?.0,
                        Field::Annotations => sent.annotations = map.next_value::<Pairs>()?.0,
                        Field::StartsAt => sent.starts_at = map.next_value()?,
                        Field::EndsAt => sent.ends_at = map.next_value()?,
                        Field::GeneratorUrl => sent.generator_url = map.next_value()?,
                        Field::Other => drop(map.next_value::<IgnoredAny>()?),
                    }
                }
                Ok(sent)
            }
        }
        from.deserialize_any(One)
    }
}

/// Labels or annotations; `null` is empty, as a nil map of Go.
struct Pairs(Labels);

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Map;
        impl<'de> Visitor<'de> for Map {
            type Value = Pairs;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of texts")
            }

            fn visit_unit<E>(self) -> Result<Pairs, E> {
                Ok(Pairs(Labels::default()))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs, A::Error> {
                let mut labels = Labels::default();
                while let Some((name, value)) = map.next_entry::<String, Text>()? {
                    labels.set(name, value.or_empty());
                }
                Ok(Pairs(labels))
            }
        }
        from.deserialize_any(Map)
    }
}

/// Any value as text: what is not one is written as JSON, and `null` is absent. Alertmanager sends only texts;
/// other senders do not know that.
#[derive(Default)]
struct Text(Option<String>);

impl Text {
    fn or_empty(self) -> String {
        self.0.unwrap_or_default()
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Any;
        #[expect(clippy::unnecessary_wraps, reason = "each visit returns a result")]
        fn text<E>(text: impl Into<String>) -> Result<Text, E> {
            Ok(Text(Some(text.into())))
        }
        impl<'de> Visitor<'de> for Any {
            type Value = Text;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text")
            }

            fn visit_str<E>(self, it: &str) -> Result<Text, E> {
                text(it)
            }

            fn visit_string<E>(self, it: String) -> Result<Text, E> {
                text(it)
            }

            fn visit_bool<E>(self, it: bool) -> Result<Text, E> {
                text(it.to_string())
            }

            fn visit_i64<E>(self, it: i64) -> Result<Text, E> {
                text(it.to_string())
            }

            fn visit_u64<E>(self, it: u64) -> Result<Text, E> {
                text(it.to_string())
            }

            fn visit_f64<E>(self, it: f64) -> Result<Text, E> {
                text(it.to_string())
            }

            fn visit_unit<E>(self) -> Result<Text, E> {
                Ok(Text(None))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Text, A::Error> {
                text(Value::deserialize(SeqAccessDeserializer::new(seq))?.to_string())
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Text, A::Error> {
                text(Value::deserialize(MapAccessDeserializer::new(map))?.to_string())
            }
        }
        from.deserialize_any(Any)
    }
}

#[cfg(test)]
mod tests;
