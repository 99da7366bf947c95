use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

fn sample(name: &str, labels: &[(&str, &str)], value: f64) -> Sample {
    Sample { name: name.into(), labels: labels.iter().copied().collect(), value, at: None }
}

fn at(time: &str, sample: Sample) -> Sample {
    Sample { at: Some(time.parse().unwrap()), ..sample }
}

fn reads(format: Format, page: &str, expected: &[Sample]) {
    match parse(page, format) {
        Ok(samples) => assert_eq!(samples, expected, "{page}"),
        Err(broken) => panic!("{page:?}: {broken}"),
    }
}

fn text(line: &str, expected: Sample) {
    reads(Format::Text, &format!("{line}\n"), &[expected]);
}

fn open(line: &str, expected: Sample) {
    reads(Format::OpenMetrics, &format!("{line}\n# EOF\n"), &[expected]);
}

fn breaks(format: Format, page: &str, line: usize, column: usize, words: &str) {
    let broken = parse(page, format).expect_err(page);
    assert_eq!((broken.line, broken.column), (line, column), "{page:?}: {broken}");
    assert!(broken.message.contains(words), "{page:?}: {broken}");
}

#[test]
fn reads_samples_of_both_formats() {
    for check in [text, open] {
        check("up 1", sample("up", &[], 1.0));
        check("x{} 2", sample("x", &[], 2.0));
        check("job:errors:rate5m -0.5", sample("job:errors:rate5m", &[], -0.5));
        check(
            r#"x{a="1",b_2="two words"} 1e3"#,
            sample("x", &[("a", "1"), ("b_2", "two words")], 1e3),
        );
        // what the crate that others use corrupts or drops
        check(r#"x{path="/a,b=c"} 1"#, sample("x", &[("path", "/a,b=c")], 1.0));
        check(r#"x{path="}"} 1"#, sample("x", &[("path", "}")], 1.0));
        check(r#"x{a="a\\b\"c\nd"} 1"#, sample("x", &[("a", "a\\b\"c\nd")], 1.0));
        check(r##"x{a="# no comment"} 1"##, sample("x", &[("a", "# no comment")], 1.0));
        check(r#"x{a=""} 1"#, sample("x", &[], 1.0));
        check(
            r#"{"http.errors","le gal"="é",b="c"} 1"#,
            sample("http.errors", &[("le gal", "é"), ("b", "c")], 1.0),
        );
        check(r#"{a="b","http.errors"} 1"#, sample("http.errors", &[("a", "b")], 1.0));
        check("x +Inf", sample("x", &[], f64::INFINITY));
        check("x -Inf", sample("x", &[], f64::NEG_INFINITY));
    }
}

#[test]
fn reads_what_only_the_text_format_allows() {
    text("  x\t1  ", sample("x", &[], 1.0));
    text(r#"x { a = "b" , c="d" , } 1"#, sample("x", &[("a", "b"), ("c", "d")], 1.0));
    text("x 1 1700000000123", at("2023-11-14T22:13:20.123Z", sample("x", &[], 1.0)));
    text("x 1 -1000", at("1969-12-31T23:59:59Z", sample("x", &[], 1.0)));
    let page = "\n# a comment\n#HELP\n# HELP x some \"text\" {\n# TYPE x counter\n\
                # TYPE \"http.errors\" gauge\nx 1\n\n   \nx{a=\"b\"} 2";
    reads(Format::Text, page, &[sample("x", &[], 1.0), sample("x", &[("a", "b")], 2.0)]);
    reads(Format::Text, "", &[]);
}

#[test]
fn reads_what_only_openmetrics_has() {
    open("x 1 1700000000.125", at("2023-11-14T22:13:20.125Z", sample("x", &[], 1.0)));
    open("x 1 1.7e9", at("2023-11-14T22:13:20Z", sample("x", &[], 1.0)));
    open(
        r#"x_bucket{le="1.0"} 8 # {trace_id="a}\"b"} 0.67"#,
        sample("x_bucket", &[("le", "1.0")], 8.0),
    );
    open("x_total 8 12 # {} 0.67 11.5", at("1970-01-01T00:00:12Z", sample("x_total", &[], 8.0)));
    open(r#"x{a="\d"} 1"#, sample("x", &[("a", r"\d")], 1.0));
    let page = "# TYPE x counter\n# UNIT x seconds\n# HELP x some text\n# HELP y\nx_total 1\n# EOF";
    reads(Format::OpenMetrics, page, &[sample("x_total", &[], 1.0)]);
}

#[test]
fn not_a_number_is_a_value() {
    for word in ["NaN", "nan", "NAN"] {
        let samples = parse(&format!("x {word}\n"), Format::Text).unwrap();
        assert!(samples[0].value.is_nan(), "{word}");
    }
}

#[test]
fn says_where_a_text_page_breaks() {
    for (page, line, column, words) in [
        ("<html>\n<p>not found", 1, 1, "expected a metric name"),
        ("up 1\n9up 1\n", 2, 1, "expected a metric name"),
        ("up\n", 1, 3, "expected a space and a value"),
        ("up{a=\"b\"}1\n", 1, 10, "expected a space and a value"),
        ("up one\n", 1, 4, "expected a number, not `one`"),
        ("up 0x10\n", 1, 4, "expected a number"),
        ("up 1 1.5\n", 1, 6, "whole milliseconds, not `1.5`"),
        ("up 1 99999999999999999\n", 1, 6, "whole milliseconds"),
        ("up 1 2 3\n", 1, 8, "expected the end of the line"),
        ("up 1 # {a=\"b\"} 1\n", 1, 6, "whole milliseconds, not `#`"),
        ("up 1\r\n", 1, 4, "expected a number"),
        ("é 1\n", 1, 1, "expected a metric name"),
        ("x{é=\"1\"} 1\n", 1, 3, "expected a label name"),
        ("x{a=\"é\" b=\"c\"} 1\n", 1, 9, "expected `,` or `}`"),
        ("x{a} 1\n", 1, 4, "expected `=`"),
        ("x{a=b} 1\n", 1, 5, "expected `\"`"),
        ("x{a=\"b} 1\n", 1, 5, "no closing `\"`"),
        ("x{a=\"b\\", 1, 5, "no closing `\"`"),
        ("x{a=\"\\d\"} 1\n", 1, 6, "`\\d` is no escape"),
        ("x{a=\"b\"", 1, 8, "expected `,` or `}`"),
        ("x{a=\"b\",a=\"c\"} 1\n", 1, 9, "label `a` is given twice"),
        ("x{a=\"\",a=\"\"} 1\n", 1, 8, "label `a` is given twice"),
        ("x{,} 1\n", 1, 3, "expected a label name"),
        ("x{\"y\"} 1\n", 1, 1, "two metric names"),
        ("{\"y\",\"z\"} 1\n", 1, 9, "expected `=`"),
        ("{a=\"b\"} 1\n", 1, 1, "no metric name"),
        ("a:b{c:d=\"e\"} 1\n", 1, 6, "expected `=`"),
        ("# TYPE x\n", 1, 9, "is no metric type"),
        ("# TYPE x meter\n", 1, 10, "`meter` is no metric type"),
        ("# TYPE x gauge 1\n", 1, 16, "expected the end of the line"),
        ("# HELP 1 text\n", 1, 8, "expected a metric name"),
    ] {
        breaks(Format::Text, page, line, column, words);
    }
}

#[test]
fn says_where_an_openmetrics_page_breaks() {
    for (page, line, column, words) in [
        ("x 1\n", 1, 1, "must end with `# EOF`"),
        ("", 1, 1, "no empty lines"),
        ("x 1\n# EOF\nx 2\n", 3, 1, "nothing may follow `# EOF`"),
        ("x 1\n\n# EOF\n", 2, 1, "no empty lines"),
        (" x 1\n# EOF\n", 1, 1, "expected a metric name"),
        ("x  1\n# EOF\n", 1, 3, "expected a number, not ``"),
        ("x\t1\n# EOF\n", 1, 2, "expected one space"),
        ("x 1 \n# EOF\n", 1, 5, "expected a time in seconds"),
        ("x{a=\"b\",} 1\n# EOF\n", 1, 9, "expected a label name"),
        ("x { } 1\n# EOF\n", 1, 3, "expected a number"),
        ("x 1 soon\n# EOF\n", 1, 5, "expected a time in seconds, not `soon`"),
        ("x 1 NaN\n# EOF\n", 1, 5, "expected a time in seconds"),
        ("x 1 # 1\n# EOF\n", 1, 7, "the labels of an exemplar"),
        ("x 1 # {a=\"b\"}\n# EOF\n", 1, 14, "expected one space"),
        ("# a comment\n# EOF\n", 1, 3, "expected HELP, TYPE, UNIT or EOF"),
        ("#EOF\n", 1, 2, "expected one space"),
    ] {
        breaks(Format::OpenMetrics, page, line, column, words);
    }
}

/// As an exporter writes it.
fn print(sample: &Sample, format: Format) -> String {
    let quote = |text: &str| {
        let text = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        format!("\"{text}\"")
    };
    let mut inside = vec![quote(&sample.name)];
    inside.extend(
        sample.labels.iter().map(|(name, value)| format!("{}={}", quote(name), quote(value))),
    );
    let time = match (sample.at, format) {
        (None, _) => String::new(),
        (Some(at), Format::Text) => format!(" {}", at.as_millisecond()),
        (Some(at), Format::OpenMetrics) => format!(" {}", at.as_second()),
    };
    format!("{{{}}} {}{time}\n", inside.join(","), sample.value)
}

fn any_sample() -> impl Strategy<Value = Sample> {
    let labels = proptest::collection::btree_map("[^\"]{1,5}|\"", "(?s).{1,8}", 0..4);
    let at = proptest::option::of(-4_000_000_000_i64..4_000_000_000);
    ("(?s).{1,8}", labels, -1e9..1e9_f64, at).prop_map(|(name, labels, value, at)| Sample {
        name,
        labels: labels.into_iter().collect(),
        value,
        at: at.map(|at| Timestamp::from_second(at).unwrap()),
    })
}

/// What the reference crate reads right: bare names without colons, values of labels without `=`, `,`,
/// `}`, quotes and escapes, no types.
fn plain_sample() -> impl Strategy<Value = Sample> {
    let labels =
        proptest::collection::btree_map("[a-zA-Z_][a-zA-Z0-9_]{0,5}", "[a-z0-9 /.:-]{1,8}", 0..4);
    let value = prop_oneof![-1e9..1e9_f64, Just(f64::INFINITY), Just(0.0), Just(1e-300)];
    let at = proptest::option::of(0_i64..4_000_000_000_000);
    ("[a-zA-Z_][a-zA-Z0-9_]{0,8}", labels, value, at).prop_map(|(name, labels, value, at)| Sample {
        name,
        labels: labels.into_iter().collect(),
        value,
        at: at.map(|at| Timestamp::from_millisecond(at).unwrap()),
    })
}

proptest! {
    #[test]
    fn reads_what_was_printed(samples in proptest::collection::vec(any_sample(), 0..5)) {
        for (format, end) in [(Format::Text, ""), (Format::OpenMetrics, "# EOF\n")] {
            let page: String = samples.iter().map(|it| print(it, format)).collect();
            prop_assert_eq!(parse(&(page + end), format), Ok(samples.clone()));
        }
    }

    #[test]
    fn never_panics(page in "(?s)[ -~\n\t\"{}=,#\\\\é]{0,80}|.{0,40}") {
        for format in [Format::Text, Format::OpenMetrics] {
            if let Err(broken) = parse(&page, format) {
                prop_assert!(broken.line <= page.split('\n').count() && broken.column > 0);
            }
        }
    }

    #[test]
    fn agrees_with_prometheus_parse_where_that_is_right(
        samples in proptest::collection::vec(plain_sample(), 1..6),
    ) {
        let page: String = samples.iter().map(|it| {
            let labels: Vec<String> =
                it.labels.iter().map(|(name, value)| format!("{name}=\"{value}\"")).collect();
            let labels =
                if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
            let time = it.at.map_or_else(String::new, |at| format!(" {}", at.as_millisecond()));
            format!("{}{labels} {}{time}\n", it.name, it.value)
        }).collect();
        let ours = parse(&page, Format::Text).unwrap();
        let lines = page.lines().map(|line| Ok(line.to_owned()));
        let theirs = prometheus_parse::Scrape::parse(lines).unwrap().samples;
        prop_assert_eq!(ours.len(), theirs.len());
        for (ours, theirs) in ours.iter().zip(theirs) {
            prop_assert_eq!(&ours.name, &theirs.metric);
            prop_assert_eq!(prometheus_parse::Value::Untyped(ours.value), theirs.value);
            let labels: BTreeMap<&str, &str> =
                theirs.labels.iter().map(|(name, value)| (&**name, &**value)).collect();
            prop_assert_eq!(ours.labels.iter().collect::<BTreeMap<_, _>>(), labels);
            if let Some(at) = ours.at {
                prop_assert_eq!(at.as_millisecond(), theirs.timestamp.timestamp_millis());
            }
        }
    }
}
