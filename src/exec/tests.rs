use super::*;

fn spawn(argv: &[&str]) -> Spawn {
    Spawn {
        argv: argv.iter().map(ToString::to_string).collect(),
        timeout: Duration::from_secs(20),
        max_output_bytes: 64 << 10,
        ..Spawn::default()
    }
}

fn script(text: &str) -> Spawn {
    Spawn { argv: shell(text), ..spawn(&[]) }
}

/// Whether a process runs; one that is dead but not reaped does not.
fn alive(pid: &str) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !matches!(stat.rsplit(") ").next(), Some(rest) if rest.starts_with('Z')))
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !holds() {
        assert!(Instant::now() < deadline, "waited too long for: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Process ids that a script wrote into `file`, once there are `count`.
async fn pids(file: &Path, count: usize) -> Vec<String> {
    let read = || -> Vec<String> {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        whole.lines().map(str::to_owned).collect()
    };
    until("process ids", || read().len() >= count).await;
    read()
}

#[tokio::test]
async fn tells_how_a_process_ended() {
    for (text, end, words) in [
        ("exit 0", End::Exited(0), "exit 0 in "),
        ("exit 3", End::Exited(3), "exit 3 in "),
        ("kill -9 $$", End::Signalled(9), "signal 9 after "),
    ] {
        let ended = run(&script(text)).await.unwrap();
        assert_eq!(ended.end, end, "{text}");
        assert!(ended.describe().starts_with(words), "{}", ended.describe());
    }
}

#[tokio::test]
async fn reads_both_streams_beyond_the_size_of_a_pipe() {
    let text = "i=0; while [ $i -lt 4000 ]; do echo 0123456789012345678901234567890123456789; \
                echo 0123456789012345678901234567890123456789 >&2; i=$((i+1)); done; echo the end";
    let ended = run(&script(text)).await.unwrap();
    assert_eq!(ended.end, End::Exited(0));
    assert!(ended.stdout.contains("bytes left out"), "{}", ended.stdout.len());
    assert!(ended.stdout.ends_with("the end\n"));
    assert!(ended.stdout.len() < (64 << 10) + 60 && ended.stderr.len() < (64 << 10) + 60);
}

#[tokio::test]
async fn arguments_are_not_read_by_a_shell_and_the_environment_is_clean() {
    let ended = run(&spawn(&["printf", "%s|", "$HOME; `id`", "", "two words"])).await.unwrap();
    assert_eq!(ended.stdout, "$HOME; `id`||two words|");
    let mut env = spawn(&["env"]);
    env.env.insert("GIVEN".into(), "yes".into());
    let ended = run(&env).await.unwrap();
    let mut names: Vec<&str> = ended.stdout.lines().filter_map(|it| it.split('=').next()).collect();
    names.sort_unstable();
    assert!(names.contains(&"GIVEN") && names.contains(&"PATH"), "{names:?}");
    assert!(
        names.iter().all(|it| ["GIVEN", "PATH", "HOME", "LANG", "TZ"].contains(it)),
        "{names:?}"
    );
}

#[tokio::test]
async fn standard_input_is_empty_and_the_directory_is_used() {
    let directory = tempfile::tempdir().unwrap();
    let place = directory.path().canonicalize().unwrap();
    let here = Spawn { directory: Some(place.clone()), ..script("cat; pwd -P") };
    assert_eq!(run(&here).await.unwrap().stdout, format!("{}\n", place.display()));
}

#[tokio::test]
async fn says_why_a_process_did_not_start() {
    let directory = tempfile::tempdir().unwrap();
    let plain = directory.path().join("plain");
    std::fs::write(&plain, "no program").unwrap();
    let orphan = directory.path().join("orphan");
    std::fs::write(&orphan, "#!/nonexistent/interpreter\n").unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&orphan, mode).unwrap();
    let missing = Spawn { directory: Some("/nonexistent/place".into()), ..script("true") };
    let no_place = Spawn { directory: Some(plain.clone()), ..script("true") };
    for (spawn, words) in [
        (spawn(&[]), "its command line is empty"),
        (spawn(&[""]), "its command line is empty"),
        (
            spawn(&["quell-no-such-program"]),
            "could not start `quell-no-such-program`: no such program in PATH",
        ),
        (spawn(&["/nonexistent/program"]), "could not start `/nonexistent/program`: no such file"),
        (spawn(&[plain.to_str().unwrap()]), "not executable by this user"),
        (
            spawn(&[orphan.to_str().unwrap()]),
            "the interpreter that its first line names does not exist",
        ),
        (spawn(&["true", "a\0b"]), "NUL byte"),
        (missing, "working directory `/nonexistent/place` does not exist"),
        (no_place, "is not a directory"),
    ] {
        let error = run(&spawn).await.unwrap_err();
        assert!(error.contains(words), "{error:?} lacks {words:?}");
    }
}

#[tokio::test]
async fn after_the_timeout_the_whole_group_is_killed_even_when_it_ignores_sigterm() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("pids");
    let text = format!(
        "trap '' TERM; (trap '' TERM; sh -c 'echo $$; exec sleep 600' & sleep 600) >>{0} & \
         echo $$ >>{0}; echo begun; sleep 600; sleep 600",
        file.display()
    );
    let impatient = Spawn { timeout: Duration::from_millis(500), ..script(&text) };
    let ended = run(&impatient).await.unwrap();
    assert_eq!(ended.end, End::TimedOut);
    assert_eq!(ended.stdout, "begun\n", "output before the timeout is kept");
    assert!(ended.took >= impatient.timeout + GRACE, "SIGTERM comes first: {:?}", ended.took);
    assert!(ended.describe().starts_with("killed after "), "{}", ended.describe());
    for pid in pids(&file, 2).await {
        assert!(!alive(&pid), "process {pid} outlived its group");
    }
}

