//! YAML text to a tree in which every key and value knows its place.
//!
//! Built on the events of serde-saphyr's parser: its `Spanned` gives one place a value and stops at the first
//! error, while `quell check` needs the places of keys and all errors at once.

use std::collections::BTreeMap;
use std::rc::Rc;

use serde_saphyr::granit_parser::Event;
use serde_saphyr::granit_parser::Marker;
use serde_saphyr::granit_parser::Parser;
use serde_saphyr::granit_parser::ScalarStyle;
use serde_saphyr::granit_parser::ScanError;
use serde_saphyr::granit_parser::Span as ParserSpan;

use super::codes;
use super::diagnostic::At;
use super::diagnostic::Diagnostic;
use super::diagnostic::Span;

/// Values of one file, after its aliases are put in.
const MAX_NODES: usize = 250_000;
/// Levels of lists and mappings.
const MAX_DEPTH: usize = 64;
/// Bytes of one file.
pub(crate) const MAX_BYTES: u64 = 8 << 20;

/// A value, and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    pub(crate) span: Span,
    pub(crate) value: Value,
    /// A scalar as it was written, without quotes: `1.10` stays `1.10`. Empty for lists and mappings.
    pub(crate) text: String,
    /// Nodes in it, itself included, after aliases.
    size: usize,
}

/// What a node holds.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text,
    List(Vec<Rc<Node>>),
    Map(Vec<(Rc<Node>, Rc<Node>)>),
}

impl Node {
    fn new(span: Span, value: Value, text: String) -> Self {
        let size = match &value {
            Value::List(items) => {
                items.iter().fold(1, |sum: usize, it| sum.saturating_add(it.size))
            }
            Value::Map(entries) => entries.iter().fold(1, |sum: usize, (key, value)| {
                sum.saturating_add(key.size).saturating_add(value.size)
            }),
            Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Text => 1,
        };
        Self { span, value, text, size }
    }

    /// What it is, for people: `expected a list, got text`.
    pub(crate) fn kind(&self) -> &'static str {
        match self.value {
            Value::Null => "nothing",
            Value::Bool(_) => "true or false",
            Value::Int(_) | Value::Float(_) => "a number",
            Value::Text => "text",
            Value::List(_) => "a list",
            Value::Map(_) => "a mapping",
        }
    }

    /// The first item of a list.
    pub(crate) fn first(&self) -> Option<&Node> {
        let Value::List(items) = &self.value else { return None };
        items.first().map(Rc::as_ref)
    }

    /// The value of a key of a mapping.
    pub(crate) fn get(&self, key: &str) -> Option<&Node> {
        let Value::Map(entries) = &self.value else { return None };
        entries.iter().find(|(it, _)| it.text == key).map(|(_, value)| value.as_ref())
    }
}

/// Reads all documents of a file. What is wrong goes to `at`; `None` when the text is not YAML.
pub(crate) fn parse(text: &str, at: At<'_>) -> Option<Vec<Rc<Node>>> {
    let mut reader =
        Reader { at, text, frames: Vec::new(), anchors: BTreeMap::new(), documents: Vec::new() };
    for event in Parser::new_from_str(text) {
        let read = match event {
            Ok((event, span)) => reader.take(event, span),
            Err(error) => Err(Box::new(syntax(&error, text))),
        };
        if let Err(wrong) = read {
            at.report(wrong.0, wrong.1);
            return None;
        }
    }
    Some(reader.documents)
}

type Wrong = Box<(Span, Diagnostic)>;

struct Reader<'a> {
    at: At<'a>,
    text: &'a str,
    frames: Vec<Frame>,
    anchors: BTreeMap<usize, Rc<Node>>,
    documents: Vec<Rc<Node>>,
}

enum Frame {
    List {
        span: Span,
        anchor: usize,
        items: Vec<Rc<Node>>,
    },
    Map {
        span: Span,
        anchor: usize,
        key: Option<Rc<Node>>,
        entries: Vec<(Rc<Node>, Rc<Node>)>,
        /// Where the entry of each key is, once there are so many that looking through them takes long.
        keys: BTreeMap<String, usize>,
    },
}

