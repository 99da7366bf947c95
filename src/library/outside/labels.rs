//! Which labels an alert has, as far as its rule tells.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use promql_parser::label::MatchOp;
use promql_parser::label::Matchers;
use promql_parser::parser::AggregateExpr;
use promql_parser::parser::BinaryExpr;
use promql_parser::parser::Call;
use promql_parser::parser::Expr;
use promql_parser::parser::LabelModifier;
use promql_parser::parser::VectorMatchCardinality;
use promql_parser::parser::token;

use crate::model::labels::Labels;
use crate::model::matcher::Matcher;

/// Levels of an expression that are looked at.
const DEPTH: usize = 128;

/// Whether something holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Truth {
    Yes,
    No,
    Maybe,
}

/// Labels of an alert, or of the series of an expression.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Known {
    /// These have these values.
    pub(super) fixed: BTreeMap<String, String>,
    /// These are not there.
    pub(super) absent: BTreeSet<String>,
    /// No others are there; `None` when others may be.
    pub(super) allowed: Option<BTreeSet<String>>,
}

/// What Prometheus adds to every alert.
#[derive(Debug, Clone, Default)]
pub(super) struct External {
    /// `external_labels`, with their values where these are certain; `None` when no prometheus.yml was read.
    pub(super) labels: Option<BTreeMap<String, Option<String>>>,
    /// Whether alerts are relabelled: then any label may become any other.
    pub(super) relabelled: bool,
    /// Labels that come from series and rules, for which nobody would write an external label.
    pub(super) of_series: BTreeSet<String>,
}

impl Known {
    /// Exactly these labels.
    fn only(labels: BTreeSet<String>) -> Self {
        Self { allowed: Some(labels), ..Self::default() }
    }

    /// Sets a label; without a value, to one that is not known.
    pub(super) fn set(&mut self, name: &str, value: Option<&str>) {
        self.absent.remove(name);
        self.fixed.remove(name);
        match value {
            Some("") => drop(self.absent.insert(name.to_owned())),
            Some(value) => drop(self.fixed.insert(name.to_owned(), value.to_owned())),
            None => {}
        }
        if let Some(allowed) = &mut self.allowed {
            allowed.insert(name.to_owned());
        }
    }

    fn keep(mut self, names: &BTreeSet<String>) -> Self {
        self.fixed.retain(|name, _| names.contains(name));
        self.absent.retain(|name| names.contains(name));
        let before = self.allowed.take();
        let kept = names.iter().filter(|it| before.as_ref().is_none_or(|all| all.contains(*it)));
        self.allowed = Some(kept.cloned().collect());
        self
    }

    fn remove(mut self, names: &BTreeSet<String>) -> Self {
        for name in names {
            self.fixed.remove(name);
            self.absent.insert(name.clone());
            if let Some(allowed) = &mut self.allowed {
                allowed.remove(name);
            }
        }
        self
    }

    /// Series of one or of the other.
    fn or(mut self, other: &Self) -> Self {
        self.fixed.retain(|name, value| other.fixed.get(name) == Some(value));
        let lacks = |of: &Self, name: &String| {
            of.absent.contains(name) || of.allowed.as_ref().is_some_and(|it| !it.contains(name))
        };
        self.absent.retain(|name| lacks(other, name));
        self.allowed = match (self.allowed, &other.allowed) {
            (Some(one), Some(other)) => Some(one.union(other).cloned().collect()),
            _ => None,
        };
        self
    }

    /// The value of a label: `None` when it is not certain, empty when it is certain that it is not there.
    pub(super) fn value<'a>(&'a self, name: &str, external: &'a External) -> Option<&'a str> {
        if let Some(value) = self.fixed.get(name) {
            return Some(value);
        }
        if external.relabelled {
            return None;
        }
        let lacks = self.absent.contains(name)
            || self.allowed.as_ref().is_some_and(|it| !it.contains(name));
        if !lacks {
            return None;
        }
        match &external.labels {
            Some(labels) => match labels.get(name) {
                None => Some(""),
                Some(value) => value.as_deref(),
            },
            None => external.of_series.contains(name).then_some(""),
        }
    }

    /// Whether an alert with these labels satisfies a matcher.
    pub(super) fn satisfies(&self, matcher: &Matcher, external: &External) -> Truth {
        match self.value(matcher.name(), external) {
            None => Truth::Maybe,
            Some(value) => {
                let labels = Labels::from_iter([(matcher.name(), value)]);
                if matcher.matches(&labels) { Truth::Yes } else { Truth::No }
            }
        }
    }
}

/// The labels of an expression's series, but for the metric's name.
pub(super) fn of(expr: &Expr) -> Known {
    labels(expr, 0)
}

