use std::os::unix::fs::PermissionsExt;

use serde_json::Value;

use super::*;

fn facts(watched_by: Watcher) -> Facts {
    let at = |port| SocketAddr::from(([127, 0, 0, 1], port));
    let restart = ["/opt/my \"quell\"/{{ x }}", "demo-restart-shop", "--state", "/run/it's/s.sock"];
    Facts {
        quell: at(9_797),
        shop: at(41_877),
        restart: restart.map(str::to_owned).to_vec(),
        watched_by,
    }
}

fn prometheus() -> Watcher {
    let at = |port| SocketAddr::from(([127, 0, 0, 1], port));
    Watcher::Prometheus { prometheus: at(9_090), alertmanager: at(9_093) }
}

/// Every file of a folder by name, read as YAML.
fn read(folder: &Path) -> Vec<(String, Value)> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.file_name().is_some_and(|name| name == SCRIPT || name == "schemas") {
            continue;
        }
        if path.is_dir() {
            files.extend(read(&path));
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(!text.contains('@'), "{}: something is not filled in:\n{text}", path.display());
        let value = serde_saphyr::from_str(&text)
            .unwrap_or_else(|error| panic!("{}: {error}\n{text}", path.display()));
        files.push((path.file_name().unwrap().to_string_lossy().into_owned(), value));
    }
    files.sort_by(|a, b| a.0.cmp(&b.0));
    files
}

fn names(files: &[(String, Value)]) -> Vec<&str> {
    files.iter().map(|(name, _)| name.as_str()).collect()
}

fn get<'a>(files: &'a [(String, Value)], name: &str, pointer: &str) -> &'a Value {
    let (_, value) = files.iter().find(|(it, _)| it == name).expect(name);
    value.pointer(pointer).unwrap_or_else(|| panic!("{name}: no {pointer} in {value}"))
}

#[test]
fn the_files_are_yaml_with_everything_filled_in() {
    let folder = Folder::create().unwrap();
    let written = folder.write(&facts(Watcher::Check)).unwrap();
    assert_eq!(written, Written { config: folder.path().join("quell.yml"), watcher: None });
    let files = read(folder.path());
    let expected = ["flush-http-cache.yml", "quell.yml", "restart-by-script.yml", "shop.yml"];
    assert_eq!(names(&files), expected);
    assert_eq!(get(&files, "quell.yml", "/mode"), "auto");
    assert_eq!(get(&files, "quell.yml", "/listen"), "127.0.0.1:9797");
    let storage = format!("sqlite:{}", folder.path().join("quell.db").display());
    assert_eq!(get(&files, "quell.yml", "/storage"), &storage);
    assert!(!get(&files, "quell.yml", "").as_object().unwrap().contains_key("prometheus"));
    let scrape = "/checks/0/probe/scrape/url";
    assert_eq!(get(&files, "shop.yml", scrape), "http://127.0.0.1:41877/metrics");
}

#[tokio::test]
async fn the_restart_script_survives_quotes() {
    let folder = Folder::create().unwrap();
    let restart = ["/bin/echo", "my \"quell\"", "it's", "$HOME", "{{ x }}"].map(str::to_owned);
    folder.write(&Facts { restart: restart.to_vec(), ..facts(Watcher::Check) }).unwrap();
    let spawn = crate::exec::Spawn {
        argv: vec![folder.path().join(SCRIPT).display().to_string()],
        timeout: std::time::Duration::from_secs(10),
        max_output_bytes: 1_000,
        ..Default::default()
    };
    let ended = crate::exec::run(&spawn).await.unwrap();
    assert_eq!(ended.stdout.trim_end(), "my \"quell\" it's $HOME {{ x }}");
}

#[test]
fn the_files_name_schemas_that_are_there() {
    for watcher in [Watcher::Check, prometheus()] {
        let folder = Folder::create().unwrap();
        folder.write(&facts(watcher)).unwrap();
        for file in ["quell.yml", "rules/shop.yml", "playbooks/flush-http-cache.yml"] {
            let path = folder.path().join(file);
            let text = std::fs::read_to_string(&path).unwrap();
            let schema = text.strip_prefix("# yaml-language-server: $schema=").unwrap();
            let schema = path.parent().unwrap().join(schema.lines().next().unwrap());
            assert!(schema.is_file(), "{file}: {}", schema.display());
        }
    }
}

#[test]
fn the_files_load_without_a_word() {
    for watched_by in [Watcher::Check, prometheus()] {
        let folder = Folder::create().unwrap();
        let written = folder.write(&facts(watched_by)).unwrap();
        let loaded = crate::library::load(Some(&written.config), &|_| None);
        assert!(
            loaded.library.is_some() && loaded.diagnostics.is_empty(),
            "{}",
            loaded.render(false)
        );
    }
}

#[test]
fn prometheus_and_alertmanager_have_files_when_they_watch() {
    let folder = Folder::create().unwrap();
    let written = folder.write(&facts(prometheus())).unwrap();
    let at = |name| folder.path().join(name);
    assert_eq!(written.watcher, Some((at("prometheus.yml"), at("alertmanager.yml"))));
    let files = read(folder.path());
    assert_eq!(get(&files, "quell.yml", "/alertmanager/url"), "http://127.0.0.1:9093");
    assert_eq!(
        get(&files, "prometheus.yml", "/scrape_configs/0/static_configs/0/targets/0"),
        "127.0.0.1:41877"
    );
    assert_eq!(
        get(&files, "alertmanager.yml", "/receivers/0/webhook_configs/0/url"),
        "http://127.0.0.1:9797/api/v1/webhook/alertmanager"
    );
    assert!(!get(&files, "shop.yml", "").as_object().unwrap().contains_key("checks"));
}

#[test]
fn the_folder_is_private_and_goes_away_unless_it_is_kept() {
    let folder = Folder::create().unwrap();
    let path = folder.path().to_owned();
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o700);
    drop(folder);
    assert!(!path.exists());

    let kept = Folder::create().unwrap().keep();
    assert!(kept.is_dir());
    std::fs::remove_dir_all(kept).unwrap();
}
