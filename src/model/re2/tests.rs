//! Texts that Go reads one way and the `regex` crate another.

use super::*;

/// Whether the anchored pattern matches each text, as Go answers.
fn check(pattern: &str, yes: &[&str], no: &[&str]) {
    let regex = compile_anchored(pattern).unwrap_or_else(|error| panic!("{pattern}: {error}"));
    for text in yes {
        assert!(regex.is_match(text), "{pattern} should match {text:?}: {regex}");
    }
    for text in no {
        assert!(!regex.is_match(text), "{pattern} should not match {text:?}: {regex}");
    }
}

#[test]
fn the_whole_text_must_match() {
    check("a|b", &["a", "b"], &["ab", "xa", "bx", "", "a\n"]);
    check("", &[""], &["a"]);
    check("bar", &["bar"], &["foobar", "barfoo"]);
    assert!(compile("a|b").unwrap().is_match("xbx"));
}

#[test]
fn a_dot_is_any_character_but_a_newline() {
    check("foo.bar", &["foo-bar", "foo🙂bar"], &["foo\nbar"]);
    check("(?s)foo.bar", &["foo\nbar"], &[]);
    check(".*", &["", "a"], &["a\nb"]);
    check("[^a]", &["b", "\n"], &["a"]);
}

#[test]
fn perl_classes_are_ascii() {
    check(r"\d", &["7"], &["٣", "x"]);
    check(r"\w+", &["az_09"], &["é", "a-b"]);
    check(r"\s", &[" ", "\t", "\n", "\r", "\u{c}"], &["\u{a0}", "\u{b}", "\u{2003}"]);
    check(r"\D", &["٣", "x"], &["7"]);
    check(r"\W", &["é"], &["a"]);
    check(r"\S", &["\u{a0}", "\u{b}"], &[" "]);
    check(r"[\d.]+", &["1.2"], &["٣"]);
    check(r"[^\d]+", &["٣x"], &["1"]);
    check(r"[\Wa]+", &["é-a"], &["b"]);
    check(r"[^\W]+", &["ab"], &["é"]);
    check(r"(?i)\w", &["K", "\u{212a}", "\u{17f}"], &["é"]);
}

#[test]
fn posix_classes_are_ascii() {
    check("[[:alpha:]]+", &["abC"], &["é", "1"]);
    check("[[:^alpha:]]", &["é", "1"], &["a"]);
    check("[[:space:]]", &["\u{b}"], &["\u{a0}"]);
    check("[[:word:]x-]+", &["a_1-"], &["é"]);
    check("(?i)[[:upper:]]", &["a", "A"], &["1"]);
}

#[test]
fn word_boundaries_are_ascii() {
    check(r"é\ba", &["éa"], &[]);
    check(r"a\bé", &["aé"], &[]);
    check(r"a\b b", &["a b"], &[]);
    check(r"a\bb", &[], &["ab"]);
    check(r"é\Bé", &["éé"], &[]);
    check(r"\b{start}", &[], &["start", "a"]);
}

#[test]
fn quoted_text_is_literal() {
    check(r"\Qa.b*[\E+", &["a.b*[", "a.b*[["], &["aXb*["]);
    check(r"\Q\E", &[""], &["a"]);
    check(r"a\Q\d\E", &[r"a\d"], &["a1"]);
    check(r"\Qa\Eb", &["ab"], &[]);
}

#[test]
fn braces_that_are_no_repeat_are_literal() {
    check("{a", &["{a"], &["a"]);
    check("a{,2}", &["a{,2}"], &["a", "aa"]);
    check("x{2", &["x{2"], &["xx"]);
    check("a{01}", &["a{01}"], &["a"]);
    check("a{ 2}", &["a{ 2}"], &["aa"]);
    check("a{2,x}", &["a{2,x}"], &["aa"]);
    check("{}", &["{}"], &[]);
    check("a}", &["a}"], &[]);
    check("a]", &["a]"], &[]);
    check("a{2}", &["aa"], &["a", "a{2}"]);
    check("a{2,}", &["aaa"], &["a"]);
    check("a{0}", &[""], &["a"]);
    check("a{2,3}?", &["aa", "aaa"], &["aaaa"]);
}

