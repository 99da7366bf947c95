//! Requests that are made once, and then only patched in place: a fresh number for each alert costs 16 bytes.

/// Where the alerts go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The webhook of Alertmanager, version 4.
    Webhook,
    /// Alertmanager's own `/api/v2/alerts`.
    Alertmanager,
}

/// What a request says of its alerts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Says {
    /// They fire.
    Firing,
    /// They have ended.
    Resolved,
}

/// Written in place of what differs between requests, and as long as it.
const STATUS: &str = "\"firing\"  ";
const RESOLVED: &str = "\"resolved\"";
const NEVER: &str = "0001-01-01T00:00:00.000Z";
const SENT: &str = "@@@@@@@sent@@@@@@@@@";

/// A request over and over, with other numbers.
#[derive(Debug, Clone)]
pub struct Template {
    /// Head and body.
    pub bytes: Vec<u8>,
    /// Of each alert, where its number stands.
    numbers: Vec<Vec<usize>>,
    statuses: Vec<usize>,
    ends: Vec<usize>,
    sent: Vec<usize>,
}

fn marker(alert: usize) -> String {
    format!("@number{alert:08}@")
}

fn places(text: &str, marker: &str) -> Vec<usize> {
    text.match_indices(marker).map(|it| it.0).collect()
}

