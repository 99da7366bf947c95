//! The pages of links: small, without scripts, every text escaped.

use std::borrow::Cow;

use jiff::Timestamp;

use crate::api::problem::Problem;
use crate::decide::approval;
use crate::decide::link::Link;
use crate::decide::machine::State;
use crate::decide::tell;
use crate::model::incident::Incident;
use crate::model::run::Plan;
use crate::model::time::show_duration;
use crate::model::time::since;
use crate::store::runs::RunRow;

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

/// A plan that somebody may decide on.
pub(super) struct Proposal {
    pub(super) incident: Incident,
    pub(super) run: RunRow,
    pub(super) plan: Plan,
    pub(super) state: State,
}

/// A page, before it is text.
pub(super) struct Page {
    title: String,
    body: String,
}

impl Page {
    /// Shows an open incident, says what the button does, and offers it.
    pub(super) fn ask(incident: &Incident, link: &Link, token: &str, now: Timestamp) -> Self {
        let what = format!(
            "Acknowledging says that a person has it: the channels that were told of {0} are told so, and nobody is \
             reminded that it waits for an answer. A remedy that is at work goes on to its end; what has not begun \
             waits for a yes.",
            incident.id
        );
        Self::offer(incident, link, token, &what, "Acknowledge", now)
    }

    /// The same to take it over.
    pub(super) fn ask_to_take(
        incident: &Incident,
        link: &Link,
        token: &str,
        now: Timestamp,
    ) -> Self {
        let what = format!(
            "Taking over stops quell: what is at work for {0} ends its step and stops, what was done is left as it is, \
             and nothing new begins until <code>quell give-back {0}</code>. It acknowledges {0}, too.",
            incident.id
        );
        Self::offer(incident, link, token, &what, "Take over", now)
    }

    fn offer(
        incident: &Incident,
        link: &Link,
        token: &str,
        what: &str,
        verb: &str,
        now: Timestamp,
    ) -> Self {
        let name = match link.operator.as_str() {
            "" => "<label>Your name, if you like<input name=\"name\" maxlength=\"80\" autocomplete=\"name\"></label>"
                .to_owned(),
            name => format!("<p>You are {}: this link was sent to you alone.</p>", escape(name)),
        };
        let form = format!(
            "<form method=\"post\" action=\"/act/{}\"><p>{what}</p>{name}<button>{verb} {}</button></form>{}",
            escape(token),
            incident.id,
            by_link(link),
        );
        Self { title: incident.title.clone(), body: facts(incident, now) + &form }
    }

    /// Shows a plan that waits for approval, and offers to approve or to reject it.
    pub(super) fn ask_to_decide(
        proposal: &Proposal,
        link: &Link,
        token: &str,
        now: Timestamp,
    ) -> Self {
        let Proposal { incident, run, plan, state } = proposal;
        let who = match link.operator.as_str() {
            "" => "<label>Your operator token<input name=\"token\" type=\"password\" required \
                   autocomplete=\"off\"></label>"
                .to_owned(),
            name => format!("<p>You are {}: this link was sent to you alone.</p>", escape(name)),
        };
        let known = match link.operator.as_str() {
            "" => {
                "Others can read the message with this link, so your token says who you are: it counts once, and \
                   with your tier."
            }
            _ => "Whoever has this link speaks as you, so do not pass it on.",
        };
        let action = format!("<form method=\"post\" action=\"/act/{}\">", escape(token));
        let forms = format!(
            "{action}<input type=\"hidden\" name=\"say\" value=\"approve\"><p>Approving says yes to exactly this \
             plan. When it needs no more people, it begins at once, if it is still true.</p>{who}\
             <button>Approve {id}</button></form>\
             {action}<input type=\"hidden\" name=\"say\" value=\"reject\"><p>Rejecting ends it, and people take \
             over.</p>{who}<label>Why<input name=\"reason\" maxlength=\"500\" required></label>\
             <button>Reject {id}</button></form><p><small>{known}</small></p>{}",
            by_link(link),
            id = run.id,
        );
        let body = facts(incident, now) + &planned(run, plan, state) + &forms;
        Self { title: incident.title.clone(), body }
    }

    /// Shows an incident and one sentence on why there is nothing to do.
    pub(super) fn about(incident: &Incident, words: &str, now: Timestamp) -> Self {
        let body =
            format!("<p><strong>{}</strong></p>{}", escape(&sentence(words)), facts(incident, now));
        Self { title: incident.title.clone(), body }
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

/// What would be done, and who must say yes.
fn planned(run: &RunRow, plan: &Plan, state: &State) -> String {
    let mut rows = String::new();
    let mut row = |name: &str, value: &str| {
        rows.push_str("<tr><th>");
        rows.push_str(&escape(name));
        rows.push_str("<td>");
        rows.push_str(&escape(value));
    };
    row("proposes", &format!("{} on {} ({})", plan.playbook.name, plan.target, run.id));
    for line in tell::plan_in_full(plan, &run.id.to_string()) {
        row("", &line);
    }
    for (name, value) in &plan.parameters {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        row(name, &value);
    }
    row("needs", &approval::needs(plan, state));
    if !state.approved_by.is_empty() {
        row("approved by", &state.approved_by.join(", "));
    }
    if let Some(until) = state.approve_until {
        row("until", &clock(until));
    }
    row("digest", run.digest.get(..16).unwrap_or_default());
    format!("<table>{rows}</table>")
}

fn by_link(link: &Link) -> String {
    format!(
        "<p><small>Recorded as coming by the link in {}, which works once, until {}.</small></p>",
        escape(&link.channel),
        clock(link.expires_at),
    )
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
