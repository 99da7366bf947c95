//! `quell explain-error`: the page of an error code.

use clap::Args;

use crate::cli::Place;
use crate::cli::output;
use crate::error::Error;
use crate::library::codes;

#[derive(Debug, Args)]
pub(super) struct Options {
    /// Such as Q0104, or 104.
    #[arg(required_unless_present = "list")]
    code: Option<String>,
    /// All codes, with their titles.
    #[arg(long, conflicts_with = "code")]
    list: bool,
}

pub(super) fn run(at: &Place, options: &Options) -> Result<(), Error> {
    let Some(code) = &options.code else {
        list(at);
        return Ok(());
    };
    let Some(found) = codes::explain(code) else {
        let near: Vec<String> = codes::near(code)
            .into_iter()
            .filter_map(codes::explain)
            .map(|it| format!("{} ({})", it.code, it.title()))
            .collect();
        let hint = if near.is_empty() {
            "`quell explain-error --list` shows all codes".to_owned()
        } else {
            format!("near it: {}; `quell explain-error --list` shows all codes", near.join(", "))
        };
        return Err(Error::new("Q0415", format!("there is no error code {code}")).hint(hint));
    };
    if at.json {
        output::json(&serde_json::json!({
            "code": found.code, "title": found.title(), "page": found.page,
        }));
    } else {
        output::line(found.page.trim_end());
    }
    Ok(())
}

fn list(at: &Place) {
    let mut all: Vec<&codes::Code> = codes::CODES.iter().collect();
    all.sort_by_key(|it| it.code);
    if at.json {
        let rows: Vec<serde_json::Value> = all
            .iter()
            .map(|it| serde_json::json!({ "code": it.code, "title": it.title() }))
            .collect();
        output::json(&rows);
    } else {
        for it in all {
            output::line(&format!("{}  {}", it.code, it.title()));
        }
    }
}
