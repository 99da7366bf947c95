//! Go's RE2 semantics on the `regex` crate (`protocols.md §1`, Matchers).
//!
//! Alertmanager compiles with Go's `regexp`; the `regex` crate reads some texts differently: `\d \w \s \b`
//! are Unicode here and ASCII there, `[a&&b]` is an intersection here and four characters there, `{a` is an
//! error here and text there. So a pattern is read here by Go's grammar (`regexp/syntax`, Perl flags) and
//! written anew in the crate's, each literal escaped; what Go refuses is refused. Groups become
//! non-capturing: the result answers whether a text matches, and nothing else.
//!
//! Refused here and accepted by Go, each on purpose: a pattern that closes the group Alertmanager puts around
//! it (`a)|(?:b`), a repetition of what stands before flags (`a(?i)*`), and what takes more than 10 MiB.

mod class;
#[cfg(test)]
mod tests;

use regex::Regex;
use regex::RegexBuilder;
use regex::RegexSet;
use regex::RegexSetBuilder;
use regex_syntax::hir::Hir;

/// Memory that one compiled pattern may take, in bytes.
const SIZE_LIMIT: usize = 10 << 20;

/// Go's greatest repeat count, nested repeats multiplied.
const MAX_REPEAT: u32 = 1000;

/// Compiles a pattern that must match the whole text (`^(?:…)$`), with Go's ASCII classes.
/// The error says what is wrong, for people.
pub fn compile_anchored(pattern: &str) -> Result<Regex, String> {
    build(&anchored(pattern)?)
}

/// Compiles a pattern that may match anywhere in the text, with Go's ASCII classes.
/// The error says what is wrong, for people.
pub fn compile(pattern: &str) -> Result<Regex, String> {
    build(&translate(pattern)?)
}

/// The syntax tree of a pattern that must match the whole text, for what can be seen without compiling it.
/// The error says what is wrong, for people; whether it takes too much memory is not known yet.
pub(super) fn parse_anchored(pattern: &str) -> Result<Hir, String> {
    regex_syntax::parse(&anchored(pattern)?).map_err(|error| does_not_compile(&error.to_string()))
}

/// One matcher for many patterns that must match the whole text; `None` when one does not compile, or all together
/// take too much.
pub fn compile_set<'a>(patterns: impl Iterator<Item = &'a str>) -> Option<RegexSet> {
    let patterns: Vec<String> = patterns.map(|it| anchored(it).ok()).collect::<Option<_>>()?;
    RegexSetBuilder::new(patterns).size_limit(SIZE_LIMIT).build().ok()
}

fn anchored(pattern: &str) -> Result<String, String> {
    Ok(format!("^(?:{})$", translate(pattern)?))
}

fn build(translated: &str) -> Result<Regex, String> {
    RegexBuilder::new(translated).size_limit(SIZE_LIMIT).build().map_err(|error| match error {
        regex::Error::CompiledTooBig(limit) => format!(
            "the regex needs more than {} MiB when compiled: repeat less, or use smaller classes",
            limit >> 20
        ),
        other => does_not_compile(&other.to_string()),
    })
}

/// The crate draws the translated text above its reason, which people never wrote.
fn does_not_compile(error: &str) -> String {
    let reason = error.rsplit("error: ").next().unwrap_or(error).trim();
    format!("the regex does not compile: {reason}")
}

/// The pattern in the syntax of the `regex` crate.
fn translate(pattern: &str) -> Result<String, String> {
    let mut reader = Reader {
        pattern,
        at: 0,
        out: String::with_capacity(pattern.len() + 16),
        groups: Vec::new(),
        names: Vec::new(),
        level: Level::default(),
        repeated: false,
    };
    while let Some(c) = reader.peek() {
        reader.token(c)?;
    }
    match reader.groups.last() {
        Some((at, _)) => Err(format!("`(` at byte {at} of the regex is not closed: add `)`")),
        None => Ok(reader.out),
    }
}

/// What one bracket level knows of the repeats in it.
#[derive(Debug, Clone, Copy, Default)]
struct Level {
    /// Repeats in what can be repeated next, multiplied; `None` when there is nothing to repeat.
    last: Option<u32>,
    /// The greatest of those before it.
    before: u32,
}

impl Level {
    fn push(&mut self, repeats: u32) {
        self.seal();
        self.last = Some(repeats);
    }

    /// Nothing stands here to be repeated: after `(`, `|` and flags.
    fn seal(&mut self) {
        self.before = self.before.max(self.last.take().unwrap_or(0));
    }

    fn greatest(self) -> u32 {
        self.before.max(self.last.unwrap_or(0)).max(1)
    }
}

