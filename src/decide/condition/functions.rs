//! The functions of conditions: CEL's own, and ours where CEL's are too lenient.

use std::sync::Arc;
use std::sync::LazyLock;

use cel::Env;
use cel::ExecutionError;
use cel::common::functions::Function;
use cel::common::types::CelBool;
use cel::common::types::CelDouble;
use cel::common::types::CelInt;
use cel::common::types::CelString;
use cel::common::types::CelUInt;
use cel::common::types::DYN_TYPE;
use cel::common::types::Kind;
use cel::common::value::CowVal;
use cel::common::value::Val;
use regex::Regex;

use super::harden::REPLACED;
use crate::model::memo::Memo;
use crate::model::re2;

type Answer<'b, 'v> = Result<CowVal<'b, 'v>, ExecutionError>;

/// Called as `f(x)`.
const GLOBAL: [&str; 9] =
    ["bool", "bytes", "double", "dyn", "int", "size", "string", "type", "uint"];

/// Called as `x.f()`.
const MEMBER: [&str; 8] =
    ["contains", "endsWith", "hasValue", "or", "orValue", "size", "startsWith", "value"];

/// Names of types, for `type(x) == string`.
pub(super) const TYPES: [&str; 9] =
    ["bool", "bytes", "double", "int", "list", "map", "null_type", "string", "uint"];

/// Whether a condition may call it; operators are calls too.
pub(super) fn is_known(name: &str, member: bool) -> bool {
    let is_operator = name.contains(|c: char| c != '_' && !c.is_ascii_alphanumeric());
    is_operator
        || name == "matches"
        || if member { MEMBER.contains(&name) } else { GLOBAL.contains(&name) }
}

/// What people may call, in order.
pub(super) fn names() -> Vec<&'static str> {
    let macros = ["all", "exists", "exists_one", "filter", "has", "map", "matches"];
    let mut names: Vec<&str> = GLOBAL.into_iter().chain(MEMBER).chain(macros).collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// Our function in place of CEL's.
pub(super) fn replacement(name: &str) -> Option<&'static str> {
    if name == "double" {
        return Some("@double");
    }
    REPLACED.iter().find(|(theirs, _)| *theirs == name).map(|(_, ours)| *ours)
}

/// CEL's standard functions and ours; no condition can spell a name that begins with `@`.
pub(super) fn environment() -> Arc<Env> {
    static ENVIRONMENT: LazyLock<Arc<Env>> = LazyLock::new(|| {
        let mut environment = Env::stdlib();
        let ours: [(&str, usize, Function); 10] = [
            ("@add", 2, add),
            ("@subtract", 2, subtract),
            ("@multiply", 2, multiply),
            ("@divide", 2, divide),
            ("@modulo", 2, modulo),
            ("@equal", 2, equal),
            ("@differ", 2, differ),
            ("@among", 2, among),
            ("@matches", 2, matches),
            ("@double", 1, double),
        ];
        for (name, arguments, function) in ours {
            let types = std::iter::repeat_with(|| DYN_TYPE).take(arguments).collect();
            // a condition that needs a function that is missing is unknown, and the tests use each
            if environment.add_overload(name, name, types, function).is_err() {
                break;
            }
        }
        Arc::new(environment)
    });
    Arc::clone(&ENVIRONMENT)
}

fn is_number(value: &dyn Val) -> bool {
    matches!(value.get_type().kind(), Kind::Double | Kind::Int | Kind::UInt)
}

/// A number as a double.
#[expect(clippy::cast_precision_loss, reason = "what CEL's own double(int) does")]
fn as_double(value: &dyn Val) -> Option<f64> {
    if let Some(number) = value.downcast_ref::<CelDouble>() {
        return Some(*number.inner());
    }
    if let Some(number) = value.downcast_ref::<CelInt>() {
        return Some(*number.inner() as f64);
    }
    value.downcast_ref::<CelUInt>().map(|number| *number.inner() as f64)
}

/// Two operands; both doubles when one is a double and the other a number.
fn operands<'b, 'v>(
    name: &str,
    arguments: Vec<CowVal<'b, 'v>>,
) -> Result<(CowVal<'b, 'v>, CowVal<'b, 'v>), ExecutionError> {
    let [left, right] = <[_; 2]>::try_from(arguments)
        .map_err(|other| ExecutionError::invalid_argument_count(2, other.len()))?;
    let (one, other) = (left.get_type().kind(), right.get_type().kind());
    if one != other && (one == Kind::Double || other == Kind::Double) {
        return match (as_double(&*left), as_double(&*right)) {
            (Some(left), Some(right)) => {
                Ok((CowVal::owned(CelDouble::from(left)), CowVal::owned(CelDouble::from(right))))
            }
            _ => Err(overload(name, &left, &right)),
        };
    }
    Ok((left, right))
}

fn overload(name: &str, left: &CowVal<'_, '_>, right: &CowVal<'_, '_>) -> ExecutionError {
    let types = [left, right].map(|it| it.get_type().name().to_owned());
    ExecutionError::no_such_overload(name, types.to_vec())
}

/// Passes on what is no NaN and no infinity.
fn finite<'b, 'v>(value: Box<dyn Val + 'v>) -> Answer<'b, 'v> {
    match value.downcast_ref::<CelDouble>() {
        Some(number) if !number.inner().is_finite() => Err(ExecutionError::function_error(
            "number",
            format!("a number is {}, not finite", number.inner()),
        )),
        _ => Ok(CowVal::Owned(value)),
    }
}

