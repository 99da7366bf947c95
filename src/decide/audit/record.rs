//! What a leaf is made of: the record as one line of JSON, of which every byte counts.
//!
//! An exported line is `{"leaf":17,"record":{…}}`. The data of the leaf are the bytes of the record, as they stand there.

use serde_json::Value;

/// What kinds of records there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// An entry of a run's journal.
    Event,
    /// A decision.
    Decision,
    /// A rule that was demoted or promoted.
    Trust,
    /// Break-glass.
    Glass,
    /// A change that a person told of.
    Change,
    /// A window that a person added.
    Window,
    /// A key that signs checkpoints.
    Key,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Event,
        Self::Decision,
        Self::Trust,
        Self::Glass,
        Self::Change,
        Self::Window,
        Self::Key,
    ];

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Event => "event",
            Self::Decision => "decision",
            Self::Trust => "trust",
            Self::Glass => "glass",
            Self::Change => "change",
            Self::Window => "window",
            Self::Key => "key",
        }
    }

    /// The kind of this word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }

    /// Whether the log holds the record itself: its row is forgotten after a month, or it has none.
    pub fn is_kept_in_log(self) -> bool {
        matches!(self, Self::Change | Self::Window | Self::Key)
    }
}

/// Which record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id {
    /// Its kind.
    pub kind: Kind,
    /// Number of the run, for an event; else of the record.
    pub id: i64,
    /// Number of the entry, for an event; else 0.
    pub seq: i64,
}

impl std::fmt::Display for Id {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { kind, id, seq } = self;
        match kind {
            Kind::Event => write!(f, "r-{id}/{seq}"),
            Kind::Decision => write!(f, "d-{id}"),
            Kind::Trust | Kind::Glass | Kind::Change | Kind::Window | Kind::Key => {
                write!(f, "{}-{id}", kind.as_str())
            }
        }
    }
}

impl std::str::FromStr for Id {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "`{text}` names no record: expected r-12/3, d-7, trust-1, glass-1, change-1, window-1 or key-1"
            )
        };
        let (word, number) = text.rsplit_once('-').ok_or_else(wrong)?;
        let (number, seq) = match number.split_once('/') {
            Some((run, seq)) => (run, Some(seq)),
            None => (number, None),
        };
        let kind = match word {
            "r" => Kind::Event,
            "d" => Kind::Decision,
            word => Kind::from_word(word).ok_or_else(wrong)?,
        };
        let plain = |text: &str| text.parse().ok().filter(|it: &i64| *it > 0);
        let id = plain(number).ok_or_else(wrong)?;
        match (kind, seq) {
            (Kind::Event, Some(seq)) => Ok(Self { kind, id, seq: plain(seq).ok_or_else(wrong)? }),
            (Kind::Event, None) | (_, Some(_)) => Err(wrong()),
            (_, None) => Ok(Self { kind, id, seq: 0 }),
        }
    }
}

/// Writes the record of an id: texts are escaped, the last field may be JSON that is there already.
#[derive(Debug)]
pub struct Writer(String);

impl Writer {
    /// Begins with kind and id.
    pub fn new(id: Id, at: i64) -> Self {
        Self(format!("{{\"kind\":\"{}\",\"id\":\"{id}\",\"at\":{at}", id.kind.as_str()))
    }

    /// A text.
    #[must_use]
    pub fn text(mut self, name: &str, value: &str) -> Self {
        self.0.push_str(&format_field(name, &Value::from(value).to_string()));
        self
    }

    /// An instant in microseconds, or another number.
    #[must_use]
    pub fn number(mut self, name: &str, value: i64) -> Self {
        self.0.push_str(&format_field(name, &value.to_string()));
        self
    }

    /// Ends with JSON, as it is stored.
    pub fn json(mut self, name: &str, stored: &str) -> String {
        self.0.push_str(&format_field(name, stored));
        self.end()
    }

    /// Ends.
    pub fn end(mut self) -> String {
        self.0.push('}');
        self.0
    }
}

fn format_field(name: &str, value: &str) -> String {
    format!(",\"{name}\":{value}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_as_they_are_written() {
        for kind in Kind::ALL {
            let id = Id { kind, id: 12, seq: if kind == Kind::Event { 3 } else { 0 } };
            assert_eq!(id.to_string().parse(), Ok(id));
            assert_eq!(Kind::from_word(kind.as_str()), Some(kind));
        }
        for wrong in ["", "r-12", "r-12/0", "r-0/1", "d-7/1", "x-1", "d-", "d--1", "7", "r-+1/2x"] {
            assert!(wrong.parse::<Id>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_record_is_one_line_of_json() {
        let id = Id { kind: Kind::Trust, id: 1, seq: 0 };
        let record =
            Writer::new(id, 5).text("why", "\"a\"\n\u{1}é").number("until", 7).json("body", "[1]");
        assert_eq!(
            record,
            r#"{"kind":"trust","id":"trust-1","at":5,"why":"\"a\"\n\u0001é","until":7,"body":[1]}"#
        );
        assert!(serde_json::from_str::<Value>(&record).is_ok());
    }
}
