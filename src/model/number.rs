//! Numbers for people.

/// Six significant digits, without zeros at the end: `0.372`, `1200000`, `1e-9`.
pub fn show(value: f64) -> String {
    let size = value.abs();
    if !value.is_finite() {
        return match value {
            f64::INFINITY => "+Inf".into(),
            f64::NEG_INFINITY => "-Inf".into(),
            _ => "NaN".into(),
        };
    }
    if size != 0.0 && !(1e-4..1e15).contains(&size) {
        let text = format!("{value:.5e}");
        let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        return format!("{}e{exponent}", digits.trim_end_matches('0').trim_end_matches('.'));
    }
    let before_point = [1e1, 1e2, 1e3, 1e4, 1e5].iter().filter(|limit| size >= **limit).count();
    let below_one = [1e-1, 1e-2, 1e-3].iter().filter(|limit| size < **limit).count();
    let text = format!("{value:.*}", 5 - before_point + below_one);
    let text =
        if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    if text == "-0" { "0".into() } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_at_a_glance() {
        for (value, text) in [
            (0.0, "0"),
            (-0.0, "0"),
            (0.1 + 0.2, "0.3"),
            (0.372, "0.372"),
            (0.000_372_123_49, "0.00037212"),
            (12.0, "12"),
            (100.0, "100"),
            (-123.456_789, "-123.457"),
            (99_999.96, "100000"),
            (1_234_567.0, "1234567"),
            (1e-9, "1e-9"),
            (1.5e300, "1.5e300"),
            (f64::NAN, "NaN"),
        ] {
            assert_eq!(show(value), text);
        }
    }
}
