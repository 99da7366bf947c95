//! The action `command`: a process, without a shell unless it says so.

use std::time::Duration;

use serde_json::json;

use super::sealed::Mask;
use crate::exec;
use crate::exec::End;
use crate::exec::Ended;
use crate::exec::Spawn;
use crate::model::action::Command;
use crate::model::run::Outcome;
use crate::model::time::show_duration;

/// Largest part of each output that later steps and people see, in bytes.
pub(super) const MAX_OUTPUT_BYTES: usize = 16 << 10;

/// Longest part of the error output shown in a reason, in characters.
const SHOWN: usize = 200;

/// The variable with the key that is the same over all tries of a step.
const KEY: &str = "QUELL_IDEMPOTENCY_KEY";

/// The variable with the number that grows whenever another worker takes the run over.
const ATTEMPT: &str = "QUELL_ATTEMPT";

/// The command with what an HTTP target is told in headers, so that it can tell a repeat from news and refuse a late one.
/// What the playbook itself sets stays.
pub(super) fn named(command: &Command, key: &str, attempt: i64) -> Command {
    let mut command = command.clone();
    command.env.entry(KEY.into()).or_insert_with(|| key.to_owned());
    command.env.entry(ATTEMPT.into()).or_insert_with(|| attempt.to_string());
    command
}

/// Runs it: exit 0 is done, another is failed and may be tried again. Killed is unknown: it may have done
/// half of its work.
pub(super) async fn perform(command: &Command, timeout: Duration, mask: &Mask) -> Outcome {
    let spawn = Spawn {
        argv: command.shell.as_deref().map_or_else(|| command.argv.clone(), exec::shell),
        env: command.env.clone(),
        directory: command.directory.as_ref().map(Into::into),
        timeout,
        max_output_bytes: MAX_OUTPUT_BYTES,
    };
    let ended = match exec::run(&spawn).await {
        Ok(ended) => ended,
        Err(reason) => return super::failed(reason),
    };
    exited(ended, timeout, mask)
}

/// What the end of a process means for its step.
pub(super) fn exited(ended: Ended, timeout: Duration, mask: &Mask) -> Outcome {
    // before anything is cut out of it
    let ended =
        Ended { stdout: mask.hide_cut(ended.stdout), stderr: mask.hide_cut(ended.stderr), ..ended };
    match ended.end {
        End::Exited(0) => Outcome::Done { summary: ended.describe(), output: output(&ended) },
        End::Exited(_) | End::Signalled(_) => {
            let words = last_line(&ended.stderr).or_else(|| last_line(&ended.stdout));
            let reason = match words {
                Some(words) => format!("{}: {words}", ended.describe()),
                None => ended.describe(),
            };
            super::failed_for_now(reason)
        }
        End::TimedOut => super::unknown(format!(
            "killed after {} with its whole process group; nobody knows how far it came",
            show_duration(timeout)
        )),
    }
}

/// What later steps see: also the lines that say something, and the value when it is JSON. Neither when some of it was left
/// out: half a list is no list.
fn output(ended: &Ended) -> serde_json::Value {
    let mut output = json!({ "stdout": ended.stdout, "stderr": ended.stderr, "exit": 0 });
    if ended.cut {
        return output;
    }
    let lines = ended.stdout.lines().map(str::trim).filter(|line| !line.is_empty());
    if let Some(fields) = output.as_object_mut() {
        fields.insert("lines".into(), lines.collect());
        if let Ok(value) = serde_json::from_str(&ended.stdout) {
            fields.insert("json".into(), value);
        }
    }
    output
}

