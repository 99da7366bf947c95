//! A disk that is full, or fails: what cannot be written is not taken, and nothing acts on it.

use std::fs;

use reqwest::Method;
use reqwest::Response;
use serde_json::json;

use crate::bad_input::shown;
use crate::support::process;
use crate::support::quell::Quell;
use crate::support::quell::webhook;
use crate::support::shop::Fault;
use crate::support::shop::Shop;
use crate::support::wait;

async fn post(quell: &Quell, alertname: &str, padding: usize) -> Response {
    let labels = json!({ "alertname": alertname, "padding": "x".repeat(padding) });
    let request = quell.request(Method::POST, "/api/v1/webhook/alertmanager");
    request.json(&webhook("firing", &labels)).send().await.unwrap()
}

/// A shop, and quell with a rule that restarts it.
async fn prepared() -> (Shop, Quell) {
    let shop = Shop::start().await;
    shop.inject(Fault::LeakedPool);
    let rules = r#"
rules:
  - name: errors
    match: [alertname="HighErrorRate"]
    target: service/shop
    response: [{ playbook: restart }]
"#;
    let playbook = format!(
        "
playbook: restart
steps:
  - name: restart
    http: {{ method: POST, url: {} }}
",
        shop.url("/restart")
    );
    let files = [("rules/r.yml", rules), ("playbooks/p.yml", playbook.as_str())];
    let quell = Quell::prepare("storage: sqlite:quell.db\nmode: auto", &files);
    (shop, quell)
}

#[tokio::test]
async fn a_log_that_cannot_be_written_stops_nothing() {
    let (shop, mut quell) = prepared().await;
    let limit = 4_000_000;
    quell.write("log", &"x".repeat(limit));
    quell.serve_with_files_up_to(limit as u64).await;
    assert!(post(&quell, "HighErrorRate", 0).await.status().is_success());
    shop.affected(1).await;
    assert!(quell.stop().await.success());
    assert_eq!(quell.log().len(), limit, "something was logged, so nothing was proved");
}

#[tokio::test]
async fn what_cannot_be_written_is_not_taken() {
    let (shop, mut quell) = prepared().await;
    quell.serve().await;
    quell.stop().await;

    // no file may grow beyond what the database has now and a little: its journal is soon full
    let size = fs::metadata(quell.folder().join("quell.db")).unwrap().len();
    quell.serve_with_files_up_to(size + 100_000).await;
    let mut taken = 0;
    let refused = loop {
        let reply = post(&quell, &format!("Filler{taken}"), 10_000).await;
        if !reply.status().is_success() {
            break reply;
        }
        taken += 1;
        assert!(taken < 500, "the disk never filled up");
    };
    assert!(taken > 0, "it was full from the start");
    assert_eq!(refused.status(), 503);
    assert_eq!(refused.headers()["retry-after"], "5");
    let problem: serde_json::Value = refused.json().await.unwrap();
    insta::assert_snapshot!(shown(&quell, problem["detail"].as_str().unwrap()), @"the disk cannot be written: nothing of this request was kept, send it again");
    // more than fits, whatever room is left; and again, for a failure may leave something behind
    for _ in 0..3 {
        let reply = post(&quell, "HighErrorRate", 1_000_000).await;
        assert_eq!(reply.status(), 503, "it must not seem stored");
    }
    let ready = quell.request(Method::GET, "/health/live").send().await.unwrap();
    assert!(ready.status().is_success(), "a restart would not help: {ready:#?}");
    quell.stop().await;
    assert!(shop.effects().is_empty(), "it acted on what is not on disk");

    // space again: what was taken is there, what was refused is taken when it is sent again
    quell.serve().await;
    let episodes = quell.get("/api/v1/episodes?limit=500").await;
    let stored = episodes["items"].as_array().unwrap_or_else(|| panic!("{episodes:#}")).len();
    assert_eq!(stored, taken, "a 200 was said for what is not there");
    assert!(post(&quell, "HighErrorRate", 1_000_000).await.status().is_success());
    shop.affected(1).await;
}

