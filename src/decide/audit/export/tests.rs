use super::super::note::PrivateKey;
use super::super::note::succession;
use super::*;

fn key() -> PrivateKey {
    PrivateKey::of("quell", [3; 32]).unwrap()
}

fn entry(run: i64, seq: i64, head: &str, body: &str) -> (String, String) {
    let link = Sha256::digest(format!("{head}\nr-{run}\n{seq}\n5\n{body}\n").as_bytes());
    let hash = merkle::hex(&link);
    (
        format!(r#"{{"kind":"event","id":"r-{run}/{seq}","at":5,"hash":"{hash}","body":{body}}}"#),
        hash,
    )
}

/// Two journals that were sealed by turns, a change, two checkpoints; and the last of these.
fn whole() -> (Vec<String>, String) {
    let digest = merkle::hex(&Sha256::digest(b"{\"a\": 1}"));
    let planned = format!(r#"{{"planned":{{"digest":"{digest}"}}}}"#);
    let (a1, head_a) = entry(1, 1, "", &planned);
    let (b1, head_b) = entry(2, 1, "", &planned);
    let (a2, _) = entry(1, 2, &head_a, r#"{"settled":{"by":"ada"}}"#);
    let (b2, _) = entry(2, 2, &head_b, r#"{"settled":{"by":"bob"}}"#);
    let change = r#"{"kind":"change","id":"change-1","at":5}"#.to_owned();
    let mut range = Range::default();
    let mut lines = vec![begins(&range)];
    let mut note = String::new();
    for (at, data) in [a1, b1, a2, change, b2].into_iter().enumerate() {
        range.push(merkle::leaf(data.as_bytes()));
        lines.push(leaf(at as u64, &data));
        if at < 2 {
            lines.push(plan(&format!("r-{}", at + 1), "{\"a\": 1}"));
        }
        if [2, 4].contains(&at) {
            note = key().sign(&Checkpoint::of("quell", &range).text()).unwrap();
            lines.push(checkpoint(&note));
        }
    }
    (lines, note)
}

fn check(lines: &[String], external: &[&str]) -> (Checked, Vec<String>) {
    let external = external.iter().map(|note| ("anchor".to_owned(), (*note).to_owned())).collect();
    let mut check = Check::new(&[key().public().clone()], external);
    for line in lines {
        check.line(line);
    }
    check.finish()
}

#[test]
fn an_export_is_checked_by_the_public_key_alone() {
    let (lines, note) = whole();
    let (checked, problems) = check(&lines, &[&note]);
    assert_eq!(problems, [] as [&str; 0]);
    assert_eq!(checked, Checked { begins: 0, leaves: 5, checkpoints: 3, signed: 5 });
}

#[test]
fn what_was_changed_in_an_export_is_named() {
    let mut page = String::new();
    let (lines, note) = whole();
    let mut case = |name: &str, lines: &[String]| {
        let (_, problems) = check(lines, &[&note]);
        page = format!("{page}{name}\n");
        for it in &problems {
            page = format!("{page}  {it}\n");
        }
    };
    let edit = |at: usize, from: &str, to: &str| {
        let mut lines = lines.clone();
        assert!(lines[at].contains(from), "{}", lines[at]);
        lines[at] = lines[at].replacen(from, to, 1);
        lines
    };
    let without = |at: usize| {
        lines
            .iter()
            .enumerate()
            .filter(|(it, _)| *it != at)
            .map(|(_, it)| it.clone())
            .collect::<Vec<_>>()
    };
    let mut swapped = lines.clone();
    swapped.swap(5, 7);
    let mut twice = lines.clone();
    twice.insert(6, lines[5].clone());
    case("an entry edited", &edit(5, "ada", "eve"));
    case("a change edited", &edit(7, "\"at\":5", "\"at\":6"));
    case("a plan edited", &edit(2, "1}", "2}"));
    case("a space added", &edit(7, ",\"at\"", ", \"at\""));
    case("a line dropped", &without(5));
    case("two lines swapped", &swapped);
    case("a line inserted", &twice);
    case("truncated", &lines[..7]);
    case("a checkpoint edited", &edit(6, "\\n3\\n", "\\n4\\n"));
    case("the beginning edited", &edit(0, "0", "1"));
    case("no beginning", &without(0));
    case("no line of an export", &edit(5, "{", "["));
    case("nothing", &[]);
    insta::assert_snapshot!(page);
}

#[test]
fn nothing_is_proved_without_a_checkpoint() {
    let (lines, _) = whole();
    let plain: Vec<String> = lines.into_iter().filter(|it| !it.contains("checkpoint")).collect();
    assert_eq!(check(&plain, &[]).1, ["no signed checkpoint covers any of it: nothing is proved"]);
}

#[test]
fn an_older_key_leads_to_the_newer_one_by_the_log() {
    let new = PrivateKey::of("quell", [4; 32]).unwrap();
    let mut range = Range::default();
    let note = succession(&key(), &new).unwrap();
    let data = serde_json::json!({ "kind": "key", "id": "key-2", "at": 5, "succession": note })
        .to_string();
    let first = begins(&range);
    range.push(merkle::leaf(data.as_bytes()));
    let signed = new.sign(&Checkpoint::of("quell", &range).text()).unwrap();
    let lines = [first, leaf(0, &data), checkpoint(&signed)];
    assert_eq!(check(&lines, &[]).1, [] as [&str; 0]);
    let stranger = data.replace("succession", "confession");
    let (_, problems) = check(&[lines[0].clone(), leaf(0, &stranger), lines[2].clone()], &[]);
    assert!(problems[0].contains("no signature of it is by a key that is trusted"), "{problems:?}");
}
