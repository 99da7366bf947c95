//! `PromQL`, read before a server reads it: whether it parses, where it does not, and what it is about.
//!
//! The parser knows the language of one version, and the server is the authority: what may be newer is told apart from
//! what no version reads.

use std::time::Duration;

use promql_parser::parser;
use promql_parser::parser::Expr;
use promql_parser::parser::token;

mod locate;
mod mask;

pub(crate) use mask::Masked;

/// Bytes of a query that are looked at; one that a person writes has fewer.
const LONGEST: usize = 8 << 10;
/// Levels that are looked at.
const DEPTH: usize = 128;

/// Why a query was not read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wrong {
    /// No version reads it: what is wrong, and the byte.
    Syntax(String, usize),
    /// Another version might: why it was not looked at.
    Unknown(String),
}

/// Reads a query.
pub(crate) fn parse(text: &str) -> Result<Expr, Wrong> {
    if text.len() > LONGEST {
        return Err(Wrong::Unknown(format!("it has more than {LONGEST} bytes")));
    }
    parser::parse(text).map_err(|reason| wrong(text, &reason))
}

fn wrong(text: &str, reason: &str) -> Wrong {
    const NEWER: [&str; 5] = ["smoothed", "anchored", "fill", "fill_left", "fill_right"];
    if reason.contains("unknown function") {
        let name = reason.split('\'').nth(1).unwrap_or_default();
        return Wrong::Unknown(format!("function `{name}` is not known here"));
    }
    if let Some(word) = locate::words(text).find(|word| NEWER.contains(word)) {
        return Wrong::Unknown(format!("`{word}` is not read here"));
    }
    // Prometheus 3 computes with durations
    if locate::has_arithmetic_in_brackets(text) {
        return Wrong::Unknown("a computed duration is not read here".to_owned());
    }
    let (message, at) = locate::fault(text, reason);
    Wrong::Syntax(message, at)
}

/// What a query gives that no sample may be judged by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Odd {
    /// No series is read: `vector(1)`, `"up"`.
    Constant,
    /// A range of samples for each series.
    Range,
    /// Series vanish.
    Vanishes(Filter),
}

/// What takes series away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Filter {
    /// A comparison that is false.
    Comparison(&'static str),
    /// `absent`, when the series are there.
    Absent,
}

/// What is odd about the result.
pub(crate) fn odd(expr: &Expr) -> Option<Odd> {
    if !reads_series(expr, 0) {
        return Some(Odd::Constant);
    }
    match inner(expr) {
        Expr::MatrixSelector(_) | Expr::Subquery(_) => Some(Odd::Range),
        other => vanishes(other, 0).map(Odd::Vanishes),
    }
}

fn inner(expr: &Expr) -> &Expr {
    match expr {
        Expr::Paren(paren) => inner(&paren.expr),
        other => other,
    }
}

/// The expressions in an expression.
pub(crate) fn parts(expr: &Expr) -> Vec<&Expr> {
    match expr {
        Expr::Aggregate(it) => it.param.iter().map(|it| &**it).chain([&*it.expr]).collect(),
        Expr::Unary(it) => vec![&it.expr],
        Expr::Binary(it) => vec![&it.lhs, &it.rhs],
        Expr::Paren(it) => vec![&it.expr],
        Expr::Subquery(it) => vec![&it.expr],
        Expr::Call(it) => it.args.args.iter().map(|it| &**it).collect(),
        Expr::NumberLiteral(_)
        | Expr::StringLiteral(_)
        | Expr::VectorSelector(_)
        | Expr::MatrixSelector(_)
        | Expr::Extension(_) => Vec::new(),
    }
}

/// Deeper than is looked at counts as reading something.
fn reads_series(expr: &Expr, depth: usize) -> bool {
    matches!(expr, Expr::VectorSelector(_) | Expr::MatrixSelector(_) | Expr::Extension(_))
        || depth > DEPTH
        || parts(expr).into_iter().any(|it| reads_series(it, depth + 1))
}

fn is_scalar(expr: &Expr) -> bool {
    match inner(expr) {
        Expr::NumberLiteral(_) | Expr::StringLiteral(_) => true,
        Expr::Call(call) => matches!(call.func.name, "scalar" | "time" | "pi"),
        Expr::Unary(unary) => is_scalar(&unary.expr),
        Expr::Binary(binary) => is_scalar(&binary.lhs) && is_scalar(&binary.rhs),
        _ => false,
    }
}

fn vanishes(expr: &Expr, depth: usize) -> Option<Filter> {
    if depth > DEPTH {
        return None;
    }
    let next = |expr| vanishes(expr, depth + 1);
    match expr {
        Expr::Paren(it) => next(&it.expr),
        Expr::Unary(it) => next(&it.expr),
        // the highest of those left over are all that anybody asked for
        Expr::Aggregate(it) => next(&it.expr),
        Expr::Call(call) => match call.func.name {
            "absent" | "absent_over_time" => Some(Filter::Absent),
            "vector" | "scalar" => None,
            _ => call.args.args.iter().find_map(|it| next(it)),
        },
        Expr::Binary(it) => {
            let op = it.op.id();
            if it.op.is_comparison_operator() {
                return if it.return_bool() {
                    next(&it.lhs).or_else(|| next(&it.rhs))
                } else {
                    Some(Filter::Comparison(sign(op)))
                };
            }
            match op {
                token::T_LOR => next(&it.lhs).filter(|_| next(&it.rhs).is_some()),
                token::T_LAND | token::T_LUNLESS => next(&it.lhs),
                _ if is_scalar(&it.rhs) => next(&it.lhs),
                _ if is_scalar(&it.lhs) => next(&it.rhs),
                _ => next(&it.lhs).or_else(|| next(&it.rhs)),
            }
        }
        _ => None,
    }
}

