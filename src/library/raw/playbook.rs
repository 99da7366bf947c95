//! `playbooks/*.yml`.

use std::fmt;

use schemars::JsonSchema;
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
use super::action::kubernetes;
use super::action::other;
use super::action::postgres;
use super::action::with_actions;
use super::probe::RawProbe;
use crate::library::field::Entries;
use crate::library::field::Field;
use crate::library::field::Found;
use crate::library::schema::shape::exactly_one;
use crate::library::schema::shape::without;
use crate::model::playbook::Mode;
use crate::model::playbook::OnFailure;
use crate::model::playbook::OnUnknown;

/// A named list of steps that a rule runs as a remedy.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename = "a playbook")]
pub(crate) struct RawPlaybook {
    /// Unique name, by which rules find it.
    #[schemars(extend("examples" = ["restart"]))]
    #[serde(rename = "playbook")]
    pub(crate) name: Field<String>,
    /// What it does, for people.
    pub(crate) description: Opt<String>,
    /// What a rule gives under `with:`, by name. Steps read it as `{{ name }}`.
    #[schemars(extend("examples" = [{"unit": {"type": "string", "pattern": "[a-z0-9-]+", "required": true}}]))]
    pub(crate) parameters: Opt<Entries<RawParameter>>,
    /// The tier an operator needs to approve it: 1 the least, 4 the most.
    #[schemars(range(min = 1, max = 4), extend("default" = 1))]
    pub(crate) tier: Opt<u8>,
    /// How many operators of that tier must approve it, none of them the one who asked for it.
    #[schemars(range(min = 1, max = 5), extend("default" = 1))]
    pub(crate) approvals: Opt<u8>,
    /// Longest time to wait for approval, from 1s to 24h: the plan was made for what was seen then. `1h` when silent.
    #[schemars(extend("examples" = ["20m"]))]
    pub(crate) approve_within: Opt<DurationText>,
    /// The most that this playbook may do, whoever runs it.
    #[schemars(extend("default" = "auto"))]
    pub(crate) mode: Opt<Mode>,
    /// How often it may run, over all rules that use it.
    pub(crate) limits: Opt<RawPlaybookLimits>,
    /// Kinds of targets that it may act on, as patterns whose `*` stays within a part; any when silent (G4).
    #[schemars(extend("examples" = [["kubernetes/*/deployment/*"]]))]
    pub(crate) acts_on: Opt<List<String>>,
    /// For a playbook that empties a cache: what must hold before each of its actions (G10).
    pub(crate) cache: Opt<RawCacheGuard>,
    /// For a playbook that returns to an earlier version: what must be shown of that version (G12).
    pub(crate) rollback: Opt<RawRollback>,
    /// Steps in order. When one fails, what was done is undone in reverse.
    #[schemars(length(min = 1))]
    pub(crate) steps: Field<List<RawStep>>,
    /// Steps that take temporary measures back when the alert resolves.
    pub(crate) on_resolve: Opt<List<RawStep>>,
}

/// How often a playbook may run, over all rules that use it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename = "`limits` of a playbook")]
pub(crate) struct RawPlaybookLimits {
    /// Runs in a sliding span of time. No limit of its own when silent.
    #[schemars(extend("examples" = ["2 per 6h"]))]
    pub(crate) rate: Opt<RateText>,
    /// Runs at once. No limit of its own when silent.
    #[schemars(range(min = 1), extend("examples" = [1]))]
    pub(crate) concurrent: Opt<u32>,
}

/// What must hold before a cache is emptied: anything but healthy holds it back.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename = "`cache`")]
pub(crate) struct RawCacheGuard {
    /// Healthy while the store behind the cache can bear the load of an empty one.
    #[schemars(extend("examples" = [{"promql": "sum(rate(pg_queries_total[1m]))", "healthy": "value < 500.0"}]))]
    pub(crate) load: Field<RawProbe>,
    /// Healthy while the cache hits often enough that another part of it may go.
    #[schemars(extend("examples" = [{"promql": "shop_cache_hit_ratio", "healthy": "value > 0.3"}]))]
    pub(crate) hit_ratio: Opt<RawProbe>,
}