fn labels(expr: &Expr, depth: usize) -> Known {
    if depth > DEPTH {
        return Known::default();
    }
    match expr {
        Expr::VectorSelector(it) => selected(&it.matchers),
        Expr::MatrixSelector(it) => selected(&it.vs.matchers),
        Expr::Paren(it) => labels(&it.expr, depth + 1),
        Expr::Unary(it) => labels(&it.expr, depth + 1),
        Expr::Subquery(it) => labels(&it.expr, depth + 1),
        Expr::Aggregate(it) => aggregated(it, depth),
        Expr::Binary(it) => joined(it, depth),
        Expr::Call(it) => called(it, depth),
        Expr::NumberLiteral(_) | Expr::StringLiteral(_) => Known::only(BTreeSet::new()),
        Expr::Extension(_) => Known::default(),
    }
}

fn selected(matchers: &Matchers) -> Known {
    let mut known = Known::default();
    if !matchers.or_matchers.is_empty() {
        return known;
    }
    for matcher in matchers.matchers.iter().filter(|it| it.name != "__name__") {
        if matches!(matcher.op, MatchOp::Equal) {
            known.set(&matcher.name, Some(&matcher.value));
        }
    }
    known
}

fn names(modifier: &LabelModifier) -> BTreeSet<String> {
    modifier.labels().labels.iter().cloned().collect()
}

fn aggregated(it: &AggregateExpr, depth: usize) -> Known {
    let inner = labels(&it.expr, depth + 1);
    // these choose among series and leave them as they are
    let chooses = [token::T_TOPK, token::T_BOTTOMK, token::T_LIMITK, token::T_LIMIT_RATIO];
    if chooses.contains(&it.op.id()) {
        return inner;
    }
    let mut known = match &it.modifier {
        None => inner.keep(&BTreeSet::new()),
        Some(by @ LabelModifier::Include(_)) => inner.keep(&names(by)),
        Some(without @ LabelModifier::Exclude(_)) => inner.remove(&names(without)),
    };
    if it.op.id() == token::T_COUNT_VALUES {
        match it.param.as_deref() {
            Some(Expr::StringLiteral(label)) => known.set(&label.val, None),
            _ => return Known::default(),
        }
    }
    known
}

fn is_scalar(expr: &Expr) -> bool {
    match expr {
        Expr::NumberLiteral(_) => true,
        Expr::Paren(it) => is_scalar(&it.expr),
        Expr::Unary(it) => is_scalar(&it.expr),
        Expr::Binary(it) => is_scalar(&it.lhs) && is_scalar(&it.rhs),
        Expr::Call(call) => matches!(call.func.name, "scalar" | "time" | "pi"),
        _ => false,
    }
}

fn joined(it: &BinaryExpr, depth: usize) -> Known {
    if is_scalar(&it.rhs) {
        return labels(&it.lhs, depth + 1);
    }
    if is_scalar(&it.lhs) {
        return labels(&it.rhs, depth + 1);
    }
    let left = labels(&it.lhs, depth + 1);
    match it.op.id() {
        token::T_LAND | token::T_LUNLESS => return left,
        token::T_LOR => return left.or(&labels(&it.rhs, depth + 1)),
        _ => {}
    }
    let right = labels(&it.rhs, depth + 1);
    let Some(modifier) = &it.modifier else { return equal_on_both(left, right) };
    let many = |mut many: Known, brought: &promql_parser::label::Labels| {
        for name in &brought.labels {
            many.set(name, None);
        }
        many
    };
    match &modifier.card {
        VectorMatchCardinality::ManyToOne(brought) => many(left, brought),
        VectorMatchCardinality::OneToMany(brought) => many(right, brought),
        VectorMatchCardinality::OneToOne | VectorMatchCardinality::ManyToMany => {
            match &modifier.matching {
                Some(on @ LabelModifier::Include(_)) => {
                    let on = names(on);
                    equal_on_both(left.keep(&on), right.keep(&on))
                }
                Some(ignoring @ LabelModifier::Exclude(_)) => {
                    let ignored = names(ignoring);
                    equal_on_both(left.remove(&ignored), right.remove(&ignored))
                }
                None => equal_on_both(left, right),
            }
        }
    }
}

/// Both sides have the same labels with the same values.
fn equal_on_both(mut one: Known, other: Known) -> Known {
    one.fixed.extend(other.fixed);
    one.absent.extend(other.absent);
    one.allowed = match (one.allowed, other.allowed) {
        (Some(one), Some(other)) => Some(one.intersection(&other).cloned().collect()),
        (one, other) => one.or(other),
    };
    one
}

