//! Output of a process, capped: its first and its last half.

use std::collections::VecDeque;

use tokio::io::AsyncRead;
use tokio::io::AsyncReadExt;

/// Keeps at most `max` bytes of a stream of any length: errors stand at the end of an output, and what led
/// to them at its beginning.
#[derive(Debug)]
pub(super) struct Capture {
    first: Vec<u8>,
    first_max: usize,
    last: VecDeque<u8>,
    last_max: usize,
    left_out: u64,
}

impl Capture {
    /// Keeps nothing yet, and never more than `max` bytes.
    pub(super) fn new(max: usize) -> Self {
        let first_max = max / 2;
        Self {
            first: Vec::new(),
            first_max,
            last: VecDeque::new(),
            last_max: max - first_max,
            left_out: 0,
        }
    }

    /// Reads until the end of the stream. An error ends it too: the output is for people, and how the
    /// process ended does not depend on it.
    pub(super) async fn fill(&mut self, stream: Option<impl AsyncRead + Unpin>) {
        let Some(mut stream) = stream else { return };
        let mut buffer = vec![0; 16 << 10];
        while let Ok(count @ 1..) = stream.read(&mut buffer).await {
            self.add(buffer.get(..count).unwrap_or_default());
        }
    }

    fn add(&mut self, bytes: &[u8]) {
        let (first, rest) =
            bytes.split_at(bytes.len().min(self.first_max.saturating_sub(self.first.len())));
        self.first.extend_from_slice(first);
        self.last.extend(rest);
        let over = self.last.len().saturating_sub(self.last_max);
        self.last.drain(..over);
        self.left_out += over as u64;
    }

    /// Whether some of it was left out.
    pub(super) fn is_cut(&self) -> bool {
        self.left_out > 0
    }

    /// What was kept, decoded lossily, with a line that says how many bytes were left out.
    pub(super) fn text(mut self) -> String {
        let last = self.last.make_contiguous();
        if self.left_out == 0 {
            self.first.extend_from_slice(last);
            return String::from_utf8_lossy(&self.first).into_owned();
        }
        // a character cut in two is left out whole
        let first = match std::str::from_utf8(&self.first) {
            Err(error) if error.error_len().is_none() => {
                self.first.get(..error.valid_up_to()).unwrap_or_default()
            }
            _ => self.first.as_slice(),
        };
        let begin = last.iter().take(3).take_while(|byte| **byte & 0xc0 == 0x80).count();
        let last_kept = last.get(begin..).unwrap_or_default();
        let left_out = self.left_out + (self.first.len() - first.len() + begin) as u64;
        format!(
            "{}\n[{left_out} bytes left out]\n{}",
            String::from_utf8_lossy(first),
            String::from_utf8_lossy(last_kept)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(max: usize, chunks: &[&[u8]], expected: &str) {
        let mut capture = Capture::new(max);
        for chunk in chunks {
            capture.add(chunk);
        }
        assert_eq!(capture.text(), expected);
    }

    #[test]
    fn keeps_the_first_and_the_last_half() {
        check(10, &[b"0123456789"], "0123456789");
        check(10, &[b"01234", b"", b"56789"], "0123456789");
        check(10, &[b"0123456789a"], "01234\n[1 bytes left out]\n6789a");
        check(4, &[b"abcdef", b"ghij", b"klm"], "ab\n[9 bytes left out]\nlm");
        check(3, &[b"abcdef"], "a\n[3 bytes left out]\nef");
        check(0, &[b"abc"], "\n[3 bytes left out]\n");
        check(0, &[], "");
    }

    #[test]
    fn leaves_out_characters_that_were_cut_in_two() {
        check(6, &["aaéééaa".as_bytes()], "aa\n[6 bytes left out]\naa");
    }

    #[test]
    fn decodes_lossily() {
        check(10, &[b"a\xffb"], "a\u{fffd}b");
    }

    proptest::proptest! {
        #[test]
        fn never_keeps_more_than_it_may(max in 0_usize..40, chunks: Vec<Vec<u8>>) {
            let mut capture = Capture::new(max);
            let mut all = Vec::new();
            for chunk in &chunks {
                capture.add(chunk);
                all.extend_from_slice(chunk);
            }
            let kept = capture.first.len() + capture.last.len();
            proptest::prop_assert_eq!(kept, all.len().min(max));
            proptest::prop_assert_eq!(capture.left_out, (all.len() - kept) as u64);
            proptest::prop_assert!(all.starts_with(&capture.first));
            let last: Vec<u8> = capture.last.into_iter().collect();
            proptest::prop_assert!(all.ends_with(&last));
        }
    }
}
