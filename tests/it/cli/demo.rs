//! `quell demo`, whole.

use crate::support::quell::Quell;

#[tokio::test]
async fn it_ends_well_and_leaves_nothing() {
    let quell = Quell::prepare("", &[]);
    let scratch = quell.folder().join("scratch");
    std::fs::create_dir(&scratch).unwrap();
    let quell = quell.with_env("TMPDIR", scratch.to_str().unwrap());
    let said = quell.cli(&["demo"]).await;
    assert_eq!((said.code, said.err.as_str()), (0, ""), "{said:#?}");
    for part in ["incident i-1 opened", "every chain verified", "resolved in", "Next:"] {
        assert!(said.out.contains(part), "{part} is missing: {}", said.out);
    }
    let left: Vec<_> = std::fs::read_dir(&scratch).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}
