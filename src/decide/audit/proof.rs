//! A proof that a record is in the log: the record, its leaf, the hashes from there to the root, and the signed checkpoint.
//! Whoever has it and the public key needs nothing else.

use serde::Deserialize;
use serde::Serialize;
use serde_json::value::RawValue;

use super::merkle;
use super::merkle::Hash;
use super::note::Checkpoint;
use super::note::PublicKey;

/// The proof as one JSON object. `record` is there byte by byte.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proof {
    /// The index of the leaf, from 0.
    pub leaf: u64,
    /// The data of the leaf.
    pub record: Box<RawValue>,
    /// The hashes from the leaf to the root, in hexadecimal digits.
    pub path: Vec<String>,
    /// The signed note.
    pub checkpoint: String,
}

/// What a proof shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Proved {
    /// The index of the leaf.
    pub leaf: u64,
    /// Leaves of the log that was signed.
    pub size: u64,
    /// Which log.
    pub origin: String,
    /// The key that signed.
    pub key: String,
}

impl Proof {
    /// Reads one, and checks it by the public keys that are trusted.
    pub fn check(text: &str, keys: &[PublicKey]) -> Result<Proved, String> {
        let proof: Self = serde_json::from_str(text)
            .map_err(|error| format!("this is no proof of `quell audit prove`: {error}"))?;
        let (Checkpoint { origin, size, root }, key) =
            Checkpoint::open(&proof.checkpoint, keys).map_err(|error| error.to_string())?;
        let path: Option<Vec<Hash>> =
            proof.path.iter().map(|hash| merkle::from_hex(hash)).collect();
        let path = path.ok_or("a hash of its path cannot be read")?;
        let leaf = merkle::leaf(proof.record.get().as_bytes());
        if !merkle::includes(&root, size, proof.leaf, &leaf, &path) {
            return Err(format!(
                "the record is not leaf {} of the log with {size} leaves that was signed: it, its place or the path was changed",
                proof.leaf
            ));
        }
        Ok(Proved { leaf: proof.leaf, size, origin, key: key.to_string() })
    }
}

#[cfg(test)]
mod tests {
    use super::super::merkle::Range;
    use super::super::merkle::Tree;
    use super::super::note::PrivateKey;
    use super::*;

    fn proof() -> (String, PublicKey) {
        let records: Vec<String> = (0..5)
            .map(|it| format!(r#"{{"kind":"change","id":"change-{it}","at":5, "why":"a"}}"#))
            .collect();
        let leaves: Vec<Hash> = records.iter().map(|it| merkle::leaf(it.as_bytes())).collect();
        let mut range = Range::default();
        for leaf in &leaves {
            range.push(*leaf);
        }
        let key = PrivateKey::of("quell", [3; 32]).unwrap();
        let path = Tree::new(Range::default(), leaves).inclusion(2, 5).unwrap();
        let proof = Proof {
            leaf: 2,
            record: RawValue::from_string(records[2].clone()).unwrap(),
            path: path.iter().map(|hash| merkle::hex(hash)).collect(),
            checkpoint: key.sign(&Checkpoint::of("quell", &range).text()).unwrap(),
        };
        (serde_json::to_string(&proof).unwrap(), key.public().clone())
    }

    #[test]
    fn a_proof_is_checked_by_the_public_key_alone() {
        let (text, key) = proof();
        let proved = Proof::check(&text, std::slice::from_ref(&key)).unwrap();
        assert_eq!((proved.leaf, proved.size, proved.key), (2, 5, key.to_string()));
        assert!(Proof::check(&text, &[]).unwrap_err().contains("no signature"));
    }

    #[test]
    fn whatever_is_changed_in_a_proof_shows() {
        let (text, key) = proof();
        for (from, to) in [
            ("change-2", "change-3"),
            (r#""at":5, "#, r#""at":5,"#),
            (r#""leaf":2"#, r#""leaf":3"#),
            (r#""leaf":2"#, r#""leaf":99"#),
            (r"quell\n5\n", r"quell\n6\n"),
            (r#""path":["#, r#""path":["00","#),
            ("{", ""),
        ] {
            let changed = text.replacen(from, to, 1);
            assert_ne!(changed, text, "{from}");
            assert!(Proof::check(&changed, std::slice::from_ref(&key)).is_err(), "{from}");
        }
    }
}
