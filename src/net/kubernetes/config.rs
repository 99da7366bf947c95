//! What a kubeconfig, or the pod that quell runs in, says; and what of it quell does not do.

use std::path::Path;
use std::path::PathBuf;

use kube::Config;
use kube::config::AuthInfo;
use kube::config::KubeConfigOptions;
use kube::config::Kubeconfig;
use kube::config::KubeconfigError;

use super::Files;
use super::Place;
use super::look;

/// Where a pod finds its service account.
const SERVICE_ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// The configuration, and the files that it was made of, looked at before they were read. The error is for people, and holds nothing
/// of any file.
pub(super) async fn load(place: &Place) -> Result<(Config, Files), String> {
    match place {
        Place::InCluster => in_cluster(),
        Place::Kubeconfig { file, context } => kubeconfig(file, context.as_deref()).await,
    }
}

fn in_cluster() -> Result<(Config, Files), String> {
    let folder = Path::new(SERVICE_ACCOUNT);
    let token = folder.join("token");
    let files = seen([token.clone(), folder.join("ca.crt")]);
    let mut config = Config::incluster().map_err(|_| {
        format!("`in_cluster` holds in a pod with a service account only: there is no {SERVICE_ACCOUNT}, or no \
                 KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT")
    })?;
    config.auth_info.token_file = Some(token.display().to_string());
    read_token(&mut config.auth_info)?;
    Ok((config, files))
}

async fn kubeconfig(file: &Path, context: Option<&str>) -> Result<(Config, Files), String> {
    let mut files = seen([file.to_owned()]);
    let text = |error: &KubeconfigError| words(error, file);
    let read = Kubeconfig::read_from(file).map_err(|error| text(&error))?;
    let chosen = context.map(str::to_owned).or_else(|| read.current_context.clone());
    let options = KubeConfigOptions { context: chosen.clone(), ..KubeConfigOptions::default() };
    let contexts: Vec<&str> = read.contexts.iter().map(|it| it.name.as_str()).collect();
    let known = contexts.join(", ");
    // the parts that are used, before anything is made of them
    let named = read.contexts.iter().find(|it| Some(&it.name) == chosen.as_ref());
    let Some(named) = named.and_then(|it| it.context.as_ref()) else {
        let missing = chosen.map_or_else(
            || "it names no current context".to_owned(),
            |it| format!("it has no context `{it}`"),
        );
        return Err(format!("{}: {missing}; it has: {known}", file.display()));
    };
    let cluster =
        read.clusters.iter().find(|it| it.name == named.cluster).and_then(|it| it.cluster.as_ref());
    let user = read
        .auth_infos
        .iter()
        .find(|it| Some(&it.name) == named.user.as_ref())
        .and_then(|it| it.auth_info.as_ref());
    let refuse = |what: &str, instead: &str| Err(format!("{}: {what}; {instead}", file.display()));
    if let Some(user) = user {
        if user.exec.is_some() {
            return refuse(
                "its user has an `exec` plugin, which quell does not run",
                "give it a `token`, a `tokenFile` that something else renews, or a client certificate",
            );
        }
        if user.auth_provider.is_some() {
            return refuse(
                "its user has an `auth-provider`, which Kubernetes gave up",
                "give it a `token`, a `tokenFile` or a client certificate",
            );
        }
        let paths = [&user.token_file, &user.client_certificate, &user.client_key];
        files.extend(seen(paths.into_iter().flatten().map(PathBuf::from)));
    }
    if let Some(cluster) = cluster {
        if cluster.insecure_skip_tls_verify == Some(true) {
            return refuse(
                "`insecure-skip-tls-verify` lets anybody take the credential",
                "name the server's CA in `certificate-authority`",
            );
        }
        if cluster.proxy_url.is_some() {
            return refuse(
                "`proxy-url` is not used by quell",
                "name a server that can be reached directly",
            );
        }
        files.extend(seen(cluster.certificate_authority.iter().map(PathBuf::from)));
    }
    let mut config = Config::from_custom_kubeconfig(read.clone(), &options)
        .await
        .map_err(|error| text(&error))?;
    let host = config.cluster_url.host().unwrap_or_default().trim_matches(['[', ']']);
    let loopback =
        host == "localhost" || host.parse().is_ok_and(|it: std::net::IpAddr| it.is_loopback());
    if config.cluster_url.scheme_str() != Some("https") && !loopback {
        return refuse(
            "the server's URL is not https, so its credential would be sent in the clear",
            "write https://…",
        );
    }
    read_token(&mut config.auth_info)?;
    Ok((config, files))
}

/// Reads the token's file now: a file that is changed makes another configuration.
fn read_token(user: &mut AuthInfo) -> Result<(), String> {
    if let (None, Some(file)) = (&user.token, user.token_file.take()) {
        let token =
            std::fs::read_to_string(&file).map_err(|error| format!("{file}: {}", error.kind()))?;
        let token = token.trim();
        if token.is_empty() {
            return Err(format!("{file}: it is empty; expected a token"));
        }
        user.token = Some(token.to_owned().into());
    }
    Ok(())
}

fn seen(files: impl IntoIterator<Item = PathBuf>) -> Files {
    files.into_iter().map(|file| (file.clone(), look(&file))).collect()
}

/// Why a kubeconfig cannot be used, without a text of it: a parser's error would quote the line that holds the token.
fn words(error: &KubeconfigError, file: &Path) -> String {
    let file = file.display();
    match error {
        KubeconfigError::ReadConfig(error, _) => format!("{file}: {}", error.kind()),
        KubeconfigError::Parse(_) => {
            format!("{file}: it is no kubeconfig; expected YAML of `kind: Config`")
        }
        KubeconfigError::MissingClusterUrl => format!("{file}: its cluster has no `server`"),
        KubeconfigError::ParseClusterUrl(_) => {
            format!("{file}: the `server` of its cluster is no URL")
        }
        KubeconfigError::LoadClusterOfContext(name) => {
            format!("{file}: its context names a cluster `{name}` that it does not have")
        }
        KubeconfigError::LoadCertificateAuthority(_) | KubeconfigError::ParseCertificates(_) => {
            format!("{file}: its `certificate-authority` cannot be read")
        }
        KubeconfigError::LoadClientCertificate(_) => {
            format!("{file}: its `client-certificate` cannot be read")
        }
        KubeconfigError::LoadClientKey(_) => format!("{file}: its `client-key` cannot be read"),
        _ => format!("{file}: it cannot be used as a kubeconfig"),
    }
}
