//! Output that nobody can take.

use crate::support::quell::Quell;

/// Opens a pipe that nobody reads any more, and becomes the command with it as standard output.
const UNREAD: &str = r#"mkfifo unread; (exec 3<unread) & exec 4>unread; wait; exec "$@" >&4"#;

#[tokio::test]
async fn a_reader_that_has_enough_is_no_error() {
    let quell = Quell::prepare("", &[]);
    let said = quell.cli_under(&["/bin/sh", "-c", UNREAD, "sh"], &["check"]).await;
    assert_eq!((said.code, said.err.as_str()), (0, ""));
}

#[tokio::test]
async fn a_full_disk_is_one() {
    let quell = Quell::prepare("", &[]);
    let said =
        quell.cli_under(&["/bin/sh", "-c", r#"exec "$@" >/dev/full"#, "sh"], &["check"]).await;
    assert_eq!(said.code, 2, "{said:#?}");
    insta::assert_snapshot!(said.err, @"error[Q0414]: could not write all of the output: No space left on device (os error 28)");
}