#[tokio::test]
async fn a_process_that_heeds_sigterm_may_clean_up() {
    let text = "trap 'echo cleaned up; exit 7' TERM; echo begun; while :; do sleep 0.02; done";
    let ended = run(&Spawn { timeout: Duration::from_millis(500), ..script(text) }).await.unwrap();
    assert_eq!(ended.end, End::TimedOut);
    assert_eq!(ended.stdout, "begun\ncleaned up\n");
    assert!(ended.took < GRACE, "no longer than it needed: {:?}", ended.took);
}

#[tokio::test]
async fn dropping_the_future_kills_the_whole_group() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("pids");
    let text = format!(
        "trap '' TERM; (sh -c 'echo $$; exec sleep 600' & sleep 600) >>{0} & echo $$ >>{0}; sleep 600",
        file.display()
    );
    let spawn = script(&text);
    let running = run(&spawn);
    let seen = tokio::select! {
        ended = running => panic!("it should still run: {ended:?}"),
        seen = pids(&file, 2) => seen,
    };
    until("dead processes", || seen.iter().all(|pid| !alive(pid))).await;
}

#[tokio::test]
async fn a_grandchild_that_keeps_the_pipe_open_does_not_hold_us_up_and_lives_on() {
    let ended = run(&script("sleep 600 & echo $!; exit 0")).await.unwrap();
    assert_eq!(ended.end, End::Exited(0));
    assert!(ended.took < Duration::from_secs(10), "{:?}", ended.took);
    let pid = ended.stdout.trim();
    assert!(alive(pid), "what a process leaves behind is not ours to kill");
    run(&spawn(&["kill", "-9", pid])).await.unwrap();
}

#[tokio::test]
async fn a_running_process_gives_lines_and_ends_with_its_group() {
    let mut running =
        start_to(&script("sh -c 'echo $$; exec sleep 600' & sleep 0.01; wait"), Output::Lines)
            .unwrap();
    let grandchild = running.next_line().await.unwrap();
    assert!(alive(&grandchild) && alive(&running.pid().to_string()));
    assert_eq!(running.try_wait().unwrap(), None);
    let pid = running.pid().to_string();
    running.terminate(Duration::from_secs(5)).await;
    assert!(!alive(&grandchild) && !alive(&pid));
}

#[tokio::test]
async fn dropping_a_running_process_kills_its_group() {
    let mut running =
        start_to(&script("trap '' TERM; sleep 600 & echo $!; wait"), Output::Lines).unwrap();
    let both = [running.next_line().await.unwrap(), running.pid().to_string()];
    drop(running);
    until("dead processes", || both.iter().all(|pid| !alive(pid))).await;
}

#[tokio::test]
async fn a_running_process_that_ends_by_itself_is_seen_and_writes_to_its_file() {
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("log");
    let file = std::fs::File::create(&log).unwrap();
    let mut running =
        start_to(&script("echo out; echo err >&2; exit 4"), Output::File(file)).unwrap();
    assert_eq!(running.wait().await.unwrap(), End::Exited(4));
    assert_eq!(running.try_wait().unwrap(), Some(End::Exited(4)));
    assert_eq!(std::fs::read_to_string(log).unwrap(), "out\nerr\n");
}

#[test]
fn spans_are_read_at_a_glance() {
    for (millis, words) in
        [(0, "0 ms"), (212, "212 ms"), (1500, "1.5 s"), (2012, "2 s"), (30_004, "30 s")]
    {
        assert_eq!(span(Duration::from_millis(millis)), words);
    }
}
