//! Files, databases and ids that cannot be used.

use std::fs;
use std::fs::Permissions;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use sqlx::AnyConnection;
use sqlx::Connection as _;

use crate::bad_input::shown;
use crate::support::process;
use crate::support::quell::Quell;

/// What `quell serve` says with this setting, and that it could not run.
async fn refuses_to_serve(config: &str) -> String {
    let quell = Quell::prepare(config, &[]);
    refused(&quell).await
}

async fn refused(quell: &Quell) -> String {
    let said = quell.cli(&["serve"]).await;
    assert_eq!((said.code, said.out.as_str()), (2, ""), "{said:#?}");
    shown(quell, &said.err)
}

#[tokio::test]
async fn a_database_in_a_missing_folder() {
    insta::assert_snapshot!(refuses_to_serve("storage: sqlite:data/quell.db").await, @"
    error[Q0402]: could not open the database data/quell.db: there is no folder data
      = create it, or name another file under `storage:` in quell.yml
    ");
}

#[tokio::test]
async fn a_database_that_is_not_supported() {
    let said = refuses_to_serve("storage: mysql://quell:hush@db/quell").await;
    assert!(!said.contains("hush"), "{said}");
    insta::assert_snapshot!(said, @"
    error[Q0120]: expected sqlite:FILE or postgres://…
      ┌─ quell.yml:3:10
      │
    3 │ storage: ***************************
      │          ^^^^^^^^^^^^^^^^^^^^^^^^^^^

    1 file, 0 rules, 0 playbooks: 1 error
    error[Q0100]: the files have errors
      = correct them, then `quell check`
    ");
}

#[tokio::test]
async fn a_database_that_does_not_answer() {
    let port = process::port();
    let said =
        refuses_to_serve(&format!("storage: postgres://quell:hush@127.0.0.1:{port}/quell")).await;
    assert!(!said.contains("hush"), "{said}");
    // before it stands that nothing signs the audit
    let said = &said[said.find("error[").unwrap()..];
    insta::assert_snapshot!(said, @"
    error[Q0402]: could not open the database: nothing listens where the storage URL says: connection refused
      = check that the server runs and that user and database exist
    ");
}

#[tokio::test]
async fn a_port_in_use() {
    let quell = Quell::prepare("storage: sqlite:quell.db", &[]);
    let _taken = TcpListener::bind(quell.address()).unwrap();
    insta::assert_snapshot!(refused(&quell).await, @"
    error[Q0406]: could not listen on [address]: another process listens there
      = choose another address under `listen:`, or stop what uses it
    ");
}

#[tokio::test]
async fn a_database_of_a_newer_quell() {
    let mut quell = Quell::start("storage: sqlite:quell.db", &[]).await;
    quell.stop().await;
    let file = quell.folder().join("quell.db");
    sqlx::any::install_default_drivers();
    let mut connection =
        AnyConnection::connect(&format!("sqlite:{}", file.display())).await.unwrap();
    // as the migrations of a newer one leave it: with tables and columns more, and word of who may still use it
    let columns = "description, installed_on, success, checksum, execution_time";
    let newer = format!(
        "INSERT INTO _sqlx_migrations (version, {columns})
         SELECT 9999, {columns} FROM _sqlx_migrations LIMIT 1"
    );
    sqlx::query(sqlx::AssertSqlSafe(newer)).execute(&mut connection).await.unwrap();
    sqlx::query("ALTER TABLE runs ADD COLUMN mood TEXT").execute(&mut connection).await.unwrap();
    quell.serve().await;
    quell.stop().await;
    sqlx::query("UPDATE compat SET value = 9999").execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    let refused = refused(&quell).await;
    let (before, known) = refused.split_once("known here is ").unwrap();
    let known = known.split_once('\n').unwrap();
    assert!(known.0.parse::<i64>().unwrap() >= 3, "{refused}");
    insta::assert_snapshot!(format!("{before}known here is N\n{}", known.1), @"
    error[Q0403]: the database belongs to a newer quell: only those that know migration 9999 may use it, and the newest known here is N
      = start the newer quell again, or restore a copy from before it; nothing was changed
    ");
}

#[tokio::test]
async fn a_database_that_is_none() {
    let quell = Quell::prepare("storage: sqlite:quell.db", &[]);
    quell.write("quell.db", &"these are notes of mine, and no database\n".repeat(100));
    insta::assert_snapshot!(refused(&quell).await, @"
    error[Q0402]: could not open the database quell.db: the file is not a database
      = check the file, or name another under `storage:` in quell.yml
    ");
    let said = quell.cli(&["incidents"]).await;
    assert_eq!(said.code, 2, "{said:#?}");
    let text = fs::read_to_string(quell.folder().join("quell.db")).unwrap();
    assert!(text.starts_with("these are notes of mine"), "the file was changed");
}

#[tokio::test]
async fn a_folder_that_may_only_be_read() {
    let quell = Quell::prepare("storage: sqlite:data/quell.db", &[]);
    let data = quell.folder().join("data");
    fs::create_dir(&data).unwrap();
    fs::set_permissions(&data, Permissions::from_mode(0o555)).unwrap();
    // root may write everywhere, unless it gives that up
    let drops = ["setpriv", "--bounding-set=-dac_override", "--inh-caps=-dac_override"];
    let before: &[&str] = if rustix::process::geteuid().is_root() { &drops } else { &[] };
    let said = quell.cli_under(before, &["serve"]).await;
    fs::set_permissions(&data, Permissions::from_mode(0o755)).unwrap();
    assert_eq!(said.code, 2, "{said:#?}");
    insta::assert_snapshot!(shown(&quell, &said.err), @"
    error[Q0402]: could not open the database data/quell.db: data/quell.db.lock may not be written by this user
      = the user quell runs as must be able to write to the folder of the database
    ");
}

#[tokio::test]
async fn things_that_are_not_there() {
    let mut quell = Quell::start("storage: sqlite:quell.db", &[]).await;
    quell.stop().await;
    let mut text = String::new();
    for line in [
        "ack i-999",
        "ack 999",
        "runs r-abc",
        "runs r-7",
        "incidents i-1",
        "approve r-7 --by dana --digest 12345678",
        "answer r-7 maybe",
        "cancel r-7",
        "pause rule",
        "--config other.yml check",
        "--config other.yml incidents",
    ] {
        let arguments: Vec<&str> = line.split(' ').collect();
        let said = quell.cli(&arguments).await;
        text = format!("{text}$ quell {line}\n{}{}exit {}\n", said.out, said.err, said.code);
    }
    insta::assert_snapshot!(shown(&quell, &text), @"
    $ quell ack i-999
    error[Q0408]: there is no incident i-999
      = `quell incidents --all` lists those there are
    exit 1
    $ quell ack 999
    error[Q0408]: there is no incident i-999
      = `quell incidents --all` lists those there are
    exit 1
    $ quell runs r-abc
    error: invalid value 'r-abc' for '[RUN]': `r-abc` is not an id like r-12

    For more information, try '--help'.
    exit 2
    $ quell runs r-7
    error[Q0408]: there is no run r-7
      = `quell runs` lists those there are
    exit 1
    $ quell incidents i-1
    error[Q0408]: there is no incident i-1
      = `quell incidents --all` lists those there are
    exit 1
    $ quell approve r-7 --by dana --digest 12345678
    error[Q0408]: there is no run r-7
      = `quell runs` lists those there are
    exit 1
    $ quell answer r-7 maybe
    error[Q0415]: `maybe` is no answer
      = write NAME=VALUE, yes, no, happened or did-not-happen
    exit 1
    $ quell cancel r-7
    error[Q0408]: there is no run r-7
      = `quell runs` lists those there are
    exit 1
    $ quell pause rule
    error: invalid value 'rule' for '[SCOPE]': write all, rule:NAME, playbook:NAME or target:NAME

    For more information, try '--help'.
    exit 2
    $ quell --config other.yml check
    error[Q0101]: cannot read other.yml: no such file or directory

    0 files, 0 rules, 0 playbooks: 1 error
    more about it: quell explain-error Q0101
    exit 1
    $ quell --config other.yml incidents
    error[Q0101]: cannot read other.yml: no such file or directory

    0 files, 0 rules, 0 playbooks: 1 error
    error[Q0100]: the files have errors
      = correct them, then `quell check`
    exit 2
    ");
}

#[tokio::test]
async fn commands_before_the_first_start() {
    let quell = Quell::prepare("storage: sqlite:quell.db", &[]);
    let said = quell.cli(&["incidents"]).await;
    assert_eq!(said.code, 2, "{said:#?}");
    insta::assert_snapshot!(shown(&quell, &said.err), @"
    error[Q0407]: there is no database quell.db yet
      = name the settings of the server with --config, or start `quell serve`
    ");
    assert!(!Path::new(&quell.folder().join("quell.db")).exists(), "a look made a database");
}

#[tokio::test]
async fn files_with_errors_are_all_shown_and_nothing_starts() {
    let rules = r#"
rules:
  - name: errors
    match: [alertname="HighErrorRate"]
    target: service/shop
    cooldwon: 5m
    limits: { cooldwon: 5m }
    response: [{ playbook: restrat }]
"#;
    let playbook = "
playbook: restart
steps:
  - name: restart
    command: { argv: [systemctl, restart, \"{{ unit }}\"] }
";
    let files = [("rules/shop.yml", rules), ("playbooks/restart.yml", playbook)];
    let quell = Quell::prepare("storage: sqlite:quell.db\nmode: auto", &files);
    let said = refused(&quell).await;
    insta::assert_snapshot!(said, @r#"
    error[Q0115]: unknown variable `unit`; there are: labels, annotations, steps, run
      ┌─ playbooks/restart.yml:5:47
      │
    5 │     command: { argv: [systemctl, restart, "{{ unit }}"] }
      │                                               ^^^^

    error[Q0104]: unknown key `cooldwon`
      ┌─ rules/shop.yml:6:5
      │
    6 │     cooldwon: 5m
      │     ^^^^^^^^
      │
      = a rule takes: name, description, match, when, group_by, target, response, verify, population, redundancy_group, limits, mode, continue, on_failure, page, updates

    error[Q0104]: unknown key `cooldwon`
      ┌─ rules/shop.yml:7:15
      │
    7 │     limits: { cooldwon: 5m }
      │               ^^^^^^^^ did you mean `cooldown`?
      │
      = `limits` of a rule takes: settle, cooldown, rate, max_unhealthy, blast, min_available, ineffective, demote_after, quiet

    error[Q0122]: unknown playbook `restrat`
      ┌─ rules/shop.yml:8:28
      │
    8 │     response: [{ playbook: restrat }]
      │                            ^^^^^^^ did you mean `restart`?
      │
      = playbooks: restart

    3 files, 1 rule, 1 playbook: 4 errors
    error[Q0100]: the files have errors
      = correct them, then `quell check`
    "#);
    assert!(!quell.folder().join("quell.db").exists());
}