/// An operator of CEL over operands of one kind of number, whose result is finite.
macro_rules! arithmetic {
    ($function:ident, $sign:literal, $operand:ident, $operation:ident) => {
        fn $function<'b, 'v>(arguments: Vec<CowVal<'b, 'v>>) -> Answer<'b, 'v> {
            let (left, right) = operands($sign, arguments)?;
            let result = left
                .$operand()
                .ok_or_else(|| overload($sign, &left, &right))?
                .$operation(right.as_ref())?
                .into_owned();
            finite(result)
        }
    };
}

arithmetic!(add, "+", as_adder, add);
arithmetic!(subtract, "-", as_subtractor, sub);
arithmetic!(multiply, "*", as_multiplier, mul);
arithmetic!(divide, "/", as_divider, div);

/// `%`, of doubles too, which CEL leaves out: the numbers of JSON are doubles here.
fn modulo<'b, 'v>(arguments: Vec<CowVal<'b, 'v>>) -> Answer<'b, 'v> {
    let (left, right) = operands("%", arguments)?;
    if let (Some(one), Some(other)) =
        (left.downcast_ref::<CelDouble>(), right.downcast_ref::<CelDouble>())
    {
        return finite(Box::new(CelDouble::from(one.inner() % other.inner())));
    }
    let modder = left.as_modder().ok_or_else(|| overload("%", &left, &right))?;
    finite(modder.modulo(right.as_ref())?.into_owned())
}

/// Whether two values are equal; those of different kinds cannot be compared, null aside.
fn same(sign: &str, left: &CowVal<'_, '_>, right: &CowVal<'_, '_>) -> Result<bool, ExecutionError> {
    let (one, other) = (left.get_type().kind(), right.get_type().kind());
    let comparable = one == other
        || one == Kind::NullType
        || other == Kind::NullType
        || (is_number(&**left) && is_number(&**right));
    if comparable { Ok(left.equals(right.as_ref())) } else { Err(overload(sign, left, right)) }
}

fn pair<'b, 'v>(arguments: Vec<CowVal<'b, 'v>>) -> Result<[CowVal<'b, 'v>; 2], ExecutionError> {
    <[_; 2]>::try_from(arguments)
        .map_err(|other| ExecutionError::invalid_argument_count(2, other.len()))
}

fn equal<'b, 'v>(arguments: Vec<CowVal<'b, 'v>>) -> Answer<'b, 'v> {
    let [left, right] = pair(arguments)?;
    same("==", &left, &right).map(|it| CowVal::owned(CelBool::from(it)))
}

fn differ<'b, 'v>(arguments: Vec<CowVal<'b, 'v>>) -> Answer<'b, 'v> {
    let [left, right] = pair(arguments)?;
    same("!=", &left, &right).map(|it| CowVal::owned(CelBool::from(!it)))
}

/// `in`: an element of a list, or a key of a map.
fn among<'b, 'v>(arguments: Vec<CowVal<'b, 'v>>) -> Answer<'b, 'v> {
    let [left, right] = pair(arguments)?;
    let Some(list) = right.as_iterable().filter(|_| right.get_type().kind() == Kind::List) else {
        let container = right.as_container().ok_or_else(|| overload("in", &left, &right))?;
        return container.contains(left.as_ref()).map(|it| CowVal::owned(CelBool::from(it)));
    };
    let mut elements = list.iter();
    let mut found = Ok(false);
    while let Some(element) = elements.next() {
        match same("in", &left, &CowVal::Borrowed(element)) {
            Ok(true) => return Ok(CowVal::owned(CelBool::from(true))),
            Ok(false) => {}
            // unknown, unless a later element is equal
            error @ Err(_) => found = error,
        }
    }
    found.map(|it| CowVal::owned(CelBool::from(it)))
}

/// Regexes that are written out in conditions. Those that come with an alert are not kept: they are chosen by others.
static REGEXES: LazyLock<Memo<Regex>> = LazyLock::new(Memo::default);

/// A regex of a condition, compiled; evaluations find it until it is dropped.
pub(super) fn regex(pattern: &str) -> Result<Arc<Regex>, String> {
    REGEXES.get_or(pattern, || re2::compile(pattern))
}

fn matches<'b, 'v>(arguments: Vec<CowVal<'b, 'v>>) -> Answer<'b, 'v> {
    let [text, pattern] = pair(arguments)?;
    match (text.downcast_ref::<CelString<'_>>(), pattern.downcast_ref::<CelString<'_>>()) {
        (Some(text), Some(pattern)) => {
            let regex = REGEXES
                .get(pattern.inner())
                .map_or_else(|| re2::compile(pattern.inner()).map(Arc::new), Ok)
                .map_err(|message| ExecutionError::function_error("matches", message))?;
            Ok(CowVal::owned(CelBool::from(regex.is_match(text.inner()))))
        }
        _ => Err(overload("matches", &text, &pattern)),
    }
}

/// `double(x)`, which reads "NaN" and "inf" as well.
fn double<'b, 'v>(arguments: Vec<CowVal<'b, 'v>>) -> Answer<'b, 'v> {
    let standard = environment().find_overload("double", &arguments);
    let types = arguments.iter().map(|it| it.get_type().name().to_owned()).collect();
    let standard = standard.ok_or_else(|| ExecutionError::no_such_overload("double", types))?;
    finite(standard(arguments)?.into_owned())
}