fn sign(op: token::TokenId) -> &'static str {
    match op {
        token::T_EQLC => "==",
        token::T_NEQ => "!=",
        token::T_GTR => ">",
        token::T_LSS => "<",
        token::T_GTE => ">=",
        _ => "<=",
    }
}

/// The longest time that the query looks back over, when it does.
pub(crate) fn longest_range(expr: &Expr) -> Option<Duration> {
    range(expr, 0)
}

fn range(expr: &Expr, depth: usize) -> Option<Duration> {
    let own = match expr {
        Expr::MatrixSelector(it) => Some(it.range),
        Expr::Subquery(it) => Some(it.range),
        _ => None,
    };
    if depth > DEPTH {
        return own;
    }
    let inside = parts(expr).into_iter().filter_map(|it| range(it, depth + 1)).max();
    own.max(inside)
}

/// The only place of a comparison's sign in a query.
pub(crate) fn place_of(text: &str, sign: &str) -> Option<usize> {
    locate::only(text, sign)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_results_are_told() {
        for (query, expected) in [
            ("up", None),
            ("sum(rate(http_requests_total[1m]))", None),
            ("1", Some(Odd::Constant)),
            ("\"up\"", Some(Odd::Constant)),
            ("vector(1)", Some(Odd::Constant)),
            ("time()", Some(Odd::Constant)),
            ("time() - process_start_time_seconds", None),
            ("up[5m]", Some(Odd::Range)),
            ("(rate(x[1m]))[5m:]", Some(Odd::Range)),
            ("max_over_time(rate(x[1m])[5m:])", None),
            ("up == 0", Some(Odd::Vanishes(Filter::Comparison("==")))),
            ("up == bool 0", None),
            ("(x / y) > 0.05", Some(Odd::Vanishes(Filter::Comparison(">")))),
            ("count(up == 0)", Some(Odd::Vanishes(Filter::Comparison("==")))),
            ("count(up == 0) or vector(0)", None),
            ("count(up == bool 0)", None),
            ("sum(up == bool 0)", None),
            ("x / y", None),
            ("x and y > 1", None),
            ("x > 1 and y", Some(Odd::Vanishes(Filter::Comparison(">")))),
            ("absent(up)", Some(Odd::Vanishes(Filter::Absent))),
            ("absent(up) or vector(0)", None),
            ("1 - (up != 1)", Some(Odd::Vanishes(Filter::Comparison("!=")))),
            ("clamp_max(x, 1)", None),
            ("topk(3, x)", None),
            ("x > bool 3 * (y <= 2)", Some(Odd::Vanishes(Filter::Comparison("<=")))),
        ] {
            assert_eq!(odd(&parse(query).expect(query)), expected, "{query}");
        }
    }

    #[test]
    fn the_longest_range_is_found() {
        for (query, seconds) in [
            ("up", None),
            ("rate(x[1m]) / rate(y[5m])", Some(300)),
            ("max_over_time(rate(x[1m])[1h:])", Some(3600)),
        ] {
            let found = longest_range(&parse(query).expect(query));
            assert_eq!(found.map(|it| it.as_secs()), seconds, "{query}");
        }
    }

    #[test]
    fn faults_have_a_place() {
        for (query, expected) in [
            ("sum(rate(x[1m])", "`(` is not closed @3"),
            ("sum(x))", "unexpected `)` @6"),
            ("sum rate(x[1m])", "unexpected `rate` @4"),
            ("x{job=api}", "unexpected `api` @6"),
            ("x{job=\"api\"", "`{` is not closed @1"),
            ("x{job=\"api}", "a text that begins here is not closed @6"),
            ("rate(x[5 6])", "unexpected `6` @9"),
            (
                "rate(x)",
                "expected type range vector in call to function 'rate', got instant vector @0",
            ),
            ("up = 1", "unexpected `=` @3"),
            ("up >", "the query ends too early @3"),
            ("", "an empty query @0"),
            ("a b", "unexpected `b` @2"),
            ("x[5m", "`[` is not closed @1"),
            ("sum by service (x)", "unexpected `service` @7"),
            ("x{a=~\"(\"}", "the regex does not compile @5"),
            ("x offset", "the query ends too early @2"),
        ] {
            let found = match parse(query) {
                Err(Wrong::Syntax(message, at)) => format!("{message} @{at}"),
                other => format!("{other:?}"),
            };
            assert_eq!(found, expected, "{query}");
        }
    }

    #[test]
    fn what_may_be_newer_is_not_called_wrong() {
        for query in ["frobnicate(x)", "rate(x[5m] smoothed)", "rate(x[5m+1m])"] {
            assert!(!matches!(parse(query), Err(Wrong::Syntax(..))), "{query}: {:?}", parse(query));
        }
    }
}
