//! `quell audit verify`.

use std::fs;
use std::io::BufRead as _;
use std::io::BufReader;
use std::path::Path;
use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::given_keys;
use super::open;
use super::own_keys;
use super::read_file;
use crate::cli::Place;
use crate::cli::output;
use crate::cli::store_error;
use crate::decide::audit::export;
use crate::decide::audit::note::PublicKey;
use crate::decide::audit::proof::Proof;
use crate::error::Error;
use crate::model::incident::RunId;
use crate::store::audit::findings::Finding;
use crate::store::audit::verify::Checked;
use crate::store::audit::verify::External;

#[derive(Debug, Args)]
pub(in crate::cli) struct Options {
    /// One run's journal only: r-12.
    run: Option<RunId>,
    /// Checkpoints from outside the database: the folder of `audit.anchor`, or a file. May be given several times.
    #[arg(long, value_name = "PATH", conflicts_with_all = ["run", "proof"])]
    anchor: Vec<PathBuf>,
    /// The public key to trust: its text, or a file. The server's own when silent.
    #[arg(long, value_name = "KEY", conflicts_with = "run")]
    key: Option<String>,
    /// Check an export instead of a database; needs --key.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["run", "proof"], requires = "key")]
    export: Option<PathBuf>,
    /// A checkpoint that the export must come to, beside those in it.
    #[arg(long, value_name = "FILE", requires = "export")]
    checkpoint: Vec<PathBuf>,
    /// Check a proof of `quell audit prove` instead of a database; needs --key.
    #[arg(long, value_name = "FILE", conflicts_with = "run", requires = "key")]
    proof: Option<PathBuf>,
}

pub(super) async fn run(at: &Place, options: &Options) -> Result<(), Error> {
    let keys = options.key.as_deref().map(given_keys).transpose()?;
    let given = keys.as_deref().unwrap_or_default();
    if let Some(file) = &options.proof {
        return proof(at, file, given);
    }
    if let Some(file) = &options.export {
        let mut external = external(&options.anchor)?;
        external.extend(external_files(&options.checkpoint)?);
        return exported(at, file, given, external);
    }
    let external = external(&options.anchor)?;
    let (config, store) = open(at).await?;
    let keys = match keys {
        Some(keys) => keys,
        None => own_keys(&config, &store).await?,
    };
    let audit = store.audit(options.run).await.map_err(store_error)?;
    let log = match options.run {
        None => Some(store.verify_log(&keys, &external).await.map_err(store_error)?),
        Some(_) => None,
    };
    if at.json {
        let mut value =
            json!({ "runs": audit.runs, "events": audit.events, "broken": audit.broken });
        if let (Some((checked, findings)), Some(value)) = (&log, value.as_object_mut()) {
            value.insert("log".into(), json!({ "checked": checked, "findings": findings }));
        }
        output::json(&value);
    } else {
        for broken in &audit.broken {
            output::line(&broken.to_string());
        }
        for finding in log.iter().flat_map(|(_, findings)| findings) {
            output::line(&finding.to_string());
        }
        let verdict =
            if audit.broken.is_empty() { "every chain holds" } else { "broken chains: see above" };
        let s = if audit.runs == 1 { "" } else { "s" };
        output::line(&format!("{} run{s}, {} events: {verdict}", audit.runs, audit.events));
        if let Some((checked, findings)) = &log {
            output::line(&of_log(checked, findings, keys.is_empty()));
        }
    }
    let found = log.map_or(0, |(_, findings)| findings.len());
    if audit.broken.is_empty() && found == 0 {
        return Ok(());
    }
    let words = if audit.broken.is_empty() {
        let s = if found == 1 { "" } else { "s" };
        format!("the audit is not as it was written: {found} finding{s}")
    } else {
        format!("{} of {} runs are not as they were written", audit.broken.len(), audit.runs)
    };
    Err(Error::problems("Q0412", words))
}

