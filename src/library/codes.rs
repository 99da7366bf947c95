//! Every code that quell prints, and its page in `docs/errors`: what it means, an example, and what to write instead.

use super::suggest::nearest;

/// A code, and its page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Code {
    /// `Q0104`: never given to another meaning.
    pub code: &'static str,
    /// Markdown. Its first line is `# Q0104: ` and the title.
    pub page: &'static str,
}

impl Code {
    /// A lowercase fragment.
    pub fn title(&self) -> &'static str {
        let line = self.page.lines().next().unwrap_or_default();
        line.split_once(": ").map_or("", |(_, title)| title)
    }
}

/// The row of a code such as `Q0104`, in any case and with or without its `Q0`.
pub fn explain(code: &str) -> Option<&'static Code> {
    let wanted = normal(code);
    CODES.iter().find(|row| row.code == wanted)
}

/// Codes that could have been meant.
pub fn near(code: &str) -> Vec<&'static str> {
    let wanted = normal(code);
    let group = |code: &str| code.get(..3).map(str::to_owned);
    let alike = CODES.iter().map(|row| row.code).filter(|it| group(it) == group(&wanted));
    let nearest = nearest(&wanted, CODES.iter().map(|row| row.code));
    let mut found: Vec<&str> = nearest.into_iter().collect();
    found.extend(alike.filter(|it| Some(*it) != nearest).take(4));
    found
}

fn normal(code: &str) -> String {
    let code = code.trim().to_uppercase();
    let digits = code.trim_start_matches('Q');
    match digits.parse::<u16>() {
        Ok(number) => format!("Q{number:04}"),
        Err(_) => code,
    }
}

macro_rules! codes {
    ($($name:ident $code:literal)* ; $($other:literal)*) => {
        $(pub(crate) const $name: &str = $code;)*
        /// All codes: first those of the files people write, then the others.
        pub const CODES: &[Code] = &[
            $(page!($code),)*
            $(page!($other),)*
        ];
        /// Codes of the files people write: their pages hold an example that gives them, and one that does not.
        #[cfg(test)]
        const OF_FILES: &[&str] = &[$($code),*];
    };
}

macro_rules! page {
    ($code:literal) => {
        Code { code: $code, page: include_str!(concat!("../../docs/errors/", $code, ".md")) }
    };
}

codes! {
    UNREADABLE "Q0101"
    NOT_UTF8 "Q0102"
    NOT_YAML "Q0103"
    UNKNOWN_KEY "Q0104"
    NOT_YET "Q0105"
    MISSING_KEY "Q0106"
    WRONG_TYPE "Q0107"
    UNKNOWN_WORD "Q0108"
    DUPLICATE_KEY "Q0109"
    TOO_LARGE "Q0110"
    EMPTY "Q0111"
    DURATION "Q0112"
    RATE "Q0113"
    MATCHER "Q0114"
    TEMPLATE "Q0115"
    CONDITION "Q0116"
    PATTERN "Q0117"
    CRON "Q0118"
    TIMEZONE "Q0119"
    VALUE "Q0120"
    DUPLICATE_NAME "Q0121"
    UNKNOWN_PLAYBOOK "Q0122"
    UNKNOWN_PARAMETER "Q0123"
    MISSING_PARAMETER "Q0124"
    PARAMETER_VALUE "Q0125"
    UNKNOWN_CHANNEL "Q0126"
    UNKNOWN_SERVER "Q0127"
    PARAMETER "Q0128"
    SHAPE "Q0129"
    NO_VARIABLE "Q0130"
    NO_SECRET_FILE "Q0131"
    NO_SUBSTITUTION "Q0132"
    SHELL_TEMPLATE "Q0133"
    UNDO "Q0134"
    SECRET_PLACE "Q0135"
    UNKNOWN_SECRET "Q0136"
    WAVES "Q0137"
    SQL_TEMPLATE "Q0138"
    UNKNOWN_NAME "Q0141"
    PROMQL "Q0150"
    NEVER_MATCHES "Q0311"
    LOOSER "Q0312"
    NOTHING_READ "Q0313"
    UNVERIFIED "Q0314"
    CONTRADICTION "Q0320"
    MAY_BE_MISSING "Q0321"
    PROMQL_UNCHECKED "Q0322"
    COMPARES_NOTHING "Q0323"
    VANISHES "Q0324"
    UNUSED_PLAYBOOK "Q0325"
    UNUSED_PARAMETER "Q0326"
    GROUPED_APART "Q0327"
    UNKNOWN_SEVERITY "Q0328"
    HELD_PAGE "Q0329"
    TOO_LATE "Q0330"
    NOBODY_TO_ASK "Q0331"
    UNHEARD_CHECK "Q0332"
    TOO_SOON "Q0333"
    UNSIGNED_AUDIT "Q0334"
    UNGUARDED_FLUSH "Q0340"
    NOT_PROMETHEUS "Q0360"
    UNMATCHED_ALERT "Q0361"
    RULE_WITHOUT_ALERT "Q0362"
    NOT_ALERTMANAGER "Q0370"
    NO_RECEIVER "Q0371"
    ROUTE_ELSEWHERE "Q0372"
    ALERT_ELSEWHERE "Q0373"
    NOT_RESOLVED "Q0374"
    CUT_OFF "Q0375"
    NO_CREDENTIALS "Q0376"
    REPLACED_BODY "Q0377"
    SLOW_ROUTE "Q0378"
    HASTY "Q0379"
    ;
    // of the command line and the server
    "Q0001"
    "Q0002"
    "Q0100"
    "Q0401"
    "Q0402"
    "Q0403"
    "Q0404"
    "Q0405"
    "Q0406"
    "Q0407"
    "Q0408"
    "Q0409"
    "Q0410"
    "Q0411"
    "Q0412"
    "Q0413"
    "Q0414"
    "Q0415"
    "Q0418"
    "Q0419"
    "Q0420"
    "Q0421"
    "Q0422"
    "Q0500"
    "Q0501"
    "Q0502"
    "Q0503"
    "Q0504"
    "Q0505"
    "Q0506"
    "Q0507"
    "Q0508"
    "Q0509"
    "Q0510"
    "Q0511"
    "Q0512"
    "Q0513"
    "Q0514"
    "Q0515"
    "Q0516"
    "Q0517"
    "Q0518"
    "Q0601"
    "Q0602"
    "Q0603"
    "Q0604"
    "Q0605"
    "Q0611"
    "Q0612"
    "Q0613"
    "Q0614"
    "Q0621"
    "Q0622"
    "Q0701"
    "Q0702"
    "Q0703"
    "Q0704"
    "Q0801"
    "Q0802"
    "Q0803"
    "Q0901"
    "Q0902"
    "Q0903"
    "Q0904"
    "Q0905"
    "Q0906"
    "Q0907"
    "Q0908"
    "Q0909"
    "Q0910"
    "Q0911"
    "Q0920"
    "Q0921"
    "Q0922"
    "Q0923"
}

#[cfg(test)]
mod tests;
