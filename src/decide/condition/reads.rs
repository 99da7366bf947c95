//! What a condition reads, and what its truth makes sure of: for `quell check`, not for deciding.

use std::collections::BTreeSet;

use cel::IdedExpr;
use cel::common::ast::EntryExpr;
use cel::common::ast::Expr;
use cel::common::ast::LiteralValue;
use cel::common::ast::operators;

use super::Condition;

/// A member of a variable: `("labels", "service")`.
pub type Member = (String, String);

/// What a condition reads.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reads {
    /// Members without which its value is an error: read, and not tested first.
    pub needed: BTreeSet<Member>,
    /// Members that are there whenever it is true.
    pub ensured: BTreeSet<Member>,
}

impl Condition {
    /// What it reads. The order of `&&` and `||` does not matter to it, as it does not to CEL.
    pub fn reads(&self) -> Reads {
        let mut reads = Reads::default();
        needed(&self.expression, &BTreeSet::new(), &mut reads.needed);
        reads.ensured = when_true(&self.expression);
        reads
    }
}

impl Condition {
    /// Members that are this text whenever it is true: `labels.env == "prod" && …`.
    pub fn equal(&self) -> Vec<(Member, String)> {
        let mut found = Vec::new();
        equal(&self.expression, &mut found);
        found
    }
}

fn equal(it: &IdedExpr, found: &mut Vec<(Member, String)>) {
    if let Some(both) = call(it, operators::LOGICAL_AND) {
        for part in both {
            equal(part, found);
        }
    } else if let Some([left, right]) = call(it, "@equal") {
        let pair = member(left).zip(text(right)).or_else(|| member(right).zip(text(left)));
        found.extend(pair);
    }
}

/// Parts of an expression.
fn parts(it: &IdedExpr) -> Vec<&IdedExpr> {
    match &it.expr {
        Expr::Unspecified | Expr::Literal(_) | Expr::Ident(_) => Vec::new(),
        Expr::Select(select) => vec![&select.operand],
        Expr::List(list) => list.elements.iter().collect(),
        Expr::Map(map) => map.entries.iter().flat_map(|entry| entry_parts(&entry.expr)).collect(),
        Expr::Struct(message) => {
            message.entries.iter().flat_map(|entry| entry_parts(&entry.expr)).collect()
        }
        Expr::Comprehension(it) => {
            vec![&it.iter_range, &it.accu_init, &it.loop_cond, &it.loop_step, &it.result]
        }
        Expr::Call(call) => call.target.iter().map(|it| &**it).chain(&call.args).collect(),
    }
}

fn entry_parts(entry: &EntryExpr) -> Vec<&IdedExpr> {
    match entry {
        EntryExpr::StructField(field) => vec![&field.value],
        EntryExpr::MapEntry(entry) => vec![&entry.key, &entry.value],
    }
}

/// `labels.x` and `labels["x"]`.
fn member(it: &IdedExpr) -> Option<Member> {
    if let Expr::Select(select) = &it.expr {
        return (!select.test).then_some((variable(&select.operand)?, select.field.clone()));
    }
    let Some([of, key]) = call(it, operators::INDEX) else { return None };
    Some((variable(of)?, text(key)?))
}

/// `has(labels.x)` and `"x" in labels`.
fn tested(it: &IdedExpr) -> Option<Member> {
    if let Expr::Select(select) = &it.expr {
        return select.test.then_some((variable(&select.operand)?, select.field.clone()));
    }
    let Some([key, of]) = call(it, "@among") else { return None };
    Some((variable(of)?, text(key)?))
}

fn variable(it: &IdedExpr) -> Option<String> {
    let Expr::Ident(name) = &it.expr else { return None };
    Some(name.clone())
}

fn text(it: &IdedExpr) -> Option<String> {
    let Expr::Literal(LiteralValue::String(text)) = &it.expr else { return None };
    Some(text.inner().to_owned())
}

fn call<'a>(it: &'a IdedExpr, name: &str) -> Option<&'a [IdedExpr]> {
    let Expr::Call(call) = &it.expr else { return None };
    (call.func_name == name).then_some(&call.args)
}

/// Adds the members that are read where nothing tests them.
fn needed(it: &IdedExpr, sure: &BTreeSet<Member>, found: &mut BTreeSet<Member>) {
    if let Some(member) = member(it) {
        if !sure.contains(&member) {
            found.insert(member);
        }
        return;
    }
    if tested(it).is_some() || is_optional(it) {
        return;
    }
    for (name, surely) in [
        (operators::LOGICAL_AND, when_true as fn(&IdedExpr) -> BTreeSet<Member>),
        (operators::LOGICAL_OR, when_false),
    ] {
        if let Some([left, right]) = call(it, name) {
            for (one, other) in [(left, right), (right, left)] {
                needed(one, &sure.union(&surely(other)).cloned().collect(), found);
            }
            return;
        }
    }
    if let Some([condition, then, otherwise]) = call(it, operators::CONDITIONAL) {
        needed(condition, sure, found);
        needed(then, &sure.union(&when_true(condition)).cloned().collect(), found);
        needed(otherwise, &sure.union(&when_false(condition)).cloned().collect(), found);
        return;
    }
    for part in parts(it) {
        needed(part, sure, found);
    }
}