/// What must be shown of the version that a rollback returns to: anything but healthy refuses it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename = "`rollback`")]
pub(crate) struct RawRollback {
    /// The version to return to; a template over the parameters, `labels` and `annotations`.
    #[schemars(extend("examples" = ["{{ previous }}"]))]
    pub(crate) to: Field<TemplateText>,
    /// The version that is left.
    #[schemars(extend("examples" = ["{{ labels.version }}"]))]
    pub(crate) from: Field<TemplateText>,
    /// Healthy when the version was well for long enough while it ran.
    pub(crate) was_healthy: Field<RawProbe>,
    /// Healthy when the registry still has the version.
    pub(crate) in_registry: Field<RawProbe>,
    /// Healthy when no change of a schema came between the two. Without a schema, leave it out.
    pub(crate) schema_unchanged: Opt<RawProbe>,
    /// A version that was itself rolled back from within this time is not returned to.
    #[schemars(extend("default" = "7d"))]
    pub(crate) memory: Opt<DurationText>,
}

/// The type and the bounds of one parameter. It has `required: true` or a `default`, so that it always has a value.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename = "a parameter")]
pub(crate) struct RawParameter {
    /// What values it takes.
    #[serde(rename = "type")]
    pub(crate) kind: Field<RawKind>,
    /// Whether a rule must give it.
    #[schemars(extend("default" = false))]
    pub(crate) required: Opt<bool>,
    /// Its value when a rule gives none.
    pub(crate) default: Opt<serde_json::Value>,
    /// Regular expression (RE2) that a string must match as a whole. This is what keeps alert text in bounds.
    #[schemars(extend("examples" = ["[a-z0-9-]+"]))]
    pub(crate) pattern: Opt<String>,
    /// Smallest number or duration.
    #[schemars(extend("examples" = [1, "1m"]))]
    pub(crate) min: Opt<String>,
    /// Largest number or duration.
    #[schemars(extend("examples" = [10, "1h"]))]
    pub(crate) max: Opt<String>,
    /// The words of an `enum`.
    #[schemars(extend("examples" = [["soft", "hard"]]))]
    pub(crate) values: Opt<List<String>>,
    /// Its value is the name of an entry of `secrets:` in quell.yml. What that stands for is put in when an action is performed,
    /// and can be used in `env` of a command and in `headers`, `body` and `json` of `http` only.
    #[schemars(extend("default" = false))]
    pub(crate) secret: Opt<bool>,
    /// What it is, for people.
    pub(crate) description: Opt<String>,
}

/// The type of a parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename = "a type of parameter", rename_all = "lowercase")]
pub(crate) enum RawKind {
    /// Text; `pattern` bounds it.
    String,
    /// A whole number; `min` and `max` bound it.
    Integer,
    /// A number; `min` and `max` bound it.
    Number,
    /// true or false.
    Boolean,
    /// A span of time such as 5m; `min` and `max` bound it.
    Duration,
    /// One of the words under `values`.
    Enum,
}