impl Reader<'_> {
    fn take(&mut self, event: Event<'_>, span: ParserSpan) -> Result<(), Wrong> {
        let span = place(span);
        match event {
            Event::DocumentStart(..) => self.anchors.clear(),
            Event::Scalar(text, style, anchor, tag) => {
                refuse_tag(tag.is_some(), span)?;
                let value = if style == ScalarStyle::Plain { plain(&text) } else { Value::Text };
                return self.put(Node::new(span, value, text.into_owned()), anchor);
            }
            Event::SequenceStart(_, anchor, tag) => {
                refuse_tag(tag.is_some(), span)?;
                return self.open(Frame::List { span, anchor, items: Vec::new() }, span);
            }
            Event::MappingStart(_, anchor, tag) => {
                refuse_tag(tag.is_some(), span)?;
                let entries = Vec::new();
                let keys = BTreeMap::new();
                return self.open(Frame::Map { span, anchor, key: None, entries, keys }, span);
            }
            Event::SequenceEnd | Event::MappingEnd => return self.close(span),
            Event::Alias(id) => {
                let Some(node) = self.anchors.get(&id).map(Rc::clone) else {
                    let message = "an alias inside the value that it stands for";
                    return wrong(span, Diagnostic::error(codes::NOT_YAML, message));
                };
                return self.put_shared(node, 0, span);
            }
            _ => {}
        }
        Ok(())
    }

    fn open(&mut self, frame: Frame, span: Span) -> Result<(), Wrong> {
        if self.frames.len() >= MAX_DEPTH {
            let message = format!("lists and mappings nest deeper than {MAX_DEPTH} levels");
            return wrong(span, Diagnostic::error(codes::TOO_LARGE, message));
        }
        self.frames.push(frame);
        Ok(())
    }

    fn close(&mut self, end: Span) -> Result<(), Wrong> {
        let whole = |span: Span| Span { end: end.end.max(span.end), ..span };
        match self.frames.pop() {
            Some(Frame::List { span, anchor, items }) => {
                self.put(Node::new(whole(span), Value::List(items), String::new()), anchor)
            }
            Some(Frame::Map { span, anchor, entries, .. }) => {
                self.put(Node::new(whole(span), Value::Map(entries), String::new()), anchor)
            }
            None => Ok(()),
        }
    }

    fn put(&mut self, node: Node, anchor: usize) -> Result<(), Wrong> {
        let span = node.span;
        self.put_shared(Rc::new(node), anchor, span)
    }

    fn put_shared(&mut self, node: Rc<Node>, anchor: usize, span: Span) -> Result<(), Wrong> {
        if node.size > MAX_NODES {
            let message = format!("more than {MAX_NODES} values, once aliases are put in");
            return wrong(span, Diagnostic::error(codes::TOO_LARGE, message));
        }
        if anchor != 0 {
            self.anchors.insert(anchor, Rc::clone(&node));
        }
        match self.frames.last_mut() {
            None => self.documents.push(node),
            Some(Frame::List { items, .. }) => items.push(node),
            Some(Frame::Map { key, entries, keys, .. }) => match key.take() {
                None => {
                    if matches!(node.value, Value::List(_) | Value::Map(_)) {
                        return wrong(span, not_a_key(self.text, span));
                    }
                    *key = Some(node);
                }
                Some(key) => {
                    if let Some(first) = find(entries, keys, &key.text) {
                        self.at.mask(node.span);
                        let message = format!("key `{}` is here twice", key.text);
                        let label = format!("first on line {}", first.span.line);
                        let twice = Diagnostic::error(codes::DUPLICATE_KEY, message).label(label);
                        self.at.report(key.span, twice);
                    } else {
                        entries.push((key, node));
                    }
                }
            },
        }
        Ok(())
    }
}

