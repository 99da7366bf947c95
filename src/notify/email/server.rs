//! Where mail is submitted: what the channel's URL says.

use std::fmt;
use std::net::IpAddr;

use url::Url;

/// How a connection is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::notify) enum Security {
    /// TLS from the first byte (RFC 8314 §3).
    Implicit,
    /// STARTTLS, without which nothing is sent.
    StartTls,
    /// None; only to loopback.
    None,
}

/// A submission server.
#[derive(Clone, PartialEq, Eq)]
pub(in crate::notify) struct Server {
    /// Name or address, without the brackets of an IPv6 address.
    pub(in crate::notify) host: String,
    /// Port.
    pub(in crate::notify) port: u16,
    /// How the connection is protected.
    pub(in crate::notify) security: Security,
    /// User and password.
    pub(in crate::notify) login: Option<(String, String)>,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("host", &self.host)
            .field("port", &self.port)
            .field("security", &self.security)
            .field("login", &self.login.as_ref().map(|_| "[secret]"))
            .finish()
    }
}

impl Server {
    /// Reads `smtps://user:password@host:465`, `smtp://…:587` or `smtp+plain://127.0.0.1:25`. User and
    /// password are percent-decoded. The error never quotes the URL, since it holds a password.
    pub(in crate::notify) fn parse(text: &str) -> Result<Self, String> {
        const EXPECTED: &str =
            "expected smtps://user:password@host:465 or smtp://user:password@host:587";
        let url = Url::parse(text).map_err(|error| format!("smtp: {error}; {EXPECTED}"))?;
        let (security, default_port) = match url.scheme() {
            "smtps" => (Security::Implicit, 465),
            "smtp" => (Security::StartTls, 587),
            "smtp+plain" => (Security::None, 25),
            _ => return Err(format!("smtp: unknown scheme; {EXPECTED}")),
        };
        let host = url.host_str().filter(|host| !host.is_empty());
        let host = host.ok_or_else(|| format!("smtp: no host; {EXPECTED}"))?;
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
            return Err(format!(
                "smtp: something follows the port; {EXPECTED}, with / ? # in a password \
                 percent-encoded"
            ));
        }
        let login = match (url.username(), url.password()) {
            ("", None) => None,
            (user, password) => Some((decode(user)?, decode(password.unwrap_or_default())?)),
        };
        if security == Security::None {
            if !is_loopback(&host) {
                return Err(format!(
                    "smtp: smtp+plain:// is for a relay on loopback, and {host} is not; use smtps:// \
                     or smtp://"
                ));
            }
            if login.is_some() {
                return Err(
                    "smtp: a password is never sent without TLS; use smtps:// or smtp://, or leave \
                     user and password out of smtp+plain://"
                        .into(),
                );
            }
        }
        Ok(Self { host, port: url.port().unwrap_or(default_port), security, login })
    }
}

/// `localhost` is loopback by RFC 6761 §6.3; other names are whatever DNS says today.
fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// `p%40ss` is `p@ss`; text after a `%` that is not two hex digits stays as it is, as in URLs.
fn decode(text: &str) -> Result<String, String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let hex =
            |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        if let (b'%', [high, low, tail @ ..]) = (first, tail)
            && let (Some(high), Some(low)) = (hex(*high), hex(*low))
        {
            bytes.push(high << 4 | low);
            rest = tail;
        } else {
            bytes.push(first);
            rest = tail;
        }
    }
    String::from_utf8(bytes)
        .map_err(|_| "smtp: user or password is not UTF-8 once percent-decoded".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(host: &str, port: u16, security: Security, login: Option<(&str, &str)>) -> Server {
        let login = login.map(|(user, password)| (user.into(), password.into()));
        Server { host: host.into(), port, security, login }
    }

    #[test]
    fn the_scheme_says_how_the_connection_is_protected() {
        for (text, expected) in [
            (
                "smtps://user:pass@mail.example.com",
                server("mail.example.com", 465, Security::Implicit, Some(("user", "pass"))),
            ),
            (
                "smtps://user@mail.example.com:10465/",
                server("mail.example.com", 10465, Security::Implicit, Some(("user", ""))),
            ),
            (
                "smtp://quell%40example.com:p%2Fa%3As%25s%C3%A9%@mail.example.com:587",
                server(
                    "mail.example.com",
                    587,
                    Security::StartTls,
                    Some(("quell@example.com", "p/a:s%sé%")),
                ),
            ),
            ("smtp://mail.example.com", server("mail.example.com", 587, Security::StartTls, None)),
            ("smtp+plain://127.0.0.1:2525", server("127.0.0.1", 2525, Security::None, None)),
            ("smtp+plain://[::1]", server("::1", 25, Security::None, None)),
            ("smtp+plain://localhost", server("localhost", 25, Security::None, None)),
        ] {
            assert_eq!(Server::parse(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn a_url_that_would_send_in_the_clear_or_that_is_none_is_refused_without_showing_it() {
        for (text, why) in [
            ("", "smtp: relative URL without a base; expected"),
            ("hunter2", "smtp: relative URL without a base; expected"),
            ("https://u:hunter2@mail.example.com", "smtp: unknown scheme; expected"),
            ("smtps://u:hunter2@", "expected"),
            ("smtps://u:hunter2@mail.example.com/x", "smtp: something follows the port"),
            ("smtps://u:hunter2?@mail.example.com", "smtp: "),
            ("smtps://u:hunter2%FF@mail.example.com", "smtp: user or password is not UTF-8"),
            ("smtp+plain://mail.example.com:25", "and mail.example.com is not; use smtps://"),
            ("smtp+plain://10.0.0.1", "is for a relay on loopback"),
            ("smtp+plain://localhost.example.com", "is for a relay on loopback"),
            ("smtp+plain://u:hunter2@127.0.0.1", "a password is never sent without TLS"),
        ] {
            let error = Server::parse(text).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn the_password_is_not_shown() {
        let shown = format!("{:?}", Server::parse("smtps://user:hunter2@mail.example.com"));
        assert!(shown.contains("mail.example.com") && !shown.contains("hunter2"), "{shown}");
    }
}
