use std::time::Instant;

use tokio::net::TcpListener;

use super::testing::Sshd;
use super::testing::Wire;
use super::*;

const LONG: Duration = Duration::from_secs(30);

fn argv(words: &[&str]) -> Vec<String> {
    words.iter().map(ToString::to_string).collect()
}

/// What a call to this server says, with its own key and host key unless `other` names others.
async fn call(sshd: &Sshd, other: Other<'_>, words: &[&str], directory: Option<&str>) -> Came {
    let known = sshd.path(other.known.unwrap_or("known"));
    let key = sshd.path(other.key.unwrap_or("key"));
    let host = Host {
        host: "127.0.0.1",
        port: Some(other.port.unwrap_or(sshd.port)),
        user: Some(&sshd.user),
        identity_file: Some(&key),
        known_hosts: Some(&known),
    };
    let timeout = other.timeout.unwrap_or(LONG);
    run(host, &argv(words), directory, timeout, 16 << 10).await.unwrap()
}

#[derive(Default, Clone, Copy)]
struct Other<'a> {
    known: Option<&'a str>,
    key: Option<&'a str>,
    port: Option<u16>,
    timeout: Option<Duration>,
}

fn ended(came: Came) -> Ended {
    let Came::Ended(ended) = came else { panic!("{came:?}") };
    ended
}

#[tokio::test]
async fn an_argument_is_one_argument_at_the_other_end_whatever_it_holds() {
    let sshd = Sshd::start().await;
    let hostile = [
        "it's",
        "$(touch /tmp/quell-was-here)",
        "`id`",
        "a\nb",
        "",
        "*",
        "\"",
        "\\",
        "; exit 9 #",
        "-n",
        "$HOME",
        "!!",
    ];
    let words: Vec<&str> = ["printf", "<%s>"].into_iter().chain(hostile).collect();
    let ended = ended(call(&sshd, Other::default(), &words, None).await);
    let expected = format!("<{}>", hostile.join("><"));
    assert_eq!((ended.end, ended.stdout.as_str()), (End::Exited(0), expected.as_str()));
    assert_eq!(ended.stderr, "", "what ssh itself says is not what the process says");
    assert!(!Path::new("/tmp/quell-was-here").exists());
}

#[tokio::test]
async fn the_exit_code_is_that_of_the_process() {
    let sshd = Sshd::start().await;
    let it = async |words: &[&str]| ended(call(&sshd, Other::default(), words, None).await);
    let ended_3 = it(&["sh", "-c", "echo out; echo 'disk is full' >&2; exit 3"]).await;
    assert_eq!(ended_3.end, End::Exited(3));
    assert_eq!((ended_3.stdout.as_str(), ended_3.stderr.as_str()), ("out\n", "disk is full\n"));
    // its own 255 is not ssh's, and its words are not ssh's
    let text = "echo 'root@x: Permission denied (publickey).' >&2; exit 255";
    assert_eq!(it(&["sh", "-c", text]).await.end, End::Exited(255));
}

#[tokio::test]
async fn it_runs_in_a_directory_or_not_at_all() {
    let sshd = Sshd::start().await;
    let directory = sshd.path("it's here; $(id)");
    fs::create_dir(&directory).unwrap();
    let there = directory.to_str().unwrap();
    let ended_there = ended(call(&sshd, Other::default(), &["pwd"], Some(there)).await);
    assert_eq!(ended_there.stdout.trim_end(), there);
    let none = call(&sshd, Other::default(), &["touch", there], Some("/no/such")).await;
    assert_eq!(ended(none).end, End::Exited(126));
}

#[tokio::test]
async fn a_host_that_is_not_known_is_not_trusted() {
    let sshd = Sshd::start().await;
    fs::write(sshd.path("nobody"), "").unwrap();
    sshd.knowing("changed", "stranger.pub", sshd.port);
    for (known, words) in [
        ("nobody", "is not in known_hosts"),
        ("changed", "shows another key than the one in known_hosts"),
    ] {
        let other = Other { known: Some(known), ..Other::default() };
        let came = call(&sshd, other, &["true"], None).await;
        let Came::NotBegun { reason, retryable: false } = came else { panic!("{came:?}") };
        assert!(
            reason.contains("Host key verification failed") && reason.contains(words),
            "{reason}"
        );
    }
}