#[test]
fn brackets_ampersands_dashes_and_tildes_in_a_class_are_literal() {
    check("[[a]", &["[", "a"], &["]"]);
    check("[a&&b]", &["a", "&", "b"], &[""]);
    check("[!--a]", &["!", "%", "-", "a"], &["."]);
    check("[+--]", &["+", ",", "-"], &["."]);
    check("[a~~b]", &["a", "~", "b"], &[]);
    check("[]a]", &["]", "a"], &["b"]);
    check("[^]a]", &["b"], &["]", "a"]);
    check("[a-]", &["a", "-"], &["b"]);
    check("[-a]", &["a", "-"], &["b"]);
    check(r"[\d-z]", &["1", "-", "z"], &["a"]);
    check("[[:x]", &["[", ":", "x"], &["a"]);
    check("[a[b]c]", &["ac]", "[c]"], &["a"]);
    check(r"[\]\-\^]", &["]", "-", "^"], &["\\"]);
    check("[#a b]", &["#", " "], &["\\"]);
}

#[test]
fn escapes_are_gos() {
    check(r"\x41\x{42}\103", &["ABC"], &[]);
    check(r"\x{000000000041}", &["A"], &[]);
    check(r"\0", &["\0"], &[]);
    check(r"\<a\>", &["<a>"], &["a"]);
    check(r"\_\-\/\#\ ", &["_-/# "], &[]);
    check(r"a\.b", &["a.b"], &["axb"]);
    check(r"\a\f\n\r\t\v", &["\u{7}\u{c}\n\r\t\u{b}"], &[]);
    check(r"[\x41-\x43\n]", &["B", "\n"], &["D"]);
}

#[test]
fn unicode_classes_have_gos_names() {
    check(r"\pL", &["é", "a"], &["1"]);
    check(r"\p{Greek}", &["Σ"], &["S"]);
    check(r"\p{^Greek}", &["S"], &["Σ"]);
    check(r"\P{^Greek}", &["Σ"], &["S"]);
    check(r"\PL", &["1"], &["a"]);
    check(r"[\p{Lu}\d]", &["É", "1"], &["é"]);
    check(r"\p{Any}", &["x"], &[]);
    check(r"\p{C}", &["\0"], &["\u{378}", "a"]);
}

#[test]
fn flags_reach_as_far_as_in_go() {
    check("(?i)foo", &["FOO", "foo"], &["fo"]);
    check("(?i:a)b", &["Ab"], &["AB"]);
    check("a(?i)b|c", &["aB", "C"], &["AB"]);
    check("(a(?i)b)c", &["aBc"], &["aBC"]);
    check("(?i-i)a", &["a"], &["A"]);
    check("(?ii)a", &["A"], &[]);
    check("(?)a", &["a"], &[]);
    check("(?m)a$\n^b", &["a\nb"], &[]);
    check("(?U)a+", &["aa"], &[]);
    check("(?i)[^a]", &["b"], &["a", "A"]);
    check("(?i)straße|k", &["STRASSE".to_lowercase().as_str(), "\u{212a}"][1..], &["STRASSE"]);
}

#[test]
fn groups_may_be_named() {
    check("(?P<env>prod|dev)-(?<n>[0-9])", &["prod-1", "dev-2"], &["prod"]);
    check("()", &[""], &["a"]);
    check("(|a)+", &["", "aa"], &["b"]);
    check("(?P<1a>x)", &["x"], &[]);
}

#[test]
fn repeats_up_to_a_thousand_compile() {
    check("a{1000}", &["a".repeat(1000).as_str()], &["a"]);
    check("(?:a{10}){100}", &["a".repeat(1000).as_str()], &["a"]);
    check("(?:a{100}){0}", &[""], &["a"]);
    check("(?:a{40}b{40}){25}", &[], &["a"]);
}

