//! `playbooks/*.yml`.

use std::fmt;

use serde::Deserialize;
use serde::Deserializer;
use serde::de;
use serde::de::Visitor;

use super::ConditionText;
use super::DurationText;
use super::List;
use super::ListText;
use super::Opt;
use super::RateText;
use super::ShareText;
use super::TemplateText;
use super::probe::RawProbe;
use crate::library::field::Entries;
use crate::library::field::Field;
use crate::model::playbook::Mode;
use crate::model::playbook::OnFailure;
use crate::model::playbook::OnUnknown;

#[derive(Debug, Deserialize)]
#[serde(rename = "a playbook")]
pub(crate) struct RawPlaybook {
    #[serde(rename = "playbook")]
    pub(crate) name: Field<String>,
    pub(crate) description: Opt<String>,
    pub(crate) parameters: Opt<Entries<RawParameter>>,
    pub(crate) tier: Opt<u8>,
    pub(crate) mode: Opt<Mode>,
    pub(crate) limits: Opt<RawPlaybookLimits>,
    pub(crate) steps: Field<List<RawStep>>,
    pub(crate) on_resolve: Opt<List<RawStep>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename = "`limits` of a playbook")]
pub(crate) struct RawPlaybookLimits {
    pub(crate) rate: Opt<RateText>,
    pub(crate) concurrent: Opt<u32>,
}

#[derive(Debug, Deserialize)]
#[serde(rename = "a parameter")]
pub(crate) struct RawParameter {
    #[serde(rename = "type")]
    pub(crate) kind: Field<RawKind>,
    pub(crate) required: Opt<bool>,
    pub(crate) default: Opt<serde_json::Value>,
    pub(crate) pattern: Opt<String>,
    pub(crate) min: Opt<String>,
    pub(crate) max: Opt<String>,
    pub(crate) values: Opt<List<String>>,
    /// Its value is the name of an entry of `secrets:` in quell.yml. What that stands for is put in when an action is performed,
    /// and can be used in `env` of a command and in `headers`, `body` and `json` of `http` only.
    pub(crate) secret: Opt<bool>,
    pub(crate) description: Opt<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename = "a type of parameter", rename_all = "lowercase")]
pub(crate) enum RawKind {
    String,
    Integer,
    Number,
    Boolean,
    Duration,
    Enum,
}

#[derive(Debug, Deserialize)]
#[serde(rename = "a step")]
pub(crate) struct RawStep {
    pub(crate) name: Field<String>,
    pub(crate) command: Opt<RawCommand>,
    pub(crate) http: Opt<RawHttp>,
    #[serde(rename = "redis.flush")]
    pub(crate) redis_flush: Opt<RawRedisFlush>,
    #[serde(rename = "redis.delete")]
    pub(crate) redis_delete: Opt<RawRedisDelete>,
    pub(crate) probe: Opt<RawProbe>,
    pub(crate) within: Opt<DurationText>,
    pub(crate) wait: Opt<DurationText>,
    /// A question to an operator; the run waits for the answer, which later steps read as `steps.NAME.output.ANSWER`.
    pub(crate) ask: Opt<RawAsk>,
    /// Do an action or a probe once for each item, one after another: a list of texts, or an expression that gives a list of
    /// texts or numbers, such as `steps.find.output.lines`. Templates and `if` see `item` and `index`, which counts from 0.
    pub(crate) for_each: Opt<RawItems>,
    /// How many items are done, in all, at the end of each wave, as counts or parts: `[1, 25%, 100%]`. One wave when silent.
    pub(crate) waves: Opt<List<ShareText>>,
    /// Time between two waves, which survives restarts.
    pub(crate) bake: Opt<DurationText>,
    /// What must be healthy between two waves, after `bake`; else the step fails and no more items are touched.
    pub(crate) between: Opt<RawBetween>,
    #[serde(rename = "if")]
    pub(crate) condition: Opt<ConditionText>,
    pub(crate) timeout: Opt<DurationText>,
    pub(crate) retry: Opt<RawRetry>,
    pub(crate) on_failure: Opt<OnFailure>,
    pub(crate) on_unknown: Opt<OnUnknown>,
    pub(crate) undo: Opt<RawUndo>,
}

