//! Classes: `[…]`, `\d` and its like, and Unicode's.

use super::Reader;
use super::escaped;

const DIGIT: &str = "0-9";
const WORD: &str = "0-9A-Za-z_";
/// Go's `\s` lacks the vertical tab, which `[[:space:]]` has.
const SPACE: &str = r"\t\n\x0C\r ";

/// ASCII classes that may stand as `[:name:]` in a class.
const POSIX: [&str; 14] = [
    "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct",
    "space", "upper", "word", "xdigit",
];

impl Reader<'_> {
    /// Reads `\d`, `\pL`, `\p{Greek}` and their like, as a class of the crate; `None` leaves it unread.
    pub(super) fn class_escape(&mut self) -> Result<Option<String>, String> {
        for (escape, class, yes) in [
            ("\\d", DIGIT, true),
            ("\\D", DIGIT, false),
            ("\\w", WORD, true),
            ("\\W", WORD, false),
            ("\\s", SPACE, true),
            ("\\S", SPACE, false),
        ] {
            if self.eat(escape) {
                return Ok(Some(bracketed(class, yes)));
            }
        }
        let start = self.at;
        let mut yes = match self.rest().get(..2) {
            Some("\\p") => true,
            Some("\\P") => false,
            _ => return Ok(None),
        };
        self.at += 2;
        let rest = self.rest();
        let name = if let Some(braced) = rest.strip_prefix('{') {
            let Some((name, _)) = braced.split_once('}') else {
                return self.wrong(start, "the name of a Unicode class ends with `}`");
            };
            self.at += name.len() + 2;
            name
        } else {
            let length = self.next().map_or(0, char::len_utf8);
            rest.get(..length).unwrap_or_default()
        };
        let name = name.strip_prefix('^').map_or(name, |name| {
            yes = !yes;
            name
        });
        let well_named = name.starts_with(|c: char| c.is_ascii_uppercase())
            && name.chars().all(|c| c == '_' || c.is_ascii_alphabetic());
        if !well_named {
            return self.wrong(start, "no Unicode category or script of this name");
        }
        let class = match name {
            // Go's category C leaves out code points that are not assigned
            "C" => r"\p{gc=Cc}\p{gc=Cf}\p{gc=Co}".to_owned(),
            "Any" => r"\p{Any}".to_owned(),
            "Yi" => r"\p{sc=Yi}".to_owned(),
            category if category.len() <= 2 => format!(r"\p{{gc={category}}}"),
            script => format!(r"\p{{sc={script}}}"),
        };
        Ok(Some(bracketed(&class, yes)))
    }

    /// Reads a class, from `[` to its `]`.
    pub(super) fn class(&mut self) -> Result<(), String> {
        let start = self.at;
        self.at += 1;
        let mut class = String::from(if self.eat("^") { "[^" } else { "[" });
        let mut first = true;
        while first || !self.rest().starts_with(']') {
            first = false;
            if self.rest().starts_with("[:")
                && let Some((name, _)) = self.rest().get(2..).and_then(|it| it.split_once(":]"))
            {
                let at = self.at;
                self.at += name.len() + 4;
                if !POSIX.contains(&name.strip_prefix('^').unwrap_or(name)) {
                    return self.wrong(at, "no such class");
                }
                class.push_str("[:");
                class.push_str(name);
                class.push_str(":]");
                continue;
            }
            if let Some(escape) = self.class_escape()? {
                class.push_str(&escape);
                continue;
            }
            let at = self.at;
            let low = self.class_char(start)?;
            class.push_str(&escaped(low));
            if self.rest().starts_with('-')
                && !self.rest().starts_with("-]")
                && self.at + 1 < self.pattern.len()
            {
                self.at += 1;
                let high = self.class_char(start)?;
                if high < low {
                    return self.wrong(at, "the range ends before it begins");
                }
                class.push('-');
                class.push_str(&escaped(high));
            }
        }
        self.at += 1;
        class.push(']');
        self.atom(&class);
        Ok(())
    }

    fn class_char(&mut self, class: usize) -> Result<char, String> {
        match self.peek() {
            Some('\\') => self.char_escape(),
            Some(c) => {
                self.at += c.len_utf8();
                Ok(c)
            }
            None => Err(format!(
                "`[` at byte {class} of the regex is not closed: add `]`, or write `\\[` for the character"
            )),
        }
    }
}

fn bracketed(class: &str, yes: bool) -> String {
    format!("[{}{class}]", if yes { "" } else { "^" })
}