struct Reader<'a> {
    pattern: &'a str,
    at: usize,
    out: String,
    /// Where each open group began, and the level around it.
    groups: Vec<(usize, Level)>,
    names: Vec<&'a str>,
    level: Level,
    /// Whether the token before was a repetition: Go refuses `a**`.
    repeated: bool,
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a str {
        self.pattern.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += c.len_utf8();
        Some(c)
    }

    fn eat(&mut self, prefix: &str) -> bool {
        let found = self.rest().starts_with(prefix);
        if found {
            self.at += prefix.len();
        }
        found
    }

    fn wrong<T>(&self, at: usize, what: &str) -> Result<T, String> {
        let text = self.pattern.get(at..self.at).unwrap_or_default();
        Err(format!("{what}: `{text}` at byte {at} of the regex"))
    }

    fn atom(&mut self, text: &str) {
        self.out.push_str(text);
        self.level.push(1);
        self.repeated = false;
    }

    fn literal(&mut self, c: char) {
        self.atom(&escaped(c));
    }

    fn token(&mut self, c: char) -> Result<(), String> {
        let start = self.at;
        match c {
            '(' => self.open()?,
            ')' => {
                self.at += 1;
                let Some((_, around)) = self.groups.pop() else {
                    return self.wrong(start, "`)` closes nothing: write `\\)` for the character");
                };
                let inside = self.level.greatest();
                self.level = around;
                self.level.push(inside);
                self.out.push(')');
                self.repeated = false;
            }
            '|' => {
                self.at += 1;
                self.level.seal();
                self.out.push('|');
                self.repeated = false;
            }
            '^' | '$' | '.' => {
                self.at += 1;
                self.atom(c.encode_utf8(&mut [0; 4]));
            }
            '[' => self.class()?,
            '*' | '+' | '?' => {
                self.at += 1;
                self.repeat(start, None)?;
            }
            '{' => {
                if let Some((counts, length)) = repeat_counts(self.rest()) {
                    self.at += length;
                    self.repeat(start, Some(counts))?;
                } else {
                    self.at += 1;
                    self.literal('{');
                }
            }
            '\\' => self.escape()?,
            _ => {
                self.at += c.len_utf8();
                self.literal(c);
            }
        }
        Ok(())
    }

    /// Ends `*`, `+`, `?` or `{…}`, which starts at `start` and is read but for its `?`.
    fn repeat(&mut self, start: usize, counts: Option<Counts>) -> Result<(), String> {
        self.eat("?");
        let text = self.pattern.get(start..self.at).unwrap_or_default();
        if self.repeated {
            return self.wrong(start, "a repetition of a repetition: put the first in `(?:…)`");
        }
        let Some(inside) = self.level.last else {
            return self
                .wrong(start, "nothing stands before this repetition: write `\\` before it");
        };
        if let Some(Counts { least, most }) = counts {
            let too_many = format!("repeats more than {MAX_REPEAT} times, nested ones multiplied");
            if least > MAX_REPEAT || most.is_some_and(|most| most > MAX_REPEAT) {
                return self.wrong(start, &too_many);
            }
            if most.is_some_and(|most| most < least) {
                return self.wrong(start, "the second count is below the first");
            }
            let count = most.unwrap_or(least);
            let repeats = if count == 0 { 1 } else { inside.saturating_mul(count) };
            if count >= 2 && repeats > MAX_REPEAT {
                return self.wrong(start, &too_many);
            }
            self.level.last = Some(repeats);
        }
        self.out.push_str(text);
        self.repeated = true;
        Ok(())
    }

    /// Reads `(` and what makes the group special.
    fn open(&mut self) -> Result<(), String> {
        let start = self.at;
        self.at += 1;
        if self.eat("?") {
            for look in ["=", "!", "<=", "<!"] {
                if self.eat(look) {
                    return self.wrong(start, "Go's regexes do not look around");
                }
            }
            if self.eat("P<") || self.eat("<") {
                self.group_name(start)?;
            } else {
                return self.flags(start);
            }
        }
        self.enter(start, "(?:");
        Ok(())
    }

    fn enter(&mut self, start: usize, text: &str) {
        self.level.seal();
        self.groups.push((start, self.level));
        self.level = Level::default();
        self.out.push_str(text);
        self.repeated = false;
    }

    fn group_name(&mut self, start: usize) -> Result<(), String> {
        let rest = self.rest();
        let Some((name, _)) = rest.split_once('>') else {
            return self.wrong(start, "the name of a group ends with `>`");
        };
        self.at += name.len() + 1;
        if name.is_empty() || !name.chars().all(|c| c == '_' || c.is_ascii_alphanumeric()) {
            return self.wrong(start, "the name of a group is made of letters, digits and `_`");
        }
        if self.names.contains(&name) {
            return self.wrong(start, "two groups have the same name");
        }
        self.names.push(name);
        Ok(())
    }

    /// Reads `i`, `m`, `s`, `U` and `-`, then `)` or `:`. Each flag's last mention holds.
    fn flags(&mut self, start: usize) -> Result<(), String> {
        let mut flags: Vec<(char, bool)> = Vec::new();
        let (mut on, mut named) = (true, true);
        loop {
            match self.next() {
                Some(flag @ ('i' | 'm' | 's' | 'U')) => {
                    flags.retain(|(it, _)| *it != flag);
                    flags.push((flag, on));
                    named = true;
                }
                Some('-') if on => (on, named) = (false, false),
                Some(end @ (':' | ')')) if named => {
                    let text = flag_text(&flags);
                    if end == ':' {
                        self.enter(start, &format!("(?{text}:"));
                    } else {
                        self.level.seal();
                        if !text.is_empty() {
                            self.out.push_str("(?");
                            self.out.push_str(&text);
                            self.out.push(')');
                        }
                        self.repeated = false;
                    }
                    return Ok(());
                }
                _ => return self.wrong(start, "after `(?` come the flags i, m, s, U, or a name"),
            }
        }
    }

    /// Reads a backslash outside a class.
    fn escape(&mut self) -> Result<(), String> {
        if self.eat("\\Q") {
            let rest = self.rest();
            // Alertmanager appends `)$`, which an open `\Q` would swallow: Go refuses it there
            let Some((text, _)) = rest.split_once("\\E") else {
                return Err("`\\Q` is not closed: add `\\E`".into());
            };
            self.at += text.len() + 2;
            text.chars().for_each(|c| self.literal(c));
            if text.is_empty() {
                self.repeated = false;
            }
        } else if self.eat("\\A") {
            self.atom(r"\A");
        } else if self.eat("\\z") {
            self.atom(r"\z");
        } else if self.eat("\\b") {
            self.atom(r"(?-u:\b)");
        } else if self.eat("\\B") {
            self.atom(r"(?-u:\B)");
        } else if let Some(class) = self.class_escape()? {
            self.atom(&class);
        } else {
            let c = self.char_escape()?;
            self.literal(c);
        }
        Ok(())
    }

    /// Reads one escaped character, inside or outside a class.
    fn char_escape(&mut self) -> Result<char, String> {
        let start = self.at;
        self.at += 1;
        let Some(c) = self.next() else {
            return self.wrong(start, "a backslash ends the regex: write `\\\\` for the character");
        };
        let code = match c {
            '1'..='7' if !self.rest().starts_with(|c: char| c.is_digit(8)) => None,
            '0'..='7' => {
                let mut code = c.to_digit(8).unwrap_or(0);
                for _ in 0..2 {
                    let Some(digit) = self.peek().and_then(|c| c.to_digit(8)) else { break };
                    self.at += 1;
                    code = code * 8 + digit;
                }
                Some(code)
            }
            'x' => self.hex(),
            'a' => Some(7),
            'f' => Some(12),
            'n' => Some(10),
            'r' => Some(13),
            't' => Some(9),
            'v' => Some(11),
            _ if c.is_ascii() && !c.is_ascii_alphanumeric() => Some(u32::from(c)),
            _ => None,
        };
        match code.and_then(char::from_u32) {
            Some(c) => Ok(c),
            None => self.wrong(start, "no such escape: write `\\\\` for a backslash"),
        }
    }

    /// Reads what follows `\x`: two digits, or any number in braces.
    fn hex(&mut self) -> Option<u32> {
        let rest = self.rest();
        let (digits, length) = match rest.strip_prefix('{') {
            Some(braced) => {
                let (digits, _) = braced.split_once('}')?;
                (digits, digits.len() + 2)
            }
            None => (rest.get(..2)?, 2),
        };
        // from_str_radix alone would take a sign
        if digits.is_empty() || !digits.chars().all(|c| c.is_ascii_hexdigit()) {
            return None;
        }
        self.at += length;
        let significant = digits.trim_start_matches('0');
        u32::from_str_radix(if significant.is_empty() { "0" } else { significant }, 16).ok()
    }
}