/// The line about the log.
fn of_log(checked: &Checked, findings: &[Finding], keyless: bool) -> String {
    let Checked { begins, leaves, checkpoints, external, signed, waiting } = checked;
    let from = if *begins == 0 { String::new() } else { format!(" from leaf {begins} on") };
    let by = if keyless {
        "no key to check signatures by".to_owned()
    } else {
        let s = if *checkpoints == 1 { "" } else { "s" };
        let outside = if *external == 0 {
            String::new()
        } else {
            format!(", {external} of them from outside")
        };
        format!("{checkpoints} signed checkpoint{s}{outside}, up to {signed}")
    };
    let s = if *leaves == 1 { "f" } else { "ves" };
    let wait = if *waiting == 0 { String::new() } else { format!(", {waiting} not sealed yet") };
    let verdict =
        if findings.is_empty() { "the log holds" } else { "the log does not hold: see above" };
    format!("log: {leaves} lea{s}{from}, {by}{wait}: {verdict}")
}

/// The checkpoints of folders and files.
fn external(paths: &[PathBuf]) -> Result<Vec<External>, Error> {
    let mut all = Vec::new();
    for path in paths {
        if !path.is_dir() {
            all.extend(external_files(std::slice::from_ref(path))?);
            continue;
        }
        let unreadable = |error: std::io::Error| {
            Error::new("Q0419", format!("could not read the anchor {}: {error}", path.display()))
        };
        let mut files = Vec::new();
        for entry in fs::read_dir(path).map_err(unreadable)? {
            let file = entry.map_err(unreadable)?.path();
            let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if name.starts_with("checkpoint-") || name == "latest" {
                files.push(file);
            }
        }
        files.sort();
        if files.is_empty() {
            return Err(Error::new("Q0419", format!("{} holds no checkpoint", path.display()))
                .hint("name the folder of `audit.anchor`, or a file with a checkpoint"));
        }
        all.extend(external_files(&files)?);
    }
    Ok(all)
}

fn external_files(files: &[PathBuf]) -> Result<Vec<External>, Error> {
    let read = |file: &PathBuf| {
        let note = read_file(file, "the checkpoint")?;
        Ok(External { from: file.display().to_string(), note })
    };
    files.iter().map(read).collect()
}

fn proof(at: &Place, file: &Path, keys: &[PublicKey]) -> Result<(), Error> {
    let text = read_file(file, "the proof")?;
    match Proof::check(&text, keys) {
        Ok(proved) => {
            if at.json {
                output::json(&proved);
            } else {
                let crate::decide::audit::proof::Proved { leaf, size, origin, key } = proved;
                output::line(&format!(
                    "the record is leaf {leaf} of the {size} that {key} signed for {origin}"
                ));
            }
            Ok(())
        }
        Err(why) => Err(Error::problems("Q0412", format!("{}: {why}", file.display()))),
    }
}

fn exported(
    at: &Place,
    file: &Path,
    keys: &[PublicKey],
    external: Vec<External>,
) -> Result<(), Error> {
    let unreadable = |error: std::io::Error| {
        Error::new("Q0419", format!("could not read the export {}: {error}", file.display()))
    };
    let external = external.into_iter().map(|it| (it.from, it.note)).collect();
    let mut check = export::Check::new(keys, external);
    for line in BufReader::new(fs::File::open(file).map_err(unreadable)?).lines() {
        check.line(&line.map_err(unreadable)?);
    }
    let (checked, problems) = check.finish();
    if at.json {
        output::json(&json!({ "checked": checked, "findings": problems }));
    } else {
        for problem in &problems {
            output::line(problem);
        }
        let export::Checked { begins, leaves, checkpoints, signed } = &checked;
        let verdict = if problems.is_empty() { "it holds" } else { "it does not hold: see above" };
        output::line(&format!(
            "{leaves} leaves from leaf {begins} on, {checkpoints} signed checkpoints, up to {signed}: {verdict}"
        ));
    }
    if problems.is_empty() {
        Ok(())
    } else {
        let words =
            format!("{} is not as it was written: {} findings", file.display(), problems.len());
        Err(Error::problems("Q0412", words))
    }
}
