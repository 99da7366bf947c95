//! Signed links: bound to one act, expiring, each used once.
//!
//! A token is `base64url(payload).base64url(hmac-sha256)`. The payload is a JSON list: version, act, id of the incident or
//! run, digest of the plan, expiry in Unix seconds, number of the message, operator, channel. The tag covers the payload's
//! text exactly as it stands in the token, and base64 is read strictly, so that one link has one token.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::Hmac;
use hmac::KeyInit;
use hmac::Mac;
use jiff::Timestamp;
use sha2::Sha256;

use crate::model::incident::IncidentId;
use crate::model::incident::RunId;

/// Format of the payload; another version is not ours to read.
const VERSION: u8 = 2;

/// What a link does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// Acknowledges the incident.
    Ack(IncidentId),
    /// Takes the incident over.
    Take(IncidentId),
    /// Approves or rejects the plan of a run.
    Decide {
        /// The run.
        run: RunId,
        /// Digest of its plan.
        digest: String,
    },
}

/// What a valid token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// The act.
    pub act: Act,
    /// The operator whose address alone it was sent to; empty when others could read the message.
    pub operator: String,
    /// Name of the channel whose message carries it: without an operator, it proves no more than that.
    pub channel: String,
    /// Number of that message: each has links of its own.
    pub message: i64,
    /// Not after; kept to the second.
    pub expires_at: Timestamp,
}

type Payload = (u8, String, i64, String, i64, i64, String, String);

/// Why a token is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Invalid {
    /// Not signed by this quell.
    Forged,
    /// Its time is over.
    Expired,
}

/// The token for a link: URL-safe text. Fractions of a second of its expiry are dropped.
pub fn sign(link: &Link, key: &[u8]) -> String {
    let Link { act, operator, channel, message, expires_at } = link;
    let (word, id, digest) = match act {
        Act::Ack(incident) => ("ack", incident.0, ""),
        Act::Take(incident) => ("take", incident.0, ""),
        Act::Decide { run, digest } => ("decide", run.0, digest.as_str()),
    };
    let payload: Payload = (
        VERSION,
        word.to_owned(),
        id,
        digest.to_owned(),
        expires_at.as_second(),
        *message,
        operator.clone(),
        channel.clone(),
    );
    // numbers and texts cannot fail to be written
    let payload = URL_SAFE_NO_PAD.encode(serde_json::to_string(&payload).unwrap_or_default());
    let tag = URL_SAFE_NO_PAD.encode(mac(&payload, key).finalize().into_bytes());
    format!("{payload}.{tag}")
}

/// Reads a token; the signature is compared in constant time, and nothing of the payload is looked
/// at before it holds, so that [`Invalid::Expired`] is said only of links that this quell made.
pub fn verify(token: &str, key: &[u8], now: Timestamp) -> Result<Link, Invalid> {
    let link = signed_payload(token, key).and_then(|payload| parse(&payload));
    let link = link.ok_or(Invalid::Forged)?;
    if now > link.expires_at { Err(Invalid::Expired) } else { Ok(link) }
}

/// The payload, if the tag is ours.
fn signed_payload(token: &str, key: &[u8]) -> Option<String> {
    let (payload, tag) = token.split_once('.')?;
    let tag = URL_SAFE_NO_PAD.decode(tag).ok()?;
    mac(payload, key).verify_slice(&tag).ok()?;
    String::from_utf8(URL_SAFE_NO_PAD.decode(payload).ok()?).ok()
}

fn parse(payload: &str) -> Option<Link> {
    let (version, word, id, digest, expires, message, operator, channel): Payload =
        serde_json::from_str(payload).ok()?;
    let act = match word.as_str() {
        "ack" => Act::Ack(IncidentId(id)),
        "take" => Act::Take(IncidentId(id)),
        "decide" => Act::Decide { run: RunId(id), digest },
        _ => return None,
    };
    let expires_at = Timestamp::from_second(expires).ok()?;
    (version == VERSION).then_some(Link { act, operator, channel, message, expires_at })
}

