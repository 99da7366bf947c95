//! Templates over an alert, and over what an alert may carry.

use proptest::prelude::any;
use proptest::prelude::prop_assert;
use proptest::prelude::prop_assert_eq;
use proptest::prelude::proptest;
use serde_json::json;

use super::*;

fn context() -> serde_json::Value {
    json!({
        "labels": { "service": "api", "path": "/a b?c=d&e", "quote": "a\"b\\c\nd", "dots": "..", "dot": ".", "a-b": "x" },
        "annotations": { "summary": "it broke" },
        "parameters": { "replicas": 5, "ratio": 0.5, "empty": "", "names": ["a", "b"], "on": true, "none": null },
        "steps": { "flush": { "output": { "keys": 3 } } },
    })
}

fn check_render(source: &str, escape: Escape, expected: Result<&str, &str>) {
    let found = render(source, &context(), escape);
    match (&found, expected) {
        (Ok(found), Ok(expected)) => assert_eq!(found, expected, "{source}"),
        (Err(found), Err(expected)) => assert!(found.contains(expected), "{source}: {found}"),
        _ => panic!("{source}: {found:?}, expected {expected:?}"),
    }
}

#[test]
fn values_are_printed_as_they_are() {
    check_render("kubernetes/prod/{{ labels.service }}", Escape::None, Ok("kubernetes/prod/api"));
    check_render("{{ labels['a-b'] }}{{ labels[\"service\"] }}", Escape::None, Ok("xapi"));
    check_render(
        "{{ parameters.replicas }} {{ parameters.ratio }} {{ parameters.on }}",
        Escape::None,
        Ok("5 0.5 true"),
    );
    check_render("{{ parameters.replicas + 1 }}", Escape::None, Ok("6"));
    check_render("{{ steps.flush.output.keys }}", Escape::None, Ok("3"));
    check_render("{{ labels.quote }}", Escape::None, Ok("a\"b\\c\nd"));
    check_render("<{{ labels.service | upper }}>", Escape::None, Ok("<API>"));
    check_render("{{ parameters.names | join(',') }}", Escape::None, Ok("a,b"));
    check_render("{% for n in parameters.names %}{{ n }};{% endfor %}", Escape::None, Ok("a;b;"));
    check_render("{% if labels.service == 'api' %}y{% else %}n{% endif %}", Escape::None, Ok("y"));
    check_render("{% set x = labels.service %}{{ x }}", Escape::None, Ok("api"));
    check_render("{% raw %}{{ no }}{% endraw %}{# a comment #}", Escape::None, Ok("{{ no }}"));
    check_render(
        "{{ parameters.names }} {{ {'a': parameters.on} }}",
        Escape::None,
        Ok(r#"["a","b"] {"a":true}"#),
    );
    check_render("kept\n", Escape::None, Ok("kept\n"));
    check_render("{{ parameters.empty }}", Escape::None, Ok(""));
}

#[test]
fn what_is_undefined_is_named_with_what_was_meant() {
    check_render(
        "{{ labels.servce }}",
        Escape::None,
        Err(
            "label `servce` is not on this alert, did you mean `service`? (template `{{ labels.servce }}`)",
        ),
    );
    check_render(
        "{{ labels.region }}",
        Escape::None,
        Err("label `region` is not on this alert (template"),
    );
    check_render(
        "{{ labels[\"regio-n\"] }}",
        Escape::None,
        Err("label `regio-n` is not on this alert"),
    );
    check_render(
        "{{ annotations.sumary }}",
        Escape::None,
        Err("annotation `sumary` is not on this alert, did you mean `summary`?"),
    );
    check_render(
        "{{ steps.flush.output.key }}",
        Escape::None,
        Err("`steps.flush.output.key` is undefined, did you mean `keys`?"),
    );
    check_render(
        "{{ steps.flsh.output.keys }}",
        Escape::None,
        Err("`steps.flsh` is undefined, did you mean `flush`?"),
    );
    check_render(
        "{{ labls.service }}",
        Escape::None,
        Err("`labls` is undefined, did you mean `labels`?"),
    );
    check_render(
        "{{ labels.servce | upper }}",
        Escape::None,
        Err("label `servce` is not on this alert"),
    );
    check_render("{{ 'a' ~ labels.servce }}", Escape::None, Err("label `servce`"));
    check_render("{% for x in labels.nope %}{% endfor %}", Escape::None, Err("label `nope`"));
    check_render("{% if labels.nope == 'x' %}a{% endif %}b", Escape::None, Err("label `nope`"));
    check_render("{{ labels.region | default('eu') }}", Escape::None, Ok("eu"));
    check_render(
        "{% if labels.region is defined %}x{% else %}none{% endif %}",
        Escape::None,
        Ok("none"),
    );
    check_render("{{ parameters.none }}", Escape::None, Err("null"));
    check_render("{{ 'x' if labels.service == 'web' }}", Escape::None, Err("without `else`"));
    let long = format!("{{{{ labels.x }}}}{}", "é".repeat(300));
    assert!(render(&long, &context(), Escape::None).unwrap_err().ends_with("…`)"));
}

#[test]
fn only_values_are_escaped_for_urls() {
    check_render(
        "http://h/x y/{{ labels.path }}?q={{ labels.service }}&r=1",
        Escape::Url,
        Ok("http://h/x y/%2Fa%20b%3Fc%3Dd%26e?q=api&r=1"),
    );
    check_render("{{ 'é~_-.' }}", Escape::Url, Ok("%C3%A9~_-."));
    check_render("/{{ labels.quote }}", Escape::Url, Ok("/a%22b%5Cc%0Ad"));
    check_render("http://{{ 'web-1:9090' }}/-/ready", Escape::Url, Ok("http://web-1:9090/-/ready"));
}

#[test]
fn no_value_leads_a_url_elsewhere() {
    for source in [
        "/a/{{ labels.dots }}/b",
        "/a/{{ labels.dot }}{{ labels.dot }}",
        "/a/.{{ labels.dot }}?x=1",
        "/{{ labels.dot }}/",
        "/%2e{{ labels.dot }}",
    ] {
        check_render(source, Escape::Url, Err("path segment"));
    }
    check_render("/a?up={{ labels.dots }}", Escape::Url, Ok("/a?up=.."));
    check_render("/a/x{{ labels.dots }}", Escape::Url, Ok("/a/x.."));
    check_render("{{ labels.dots }}", Escape::None, Ok(".."));
}

#[test]
fn only_values_are_escaped_for_quoted_text() {
    check_render("up{path=\"{{ labels.quote }}\"}", Escape::Quoted, Ok(r#"up{path="a\"b\\c\nd"}"#));
    check_render("\"\\\n{{ labels.service }}", Escape::Quoted, Ok("\"\\\napi"));
    check_render("{% for n in ['\"'] %}{{ n }}{% endfor %}", Escape::Quoted, Ok("\\\""));
    check_render("{% set x = labels.quote %}{{ x }}", Escape::Quoted, Ok(r#"a\"b\\c\nd"#));
    check_render("{{ labels.quote | safe }}", Escape::Quoted, Err("unknown filter"));
    check_render("{% autoescape false %}{{ '\"' }}{% endautoescape %}", Escape::Quoted, Ok("\\\""));
    check_render("{{ [labels.quote] | join('\"') }}", Escape::Quoted, Ok(r#"a\"b\\c\nd"#));
}

#[test]
fn a_rendering_is_bounded() {
    let names: Vec<u32> = (0..300).collect();
    let many = json!({ "names": names });
    let source = "{% for a in names %}{% for b in names %}{{ a }}{% endfor %}{% endfor %}";
    assert!(render(source, &many, Escape::None).unwrap_err().contains("takes too long"));
    assert!(render("{{ 'x' * 300000 }}", &many, Escape::None).unwrap_err().contains("bytes"));
}

#[test]
fn nothing_reaches_files_functions_or_other_templates() {
    for source in [
        "{% include '/etc/passwd' %}",
        "{% extends 'x' %}",
        "{% import 'x' as x %}",
        "{{ range(3) }}",
        "{{ debug() }}",
        "{{ namespace() }}",
    ] {
        assert!(render(source, &context(), Escape::None).is_err(), "{source}");
    }
}

const VARIABLES: [&str; 3] = ["labels", "annotations", "parameters"];

#[test]
fn good_templates_pass() {
    for source in [
        "",
        "plain { text } % }",
        "{{ labels.service }}-{{ annotations.summary | upper }}",
        "{{ labels['a-b'] | default(\"x | nope\") }}",
        "{% for n in parameters.names %}{{ loop.index }}{{ n }}{% endfor %}",
        "{% set x = labels.a %}{{ x }}",
        "{%- if labels.a is not defined and labels.b is string -%}x{%- elif labels.c -%}y{%- endif -%}",
        "{% raw %}{% include 'x' %}{{ nope | nope }}{% endraw %}",
        "{# {% include %} #}",
        "{{ labels | tojson }}",
        "{{ labels.is }} {{ labels.set }}",
    ] {
        assert_eq!(check(source, &VARIABLES), Ok(()), "{source}");
    }
}

fn check_refused(source: &str, message: &str, at: Option<usize>) {
    let (found, place) = check(source, &VARIABLES).expect_err(source);
    assert!(found.contains(message), "{source}: {found}");
    assert_eq!(place, at, "{source}: {found}");
}

#[test]
fn what_is_wrong_is_said_at_load() {
    check_refused(
        "a {{ lables.x }}",
        "unknown variable `lables`, did you mean `labels`?; there are: labels,",
        Some(5),
    );
    check_refused("nope {{ labels.nope }}{{ nope }}", "unknown variable `nope`", Some(25));
    check_refused("é {{ x }}", "unknown variable `x`", Some(6));
    check_refused("{{ range(3) }}", "unknown variable `range`", Some(3));
    check_refused("{{ labels.x", "does not parse", Some(10));
    check_refused("{{ labels. }}", "does not parse", Some(11));
    check_refused("{% if labels.x %}", "does not parse", Some(15));
    check_refused("a{{ labels.x | uper }}", "no filter `uper`", Some(15));
    check_refused("{{ labels.x | safe }}", "no filter `safe`", Some(14));
    check_refused("{{ labels.x is nice }}", "no test `nice`", Some(15));
    check_refused("{{ labels.x is not nice }}", "no test `nice`", Some(19));
    check_refused("{% include 'x' %}", "`{% include %}` is not available", Some(3));
    check_refused("{%- extends 'x' %}", "`{% extends %}` is not available", Some(4));
    check_refused("{% macro a() %}{% endmacro %}", "not available", Some(3));
    check_refused("{% autoescape false %}{% endautoescape %}", "not available", Some(3));
    check_refused("{% set x %}a{% endset %}", "`set` takes a value", Some(3));
}

#[test]
fn references_are_dotted_paths() {
    let found = references("{{ labels.service }}{{ steps.a.output.x }}{{ labels['a-b'] }}{% for x in items %}{{ x.y }}{% endfor %}").unwrap();
    assert_eq!(found, ["items", "labels", "labels.a-b", "labels.service", "steps.a.output.x"]);
    assert_eq!(references("plain").unwrap(), Vec::<String>::new());
    assert!(references("{{").is_err());
}

proptest! {
    #[test]
    fn an_escaped_value_stays_inside_its_quotes(value in any::<String>()) {
        let text = render("\"{{ labels.x }}\"", &json!({"labels": {"x": value.as_str()}}), Escape::Quoted).unwrap();
        // JSON reads these three escapes as PromQL does, once other control characters are out of the way
        let plain: String = value.chars().filter(|c| *c == '\n' || !c.is_control()).collect();
        if plain == value {
            prop_assert_eq!(serde_json::from_str::<String>(&text).unwrap(), value);
        }
    }

    #[test]
    fn an_escaped_value_stays_one_path_segment(value in any::<String>()) {
        let rendered = render("http://h/a/{{ labels.x }}/b", &json!({"labels": {"x": value.as_str()}}), Escape::Url);
        if let Ok(text) = rendered {
            let url = url::Url::parse(&text).unwrap();
            let segments: Vec<&str> = url.path_segments().unwrap().collect();
            prop_assert_eq!(segments.len(), 3);
            prop_assert_eq!((segments[0], segments[2], url.query(), url.fragment()), ("a", "b", None, None));
        } else {
            prop_assert!([".", ".."].contains(&value.as_str()));
        }
    }

    #[test]
    fn any_template_is_refused_or_rendered_without_a_panic(source in r#"(\{\{|\}\}|\{%|%\}|\{#|#\}|labels|\.|service|is|not|set|if|raw|endraw| |'|"|\||x|=|é|-){0,12}"#) {
        let place = check(&source, &["labels"]).err().and_then(|(_, at)| at);
        prop_assert!(place.is_none_or(|at| at <= source.len()));
        for escape in [Escape::None, Escape::Url, Escape::Quoted] {
            drop(render(&source, &context(), escape));
        }
    }
}
