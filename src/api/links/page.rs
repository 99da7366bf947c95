//! The pages of links: small, without scripts, every text escaped.

use std::borrow::Cow;

use jiff::Timestamp;

use crate::api::problem::Problem;
use crate::decide::link::Link;
use crate::model::incident::Incident;
use crate::model::time::show_duration;
use crate::model::time::since;

const STYLE: &str = "\
:root{color-scheme:light dark}\
body{font:16px/1.5 system-ui,sans-serif;max-width:38rem;margin:2rem auto;padding:0 1rem}\
h1{font-size:1.3rem;overflow-wrap:anywhere}\
p,td,th{overflow-wrap:anywhere}\
table{border-collapse:collapse;font-size:.9rem}\
th{text-align:left;font-weight:normal;opacity:.7;padding-right:1rem;vertical-align:top;white-space:nowrap}\
form{margin:1.5rem 0;padding:1rem;border:1px solid;border-radius:.4rem}\
input,button{font:inherit;padding:.5rem .8rem}\
input{display:block;box-sizing:border-box;width:100%;max-width:20rem;margin:.2rem 0 1rem}\
button{font-weight:bold;cursor:pointer}\
small{opacity:.7}";

/// A page, before it is text.
pub(super) struct Page {
    title: String,
    body: String,
}

impl Page {
    /// Shows an open incident, says what the button does, and offers it.
    pub(super) fn ask(incident: &Incident, link: &Link, token: &str, now: Timestamp) -> Self {
        let form = format!(
            "<form method=\"post\" action=\"/act/{}\">\
             <p>Acknowledging says that a person has it: the channels that were told of {} are told so, and nobody is \
             reminded that it waits for an answer. It stops no remedy that is at work.</p>\
             <label>Your name, if you like<input name=\"name\" maxlength=\"80\" autocomplete=\"name\"></label>\
             <button>Acknowledge {}</button></form>\
             <p><small>Recorded as coming by the link in {}, which works until {}.</small></p>",
            escape(token),
            incident.id,
            incident.id,
            escape(&link.channel),
            clock(link.expires_at),
        );
        Self { title: incident.title.clone(), body: facts(incident, now) + &form }
    }

    /// Shows an incident and one sentence on why there is nothing to do.
    pub(super) fn about(incident: &Incident, words: &str, now: Timestamp) -> Self {
        let body =
            format!("<p><strong>{}</strong></p>{}", escape(&sentence(words)), facts(incident, now));
        Self { title: incident.title.clone(), body }
    }

    /// Says that it is done.
    pub(super) fn done(incident: &Incident, by: &str, now: Timestamp) -> Self {
        let words = format!("acknowledged by {by}");
        Self::about(incident, &words, now)
    }

    /// A refusal in words.
    pub(super) fn problem(problem: &Problem) -> Self {
        let body = format!(
            "<p>{}</p><p><small>{}</small></p>",
            escape(&sentence(&problem.detail)),
            problem.kind.code
        );
        Self { title: sentence(problem.kind.title), body }
    }

    /// The whole document.
    pub(super) fn html(&self) -> String {
        let title = escape(&self.title);
        format!(
            "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
             <meta name=\"robots\" content=\"noindex, nofollow\">\
             <title>{title} · quell</title><style>{STYLE}</style></head>\n\
             <body><h1>{title}</h1>\n{}\n</body></html>\n",
            self.body
        )
    }
}

fn facts(incident: &Incident, now: Timestamp) -> String {
    let rule = if incident.rule.is_empty() { "none matches" } else { &incident.rule };
    let mut rows = format!(
        "<tr><th>incident<td>{}<tr><th>status<td>{}<tr><th>began<td>{} ({} ago)<tr><th>rule<td>{}",
        incident.id,
        incident.status.as_str(),
        clock(incident.opened_at),
        show_duration(since(now, incident.opened_at)),
        escape(rule),
    );
    for (name, value) in incident.labels.iter() {
        rows.push_str("<tr><th>");
        rows.push_str(&escape(name));
        rows.push_str("<td>");
        rows.push_str(&escape(value));
    }
    format!("<table>{rows}</table>")
}

/// An instant for people: whole seconds, UTC.
pub(super) fn clock(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// A message's fragment as a sentence.
fn sentence(words: &str) -> String {
    let mut rest = words.chars();
    rest.next().map_or_else(String::new, |first| first.to_uppercase().chain(rest).collect())
}

/// Text for HTML, in elements and in quoted attributes.
fn escape(text: &str) -> Cow<'_, str> {
    if !text.contains(['&', '<', '>', '"', '\'']) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for char in text.chars() {
        match char {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    Cow::Owned(escaped)
}