/// The key of this text among the entries of a mapping; `keys` holds those that were too many to look through.
fn find<'a>(
    entries: &'a [(Rc<Node>, Rc<Node>)],
    keys: &mut BTreeMap<String, usize>,
    text: &str,
) -> Option<&'a Rc<Node>> {
    const FEW: usize = 32;
    let held = keys.len();
    if entries.len() >= held + FEW {
        let new = entries.iter().enumerate().skip(held);
        keys.extend(new.map(|(at, (key, _))| (key.text.clone(), at)));
    }
    let found = keys.get(text).and_then(|at| entries.get(*at));
    let new = entries.iter().skip(keys.len());
    found.or_else(|| new.into_iter().find(|(key, _)| key.text == text)).map(|(key, _)| key)
}

fn wrong<T>(span: Span, diagnostic: Diagnostic) -> Result<T, Wrong> {
    Err(Box::new((span, diagnostic)))
}

fn refuse_tag(tagged: bool, span: Span) -> Result<(), Wrong> {
    if tagged {
        let message = "tags such as `!!str` are not read";
        let diagnostic =
            Diagnostic::error(codes::NOT_YAML, message).label("quotes make text of anything");
        return wrong(span, diagnostic);
    }
    Ok(())
}

fn not_a_key(text: &str, span: Span) -> Diagnostic {
    let found =
        Diagnostic::error(codes::NOT_YAML, "a key must be text, and this is a list or a mapping");
    if line_of(text, span).contains("{{") { found.note(QUOTE_TEMPLATES) } else { found }
}

const QUOTE_TEMPLATES: &str = "a value with {{ … }} needs quotes around it when it begins with {{ or stands between { and } or [ and ]";

fn syntax(error: &ScanError, text: &str) -> (Span, Diagnostic) {
    let span = mark(*error.marker());
    let rest = text.get(span.start..).unwrap_or_default();
    let there = rest.chars().next().map_or(0, char::len_utf8);
    let span = Span { end: span.start + there, ..span };
    let line = line_of(text, span);
    let info = error.info();
    let info = if info.is_empty() { format!("{:?}", error.kind()) } else { info };
    let info = info.lines().next().unwrap_or_default();
    let mut found = Diagnostic::error(codes::NOT_YAML, format!("not YAML: {info}"));
    let indent: &str = line.get(..line.len() - line.trim_start().len()).unwrap_or_default();
    if indent.contains('\t') || info.contains("tab") {
        found = found.note("YAML indents with spaces, never with tabs");
    }
    if info.contains("quoted scalar") {
        found = found.note("is a quote left open above?");
    }
    if info.contains("mapping values") {
        found = found.note("a text with `: ` in it needs quotes around it");
    }
    if line.contains("{{") {
        found = found.note(QUOTE_TEMPLATES);
    }
    (span, found)
}

fn line_of(text: &str, span: Span) -> &str {
    let line = usize::try_from(span.line).unwrap_or_default();
    text.lines().nth(line.saturating_sub(1)).unwrap_or_default()
}

fn mark(marker: Marker) -> Span {
    let start = marker.byte_offset().unwrap_or_default();
    let narrow = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    Span { start, end: start, line: narrow(marker.line()), column: narrow(marker.col() + 1) }
}

fn place(span: ParserSpan) -> Span {
    let start = mark(span.start);
    Span { end: mark(span.end).end.max(start.end), ..start }
}