#[tokio::test]
async fn a_key_that_is_refused_is_denied() {
    let sshd = Sshd::start().await;
    let other = Other { key: Some("stranger"), ..Other::default() };
    let came = call(&sshd, other, &["true"], None).await;
    let Came::Denied(reason) = came else { panic!("{came:?}") };
    assert!(reason.contains("Permission denied (publickey)"), "{reason}");
}

#[tokio::test]
async fn without_a_session_nothing_was_done() {
    let sshd = Sshd::start().await;
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let away = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (mute, gone) = (silent.local_addr().unwrap().port(), away.local_addr().unwrap().port());
    drop(away);
    let soon = Some(Duration::from_millis(300));
    for (port, timeout, words) in
        [(gone, None, "Connection refused"), (mute, soon, "no session within 300 ms")]
    {
        let other = Other { port: Some(port), timeout, ..Other::default() };
        let came = call(&sshd, other, &["true"], None).await;
        let Came::NotBegun { reason, retryable: true } = came else { panic!("{came:?}") };
        assert!(reason.contains(words), "{reason}");
    }
}

/// Starts a process at the other end that says in a file that it runs, does `meanwhile` then, and gives back what came of the call.
async fn once_it_runs(sshd: &Sshd, other: Other<'_>, meanwhile: impl FnOnce()) -> Came {
    let began = sshd.path("began");
    let script = format!("touch '{}'; exec sleep 20", began.display());
    let words = ["sh", "-c", &script];
    let watching = async {
        let deadline = Instant::now() + LONG;
        while !began.exists() {
            assert!(Instant::now() < deadline, "the process did not begin");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        meanwhile();
    };
    tokio::join!(call(sshd, other, &words, None), watching).0
}

#[tokio::test]
async fn a_connection_that_is_cut_in_the_middle_leaves_what_nobody_knows() {
    let sshd = Sshd::start().await;
    let wire = Wire::to(sshd.port).await;
    sshd.knowing("wire", "host.pub", wire.port);
    let other = Other { known: Some("wire"), port: Some(wire.port), ..Other::default() };
    let came = once_it_runs(&sshd, other, || drop(wire)).await;
    let Came::Unknown(reason) = came else { panic!("{came:?}") };
    assert!(reason.contains("the session had begun"), "{reason}");
}

#[tokio::test]
async fn a_process_that_takes_too_long_leaves_what_nobody_knows() {
    let sshd = Sshd::start().await;
    let other = Other { timeout: Some(Duration::from_secs(2)), ..Other::default() };
    let came = once_it_runs(&sshd, other, || ()).await;
    let Came::Unknown(reason) = came else { panic!("{came:?}") };
    assert!(reason.starts_with("ssh: killed after 2 s; the session had begun"), "{reason}");
}

#[test]
fn an_empty_program_and_a_nul_byte_do_not_reach_a_shell() {
    for (words, expected) in
        [(&[][..], "no program"), (&[""], "no program"), (&["a", "b\0"], "NUL byte")]
    {
        let error = remote(&argv(words), None).unwrap_err();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn what_cannot_be_read_is_unknown_and_another_exit_is_the_process_s() {
    let at = |code: i32| Ended {
        end: End::Exited(code),
        stdout: String::new(),
        stderr: String::new(),
        cut: false,
        took: Duration::from_secs(1),
    };
    assert!(matches!(came(at(255), None, LONG), Came::Unknown(_)));
    assert_eq!(came(at(0), None, LONG), Came::Ended(at(0)));
    assert_eq!(came(at(1), Some(""), LONG), Came::Ended(at(1)));
    // a host may write what it likes before the session
    let said = "debug1: Remote protocol version 2.0\r\nssh: connect to host x port 22: No route to host\r\n";
    let expected = Came::NotBegun {
        reason: "ssh: connect to host x port 22: No route to host".into(),
        retryable: true,
    };
    assert_eq!(came(at(255), Some(said), LONG), expected);
}
