use super::super::merkle::from_hex;
use super::*;

/// The example of Go's package note.
const GO_KEY: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
const GO_NOTE: &str = "If you think cryptography is the answer to your problem,\n\
    then you don't know what your problem is.\n\n\
    \u{2014} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";

/// Made by the Python package `cryptography`.
const PRIVATE_KEY: &str =
    "PRIVATE+KEY+example.com/quell+22e8c44a+AdcMA3EHm4ebJh993gOr4viMLOipFHHcM3IppF1aHLlB";
const PUBLIC_KEY: &str = "example.com/quell+22e8c44a+AStIGugs5xkJmq7fDoHbDeZEs4n7hryq744jiMdOrmHd";
const NOTE: &str = "example.com/quell\n8\nXcnaeacGWamtVZy3Ad7ZoqudgjqtL0lgz+Nw7/RgQyg=\n\n\
    \u{2014} example.com/quell IujESs5v5LF/qEKo+DM+u6EYTByDh+Y+pTKq+H18Cb0h3nfoWGDS1OJ+kLJ3p2VZ+rUZitl5BhJC4YmvED8gm90QcQs=\n";

fn key(text: &str) -> PublicKey {
    PublicKey::parse(text).unwrap()
}

fn private(name: &str, seed: u8) -> PrivateKey {
    PrivateKey::of(name, [seed; 32]).unwrap()
}

#[test]
fn the_example_of_go_is_verified() {
    let keys = [key(PUBLIC_KEY), key(GO_KEY)];
    let (text, by) = open(GO_NOTE, &keys).unwrap();
    assert!(text.ends_with("your problem is.\n"));
    assert_eq!(by.to_string(), GO_KEY);
}

#[test]
fn a_checkpoint_is_signed_as_another_implementation_signs_it() {
    let private = PrivateKey::parse(PRIVATE_KEY).unwrap();
    assert_eq!(private.public().to_string(), PUBLIC_KEY);
    assert_eq!(private.reveal(), PRIVATE_KEY);
    let root = "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328";
    let checkpoint =
        Checkpoint { origin: "example.com/quell".into(), size: 8, root: from_hex(root).unwrap() };
    assert_eq!(private.sign(&checkpoint.text()).unwrap(), NOTE);
    assert_eq!(Checkpoint::open(NOTE, &[key(PUBLIC_KEY)]).unwrap().0, checkpoint);
}

#[test]
fn whatever_is_changed_in_a_note_shows() {
    let keys = [key(PUBLIC_KEY)];
    for (at, _) in NOTE.char_indices().filter(|(_, c)| c.is_ascii() && *c != '\n') {
        let other = if NOTE[at..].starts_with('x') { "y" } else { "x" };
        let changed = format!("{}{other}{}", &NOTE[..at], &NOTE[at + 1..]);
        assert!(Checkpoint::open(&changed, &keys).is_err(), "{changed}");
    }
    for cut in 0..NOTE.len() {
        if let Some(cut) = NOTE.get(..cut) {
            assert!(Checkpoint::open(cut, &keys).is_err(), "{cut}");
        }
    }
    let other = private("example.com/quell", 7);
    assert_eq!(
        Checkpoint::open(NOTE, std::slice::from_ref(other.public())).unwrap_err().to_string(),
        "no signature of it is by a key that is trusted; it names example.com/quell+22e8c44a"
    );
    let forged = NOTE.replacen("\n8\n", "\n9\n", 1);
    assert_eq!(
        Checkpoint::open(&forged, &keys).unwrap_err(),
        Invalid::Forged("example.com/quell+22e8c44a".into())
    );
}

#[test]
fn signatures_of_others_do_no_harm() {
    let witness = private("witness", 9);
    let text = NOTE.split("\n\n").next().unwrap().to_owned() + "\n";
    let both = format!("{NOTE}{}", witness.line(&text).unwrap());
    assert!(Checkpoint::open(&both, &[key(PUBLIC_KEY)]).is_ok());
    assert!(Checkpoint::open(&both, std::slice::from_ref(witness.public())).is_ok());
}

#[test]
fn what_is_signed_and_no_checkpoint_is_none() {
    let private = private("a", 1);
    for text in [
        "a\n8\n",
        "a\n08\nXcnaeacGWamtVZy3Ad7ZoqudgjqtL0lgz+Nw7/RgQyg=\n",
        "a\n-1\nx\n",
        "a\n8\nYQ==\n",
        "\n8\nXcnaeacGWamtVZy3Ad7ZoqudgjqtL0lgz+Nw7/RgQyg=\n",
    ] {
        let note = private.sign(text).unwrap();
        let found = Checkpoint::open(&note, std::slice::from_ref(private.public()));
        assert!(matches!(found, Err(Invalid::Checkpoint(_))), "{text}: {found:?}");
    }
}

#[test]
fn keys_are_read_strictly_and_private_ones_never_shown() {
    for wrong in [
        "",
        "example.com/quell",
        "example.com/quell+22e8c44b+AStIGugs5xkJmq7fDoHbDeZEs4n7hryq744jiMdOrmHd",
        "example.org/quell+22e8c44a+AStIGugs5xkJmq7fDoHbDeZEs4n7hryq744jiMdOrmHd",
        "example.com/quell+22e8c44a+AitIGugs5xkJmq7fDoHbDeZEs4n7hryq744jiMdOrmHd",
        "example.com/quell+22e8c44a+AStI",
        PRIVATE_KEY,
    ] {
        assert!(PublicKey::parse(wrong).is_err(), "{wrong}");
        let private = format!("{PRIVATE}{wrong}");
        let error = PrivateKey::parse(&private).unwrap_err().to_string();
        assert!(error.starts_with("this is no private key: "), "{error}");
        assert!(wrong.len() < 20 || !error.contains(&wrong[20..]), "{error}");
    }
    assert_eq!(PublicKey::parse(&format!("{PUBLIC_KEY}\n")), Ok(key(PUBLIC_KEY)));
    let shown = format!("{:?}", PrivateKey::parse(PRIVATE_KEY).unwrap());
    assert!(!shown.contains("1aHLlB") && !shown.contains("seed"), "{shown}");
    for name in ["", "a b", "a+b", "a\u{a0}b"] {
        assert!(PrivateKey::of(name, [1; 32]).is_none(), "{name}");
    }
}

#[test]
fn a_key_leads_to_those_that_follow_it_and_those_before() {
    let keys: Vec<PrivateKey> = (1..=4).map(|seed| private("quell", seed)).collect();
    let note = succession(&keys[0], &keys[1]).unwrap();
    let then = succession(&keys[1], &keys[2]).unwrap();
    let pairs: Vec<_> = [&note, &then].into_iter().map(|note| succeeds(note).unwrap()).collect();
    assert_eq!(pairs[0], (keys[0].public().clone(), keys[1].public().clone()));
    for from in 0..3 {
        let mut found = trusted(&[keys[from].public().clone()], &pairs);
        found.sort();
        let mut expected: Vec<_> = keys[..3].iter().map(|it| it.public().clone()).collect();
        expected.sort();
        assert_eq!(found, expected, "{from}");
    }
    assert_eq!(trusted(&[keys[3].public().clone()], &pairs), [keys[3].public().clone()]);
    // one of the two has not signed
    let (text, signatures) = note.split_once("\n\n").unwrap();
    for line in signatures.lines() {
        assert_eq!(succeeds(&format!("{text}\n\n{line}\n")), None);
    }
    assert_eq!(succeeds(&note.replacen("succession", "confession", 1)), None);
}