/// Stands between quell and the C library: what a file names fails with EIO, where it is about the database.
const FAILS: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static int fails(int fd, const char *what) {
    char mode[32] = "", link[64], path[4096] = "";
    const char *file = getenv("QUELL_TEST_EIO");
    int saved = errno, found = 0;
    int told = file ? open(file, O_RDONLY | O_CLOEXEC) : -1;
    if (told >= 0) {
        if (read(told, mode, sizeof mode - 1) > 0) {
            snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
            found = strstr(mode, what) && readlink(link, path, sizeof path - 1) > 0 && strstr(path, "quell.db");
        }
        close(told);
    }
    errno = found ? EIO : saved;
    return found;
}
#define REAL(name, type) ((type)dlsym(RTLD_NEXT, name))
int fsync(int fd) { return fails(fd, "sync") ? -1 : REAL("fsync", int (*)(int))(fd); }
int fdatasync(int fd) { return fails(fd, "sync") ? -1 : REAL("fdatasync", int (*)(int))(fd); }
ssize_t pwrite(int fd, const void *from, size_t count, off_t at) {
    return fails(fd, "write") ? -1 : REAL("pwrite", ssize_t (*)(int, const void *, size_t, off_t))(fd, from, count, at);
}
ssize_t pwrite64(int fd, const void *from, size_t count, off64_t at) {
    return fails(fd, "write") ? -1 : REAL("pwrite64", ssize_t (*)(int, const void *, size_t, off64_t))(fd, from, count, at);
}
ssize_t write(int fd, const void *from, size_t count) {
    return fails(fd, "write") ? -1 : REAL("write", ssize_t (*)(int, const void *, size_t))(fd, from, count);
}
"#;

#[tokio::test]
async fn a_disk_that_fails_while_quell_works_stops_effects_until_it_works_again() {
    for what in ["sync", "write"] {
        let (shop, quell) = prepared().await;
        quell.write("fails.c", FAILS);
        let place = |name: &str| quell.folder().join(name).display().to_string();
        let (source, library, told) = (place("fails.c"), place("fails.so"), place("fails"));
        process::run("cc", &["-shared", "-fPIC", "-o", &library, &source, "-ldl"]);
        let mut quell = quell.with_env("LD_PRELOAD", &library).with_env("QUELL_TEST_EIO", &told);
        quell.serve().await;
        let reply = post(&quell, "Filler", 100).await;
        assert!(reply.status().is_success(), "{what}: {reply:#?}");

        quell.write("fails", what);
        for _ in 0..3 {
            let reply = post(&quell, "HighErrorRate", 0).await;
            assert_eq!(reply.status(), 503, "{what}: it must not seem stored");
            assert_eq!(reply.headers()["retry-after"], "5");
            let problem: serde_json::Value = reply.json().await.unwrap();
            let detail = problem["detail"].as_str().unwrap();
            assert!(detail.starts_with("the disk cannot be written: "), "{what}: {detail}");
        }
        let live = quell.request(Method::GET, "/health/live").send().await.unwrap();
        assert!(live.status().is_success(), "{what}: a restart would not help: {live:#?}");
        assert_eq!(shop.effects().len(), 0, "{what}: it acted on what is not on disk");

        fs::remove_file(&told).unwrap();
        wait::until("it is taken", wait::PATIENCE, async || {
            let status = post(&quell, "HighErrorRate", 0).await.status();
            if status == 200 { Ok(()) } else { Err(status) }
        })
        .await;
        shop.affected(1).await;

        // and in the middle: whether or not it was done, nothing is done twice, and what is written holds together
        quell.write("fails", what);
        let _any = post(&quell, "HighErrorRate", 10).await;
        quell.kill9();
        fs::remove_file(&told).unwrap();
        quell.serve().await;
        let audit = quell.cli(&["audit", "verify"]).await;
        assert_eq!(audit.code, 0, "{what}: {audit:#?}");
        let keys = shop.effects().into_iter().map(|it| it.headers["idempotency-key"].clone());
        let keys: Vec<_> = keys.collect();
        assert_eq!(keys.len(), 1, "{what}: {keys:?}");
    }
}
