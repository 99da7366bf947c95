//! When a certificate expires: the second of two times in its sixth field (RFC 5280, section 4.1).
//!
//! Only that is read; whether the certificate is good says who verifies it.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

const INTEGER: u8 = 0x02;
const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xA0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// The end of its validity; `None` where the bytes are no certificate.
pub(super) fn not_after(der: &[u8]) -> Option<Timestamp> {
    let (certificate, _) = expect(SEQUENCE, der)?;
    let (signed, _) = expect(SEQUENCE, certificate)?;
    // certificates of version 1 do not say so
    let rest = expect(VERSION, signed).map_or(signed, |(_, rest)| rest);
    let (_serial, rest) = expect(INTEGER, rest)?;
    let (_algorithm, rest) = expect(SEQUENCE, rest)?;
    let (_issuer, rest) = expect(SEQUENCE, rest)?;
    let (validity, _) = expect(SEQUENCE, rest)?;
    let (_, _not_before, rest) = element(validity)?;
    let (kind, text, _) = element(rest)?;
    time(kind, std::str::from_utf8(text).ok()?)
}

/// The body of an element with this tag, and what follows it.
fn expect(tag: u8, input: &[u8]) -> Option<(&[u8], &[u8])> {
    let (found, body, rest) = element(input)?;
    (found == tag).then_some((body, rest))
}

/// Tag, body, and what follows. Lengths of up to four bytes: no certificate is longer.
fn element(input: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = input.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7F => (usize::from(first), rest),
        0x81..=0x84 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7F))?;
            (bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    let (body, rest) = rest.split_at_checked(length)?;
    Some((tag, body, rest))
}

/// `YYMMDDHHMMSSZ` to 2049, `YYYYMMDDHHMMSSZ` from 2050 on.
fn time(kind: u8, text: &str) -> Option<Timestamp> {
    let (years, rest) = match kind {
        UTC_TIME => text.split_at_checked(2)?,
        GENERALIZED_TIME => text.split_at_checked(4)?,
        _ => return None,
    };
    let digits = rest.strip_suffix('Z').filter(|it| it.len() == 10)?;
    if !(years.bytes().chain(digits.bytes())).all(|c| c.is_ascii_digit()) {
        return None;
    }
    let year: i16 = years.parse().ok()?;
    let year = match kind {
        UTC_TIME if year < 50 => 2000 + year,
        UTC_TIME => 1900 + year,
        _ => year,
    };
    let part = |at: usize| digits.get(at..at + 2)?.parse::<i8>().ok();
    let at = DateTime::new(year, part(0)?, part(2)?, part(4)?, part(6)?, part(8)?, 0).ok()?;
    // "never" is the last second of 9999, which is beyond what a time zone can hold
    Some(at.to_zoned(TimeZone::UTC).map_or(Timestamp::MAX, |it| it.timestamp()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn both_forms_of_a_time_are_read() {
        let at = |kind, text| time(kind, text).map(|it| it.to_string());
        assert_eq!(at(UTC_TIME, "260105100000Z").unwrap(), "2026-01-05T10:00:00Z");
        assert_eq!(at(UTC_TIME, "491231235959Z").unwrap(), "2049-12-31T23:59:59Z");
        assert_eq!(at(UTC_TIME, "500101000000Z").unwrap(), "1950-01-01T00:00:00Z");
        assert_eq!(at(GENERALIZED_TIME, "20500101000000Z").unwrap(), "2050-01-01T00:00:00Z");
        assert_eq!(time(GENERALIZED_TIME, "99991231235959Z"), Some(Timestamp::MAX));
        for wrong in ["", "260105100000", "261305100000Z", "26010510000Z", "+60105100000Z", "é"] {
            assert_eq!(time(UTC_TIME, wrong), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn bytes_that_are_no_certificate_have_no_end(
            bytes in prop::collection::vec(prop::sample::select(vec![
                0_u8, 1, 2, 5, 0x17, 0x18, 0x30, 0x7F, 0x80, 0x81, 0x82, 0x84, 0xA0, 0xFF, b'Z', b'9',
            ]), 0..80),
        ) {
            prop_assert_eq!(not_after(&bytes), None);
        }
    }
}