/// YAML 1.2's core schema, except that a number with leading zeros is text, and so is `.inf`: `no` and `010` mean
/// themselves.
fn plain(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" => return Value::Bool(true),
        "false" | "False" | "FALSE" => return Value::Bool(false),
        _ => {}
    }
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if !digits.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        || !digits.contains(|c: char| c.is_ascii_digit())
        || digits.len() > 1 && digits.starts_with('0') && !digits.starts_with("0.")
        || digits
            .contains(|c: char| !c.is_ascii_digit() && !matches!(c, '.' | 'e' | 'E' | '-' | '+'))
    {
        return Value::Text;
    }
    if let Ok(int) = text.parse() {
        return Value::Int(int);
    }
    match text.parse::<f64>() {
        Ok(float) if float.is_finite() => Value::Float(float),
        Ok(_) | Err(_) => Value::Text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::library::diagnostic::Sink;

    fn read(text: &str) -> (Option<Vec<Rc<Node>>>, Vec<Diagnostic>) {
        let sink = Sink::default();
        let documents = parse(text, At { file: "f.yml", text, sink: &sink });
        (documents, sink.take())
    }

    #[test]
    fn plain_scalars_mean_what_they_say() {
        for (text, expected) in [
            ("no", Value::Text),
            ("010", Value::Text),
            ("0x1f", Value::Text),
            ("1.10", Value::Float(1.1)),
            ("0", Value::Int(0)),
            ("-5", Value::Int(-5)),
            ("1e3", Value::Float(1000.0)),
            (".inf", Value::Text),
            ("5m", Value::Text),
            ("1-2", Value::Text),
            ("2026-01-05", Value::Text),
            ("-", Value::Text),
            (".", Value::Text),
            ("99999999999999999999", Value::Float(1e20)),
            ("~", Value::Null),
            ("true", Value::Bool(true)),
        ] {
            assert_eq!(plain(text), expected, "{text}");
        }
    }

    #[test]
    fn places_are_lines_columns_and_bytes() {
        let (documents, found) = read("ä: 1\nlist:\n  - \"ö x\"   # comment\n");
        assert_eq!(found, []);
        let documents = documents.expect("YAML");
        let list = documents[0].get("list").expect("list");
        let Value::List(items) = &list.value else { panic!("{list:?}") };
        assert_eq!(items[0].text, "ö x");
        assert_eq!(items[0].span, Span { start: 16, end: 22, line: 3, column: 5 });
    }

    #[test]
    fn a_syntax_error_is_at_a_whole_character() {
        for (text, expected) in
            [("a: [1}\n", "["), ("a: {b: c}\u{2028}d\n", "\u{2028}"), ("a: [", "[")]
        {
            let (documents, found) = read(text);
            assert_eq!(documents, None, "{text:?}");
            let span = found[0].span.expect("a place");
            assert_eq!(text.get(span.start..span.end), Some(expected), "{text:?}: {span:?}");
        }
    }

    #[test]
    fn a_key_that_is_here_twice_is_found_in_any_mapping() {
        for length in [2, 30, 31, 32, 33, 63, 64, 65, 500] {
            for first in [0, (length - 2) / 2, length - 2] {
                let keys: Vec<String> = (0..length - 1).map(|it| format!("k{it}")).collect();
                let text = format!("{}: 1\nk{first}: 2\n", keys.join(": 1\n"));
                let (documents, found) = read(&text);
                assert_eq!(found.len(), 1, "{length} {first}: {found:?}");
                assert_eq!(found[0].label, format!("first on line {}", first + 1));
                let documents = documents.expect("YAML");
                let Value::Map(entries) = &documents[0].value else { panic!("{documents:?}") };
                assert_eq!(entries.len(), length - 1);
            }
        }
    }

    #[test]
    fn an_alias_bomb_is_refused_without_being_built() {
        let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for level in 1..40 {
            let item = format!("*a{}", level - 1);
            text = format!("{text}a{level}: &a{level} [{}]\n", vec![item; 10].join(", "));
        }
        let (documents, found) = read(&text);
        assert!(documents.is_none());
        assert_eq!(found[0].code, codes::TOO_LARGE);
    }

    #[test]
    fn deep_nesting_is_refused() {
        let (documents, found) = read(&"[".repeat(10_000));
        assert!(documents.is_none());
        assert_eq!(found.len(), 1, "{found:?}");
    }

    #[test]
    fn an_alias_to_itself_is_refused() {
        let (documents, found) = read("a: &a [*a]\n");
        assert!(documents.is_none());
        assert_eq!(found[0].code, codes::NOT_YAML);
    }
}
