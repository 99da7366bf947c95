//! Signed notes (C2SP signed-note) with Ed25519, and the checkpoints written in them (C2SP tlog-checkpoint).
//!
//! A note is a text that ends with a newline, an empty line, and a line for each signature:
//! `— name base64(key id ‖ signature)`. A key is one line: `name+key id+base64(1 ‖ public key)`, and the private one
//! `PRIVATE+KEY+name+key id+base64(1 ‖ seed)`, as the tools of Go's checksum database write them. The name says whose log it is.

use aws_lc_rs::signature::ED25519;
use aws_lc_rs::signature::Ed25519KeyPair;
use aws_lc_rs::signature::KeyPair as _;
use aws_lc_rs::signature::UnparsedPublicKey;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::Digest as _;
use sha2::Sha256;

use super::merkle::Hash;
use super::merkle::Range;
use super::merkle::hex;

/// Says in a key and in its id that it is Ed25519.
const ED25519_KIND: u8 = 1;
/// Begins a private key.
const PRIVATE: &str = "PRIVATE+KEY+";
/// Begins a line with a signature.
const SIGNED: &str = "\u{2014} ";
/// The first line of a succession.
const SUCCESSION: &str = "quell audit key succession";

/// Why a key or a note cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// Not the text of a key.
    #[error("this is no {0} key: expected one line such as {1}")]
    Key(&'static str, &'static str),
    /// Not the form of a note.
    #[error("this is no signed note: {0}")]
    Form(&'static str),
    /// No signature is by a key that is known.
    #[error("no signature of it is by a key that is trusted; it names {0}")]
    Unknown(String),
    /// A signature that claims to be by a known key is not.
    #[error("its signature by {0} is forged, or its text was changed")]
    Forged(String),
    /// Signed, and no checkpoint.
    #[error("it is signed and no checkpoint: {0}")]
    Checkpoint(&'static str),
}

/// A public key, with the name that it signs by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PublicKey {
    name: String,
    key: [u8; 32],
}

impl PublicKey {
    /// Reads `name+key id+base64`.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let wrong = || Invalid::Key("public", "example.com/quell+0a1b2c3d+AeT…");
        let mut parts = text.trim().splitn(3, '+');
        let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(wrong());
        };
        let key = key_bytes(key).ok_or_else(wrong)?;
        let public = Self { name: name.to_owned(), key };
        let fits = is_name(name) && id == public.id();
        if fits { Ok(public) } else { Err(wrong()) }
    }

    /// Whose log it signs.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Eight hexadecimal digits that tell keys apart.
    pub fn id(&self) -> String {
        hex(&self.id_bytes())
    }

    fn id_bytes(&self) -> [u8; 4] {
        let digest = Sha256::new()
            .chain_update(&self.name)
            .chain_update(b"\n")
            .chain_update([ED25519_KIND])
            .chain_update(self.key)
            .finalize();
        let mut id = [0; 4];
        id.iter_mut().zip(digest.iter()).for_each(|(to, from)| *to = *from);
        id
    }

    fn verifies(&self, text: &str, signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, &self.key).verify(text.as_bytes(), signature).is_ok()
    }
}

impl std::fmt::Display for PublicKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}+{}+{}", self.name, self.id(), encoded(&self.key))
    }
}

/// A private key. It is never shown; [`PrivateKey::reveal`] is for the file that holds it.
#[derive(Clone)]
pub struct PrivateKey {
    seed: [u8; 32],
    public: PublicKey,
}

impl std::fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PrivateKey").field("public", &self.public).finish_non_exhaustive()
    }
}

impl PrivateKey {
    /// The key with this name and seed; `None` when the name has a space or a `+`, or is empty.
    pub fn of(name: &str, seed: [u8; 32]) -> Option<Self> {
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed).ok()?;
        let key = pair.public_key().as_ref().try_into().ok()?;
        is_name(name).then(|| Self { seed, public: PublicKey { name: name.to_owned(), key } })
    }

    /// Reads `PRIVATE+KEY+name+key id+base64`. What is wrong is said without showing it.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let wrong = || Invalid::Key("private", "PRIVATE+KEY+example.com/quell+0a1b2c3d+AeT…");
        let mut parts = text.trim().strip_prefix(PRIVATE).ok_or_else(wrong)?.splitn(3, '+');
        let (Some(name), Some(id), Some(seed)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(wrong());
        };
        let key = key_bytes(seed).and_then(|seed| Self::of(name, seed)).ok_or_else(wrong)?;
        if key.public.id() == id { Ok(key) } else { Err(wrong()) }
    }

    /// Its public half.
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// The text of the key, which is a secret.
    pub fn reveal(&self) -> String {
        let PublicKey { name, .. } = &self.public;
        format!("{PRIVATE}{name}+{}+{}", self.public.id(), encoded(&self.seed))
    }

    /// The line of a signature over `text`; `None` when the library refuses the key, which it took before.
    fn line(&self, text: &str) -> Option<String> {
        let pair = Ed25519KeyPair::from_seed_unchecked(&self.seed).ok()?;
        let mut bytes = self.public.id_bytes().to_vec();
        bytes.extend_from_slice(pair.try_sign(text.as_bytes()).ok()?.as_ref());
        Some(format!("{SIGNED}{} {}\n", self.public.name, STANDARD.encode(bytes)))
    }

    /// Signs a text, which ends with a newline.
    pub fn sign(&self, text: &str) -> Option<String> {
        Some(format!("{text}\n{}", self.line(text)?))
    }
}