/// The last line that says something: where programs say why they failed.
fn last_line(text: &str) -> Option<String> {
    let line = text.lines().rev().map(str::trim).find(|line| !line.is_empty())?;
    Some(match line.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", line.get(..end).unwrap_or_default()),
        None => line.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn argv(words: &[&str]) -> Command {
        Command { argv: words.iter().map(ToString::to_string).collect(), ..Command::default() }
    }

    fn script(text: &str) -> Command {
        Command { shell: Some(text.into()), ..Command::default() }
    }

    const LONG: Duration = Duration::from_secs(20);

    #[tokio::test]
    async fn exit_0_is_done_and_gives_its_output() {
        let mut command = script("echo \"to $WHERE from $(pwd)\"; echo note >&2");
        command.env.insert("WHERE".into(), "people; exit 9".into());
        command.directory = Some("/".into());
        let Outcome::Done { summary, output } = perform(&command, LONG, &Mask::default()).await
        else {
            panic!()
        };
        assert!(summary.starts_with("exit 0 in "), "{summary}");
        assert_eq!(
            output,
            json!({
                "stdout": "to people; exit 9 from /\n", "stderr": "note\n", "exit": 0,
                "lines": ["to people; exit 9 from /"],
            })
        );
    }

    #[tokio::test]
    async fn a_command_is_told_the_key_of_its_step_and_the_number_of_its_attempt() {
        let mut command = script("echo $QUELL_IDEMPOTENCY_KEY $QUELL_ATTEMPT");
        for words in ["r-12/3 4", "mine 4"] {
            let named = named(&command, "r-12/3", 4);
            let Outcome::Done { output, .. } = perform(&named, LONG, &Mask::default()).await else {
                panic!()
            };
            assert_eq!(output["lines"], json!([words]));
            command.env.insert(KEY.into(), "mine".into());
        }
    }

    #[tokio::test]
    async fn lines_and_json_are_there_for_later_steps_unless_some_is_left_out() {
        for (text, expected) in [
            ("printf 'a\\n\\n b \\n'", json!({ "lines": ["a", "b"] })),
            ("echo '[1, 2]'", json!({ "lines": ["[1, 2]"], "json": [1, 2] })),
            ("true", json!({ "lines": [] })),
            ("seq 1 9999", json!({})),
        ] {
            let outcome = perform(&script(text), LONG, &Mask::default()).await;
            let Outcome::Done { mut output, .. } = outcome else { panic!("{outcome:?}") };
            for name in ["stdout", "stderr", "exit"] {
                assert!(output.as_object_mut().unwrap().remove(name).is_some());
            }
            assert_eq!(output, expected, "{text}");
        }
    }

    #[tokio::test]
    async fn an_argument_is_one_argument_whatever_it_holds() {
        let Outcome::Done { output, .. } =
            perform(&argv(&["printf", "<%s>", "a b", "$(id); *"]), LONG, &Mask::default()).await
        else {
            panic!()
        };
        assert_eq!(output["stdout"], "<a b><$(id); *>");
    }

    #[tokio::test]
    async fn another_exit_is_failed_and_may_be_tried_again() {
        for (text, words) in [
            ("echo started; echo 'disk is full' >&2; exit 3", "exit 3 in "),
            ("echo 'disk is full'; exit 3", ": disk is full"),
            ("echo 'disk is full' >&2; echo >&2; kill -9 $$", "signal 9 after "),
            ("echo 'disk is full' >&2; kill -9 $$", ": disk is full"),
        ] {
            let outcome = perform(&script(text), LONG, &Mask::default()).await;
            let Outcome::Failed { reason, retryable: true } = outcome else {
                panic!("{outcome:?}")
            };
            assert!(reason.contains(words), "{reason}");
        }
    }

    #[tokio::test]
    async fn what_does_not_start_is_not_tried_again() {
        let outcome = perform(&argv(&["quell-no-such-program"]), LONG, &Mask::default()).await;
        let Outcome::Failed { reason, retryable: false } = outcome else { panic!("{outcome:?}") };
        assert!(reason.contains("no such program in PATH"), "{reason}");
    }

    #[tokio::test]
    async fn nobody_knows_how_far_a_killed_command_came() {
        let outcome =
            perform(&script("sleep 600"), Duration::from_millis(200), &Mask::default()).await;
        let reason =
            "killed after 200ms with its whole process group; nobody knows how far it came";
        assert_eq!(outcome, super::super::unknown(reason));
    }

    #[test]
    fn the_last_line_is_shown_cut() {
        assert_eq!(last_line("a\n b \n\n").as_deref(), Some("b"));
        assert_eq!(last_line(" \n"), None);
        assert_eq!(last_line(&"é".repeat(201)), Some(format!("{}…", "é".repeat(200))));
    }
}
