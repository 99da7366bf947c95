//! Refuses what a condition may not say, and puts our operators where CEL's are too lenient.

use std::sync::Arc;

use cel::IdedExpr;
use cel::common::ast::ComprehensionExpr;
use cel::common::ast::EntryExpr;
use cel::common::ast::Expr;
use cel::common::ast::LiteralValue;
use cel::common::ast::operators;
use regex::Regex;

use super::functions;

/// What is wrong, and the word of the source that it is about.
pub(super) struct Wrong {
    pub(super) message: String,
    pub(super) word: Option<String>,
}

impl Wrong {
    fn about(word: &str, message: String) -> Self {
        Self { message, word: Some(word.to_owned()) }
    }
}

/// Walks a parsed condition, which is as deep as `bounds` lets it be. Returns the regexes that are written out in it:
/// evaluating it finds them compiled for as long as they are kept.
pub(super) fn harden(
    expression: &mut IdedExpr,
    variables: &[&str],
) -> Result<Vec<Arc<Regex>>, Wrong> {
    let mut walk = Walk { variables, locals: Vec::new(), loops: 0, regexes: Vec::new() };
    walk.expression(expression)?;
    Ok(walk.regexes)
}

struct Walk<'a> {
    variables: &'a [&'a str],
    /// Variables of the loop around.
    locals: Vec<String>,
    loops: u32,
    regexes: Vec<Arc<Regex>>,
}

impl Walk<'_> {
    fn expression(&mut self, it: &mut IdedExpr) -> Result<(), Wrong> {
        match &mut it.expr {
            Expr::Ident(name) => self.name(name),
            Expr::Literal(LiteralValue::Double(number)) if !number.inner().is_finite() => {
                Err(Wrong { message: "a number here is too large".into(), word: None })
            }
            Expr::Unspecified | Expr::Literal(_) => Ok(()),
            Expr::Select(select) => self.expression(&mut select.operand),
            Expr::List(list) => list.elements.iter_mut().try_for_each(|it| self.expression(it)),
            Expr::Map(map) => map.entries.iter_mut().try_for_each(|it| self.entry(&mut it.expr)),
            Expr::Struct(message) => Err(Wrong::about(
                &message.type_name,
                format!("there are no messages here, such as `{}`", message.type_name),
            )),
            Expr::Comprehension(comprehension) => self.comprehension(comprehension),
            Expr::Call(call) => {
                if !functions::is_known(&call.func_name, call.target.is_some()) {
                    return Err(Wrong::about(
                        &call.func_name,
                        format!(
                            "there is no function `{}`; there are: {}",
                            call.func_name,
                            functions::names().join(", ")
                        ),
                    ));
                }
                if let Some(target) = &mut call.target {
                    self.expression(target)?;
                }
                call.args.iter_mut().try_for_each(|it| self.expression(it))?;
                if call.func_name == "matches" {
                    // the receiver becomes the first argument
                    call.args.splice(0..0, call.target.take().map(|it| *it));
                    self.regexes.extend(pattern(call.args.last())?);
                }
                // what a macro adds to is its own
                let of_macro = matches!(call.args.first(), Some(IdedExpr { expr: Expr::Ident(name), .. }) if name.starts_with('@'));
                if !of_macro && let Some(ours) = functions::replacement(&call.func_name) {
                    ours.clone_into(&mut call.func_name);
                }
                Ok(())
            }
        }
    }

    fn name(&self, name: &str) -> Result<(), Wrong> {
        let known = name.starts_with('@')
            || functions::TYPES.contains(&name)
            || self.variables.contains(&name)
            || self.locals.iter().any(|it| it == name);
        if known {
            return Ok(());
        }
        Err(Wrong::about(
            name,
            if self.variables.is_empty() {
                format!("unknown variable `{name}`: there are none here")
            } else {
                format!("unknown variable `{name}`; there are: {}", self.variables.join(", "))
            },
        ))
    }

    fn entry(&mut self, entry: &mut EntryExpr) -> Result<(), Wrong> {
        match entry {
            EntryExpr::StructField(field) => self.expression(&mut field.value),
            EntryExpr::MapEntry(entry) => {
                self.expression(&mut entry.key)?;
                self.expression(&mut entry.value)
            }
        }
    }

    /// A loop may follow a loop; one inside another multiplies, and nothing stops it.
    fn comprehension(&mut self, it: &mut ComprehensionExpr) -> Result<(), Wrong> {
        self.expression(&mut it.iter_range)?;
        if self.loops > 0 {
            return Err(Wrong::about(
                &it.iter_var,
                "`all`, `exists`, `exists_one`, `map` and `filter` may not stand inside one another".into(),
            ));
        }
        self.loops += 1;
        let outer = self.locals.len();
        self.locals.push(it.iter_var.clone());
        self.locals.extend(it.iter_var2.clone());
        self.locals.push(it.accu_var.clone());
        for part in [&mut it.accu_init, &mut it.loop_cond, &mut it.loop_step, &mut it.result] {
            self.expression(part)?;
        }
        self.locals.truncate(outer);
        self.loops -= 1;
        Ok(())
    }
}

/// A regex that is written out, compiled before it is needed.
fn pattern(pattern: Option<&IdedExpr>) -> Result<Option<Arc<Regex>>, Wrong> {
    match pattern {
        Some(IdedExpr { expr: Expr::Literal(LiteralValue::String(pattern)), .. }) => {
            functions::regex(pattern.inner())
                .map(Some)
                .map_err(|message| Wrong::about("matches", message))
        }
        _ => Ok(None),
    }
}

/// Names of CEL's operators that ours replace.
pub(super) const REPLACED: [(&str, &str); 9] = [
    (operators::ADD, "@add"),
    (operators::SUBSTRACT, "@subtract"),
    (operators::MULTIPLY, "@multiply"),
    (operators::DIVIDE, "@divide"),
    (operators::MODULO, "@modulo"),
    (operators::EQUALS, "@equal"),
    (operators::NOT_EQUALS, "@differ"),
    (operators::IN, "@among"),
    ("matches", "@matches"),
];