#[derive(Debug, Clone, Copy)]
struct Counts {
    least: u32,
    most: Option<u32>,
}

/// Reads `{2}`, `{2,}` or `{2,3}` and its length; anything else is text, leading zeros included.
fn repeat_counts(text: &str) -> Option<(Counts, usize)> {
    let (inside, _) = text.strip_prefix('{')?.split_once('}')?;
    let counts = match inside.split_once(',') {
        None => {
            let count = repeat_count(inside)?;
            Counts { least: count, most: Some(count) }
        }
        Some((least, "")) => Counts { least: repeat_count(least)?, most: None },
        Some((least, most)) => {
            Counts { least: repeat_count(least)?, most: Some(repeat_count(most)?) }
        }
    };
    Some((counts, inside.len() + 2))
}

fn repeat_count(digits: &str) -> Option<u32> {
    let plain = !digits.is_empty()
        && digits.bytes().all(|it| it.is_ascii_digit())
        && (digits == "0" || !digits.starts_with('0'));
    // too large to hold is too large in any case, and refused as such
    plain.then(|| digits.parse().unwrap_or(u32::MAX))
}

fn flag_text(flags: &[(char, bool)]) -> String {
    let on = flags.iter().filter(|(_, on)| *on).map(|(flag, _)| *flag);
    let off: String = flags.iter().filter(|(_, on)| !on).map(|(flag, _)| *flag).collect();
    let mut text: String = on.collect();
    if !off.is_empty() {
        text.push('-');
        text.push_str(&off);
    }
    text
}

fn escaped(c: char) -> String {
    regex::escape(c.encode_utf8(&mut [0; 4]))
}
