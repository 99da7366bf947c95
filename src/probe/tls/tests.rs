use std::path::PathBuf;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::ServerConnection;
use rustls::pki_types::PrivateKeyDer;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::net::TcpListener;

use super::super::testing::nobody;
use super::*;
use crate::exec;
use crate::exec::Spawn;
use crate::model::run::Health;

/// An authority, one below it, and a server's certificate, made by openssl.
struct Authority {
    folder: tempfile::TempDir,
}

impl Authority {
    async fn new() -> Self {
        let this = Self { folder: tempfile::tempdir().unwrap() };
        this.openssl(
            "req -x509 -days 3650 -subj /CN=root -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 \
             -nodes -keyout root.key -out root.pem",
        )
        .await;
        this.signs("between", "root", 200, "basicConstraints=critical,CA:TRUE\n").await;
        this
    }

    /// A certificate for so many days, which may be over already.
    async fn signs(&self, name: &str, by: &str, days: i64, extensions: &str) {
        let file = self.folder.path().join(format!("{name}.ext"));
        std::fs::write(file, extensions).unwrap();
        self.openssl(&format!(
            "req -subj /CN={name} -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout {name}.key \
             -out {name}.csr"
        ))
        .await;
        self.openssl(&format!(
            "x509 -req -days {days} -in {name}.csr -extfile {name}.ext -CA {by}.pem -CAkey {by}.key \
             -CAcreateserial -out {name}.pem"
        ))
        .await;
    }

    async fn leaf(&self, by: &str, days: i64) {
        let extensions =
            "subjectAltName=DNS:shop.example.com\nbasicConstraints=critical,CA:FALSE\n";
        self.signs("leaf", by, days, extensions).await;
    }

    async fn openssl(&self, line: &str) {
        let argv = std::iter::once("openssl").chain(line.split_whitespace());
        let spawn = Spawn {
            argv: argv.map(str::to_owned).collect(),
            directory: Some(self.folder.path().into()),
            timeout: Duration::from_secs(30),
            max_output_bytes: 4096,
            ..Spawn::default()
        };
        let ended = exec::run(&spawn).await.unwrap();
        assert!(ended.describe().starts_with("exit 0"), "{line}: {}", ended.stderr);
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn config(&self, chain: &[&str]) -> Arc<ServerConfig> {
        let certificate = |name: &&str| {
            let pem = std::fs::read(self.path(&format!("{name}.pem"))).unwrap();
            CertificateDer::from_pem_slice(&pem).unwrap()
        };
        let key = PrivateKeyDer::from_pem_slice(&std::fs::read(self.path("leaf.key")).unwrap());
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain.iter().map(certificate).collect(), key.unwrap());
        Arc::new(config.unwrap())
    }

    /// What the probe sees of a server that shows this chain.
    async fn seen(&self, chain: &[&str], change: impl FnOnce(&mut TlsProbe)) -> Observation {
        self.seen_at(now(), chain, change).await
    }

    async fn seen_at(
        &self,
        now: Timestamp,
        chain: &[&str],
        change: impl FnOnce(&mut TlsProbe),
    ) -> Observation {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let config = self.config(chain);
        let mut probe = TlsProbe {
            address: listener.local_addr().unwrap().to_string(),
            server_name: Some("shop.example.com".into()),
            ca_file: Some(self.path("root.pem")),
            healthy: "value > 14.0".into(),
        };
        change(&mut probe);
        let serving = async {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                serve(stream, Arc::clone(&config)).await;
            }
        };
        tokio::select! {
            seen = async { observe(&probe, now).await } => seen,
            () = serving => panic!(),
        }
    }
}

/// The same clock that openssl reads.
fn now() -> Timestamp {
    let seconds = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
    Timestamp::from_second(seconds.try_into().unwrap()).unwrap()
}

/// A handshake from the server's side, until the client goes away.
async fn serve(mut stream: impl AsyncRead + AsyncWrite + Unpin, config: Arc<ServerConfig>) {
    let mut session = ServerConnection::new(config).unwrap();
    let mut buffer = [0; 4096];
    loop {
        let mut out = Vec::new();
        while session.wants_write() {
            session.write_tls(&mut out).unwrap();
        }
        if stream.write_all(&out).await.is_err() {
            return;
        }
        let Ok(count @ 1..) = stream.read(&mut buffer).await else { return };
        let mut read = &buffer[..count];
        while !read.is_empty() {
            session.read_tls(&mut read).unwrap();
            if session.process_new_packets().is_err() {
                return;
            }
        }
    }
}