fn called(call: &Call, depth: usize) -> Known {
    let arguments = &call.args.args;
    let series = || {
        let mut of_series = arguments.iter().map(|it| &**it);
        let found = of_series.find(|it| !is_scalar(it) && !matches!(it, Expr::StringLiteral(_)));
        found.map(|it| labels(it, depth + 1)).unwrap_or_default()
    };
    match call.func.name {
        "vector" | "scalar" | "time" | "pi" => Known::only(BTreeSet::new()),
        // the labels that the selector says are equal to something
        "absent" | "absent_over_time" => {
            let known = series();
            let names = known.fixed.keys().cloned().collect();
            match arguments.first().map(|it| &**it) {
                Some(Expr::VectorSelector(_) | Expr::MatrixSelector(_)) => known.keep(&names),
                _ => Known::only(BTreeSet::new()),
            }
        }
        "label_replace" | "label_join" => match arguments.get(1).map(|it| &**it) {
            Some(Expr::StringLiteral(label)) => {
                let mut known = series();
                known.set(&label.val, None);
                known
            }
            _ => Known::default(),
        },
        "histogram_quantile" | "histogram_fraction" => {
            series().remove(&BTreeSet::from(["le".to_owned()]))
        }
        // adds the labels of another series
        "info" | "histogram_quantiles" => Known::default(),
        _ => series(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(query: &str) -> String {
        let known = of(&crate::library::promql::parse(query).expect(query));
        let list = |names: &BTreeSet<String>| names.iter().cloned().collect::<Vec<_>>().join(",");
        let fixed: Vec<String> = known.fixed.iter().map(|(a, b)| format!("{a}={b}")).collect();
        let allowed = known.allowed.as_ref().map_or_else(|| "*".to_owned(), list);
        format!("{} -{} [{allowed}]", fixed.join(","), list(&known.absent))
    }

    #[test]
    fn labels_of_expressions() {
        for (query, expected) in [
            ("up", " - [*]"),
            (r#"up{job="a", x=""}"#, "job=a -x [*]"),
            (r#"up{job=~"a"}"#, " - [*]"),
            ("sum(up)", " - []"),
            ("sum by (job) (up)", " - [job]"),
            (r#"sum by (job, x) (up{job="a", y="b"})"#, "job=a - [job,x]"),
            (r#"sum without (y) (up{job="a", y="b"})"#, "job=a -y [*]"),
            (r#"topk by (job) (3, up{y="b"})"#, "y=b - [*]"),
            (r#"count_values("v", up)"#, " - [v]"),
            ("sum by (a) (x) / sum by (a, b) (y)", " - [a]"),
            (r#"x{a="1"} / on (a, b) y{b="2"} > 5"#, "a=1,b=2 - [a,b]"),
            (r#"x{a="1"} / ignoring (a) y{b="2"}"#, "b=2 -a [*]"),
            (r#"x{a="1"} * on (b) group_left (c) y"#, "a=1 - [*]"),
            ("sum by (a) (x) * on (a) group_right (c) sum by (a, d) (y)", " - [a,c,d]"),
            (r#"x{a="1"} > 5 and y{b="2"}"#, "a=1 - [*]"),
            (r#"x{a="1", b="1"} or y{a="1", b="2"}"#, "a=1 - [*]"),
            ("sum by (a) (x) or sum by (b) (y)", " - [a,b]"),
            (r#"absent(up{job="a", x=~"b"})"#, "job=a - [job]"),
            ("absent(sum(up))", " - []"),
            (r#"label_replace(up{job="a"}, "job", "$1", "x", "(.*)")"#, " - [*]"),
            (r#"label_replace(sum(up), "y", "$1", "x", "(.*)")"#, " - [y]"),
            ("histogram_quantile(0.9, sum by (le, job) (rate(b[5m])))", " -le [job]"),
            ("vector(1)", " - []"),
            ("time() - max(x) > 5", " - []"),
            ("-(up)", " - [*]"),
            (r#"max_over_time((up{a="b"})[5m:])"#, "a=b - [*]"),
        ] {
            assert_eq!(shown(query), expected, "{query}");
        }
    }

    #[test]
    fn a_missing_label_is_certain_only_when_prometheus_cannot_add_it() {
        let mut alert = of(&crate::library::promql::parse("sum by (job) (up)").expect("PromQL"));
        alert.set("severity", Some("critical"));
        let unread =
            External { of_series: BTreeSet::from(["service".into()]), ..External::default() };
        let read = External {
            labels: Some(BTreeMap::from([
                ("cluster".into(), Some("eu".into())),
                ("replica".into(), None),
            ])),
            ..unread.clone()
        };
        let relabelled = External { relabelled: true, ..read.clone() };
        for (label, expected) in [
            ("severity", [Some("critical"), Some("critical"), Some("critical")]),
            ("job", [None, None, None]),
            ("service", [Some(""), Some(""), None]),
            ("cluster", [None, Some("eu"), None]),
            ("replica", [None, None, None]),
            ("other", [None, Some(""), None]),
        ] {
            let found = [&unread, &read, &relabelled].map(|it| alert.value(label, it));
            assert_eq!(found, expected, "{label}");
        }
    }
}
