//! A private certificate authority and a certificate for loopback.

use std::fs;
use std::path::Path;
use std::path::PathBuf;

use crate::support::process;

/// PEM files.
#[derive(Debug, Clone)]
pub(crate) struct Certificates {
    /// The authority: what a client has to trust.
    pub(crate) authority: PathBuf,
    /// For `localhost` and `127.0.0.1`.
    pub(crate) certificate: PathBuf,
    /// Its private key.
    pub(crate) key: PathBuf,
}

impl Certificates {
    /// Makes them in `directory`, valid for a day.
    pub(crate) fn make(directory: &Path) -> Self {
        let path = |name: &str| directory.join(name).to_str().unwrap().to_owned();
        let (authority, authority_key) = (path("authority.pem"), path("authority.key"));
        let (certificate, key, extensions) =
            (path("server.pem"), path("server.key"), path("server.ext"));
        let request = path("server.csr");
        let new_key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
        let openssl = |first: &[&str], rest: &[&str]| {
            process::run("openssl", &[first, rest].concat());
        };
        openssl(
            &[&["req", "-x509", "-days", "1", "-subj", "/CN=authority of a test"], &new_key[..]]
                .concat(),
            &["-keyout", &authority_key, "-out", &authority],
        );
        openssl(
            &[&["req", "-subj", "/CN=localhost"], &new_key[..]].concat(),
            &["-keyout", &key, "-out", &request],
        );
        let names =
            "subjectAltName=DNS:localhost,IP:127.0.0.1\nbasicConstraints=critical,CA:FALSE\n";
        fs::write(&extensions, names).unwrap();
        openssl(
            &["x509", "-req", "-days", "1", "-in", &request, "-extfile", &extensions],
            &["-CA", &authority, "-CAkey", &authority_key, "-CAcreateserial", "-out", &certificate],
        );
        Self { authority: authority.into(), certificate: certificate.into(), key: key.into() }
    }
}