#[tokio::test]
async fn a_good_certificate_is_judged_by_its_days() {
    let authority = Authority::new().await;
    authority.leaf("root", 90).await;
    let seen = authority.seen(&["leaf"], |_| ()).await;
    assert_eq!(seen.health, Health::Healthy, "{}", seen.measured);
    let days = seen.measured.split_once(": days to expiry ").unwrap().1;
    let days: f64 = days.split_once(' ').unwrap().0.parse().unwrap();
    assert!((89.9..=90.0).contains(&days), "{}", seen.measured);
    assert!(seen.measured.ends_with("(healthy: value > 14.0)"), "{}", seen.measured);

    let more = authority.seen(&["leaf"], |probe| probe.healthy = "value > 100.0".into()).await;
    assert_eq!(more.health, Health::Unhealthy, "{}", more.measured);
}

#[tokio::test]
async fn the_earliest_end_of_the_chain_is_told() {
    let authority = Authority::new().await;
    authority.leaf("between", 300).await;
    let seen = authority.seen(&["leaf", "between"], |_| ()).await;
    assert_eq!(seen.health, Health::Healthy, "{}", seen.measured);
    let (_, rest) =
        seen.measured.split_once("; another certificate that it sends expires in ").unwrap();
    assert!(rest.starts_with("199.") || rest.starts_with("200 "), "{}", seen.measured);
    // who leaves the one between out is not trusted by those who do not know it
    let cut = authority.seen(&["leaf"], |_| ()).await;
    assert_eq!(cut.health, Health::Unhealthy);
    assert!(
        cut.measured.contains("who issued the certificate is not trusted (it expires in "),
        "{}",
        cut.measured
    );
}

#[tokio::test]
async fn a_certificate_that_no_client_would_take_is_unhealthy() {
    let authority = Authority::new().await;
    authority.leaf("root", 90).await;
    let name = |name: &str| {
        let name = name.to_owned();
        move |probe: &mut TlsProbe| probe.server_name = Some(name)
    };
    let other = authority.seen(&["leaf"], name("other.example.com")).await;
    assert_eq!(other.health, Health::Unhealthy);
    assert!(other.measured.contains("is not for other.example.com but for"), "{}", other.measured);
    let address = authority.seen(&["leaf"], |probe| probe.server_name = None).await;
    assert_eq!(address.health, Health::Unhealthy, "the host of the address is an IP address");
    let system = authority.seen(&["leaf"], |probe| probe.ca_file = None).await;
    assert_eq!(system.health, Health::Unhealthy, "{}", system.measured);
    assert!(system.measured.contains("not trusted"), "{}", system.measured);

    let later = now() + jiff::SignedDuration::from_hours(93 * 24);
    let expired = authority.seen_at(later, &["leaf"], |_| ()).await;
    assert_eq!(expired.health, Health::Unhealthy, "{}", expired.measured);
    let words = "a certificate has expired (it expired 3";
    assert!(expired.measured.contains(words), "{}", expired.measured);
    let before = now() - jiff::SignedDuration::from_hours(24);
    let early = authority.seen_at(before, &["leaf"], |_| ()).await;
    assert_eq!(early.health, Health::Unhealthy, "{}", early.measured);
    assert!(early.measured.contains("a certificate is not valid yet"), "{}", early.measured);
}

#[tokio::test]
async fn who_cannot_be_reached_or_speaks_no_tls_is_unknown() {
    let probe = |address: &str| TlsProbe {
        address: address.into(),
        server_name: None,
        ca_file: None,
        healthy: "value > 14.0".into(),
    };
    for (address, words) in [
        (nobody().await.as_str(), "no connection: connection refused"),
        ("no-such-host.invalid:443", "no connection: the host's name has no address"),
        ("localhost", "expected host:port"),
        ("localhost:https", "expected host:port"),
        (":443", "expected host:port"),
    ] {
        let seen = observe(&probe(address), now()).await;
        assert_eq!(seen.health, Health::Unknown, "{address}: {}", seen.measured);
        assert!(seen.measured.contains(words), "{address}: {}", seen.measured);
    }
    for answer in [&b""[..], b"HTTP/1.1 400 Bad Request\r\n\r\n"] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let serving = async {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                stream.write_all(answer).await.unwrap();
            }
        };
        let seen = tokio::select! {
            seen = async { observe(&probe(&address), now()).await } => seen,
            () = serving => panic!(),
        };
        assert_eq!(seen.health, Health::Unknown, "{}", seen.measured);
    }
    let missing = TlsProbe { ca_file: Some("/no/such.pem".into()), ..probe("localhost:1") };
    let seen = observe(&missing, now()).await;
    assert_eq!(seen.health, Health::Unknown);
    assert!(seen.measured.contains("ca_file /no/such.pem: "), "{}", seen.measured);
}

#[test]
fn an_address_names_the_host_that_the_certificate_is_for() {
    assert_eq!(names("shop:443", None), Some(("shop".into(), "shop")));
    assert_eq!(names("shop:443", Some("a")), Some(("shop".into(), "a")));
    assert_eq!(names("[::1]:443", None), Some(("::1".into(), "::1")));
}