pub(super) fn mac(payload: impl AsRef<[u8]>, key: &[u8]) -> Hmac<Sha256> {
    #[expect(clippy::expect_used, reason = "HMAC takes keys of every length (RFC 2104 §2)")]
    let mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of every length");
    mac.chain_update(payload)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KEY: &[u8] = b"0123456789abcdef0123456789abcdef";

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn link() -> Link {
        Link {
            act: Act::Ack(IncidentId(381)),
            operator: String::new(),
            channel: "slack".into(),
            message: 7,
            expires_at: at(1_767_600_000),
        }
    }

    /// A token with a true signature over any payload: what an older or newer quell might have made.
    fn signed(payload: &str) -> String {
        let payload = URL_SAFE_NO_PAD.encode(payload);
        let tag = URL_SAFE_NO_PAD.encode(mac(&payload, KEY).finalize().into_bytes());
        format!("{payload}.{tag}")
    }

    #[test]
    fn a_token_is_short_url_safe_and_the_same_in_every_release() {
        insta::assert_snapshot!(sign(&link(), KEY), @"WzIsImFjayIsMzgxLCIiLDE3Njc2MDAwMDAsNywiIiwic2xhY2siXQ.ySwsEMoRiF0qVwZoImA4mXrRyeXu-l4tgUlO38uOacE");
    }

    #[test]
    fn two_messages_have_two_links() {
        let other = Link { message: 8, ..link() };
        assert_ne!(sign(&link(), KEY), sign(&other, KEY));
    }

    #[test]
    fn a_link_holds_to_its_last_second_and_no_longer() {
        let token = sign(&link(), KEY);
        assert_eq!(verify(&token, KEY, at(1_767_600_000)), Ok(link()));
        assert_eq!(verify(&token, KEY, at(1_767_600_001)), Err(Invalid::Expired));
    }

    #[test]
    fn an_expired_link_of_someone_else_is_forged_not_expired() {
        let token = sign(&link(), b"another key");
        assert_eq!(verify(&token, KEY, at(1_767_600_001)), Err(Invalid::Forged));
    }

    #[test]
    fn text_that_is_no_token_is_forged() {
        let token = sign(&link(), KEY);
        let (payload, tag) = token.split_once('.').unwrap();
        for text in [
            "",
            ".",
            "..",
            payload,
            tag,
            &format!("{payload}."),
            &format!(".{tag}"),
            &format!("{payload}.{}", &tag[..tag.len() - 2]),
            &format!("{payload}.{tag}="),
            &format!("{payload}.{tag}.{tag}"),
            &format!(" {token}"),
            "é.é",
        ] {
            assert_eq!(verify(text, KEY, at(0)), Err(Invalid::Forged), "{text:?}");
        }
    }

    #[test]
    fn a_signed_payload_of_another_version_or_shape_is_not_read() {
        let ack = r#"[2,"ack",381,"",1767600000,7,"","slack"]"#;
        assert_eq!(verify(&signed(ack), KEY, at(0)), Ok(link()));
        for payload in [
            "",
            "2",
            "1:ack:381:1767600000:slack",
            r#"[1,"ack",381,"",1767600000,7,"","slack"]"#,
            r#"[2,"forget",381,"",1767600000,7,"","slack"]"#,
            r#"[2,"ack","x","",1767600000,7,"","slack"]"#,
            r#"[2,"ack",381,"",99999999999999999,7,"","slack"]"#,
            r#"[2,"ack",381,"",1767600000,7,""]"#,
            r#"[2,"ack",381,"",1767600000,7,"","slack",0]"#,
        ] {
            assert_eq!(verify(&signed(payload), KEY, at(0)), Err(Invalid::Forged), "{payload}");
        }
    }

    fn any_act() -> impl Strategy<Value = Act> {
        prop_oneof![
            (1..=i64::MAX).prop_map(|id| Act::Ack(IncidentId(id))),
            (1..=i64::MAX).prop_map(|id| Act::Take(IncidentId(id))),
            (1..=i64::MAX, "[0-9a-f]{64}")
                .prop_map(|(run, digest)| Act::Decide { run: RunId(run), digest }),
        ]
    }

    prop_compose! {
        fn any_link()(
            act in any_act(),
            operator in any::<String>(),
            channel in any::<String>(),
            message in any::<i64>(),
            second in -1_000_000_000_i64..100_000_000_000,
        ) -> Link {
            Link { act, operator, channel, message, expires_at: at(second) }
        }
    }

    proptest! {
        #[test]
        fn what_was_signed_is_read_back(link in any_link(), key in any::<Vec<u8>>()) {
            let token = sign(&link, &key);
            prop_assert!(
                token.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
            );
            prop_assert_eq!(verify(&token, &key, link.expires_at), Ok(link));
        }

        #[test]
        fn a_token_under_another_key_is_forged(link in any_link(), key in any::<[u8; 32]>()) {
            prop_assume!(key != KEY);
            prop_assert_eq!(verify(&sign(&link, &key), KEY, Timestamp::MIN), Err(Invalid::Forged));
        }

        #[test]
        fn a_token_with_any_bit_flipped_is_forged(link in any_link()) {
            let token = sign(&link, KEY);
            for place in 0..token.len() {
                for bit in 0..8 {
                    let mut bytes = token.clone().into_bytes();
                    bytes[place] ^= 1 << bit;
                    // a URL is text: bytes that are not never reach `verify`
                    let Ok(flipped) = String::from_utf8(bytes) else { continue };
                    prop_assert_eq!(
                        verify(&flipped, KEY, Timestamp::MIN),
                        Err(Invalid::Forged),
                        "bit {} of byte {}", bit, place
                    );
                }
            }
        }

        #[test]
        fn any_text_is_read_without_a_panic(text in any::<String>()) {
            prop_assert_eq!(verify(&text, KEY, Timestamp::MIN), Err(Invalid::Forged));
        }
    }
}
