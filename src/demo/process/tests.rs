use std::time::Duration;

use clap::Parser;
use serde_json::Value;

use super::*;
use crate::net;
use crate::net::Call;

/// Set in a process of the test program that is to be the shop: its arguments.
const BE_THE_SHOP: &str = "QUELL_TEST_SHOP";

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    options: shop::Options,
}

/// The test program again, running only `test`, which becomes the shop.
fn program(test: &str) -> Vec<String> {
    let script = format!(r#"export {BE_THE_SHOP}="$*"; exec "$0" --exact {test} --nocapture"#);
    let mut argv = exec::shell(&script);
    argv.extend(ourselves(&[]).expect("the test program"));
    argv
}

/// Whether this process was the shop, and has now ended.
async fn was_the_shop() -> bool {
    let Ok(arguments) = std::env::var(BE_THE_SHOP) else { return false };
    let arguments = std::iter::once("demo-shop").chain(arguments.split_whitespace());
    shop::serve(Cli::parse_from(arguments).options).await.expect("served");
    true
}

async fn pid(address: SocketAddr) -> Option<u64> {
    let url = format!("http://{address}/health");
    let answer = net::send(Call::get(&url, Duration::from_secs(5))).await.ok()?;
    serde_json::from_slice::<Value>(&answer.body).ok()?["pid"].as_u64()
}

fn alive(pid: u64) -> bool {
    let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    rustix::process::test_kill_process(pid).is_ok()
}

async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !holds().await {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), waiting).await.expect(what);
}

#[tokio::test]
async fn a_restart_asked_for_over_the_socket_replaces_the_process_and_keeps_the_port() {
    if was_the_shop().await {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let setup = Setup {
        program: program(
            "demo::process::tests::a_restart_asked_for_over_the_socket_replaces_the_process_and_keeps_the_port",
        ),
        folder: folder.path().into(),
        rate: 50,
    };
    let supervisor = Supervisor::start(setup).await.unwrap();
    let address = supervisor.address();
    let before = pid(address).await.expect("answers");

    let said = restart_shop(supervisor.socket()).await.unwrap();
    let now = pid(address).await.expect("answers on the same port");
    assert_ne!(before, now);
    assert!(!alive(before), "the old process is gone");
    let (front, back) = (
        format!("shop restarted on {address} in "),
        format!("process {before} ended, {now} answers"),
    );
    assert!(said.starts_with(&front) && said.ends_with(&back), "{said}");

    let restarted = supervisor.restart().await.unwrap();
    assert_eq!((u64::from(restarted.before), restarted.address), (now, address));

    supervisor.stop().await;
    eventually("the last process ends", async || !alive(restarted.now.into())).await;
    let error = restart_shop(&folder.path().join("supervisor.sock")).await.unwrap_err();
    assert!(error.message.ends_with("supervisor.sock: the demo does not answer"), "{error}");
}

#[tokio::test]
async fn the_shop_ends_when_the_demo_is_killed_without_a_chance_to_tidy_up() {
    if was_the_shop().await {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("supervisor.sock");
    let supervisor = UnixListener::bind(&socket).unwrap();
    let test =
        "demo::process::tests::the_shop_ends_when_the_demo_is_killed_without_a_chance_to_tidy_up";
    let options = shop::Options {
        port_file: folder.path().join("shop.port"),
        port: 0,
        rate: 0,
        partner_failures: 0,
        lifeline: Some(socket),
    };
    let argv = program(test).into_iter().chain(options.arguments()).collect();
    let mut shop = exec::start_to(&Spawn { argv, ..Spawn::default() }, Output::Drop).unwrap();
    let mut lifeline = BufReader::new(supervisor.accept().await.unwrap().0);
    let mut said = String::new();
    lifeline.read_line(&mut said).await.unwrap();
    assert_eq!(said, "lifeline\n");
    assert_eq!(shop.try_wait(), Ok(None), "runs as long as the supervisor");
    drop((lifeline, supervisor));
    let end = tokio::time::timeout(Duration::from_secs(20), shop.wait()).await.expect("ends");
    assert_eq!(end, Ok(exec::End::Exited(0)));
}

#[tokio::test]
async fn a_shop_that_cannot_start_is_an_error_with_its_last_words() {
    let folder = tempfile::tempdir().unwrap();
    let setup = Setup {
        program: exec::shell("echo no shelf space; exit 7"),
        folder: folder.path().into(),
        rate: 0,
    };
    let error = Supervisor::start(setup).await.unwrap_err();
    assert_eq!(
        error.message,
        "the shop ended while it started: exit 7; it said:\n  no shelf space"
    );
}

#[tokio::test]
async fn a_restart_that_fails_is_told_to_whoever_asked() {
    if was_the_shop().await {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let broken = folder.path().join("broken");
    let test = "demo::process::tests::a_restart_that_fails_is_told_to_whoever_asked";
    let script = format!(
        r#"[ -e '{}' ] && exit 7; export {BE_THE_SHOP}="$*"; exec "$0" --exact {test} --nocapture"#,
        broken.display()
    );
    let mut argv = exec::shell(&script);
    argv.extend(ourselves(&[]).unwrap());
    let setup = Setup { program: argv, folder: folder.path().into(), rate: 0 };
    let supervisor = Supervisor::start(setup).await.unwrap();

    std::fs::write(&broken, "").unwrap();
    let error = restart_shop(supervisor.socket()).await.unwrap_err();
    assert!(error.message.starts_with("the shop ended while it started: exit 7"), "{error}");
    std::fs::remove_file(&broken).unwrap();
    restart_shop(supervisor.socket()).await.expect("the next one works");
    assert!(pid(supervisor.address()).await.is_some());
}

#[tokio::test]
async fn an_unknown_request_is_refused() {
    let (mut stream, other) = UnixStream::pair().unwrap();
    let (orders, mut queue) = mpsc::channel(1);
    let asking = async {
        stream.write_all(b"dance\n").await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    };
    let (answer, ()) = tokio::join!(asking, attend(other, orders));
    assert_eq!(answer, "error unknown request; expected restart\n");
    assert!(queue.try_recv().is_err(), "nothing was restarted");
}