/// `labels.?x` and `labels[?"x"]` are there to be missing.
fn is_optional(it: &IdedExpr) -> bool {
    call(it, operators::OPT_SELECT).or_else(|| call(it, operators::OPT_INDEX)).is_some()
}

/// Members that are there when the expression is true.
fn when_true(it: &IdedExpr) -> BTreeSet<Member> {
    decided(it, true)
}

/// Members that are there when the expression is false.
fn when_false(it: &IdedExpr) -> BTreeSet<Member> {
    decided(it, false)
}

fn decided(it: &IdedExpr, value: bool) -> BTreeSet<Member> {
    if let Some(member) = tested(it) {
        return if value { BTreeSet::from([member]) } else { BTreeSet::new() };
    }
    if let Some([inner]) = call(it, operators::LOGICAL_NOT) {
        return decided(inner, !value);
    }
    for (name, both_when) in [(operators::LOGICAL_AND, true), (operators::LOGICAL_OR, false)] {
        if let Some([left, right]) = call(it, name) {
            let (left, right) = (decided(left, value), decided(right, value));
            return if value == both_when {
                left.union(&right).cloned().collect()
            } else {
                left.intersection(&right).cloned().collect()
            };
        }
    }
    let lazy = call(it, operators::CONDITIONAL).is_some()
        || matches!(it.expr, Expr::Comprehension(_))
        || is_optional(it);
    let mut found = BTreeSet::new();
    if !lazy {
        // an operator has a value only when its operands have
        needed(it, &BTreeSet::new(), &mut found);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(members: &BTreeSet<Member>) -> String {
        members.iter().map(|(of, name)| format!("{of}.{name}")).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn what_is_needed_and_what_is_ensured() {
        for (source, needed, ensured) in [
            (r#"labels.a == "x""#, "labels.a", "labels.a"),
            (r#"labels["a"] == "x""#, "labels.a", "labels.a"),
            ("has(labels.a)", "", "labels.a"),
            (r#""a" in labels"#, "", "labels.a"),
            ("!has(labels.a)", "", ""),
            (r#"has(labels.a) && labels.a == "x""#, "", "labels.a"),
            (r#"labels.a == "x" && has(labels.a)"#, "", "labels.a"),
            (r#"!has(labels.a) || labels.a == "x""#, "", ""),
            (r#"has(labels.a) || labels.a == "x""#, "labels.a", "labels.a"),
            (r#"labels.a == "x" || labels.b == "y""#, "labels.a labels.b", ""),
            (r#"labels.a == "x" && labels.b != "y""#, "labels.a labels.b", "labels.a labels.b"),
            (r#"!(labels.a == "x" || labels.b == "y")"#, "labels.a labels.b", "labels.a labels.b"),
            (r#"has(labels.a) ? labels.a == "x" : labels.b == "y""#, "labels.b", ""),
            (r#"labels.a.startsWith("x")"#, "labels.a", "labels.a"),
            (r#"labels.a.matches("x.*")"#, "labels.a", "labels.a"),
            (r#"labels.a in ["x", "y"]"#, "labels.a", "labels.a"),
            (r#"annotations.note == "x""#, "annotations.note", "annotations.note"),
            (r#"["a", "b"].exists(it, it in labels)"#, "", ""),
            ("size(labels) > 3", "", ""),
            ("true", "", ""),
        ] {
            let condition = Condition::new(source, &["labels", "annotations"]).expect(source);
            let reads = condition.reads();
            let found = (shown(&reads.needed), shown(&reads.ensured));
            assert_eq!(found, (needed.to_owned(), ensured.to_owned()), "{source}");
        }
    }

    #[test]
    fn what_is_equal_when_it_is_true() {
        for (source, expected) in [
            (r#"labels.env == "prod""#, "labels.env=prod"),
            (r#""prod" == labels["env"] && labels.a == "b""#, "labels.env=prod labels.a=b"),
            (r#"labels.env == "prod" || labels.a == "b""#, ""),
            (r#"!(labels.env == "prod")"#, ""),
            (r#"labels.env != "prod""#, ""),
            (
                r#"has(labels.a) && (labels.a == "b" && annotations.c == "d")"#,
                "labels.a=b annotations.c=d",
            ),
        ] {
            let condition = Condition::new(source, &["labels", "annotations"]).expect(source);
            let found = condition.equal().into_iter();
            let found: Vec<String> =
                found.map(|((of, name), value)| format!("{of}.{name}={value}")).collect();
            assert_eq!(found.join(" "), expected, "{source}");
        }
    }
}