/// Labels of one alert. Those of a group carry two more, so that a body of 20 is as large as in the field.
fn labels(alert: usize, alerts: usize) -> String {
    let more = if alerts > 1 {
        format!(r#","pod":"payments-api-6f7c9d8b5-x{alert:04}","prometheus":"monitoring/k8s""#)
    } else {
        String::new()
    };
    format!(
        r#"{{"alertname":"HighRequestLatency","cluster":"prod-eu-1","instance":"{}:9100","job":"node-exporter","namespace":"payments","severity":"critical"{more}}}"#,
        marker(alert)
    )
}

/// Annotations of one alert; `sent` is when it was sent, for who measures until something is done about it.
fn annotations(alerts: usize, sent: bool) -> String {
    let more = if alerts > 1 {
        r#","runbook_url":"https://runbooks.example.internal/payments/high-request-latency""#
    } else {
        ""
    };
    let sent = if sent { format!(r#","sent":"{SENT}""#) } else { String::new() };
    format!(
        r#"{{"description":"p99 latency of payments is above 500ms for 10 minutes (value 0.80).","summary":"High request latency on payments"{more}{sent}}}"#
    )
}

const GENERATOR: &str = "http://prometheus:9090/graph?g0.expr=latency%3E0.5&g0.tab=1";

fn webhook(alerts: usize, sent: bool, starts_at: &str, ends_at: &str) -> String {
    let each: Vec<String> = (0..alerts)
        .map(|alert| {
            format!(
                r#"{{"status":{STATUS},"labels":{},"annotations":{},"startsAt":"{starts_at}","endsAt":"{ends_at}","generatorURL":"{GENERATOR}","fingerprint":"{}"}}"#,
                labels(alert, alerts),
                annotations(alerts, sent),
                marker(alert)
            )
        })
        .collect();
    let (labels, annotations) = if alerts == 1 {
        (labels(0, 1), annotations(1, sent))
    } else {
        (
            r#"{"alertname":"HighRequestLatency","cluster":"prod-eu-1","job":"node-exporter","namespace":"payments","severity":"critical"}"#.to_owned(),
            r#"{"summary":"High request latency on payments"}"#.to_owned(),
        )
    };
    format!(
        r#"{{"receiver":"remediation","status":{STATUS},"alerts":[{}],"groupLabels":{{"alertname":"HighRequestLatency"}},"commonLabels":{labels},"commonAnnotations":{annotations},"externalURL":"http://alertmanager:9093","version":"4","groupKey":"{{}}:{{alertname=\"HighRequestLatency\"}}","truncatedAlerts":0}}"#,
        each.join(",")
    )
}

fn alertmanager(alerts: usize) -> String {
    let each: Vec<String> = (0..alerts)
        .map(|alert| {
            format!(
                r#"{{"labels":{},"annotations":{},"generatorURL":"{GENERATOR}"}}"#,
                labels(alert, alerts),
                annotations(alerts, false)
            )
        })
        .collect();
    format!("[{}]", each.join(","))
}

impl Template {
    /// A request to `path` with so many alerts, which began at `starts_at`.
    pub fn new(kind: Kind, path: &str, alerts: usize, sent: bool, starts_at: &str) -> Self {
        let body = match kind {
            Kind::Webhook => webhook(alerts, sent, starts_at, NEVER),
            Kind::Alertmanager => alertmanager(alerts),
        };
        let text = format!(
            "POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nUser-Agent: Alertmanager/0.28.0\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        Self {
            numbers: (0..alerts).map(|alert| places(&text, &marker(alert))).collect(),
            statuses: places(&text, STATUS),
            ends: places(&text, NEVER),
            sent: places(&text, SENT),
            bytes: text.into_bytes(),
        }
    }

    /// Writes the numbers `first`, `first + 1`, … into a copy of this request, and what it says.
    pub fn patch(&self, request: &mut [u8], first: u64, says: Says, ended_at: &str) {
        for (alert, places) in self.numbers.iter().enumerate() {
            let number = digits(first + alert as u64);
            for at in places {
                put(request, *at, &number);
            }
        }
        let (status, end) = match says {
            Says::Firing => (STATUS, NEVER),
            Says::Resolved => (RESOLVED, ended_at),
        };
        for (places, text) in [(&self.statuses, status), (&self.ends, end)] {
            for at in places {
                put(request, *at, text.as_bytes());
            }
        }
    }

    /// Writes when it was sent.
    pub fn stamp(&self, request: &mut [u8], sent_ns: u64) {
        if !self.sent.is_empty() {
            let text = format!("{sent_ns:020}");
            for at in &self.sent {
                put(request, *at, text.as_bytes());
            }
        }
    }
}

fn put(request: &mut [u8], at: usize, text: &[u8]) {
    request[at..at + text.len()].copy_from_slice(text);
}

/// Sixteen hexadecimal digits.
fn digits(number: u64) -> [u8; 16] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    std::array::from_fn(|at| DIGITS[(number >> (60 - 4 * at)) as usize & 15])
}

/// An instant as Alertmanager writes it, to the millisecond.
pub fn instant(ns: u64) -> String {
    let (seconds, millis) = (ns / 1_000_000_000, ns / 1_000_000 % 1000);
    let (days, of_day) = ((seconds / 86_400).cast_signed(), seconds % 86_400);
    // days since 1970 to a date: Howard Hinnant's civil_from_days
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let of_era = z.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{millis:03}Z",
        of_day / 3600,
        of_day / 60 % 60,
        of_day % 60
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(request: &[u8]) -> serde_json::Value {
        let text = std::str::from_utf8(request).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.ends_with(&format!("Content-Length: {}", body.len())));
        serde_json::from_str(body).unwrap()
    }

    #[test]
    fn a_webhook_is_patched_in_all_its_alerts() {
        let template = Template::new(Kind::Webhook, "/", 20, true, "2026-01-05T10:00:00.000Z");
        let mut request = template.bytes.clone();
        template.patch(&mut request, 0xabc0, Says::Resolved, "2026-01-05T10:20:00.000Z");
        template.stamp(&mut request, 7);
        let resolved = body(&request);
        assert_eq!(resolved["status"], "resolved");
        let alerts = resolved["alerts"].as_array().unwrap();
        assert_eq!(alerts.len(), 20);
        assert_eq!(alerts[3]["fingerprint"], "000000000000abc3");
        assert_eq!(alerts[3]["labels"]["instance"], "000000000000abc3:9100");
        assert_eq!(alerts[3]["status"], "resolved");
        assert_eq!(alerts[3]["endsAt"], "2026-01-05T10:20:00.000Z");
        assert_eq!(alerts[3]["annotations"]["sent"], "00000000000000000007");
        template.patch(&mut request, 0, Says::Firing, "");
        assert_eq!(body(&request)["alerts"][19]["status"], "firing");
    }

    #[test]
    fn alertmanager_takes_an_array() {
        let template = Template::new(Kind::Alertmanager, "/", 1, false, "");
        assert_eq!(body(&template.bytes)[0]["labels"]["severity"], "critical");
    }

    #[test]
    fn instants_are_dates() {
        assert_eq!(instant(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(instant(1_709_210_096_789_000_000), "2024-02-29T12:34:56.789Z");
    }
}