/// `ask: { question, answers, tier, within }`
#[derive(Debug, Deserialize)]
#[serde(rename = "`ask`")]
pub(crate) struct RawAsk {
    /// The question, as people read it; a template.
    pub(crate) question: Field<TemplateText>,
    /// What must be answered, declared as parameters of a playbook are. Silent means yes or no; no fails the step.
    pub(crate) answers: Opt<Entries<RawParameter>>,
    /// The tier, from 1 to 4, that an operator needs to answer. 1 when silent.
    pub(crate) tier: Opt<u8>,
    /// How long the run waits for the answer, 24h at most; then the step fails. 1h when silent.
    pub(crate) within: Opt<DurationText>,
}

/// A list of templates, or an expression.
#[derive(Debug)]
pub(crate) enum RawItems {
    List(List<TemplateText>),
    Expression(ListText),
}

impl<'de> Deserialize<'de> for RawItems {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct ItemsVisitor;
        impl<'de> Visitor<'de> for ItemsVisitor {
            type Value = RawItems;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list, or an expression that gives one")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<RawItems, E> {
                Ok(RawItems::Expression(ListText(text.to_owned())))
            }
            fn visit_seq<A: de::SeqAccess<'de>>(self, mut items: A) -> Result<RawItems, A::Error> {
                let mut list = Vec::new();
                while let Some(item) = items.next_element()? {
                    list.push(item);
                }
                Ok(RawItems::List(list))
            }
        }
        from.deserialize_any(ItemsVisitor)
    }
}

/// `between: { probe, within }`
#[derive(Debug, Deserialize)]
#[serde(rename = "`between`")]
pub(crate) struct RawBetween {
    /// What to observe.
    pub(crate) probe: Field<RawProbe>,
    /// How long it may take to become healthy. 5m when silent.
    pub(crate) within: Opt<DurationText>,
}

#[derive(Debug, Deserialize)]
#[serde(rename = "`retry`")]
pub(crate) struct RawRetry {
    pub(crate) times: Field<u32>,
    pub(crate) backoff: Opt<DurationText>,
}

/// `previous`, or an action.
#[derive(Debug, Deserialize)]
#[serde(rename = "an undo", rename_all = "lowercase")]
pub(crate) enum RawUndo {
    Previous,
    Command(Field<RawCommand>),
    Http(Box<Field<RawHttp>>),
    #[serde(rename = "redis.flush")]
    RedisFlush(Field<RawRedisFlush>),
    #[serde(rename = "redis.delete")]
    RedisDelete(Field<RawRedisDelete>),
}

/// An action, out of a step or an undo.
#[derive(Debug)]
pub(crate) enum RawAction {
    Command(RawCommand),
    Http(Box<RawHttp>),
    RedisFlush(RawRedisFlush),
    RedisDelete(RawRedisDelete),
}

#[derive(Debug, Deserialize)]
#[serde(rename = "`command`")]
pub(crate) struct RawCommand {
    pub(crate) argv: Opt<List<TemplateText>>,
    pub(crate) shell: Opt<String>,
    pub(crate) env: Opt<Entries<TemplateText>>,
    pub(crate) directory: Opt<TemplateText>,
}

#[derive(Debug, Deserialize)]
#[serde(rename = "`http`")]
pub(crate) struct RawHttp {
    pub(crate) server: Opt<TemplateText>,
    pub(crate) method: Field<RawMethod>,
    pub(crate) url: Field<TemplateText>,
    pub(crate) headers: Opt<Entries<TemplateText>>,
    pub(crate) body: Opt<TemplateText>,
    pub(crate) json: Opt<serde_json::Value>,
    pub(crate) status: Opt<RawStatuses>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum RawMethod {
    Get,
    Post,
    Put,
    Patch,
    Delete,
}

impl RawMethod {
    /// The word people write.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename = "a list of statuses such as [200, 404]")]
pub(crate) struct RawStatuses(pub(crate) List<u16>);

#[derive(Debug, Deserialize)]
#[serde(rename = "`redis.flush`")]
pub(crate) struct RawRedisFlush {
    pub(crate) server: Field<TemplateText>,
    pub(crate) database: Opt<i64>,
}

#[derive(Debug, Deserialize)]
#[serde(rename = "`redis.delete`")]
pub(crate) struct RawRedisDelete {
    pub(crate) server: Field<TemplateText>,
    pub(crate) database: Opt<i64>,
    pub(crate) keys: Opt<List<TemplateText>>,
    pub(crate) pattern: Opt<TemplateText>,
}