macro_rules! steps {
    ($(#[doc = $doc:literal] $field:ident $variant:ident $word:literal $raw:ty,)*) => {
/// What a step can be.
pub(crate) const STEP_KINDS: &[&str] = &[$($word,)* "probe", "wait", "ask"];

/// One step: exactly one action, a `probe`, a `wait` or an `ask`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename = "a step")]
#[schemars(extend("allOf" = [exactly_one(STEP_KINDS)]))]
#[schemars(extend("dependencies" = {
    "within": ["probe"],
    "hold": ["probe"],
    "every": ["hold"],
    "timeout": without(&["wait", "ask"]),
    "retry": without(&["wait", "ask"]),
    "undo": without(&["probe", "wait", "ask"]),
    "on_unknown": without(&["probe", "wait", "ask"]),
    "for_each": without(&["wait", "ask", "hold"]),
    "waves": ["for_each"],
    "bake": ["waves"],
    "between": ["waves"],
    "max_targets": ["for_each"],
    "domain": ["for_each"],
    "among": ["for_each"],
}))]
pub(crate) struct RawStep {
    /// Unique name in the playbook. Later steps read `steps.<name>.output`.
    #[schemars(extend("examples" = ["restart"]))]
    pub(crate) name: Field<String>,
    $(
        #[doc = $doc]
        #[serde(rename = $word)]
        pub(crate) $field: Opt<Box<$raw>>,
    )*
    /// Observes until healthy, for at most `within`.
    pub(crate) probe: Opt<RawProbe>,
    /// Time for the `probe` to become healthy.
    #[schemars(extend("default" = "5m"))]
    pub(crate) within: Opt<DurationText>,
    /// The `probe` must stay healthy for this long before the next step begins; survives restarts of quell. When it is not for
    /// longer than `within`, the step fails.
    #[schemars(extend("examples" = ["2h"]))]
    pub(crate) hold: Opt<DurationText>,
    /// Time between two looks meanwhile.
    #[schemars(extend("default" = "1m"))]
    pub(crate) every: Opt<DurationText>,
    /// Waits this long; survives restarts of quell.
    #[schemars(extend("examples" = ["30s"]))]
    pub(crate) wait: Opt<DurationText>,
    /// A question to an operator; the run waits for the answer, which later steps read as `steps.NAME.output.ANSWER`.
    #[schemars(extend("examples" = [{"question": "shall it go on?"}]))]
    pub(crate) ask: Opt<RawAsk>,
    /// Do an action or a probe once for each item, one after another: a list of texts, or an expression that gives a list of
    /// texts or numbers, such as `steps.find.output.lines`. Templates and `if` see `item` and `index`, which counts from 0.
    #[schemars(extend("examples" = ["steps.find.output.lines"]))]
    pub(crate) for_each: Opt<RawItems>,
    /// How many items are done, in all, at the end of each wave, as counts or parts: `[1, 25%, 100%]`. One wave when silent.
    #[schemars(extend("examples" = [[1, "25%", "100%"]]))]
    pub(crate) waves: Opt<List<ShareText>>,
    /// Time between two waves, which survives restarts.
    #[schemars(extend("default" = "0s"))]
    pub(crate) bake: Opt<DurationText>,
    /// What must be healthy between two waves, after `bake`; else the step fails and no more items are touched.
    pub(crate) between: Opt<RawBetween>,
    /// Most items that the list may have; a longer one fails the step. That of `limits` of quell.yml when silent, and never
    /// more (G4).
    #[schemars(range(min = 1), extend("examples" = [10]))]
    pub(crate) max_targets: Opt<u32>,
    /// The failure domain of an item, a template that sees `item` and `index`. Items of more than one fail the step (G4).
    #[schemars(extend("examples" = ["{{ steps.find.output.zones[item] }}"]))]
    pub(crate) domain: Opt<TemplateText>,
    /// What an item must still be among, asked immediately before it is done: one that has vanished is skipped (G4).
    pub(crate) among: Opt<RawAmong>,
    /// Condition (CEL) over the parameters, `labels`, `annotations`, `steps` and `run`. False skips the step, an
    /// error fails it.
    #[schemars(extend("examples" = ["labels.env == 'prod'"]))]
    #[serde(rename = "if")]
    pub(crate) condition: Opt<ConditionText>,
    /// Longest time that one try may take.
    #[schemars(extend("default" = "1m"))]
    pub(crate) timeout: Opt<DurationText>,
    /// Tries after one that failed. None when silent.
    #[schemars(extend("examples" = [{"times": 2, "backoff": "5s"}]))]
    pub(crate) retry: Opt<RawRetry>,
    /// What a failure means for the run.
    #[schemars(extend("default" = "abort"))]
    pub(crate) on_failure: Opt<OnFailure>,
    /// What to do when nobody knows whether the action happened, such as after a crash. When silent: `ask` for
    /// `command`, `ssh`, `http` with POST or PATCH and `postgres.execute` without `once`, else `retry`.
    pub(crate) on_unknown: Opt<OnUnknown>,
    /// The action that takes this one back, run when a later step fails or the remedy did not help.
    pub(crate) undo: Opt<RawUndo>,
}

