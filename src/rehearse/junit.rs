//! Results as JUnit XML, as CI systems read it: one suite a file, one case a test.

use std::time::Duration;

/// One result.
#[derive(Debug)]
pub struct Case<'a> {
    /// The file of the test.
    pub file: &'a str,
    /// Its line.
    pub line: u32,
    /// Its name.
    pub name: &'a str,
    /// How long it took.
    pub took: Duration,
    /// One line on what failed, and all that is known of it; `None` when it passed.
    pub failure: Option<(String, String)>,
}

/// The whole document; cases of one file stand together.
pub fn render(cases: &[Case<'_>]) -> String {
    let mut files: Vec<&str> = cases.iter().map(|case| case.file).collect();
    files.dedup();
    let of = |file: &str| cases.iter().filter(move |case| case.file == file).collect::<Vec<_>>();
    let all: Vec<&Case<'_>> = cases.iter().collect();
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    out = format!("{out}<testsuites name=\"quell test\"{}>\n", sums(&all));
    for file in files {
        let mine = of(file);
        out = format!("{out}  <testsuite name=\"{}\"{}>\n", escape(file), sums(&mine));
        for case in mine {
            out.push_str(&one(case));
        }
        out.push_str("  </testsuite>\n");
    }
    out.push_str("</testsuites>\n");
    out
}

fn sums(cases: &[&Case<'_>]) -> String {
    let failed = cases.iter().filter(|case| case.failure.is_some()).count();
    let took: Duration = cases.iter().map(|case| case.took).sum();
    format!(
        " tests=\"{}\" failures=\"{failed}\" errors=\"0\" skipped=\"0\" time=\"{:.6}\"",
        cases.len(),
        took.as_secs_f64()
    )
}

fn one(case: &Case<'_>) -> String {
    let head = format!(
        "    <testcase classname=\"{0}\" name=\"{1}\" file=\"{0}\" line=\"{2}\" time=\"{3:.6}\"",
        escape(case.file),
        escape(case.name),
        case.line,
        case.took.as_secs_f64()
    );
    match &case.failure {
        None => format!("{head}/>\n"),
        Some((message, text)) => format!(
            "{head}>\n      <failure type=\"expectation\" message=\"{}\">{}</failure>\n    </testcase>\n",
            escape(message),
            escape(text)
        ),
    }
}

/// Text as XML 1.0 takes it, in an attribute or between tags: what it has no way to write becomes U+FFFD.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&apos;"),
            // an attribute would turn them into blanks
            '\n' => out.push_str("&#10;"),
            '\t' => out.push_str("&#9;"),
            '\r' => out.push_str("&#13;"),
            '\u{0}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            _ => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_xml_cannot_hold_is_replaced_and_the_rest_escaped() {
        for (text, expected) in [
            ("a < b && c > \"d\" 'e'", "a &lt; b &amp;&amp; c &gt; &quot;d&quot; &apos;e&apos;"),
            ("]]>", "]]&gt;"),
            ("\u{1b}[31m\u{0}", "\u{fffd}[31m\u{fffd}"),
            ("two\nlines\t!", "two&#10;lines&#9;!"),
            ("é ✓ \u{1f980}", "é ✓ \u{1f980}"),
        ] {
            assert_eq!(escape(text), expected);
        }
    }

    #[test]
    fn cases_stand_in_the_suite_of_their_file() {
        let took = Duration::from_micros(1_500);
        let case = |file, name, failure| Case { file, line: 3, name, took, failure };
        let failure = Some(("expected <hold>".to_owned(), "line 1\nline 2".to_owned()));
        let document = render(&[
            case("a.test.yml", "one", None),
            case("a.test.yml", "two & a half", failure),
            case("b.test.yml", "three", None),
        ]);
        insta::assert_snapshot!(document);
    }
}