/// The text of a note that one of these keys signed, and that key. A forged signature by a known key spoils a note, those by
/// other keys do not.
pub fn open<'n, 'k>(
    note: &'n str,
    keys: &'k [PublicKey],
) -> Result<(&'n str, &'k PublicKey), Invalid> {
    let mut by = None;
    let (text, signatures) = parts(note)?;
    let mut named = Vec::new();
    for (name, bytes) in &signatures {
        let (id, signature) = bytes.split_at_checked(4).unwrap_or_default();
        let known = keys.iter().find(|key| key.name == *name && key.id_bytes() == id);
        match known {
            Some(key) if key.verifies(text, signature) => by = by.or(Some(key)),
            Some(key) => return Err(Invalid::Forged(format!("{}+{}", key.name, key.id()))),
            None => {
                named.push(format!("{name}+{}", hex(id)));
            }
        }
    }
    by.map(|by| (text, by)).ok_or_else(|| Invalid::Unknown(named.join(" and ")))
}

type Signatures<'n> = Vec<(&'n str, Vec<u8>)>;

/// A note's text, and its signatures: name, and key id with signature.
fn parts(note: &str) -> Result<(&str, Signatures<'_>), Invalid> {
    let at = note.rfind("\n\n").ok_or(Invalid::Form("no empty line stands before a signature"))?;
    let (text, rest) = note.split_at(at + 1);
    let lines = rest.strip_prefix('\n').and_then(|rest| rest.strip_suffix('\n'));
    let lines = lines.ok_or(Invalid::Form("it does not end with a newline"))?;
    let mut signatures = Vec::new();
    for line in lines.split('\n') {
        let wrong = Invalid::Form("a line below the empty one is no signature");
        let Some((name, encoded)) = line.strip_prefix(SIGNED).and_then(|it| it.split_once(' '))
        else {
            return Err(wrong);
        };
        match STANDARD.decode(encoded) {
            Ok(bytes) if bytes.len() > 4 && is_name(name) => signatures.push((name, bytes)),
            Ok(_) | Err(_) => return Err(wrong),
        }
    }
    Ok((text, signatures))
}

/// How large a log was, and its root then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Which log.
    pub origin: String,
    /// How many leaves.
    pub size: u64,
    /// The root over them.
    pub root: Hash,
}

impl Checkpoint {
    /// Of a log that is as large as `range`.
    pub fn of(origin: &str, range: &Range) -> Self {
        Self { origin: origin.to_owned(), size: range.size(), root: range.root() }
    }

    /// The text that is signed.
    pub fn text(&self) -> String {
        format!("{}\n{}\n{}\n", self.origin, self.size, STANDARD.encode(self.root))
    }

    /// The checkpoint of a note that one of these keys signed, and that key.
    pub fn open<'k>(note: &str, keys: &'k [PublicKey]) -> Result<(Self, &'k PublicKey), Invalid> {
        let (text, by) = open(note, keys)?;
        Ok((Self::parse(text)?, by))
    }

    /// What a note says, whoever signed it: for naming it only.
    pub fn unproved(note: &str) -> Option<Self> {
        Self::parse(parts(note).ok()?.0).ok()
    }

    fn parse(text: &str) -> Result<Self, Invalid> {
        let mut lines = text.split('\n');
        let (Some(origin), Some(size), Some(root)) = (lines.next(), lines.next(), lines.next())
        else {
            return Err(Invalid::Checkpoint("it has not three lines"));
        };
        let number = size.parse().ok().filter(|number: &u64| number.to_string() == size);
        let size = number.ok_or(Invalid::Checkpoint("its second line is no size"))?;
        let root = STANDARD.decode(root).ok().and_then(|bytes| bytes.try_into().ok());
        let root = root.ok_or(Invalid::Checkpoint("its third line is no hash"))?;
        if origin.is_empty() {
            return Err(Invalid::Checkpoint("its first line is empty"));
        }
        Ok(Self { origin: origin.to_owned(), size, root })
    }
}

/// A key is followed by another: a note that both have signed, so that whoever trusts one may trust the other.
pub fn succession(old: &PrivateKey, new: &PrivateKey) -> Option<String> {
    let text = format!("{SUCCESSION}\n{}\n{}\n", old.public, new.public);
    Some(format!("{text}\n{}{}", old.line(&text)?, new.line(&text)?))
}

/// The two keys of a succession, the old one first, when both have signed it.
pub fn succeeds(note: &str) -> Option<(PublicKey, PublicKey)> {
    let (text, _) = parts(note).ok()?;
    let mut lines = text.split('\n');
    let first = lines.next()?;
    let old = PublicKey::parse(lines.next()?).ok()?;
    let new = PublicKey::parse(lines.next()?).ok()?;
    let both = [&old, &new].into_iter().all(|key| open(note, std::slice::from_ref(key)).is_ok());
    (first == SUCCESSION && both).then_some((old, new))
}

/// All keys that follow from those which are trusted, over these successions, in either direction.
pub fn trusted(first: &[PublicKey], successions: &[(PublicKey, PublicKey)]) -> Vec<PublicKey> {
    let mut keys = first.to_vec();
    loop {
        let known = keys.len();
        for (old, new) in successions {
            for (one, other) in [(old, new), (new, old)] {
                if keys.contains(one) && !keys.contains(other) {
                    keys.push(other.clone());
                }
            }
        }
        if keys.len() == known {
            return keys;
        }
    }
}

/// Whether a key may have this name.
pub fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(|c: char| c.is_whitespace() || c.is_control() || c == '+')
}

/// The 32 bytes behind the kind.
fn key_bytes(text: &str) -> Option<[u8; 32]> {
    let bytes = STANDARD.decode(text).ok()?;
    let key = bytes.strip_prefix(&[ED25519_KIND])?;
    key.try_into().ok()
}

fn encoded(key: &[u8; 32]) -> String {
    let mut bytes = vec![ED25519_KIND];
    bytes.extend_from_slice(key);
    STANDARD.encode(bytes)
}

#[cfg(test)]
mod tests;