impl RawStep {
    /// The keys that say what it is.
    pub(crate) fn kinds(&self) -> Vec<&'static str> {
        let actions = [$(($word, self.$field.is_some()),)*];
        let others =
            [("probe", self.probe.is_some()), ("wait", self.wait.is_some()), ("ask", self.ask.is_some())];
        let all = actions.into_iter().chain(others);
        all.filter_map(|(name, there)| there.then_some(name)).collect()
    }

    /// Its action, if it has one that could be read.
    pub(crate) fn take_action(&mut self) -> Option<Found<RawAction>> {
        $(
            if let Some(found) = self.$field.take().and_then(Field::found) {
                return Some(found.map(RawAction::$variant));
            }
        )*
        None
    }
}

/// `previous`, or an action.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename = "an undo", rename_all = "lowercase")]
pub(crate) enum RawUndo {
    /// The action knows its own reverse.
    Previous,
    $(
        #[doc = $doc]
        #[serde(rename = $word)]
        $variant(Field<Box<$raw>>),
    )*
}

impl RawUndo {
    /// The action that it names, if it names one that could be read.
    pub(crate) fn action(self) -> Option<Found<RawAction>> {
        match self {
            Self::Previous => None,
            $(Self::$variant(field) => field.found().map(|it| it.map(RawAction::$variant)),)*
        }
    }
}

/// An action, out of a step or an undo.
#[derive(Debug)]
pub(crate) enum RawAction {
    $($variant(Box<$raw>),)*
}

impl RawAction {
    /// The key people write.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            $(Self::$variant(_) => $word,)*
        }
    }
}
    };
}

with_actions! { steps }

/// `ask: { question, answers, tier, within }`
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename = "`ask`")]
pub(crate) struct RawAsk {
    /// The question, as people read it; a template.
    #[schemars(extend("examples" = ["restart {{ service }}?"]))]
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
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename = "`between`")]
pub(crate) struct RawBetween {
    /// What to observe.
    pub(crate) probe: Field<RawProbe>,
    /// How long it may take to become healthy. 5m when silent.
    pub(crate) within: Opt<DurationText>,
}

/// The values of one label of all series that a query gives now.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename = "`among`")]
pub(crate) struct RawAmong {
    /// An instant query to Prometheus, a template. No series is unknown: then nothing is done until somebody can say.
    #[schemars(extend("examples" = ["up{job=\"api\"}"]))]
    pub(crate) promql: Field<TemplateText>,
    /// The label.
    #[schemars(extend("examples" = ["instance"]))]
    pub(crate) label: Field<String>,
}

/// Tries after one that failed.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename = "`retry`")]
pub(crate) struct RawRetry {
    /// Tries after the first, at most 20.
    #[schemars(range(max = 20), extend("examples" = [2]))]
    pub(crate) times: Field<u32>,
    /// Delay before the second try; doubled each time.
    #[schemars(extend("default" = "5s"))]
    pub(crate) backoff: Opt<DurationText>,
}

/// A process: `argv`, or a fixed `shell` text. Nothing is inherited but PATH, HOME, LANG and TZ.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename = "`command`")]
#[schemars(extend("allOf" = [exactly_one(&["argv", "shell"])]))]
pub(crate) struct RawCommand {
    /// Program and arguments. Each template is exactly one argument; there is no shell.
    #[schemars(length(min = 1), extend("examples" = [["systemctl", "restart", "{{ unit }}"]]))]
    pub(crate) argv: Opt<List<TemplateText>>,
    /// Fixed text for `/bin/sh -c`, without templates: pass values through `env` and write `"$NAME"`.
    #[schemars(extend("examples" = ["systemctl is-active --quiet \"$UNIT\""]))]
    pub(crate) shell: Opt<String>,
    /// Environment variables.
    #[schemars(extend("examples" = [{"UNIT": "{{ unit }}"}]))]
    pub(crate) env: Opt<Entries<TemplateText>>,
    /// Working directory. That of quell when silent.
    pub(crate) directory: Opt<TemplateText>,
}