#[test]
fn what_go_refuses_is_refused_with_a_reason() {
    for (pattern, reason) in [
        ("a{1001}", "more than 1000"),
        ("a{1,1001}", "more than 1000"),
        ("a{1001,}", "more than 1000"),
        ("a{99999999999999999999}", "more than 1000"),
        ("(?:a{100}){11}", "more than 1000"),
        ("(?:(?:a{10}){10}b){11}", "more than 1000"),
        ("a{2,1}", "second count"),
        ("*a", "nothing stands before"),
        ("a|*", "nothing stands before"),
        ("(+)", "nothing stands before"),
        ("{2}", "nothing stands before"),
        ("(?i)*", "nothing stands before"),
        ("a**", "repetition of a repetition"),
        ("a{2}{3}", "repetition of a repetition"),
        ("a+?+", "repetition of a repetition"),
        ("(a", "is not closed"),
        ("a)", "closes nothing"),
        ("a)|(?:b", "closes nothing"),
        ("[a", "is not closed"),
        ("[", "is not closed"),
        ("[]", "is not closed"),
        ("[a-", "is not closed"),
        ("[b-a]", "ends before"),
        ("[a--b]", "ends before"),
        (r"[a-\d]", "no such escape"),
        ("[[:foo:]]", "no such class"),
        ("a\\", "backslash ends"),
        (r"\1", "no such escape"),
        (r"\8", "no such escape"),
        (r"\Z", "no such escape"),
        (r"\C", "no such escape"),
        (r"\y", "no such escape"),
        (r"\é", "no such escape"),
        (r"\x4", "no such escape"),
        (r"\x{110000}", "no such escape"),
        (r"\x{}", "no such escape"),
        (r"\x+1", "no such escape"),
        (r"\x{D800}", "no such escape"),
        (r"\u0041", "no such escape"),
        (r"\Qa", "`\\E`"),
        ("(?=a)", "look around"),
        ("(?!a)", "look around"),
        ("(?<=a)", "look around"),
        ("(?<!a)", "look around"),
        ("(?x)a b", "flags"),
        ("(?-)a", "flags"),
        ("(?i", "flags"),
        ("(?P=a)", "flags"),
        ("(?P<a", "`>`"),
        ("(?P<>a)", "letters, digits"),
        ("(?P<a-b>a)", "letters, digits"),
        ("(?P<a>a)(?P<a>b)", "same name"),
        (r"\p{Nope}", "does not compile"),
        (r"\p{greek}", "no Unicode"),
        (r"\p{sc=Greek}", "no Unicode"),
        (r"\p{Alphabetic}", "does not compile"),
        (r"\p{Greek", "`}`"),
        (r"\p", "no Unicode"),
        (r"(?:\pL{1000}\pN{1000})(?:\pL{1000}\pN{1000})", "MiB"),
    ] {
        let error = compile_anchored(pattern).expect_err(pattern);
        assert!(error.contains(reason), "{pattern}: {error}");
        assert!(!error.contains('\n'), "{pattern}: {error}");
    }
}

proptest::proptest! {
    #[test]
    fn any_text_is_read_without_a_panic(pattern in r"[\\\[\]{}()|*+?.^$:&~a-cQEpPdwsbBx0-9,é<>=!i-]{0,24}", text in ".{0,12}") {
        if let Ok(regex) = compile_anchored(&pattern) {
            regex.is_match(&text);
        }
    }

    #[test]
    fn an_escaped_text_matches_itself_alone(text in "[^\0]{0,20}", other in ".{0,4}") {
        let regex = compile_anchored(&format!("\\Q{}\\E", text.replace('\\', ""))).unwrap();
        proptest::prop_assert_eq!(regex.is_match(&other), other == text.replace('\\', ""));
    }
}
