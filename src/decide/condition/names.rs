//! What an expression names.

use cel::IdedExpr;
use cel::common::ast::ComprehensionExpr;
use cel::common::ast::EntryExpr;
use cel::common::ast::Expr;
use cel::common::ast::LiteralValue;
use cel::common::ast::operators;

use super::bounds;
use super::functions;

/// The variables that an expression reads, each with its first member where it names one: `labels.service`,
/// `steps.my-step`. Empty for what does not parse.
pub fn names(source: &str) -> Vec<String> {
    if bounds::tokens(source).is_err() {
        return Vec::new();
    }
    let Ok(expression) = functions::environment().parser().parse(source) else {
        return Vec::new();
    };
    let mut walk = Walk { names: Vec::new(), locals: Vec::new() };
    walk.expression(&expression);
    walk.names.sort();
    walk.names.dedup();
    walk.names
}

struct Walk {
    names: Vec<String>,
    /// Variables of the loops around.
    locals: Vec<String>,
}

impl Walk {
    /// As deep as `bounds` lets it be.
    fn expression(&mut self, it: &IdedExpr) {
        match &it.expr {
            Expr::Ident(name) => self.name(name, None),
            Expr::Select(select) => {
                if let Expr::Ident(name) = &select.operand.expr {
                    return self.name(name, Some(&select.field));
                }
                self.expression(&select.operand);
            }
            Expr::Call(call) => {
                if call.func_name == operators::INDEX
                    && let [of, key] = call.args.as_slice()
                    && let (Expr::Ident(name), Expr::Literal(LiteralValue::String(key))) =
                        (&of.expr, &key.expr)
                {
                    return self.name(name, Some(key.inner()));
                }
                call.target.iter().for_each(|it| self.expression(it));
                call.args.iter().for_each(|it| self.expression(it));
            }
            Expr::List(list) => list.elements.iter().for_each(|it| self.expression(it)),
            Expr::Map(map) => map.entries.iter().for_each(|it| self.entry(&it.expr)),
            Expr::Struct(message) => message.entries.iter().for_each(|it| self.entry(&it.expr)),
            Expr::Comprehension(comprehension) => self.comprehension(comprehension),
            Expr::Unspecified | Expr::Literal(_) => {}
        }
    }

    fn name(&mut self, name: &str, member: Option<&str>) {
        if self.locals.iter().any(|it| it == name) || name.starts_with('@') {
            return;
        }
        self.names.push(match member {
            Some(member) => format!("{name}.{member}"),
            None => name.to_owned(),
        });
    }

    fn entry(&mut self, entry: &EntryExpr) {
        match entry {
            EntryExpr::StructField(field) => self.expression(&field.value),
            EntryExpr::MapEntry(entry) => {
                self.expression(&entry.key);
                self.expression(&entry.value);
            }
        }
    }

    fn comprehension(&mut self, it: &ComprehensionExpr) {
        self.expression(&it.iter_range);
        let outer = self.locals.len();
        self.locals.push(it.iter_var.clone());
        self.locals.extend(it.iter_var2.clone());
        self.locals.push(it.accu_var.clone());
        for part in [&it.accu_init, &it.loop_cond, &it.loop_step, &it.result] {
            self.expression(part);
        }
        self.locals.truncate(outer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_named_with_their_first_member() {
        for (source, expected) in [
            ("labels.env != \"dev\"", &["labels.env"][..]),
            (
                "steps[\"my-step\"].output.n > 3.0 && item in hosts",
                &["hosts", "item", "steps.my-step"],
            ),
            ("has(steps.a.output.x)", &["steps.a"]),
            ("steps.a.output.all(item, item > limit)", &["limit", "steps.a"]),
            ("[labels[key], {\"a\": index}]", &["index", "key", "labels"]),
            ("size(steps) > 0", &["steps"]),
            ("labels.a ==", &[]),
        ] {
            assert_eq!(names(source), expected, "{source}");
        }
    }
}