/// One HTTP request.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename = "`http`")]
#[schemars(extend("dependencies" = { "body": without(&["json"]) }))]
pub(crate) struct RawHttp {
    /// Name of a server under `targets.http` in quell.yml: its base URL and its headers. Then `url` is a path.
    #[schemars(extend("examples" = ["shop"]))]
    pub(crate) server: Opt<TemplateText>,
    /// Method of the request.
    pub(crate) method: Field<RawMethod>,
    /// Whole URL, or a path when `server` is given. Values of templates are escaped.
    #[schemars(extend("examples" = ["/cache/{{ name }}", "https://example.com/restart"]))]
    pub(crate) url: Field<TemplateText>,
    /// Headers beside those of the server.
    pub(crate) headers: Opt<Entries<TemplateText>>,
    /// Body, sent as it is. Either this or `json`.
    pub(crate) body: Opt<TemplateText>,
    /// Body as JSON; its texts are templates. Either this or `body`.
    #[schemars(extend("examples" = [{"reason": "{{ labels.alertname }}"}]))]
    pub(crate) json: Opt<serde_json::Value>,
    /// Statuses that mean done. Any 2xx when silent.
    #[schemars(extend("examples" = [[200, 404]]))]
    pub(crate) status: Opt<RawStatuses>,
}

/// Method of an HTTP request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
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

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename = "a list of statuses such as [200, 404]")]
#[schemars(inline)]
pub(crate) struct RawStatuses(#[schemars(inner(range(min = 100, max = 599)))] pub(crate) List<u16>);

/// Empties one database of a Redis server.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename = "`redis.flush`")]
pub(crate) struct RawRedisFlush {
    /// Name of a server under `targets.redis` in quell.yml.
    #[schemars(extend("examples" = ["cache"]))]
    pub(crate) server: Field<TemplateText>,
    /// Number of the database. The one of the URL when silent.
    #[schemars(range(min = 0), extend("examples" = [0]))]
    pub(crate) database: Opt<i64>,
    /// A slice at a time, each an effect of its own: before the next one everything is asked again, `cache` of the playbook
    /// first. When silent, all at once; in a playbook with `cache`, in slices of 1000 keys, 1s apart (G10).
    pub(crate) slices: Opt<RawSlices>,
}

/// A cache that is emptied a slice at a time can warm up between them. What has no more keys than one slice goes at once.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename = "`slices`")]
pub(crate) struct RawSlices {
    /// Keys of one slice, at least.
    #[schemars(range(min = 1), extend("default" = 1000))]
    pub(crate) keys: Opt<u32>,
    /// Time between two slices.
    #[schemars(extend("default" = "1s"))]
    pub(crate) pause: Opt<DurationText>,
}

/// Deletes keys of a Redis server: `keys`, or those that match `pattern`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename = "`redis.delete`")]
#[schemars(extend("allOf" = [exactly_one(&["keys", "pattern"])]))]
#[schemars(extend("dependencies" = { "slices": ["pattern"] }))]
pub(crate) struct RawRedisDelete {
    /// Name of a server under `targets.redis` in quell.yml.
    #[schemars(extend("examples" = ["cache"]))]
    pub(crate) server: Field<TemplateText>,
    /// Number of the database. The one of the URL when silent.
    #[schemars(range(min = 0), extend("examples" = [0]))]
    pub(crate) database: Opt<i64>,
    /// These keys.
    #[schemars(length(min = 1), extend("examples" = [["session:{{ user }}"]]))]
    pub(crate) keys: Opt<List<TemplateText>>,
    /// Keys that match this glob, found by SCAN.
    #[schemars(extend("examples" = ["page:*"]))]
    pub(crate) pattern: Opt<TemplateText>,
    /// A slice at a time, as of `redis.flush`. Goes with `pattern`.
    pub(crate) slices: Opt<RawSlices>,
}
