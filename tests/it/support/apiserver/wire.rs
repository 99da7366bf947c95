//! The wire: TLS, who asks, faults, and which request means what.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Extension;
use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use hyper_util::rt::TokioExecutor;
use hyper_util::rt::TokioIo;
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use serde_json::Value;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::Fault;
use super::Refused;
use super::Seen;
use super::Shared;
use super::objects;
use super::objects::Key;
use super::objects::Objects;
use super::patch;

/// Largest body read.
const MAX_BODY_BYTES: usize = 1 << 20;

/// What a connection proves of who is behind it, and how it is cut.
#[derive(Debug, Clone)]
struct Peer {
    certified: bool,
    cut: CancellationToken,
}

/// Accepts connections for ever.
pub(super) async fn accept(listener: TcpListener, acceptor: TlsAcceptor, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        connections.spawn(connection(stream, acceptor.clone(), Arc::clone(&shared)));
        while connections.try_join_next().is_some() {}
    }
}

async fn connection(stream: TcpStream, acceptor: TlsAcceptor, shared: Arc<Shared>) {
    // a server that is going away closes what it accepted
    if shared.lock().turned_away {
        return;
    }
    let Ok(stream) = acceptor.accept(stream).await else { return };
    let certified = stream.get_ref().1.peer_certificates().is_some();
    let cut = CancellationToken::new();
    let peer = Peer { certified, cut: cut.clone() };
    let router = Router::new().fallback(answer).layer(Extension(peer)).with_state(shared);
    let builder = auto::Builder::new(TokioExecutor::new());
    let serving = builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    tokio::select! {
        _ = serving => {}
        () = cut.cancelled() => {}
    }
}

async fn answer(
    State(shared): State<Arc<Shared>>,
    Extension(peer): Extension<Peer>,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, MAX_BODY_BYTES).await.unwrap();
    let header =
        |name: &str| parts.headers.get(name).and_then(|it| it.to_str().ok()).unwrap_or_default();
    let query: BTreeMap<String, String> =
        url::form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes())
            .into_owned()
            .collect();
    let path: Vec<String> = parts
        .uri
        .path()
        .split('/')
        .map(|part| {
            url::form_urlencoded::parse(format!("x={}", part.replace('+', "%2B")).as_bytes())
                .next()
                .unwrap()
                .1
                .into_owned()
        })
        .collect();
    let seen = Seen {
        method: parts.method.to_string(),
        path: path.join("/"),
        query,
        content_type: header("content-type").to_owned(),
        body: serde_json::from_slice(&body).unwrap_or(Value::Null),
    };
    let known = peer.certified
        || shared.lock().tokens.iter().any(|it| header("authorization") == format!("Bearer {it}"));
    let fault = {
        let mut inner = shared.lock();
        inner.requests.push(seen.clone());
        inner.rival(&seen);
        inner.fault(&seen)
    };
    match &fault {
        Some(Fault::Hang) => std::future::pending::<()>().await,
        Some(Fault::DropBefore) => return cut(&peer).await,
        Some(Fault::Answer(refused)) => return reply(Err(refused.clone())),
        Some(Fault::DropAfter | Fault::HangAfter) | None => {}
    }
    let answered = if known {
        let mut inner = shared.lock();
        match inner.forbidden(&seen) {
            Some(refused) => Err(refused),
            None => serve(&mut inner.objects, &seen).inspect(|_| {
                if seen.is_write() && !seen.is_dry() {
                    inner.writes.push(seen.clone());
                }
            }),
        }
    } else {
        Err(Refused::new(401, "Unauthorized", "Unauthorized"))
    };
    match fault {
        Some(Fault::DropAfter) => cut(&peer).await,
        Some(Fault::HangAfter) => std::future::pending().await,
        _ => reply(answered),
    }
}

/// Closes the connection without an answer.
async fn cut(peer: &Peer) -> Response {
    peer.cut.cancel();
    std::future::pending().await
}

/// What is sent back: an object with its status, or text.
enum Said {
    Object(u16, Value),
    Text(String),
}

fn reply(answered: Result<Said, Refused>) -> Response {
    let (status, kind, body) = match answered {
        Ok(Said::Object(status, object)) => (status, "application/json", object.to_string()),
        Ok(Said::Text(text)) => (200, "text/plain", text),
        Err(refused) => (refused.status, "application/json", refused.body().to_string()),
    };
    Response::builder()
        .status(StatusCode::from_u16(status).unwrap())
        .header("content-type", kind)
        .body(Body::from(body))
        .unwrap()
}

/// Where a request goes.
struct Route {
    resource: String,
    namespace: String,
    name: Option<String>,
    part: Option<String>,
}

fn route(path: &str) -> Option<Route> {
    let parts: Vec<&str> = path.split('/').skip(1).collect();
    let (["api", "v1", rest @ ..] | ["apis", "apps" | "policy", "v1", rest @ ..]) =
        parts.as_slice()
    else {
        return None;
    };
    let (namespace, rest) = match rest {
        ["namespaces", namespace, rest @ ..] if !rest.is_empty() => (*namespace, rest),
        _ => ("", rest),
    };
    let (resource, rest) = rest.split_first()?;
    let (version, _) = objects::kind(resource)?;
    let expected =
        if version == "v1" { "/api/v1/".to_owned() } else { format!("/apis/{version}/") };
    (path.starts_with(&expected) && rest.len() <= 2).then(|| Route {
        resource: (*resource).to_owned(),
        namespace: namespace.to_owned(),
        name: rest.first().map(ToString::to_string),
        part: rest.get(1).map(ToString::to_string),
    })
}

fn serve(objects: &mut Objects, seen: &Seen) -> Result<Said, Refused> {
    let nowhere =
        || Refused::new(404, "NotFound", "the server could not find the requested resource");
    let route = route(&seen.path).ok_or_else(nowhere)?;
    match seen.query.get("dryRun").map(String::as_str) {
        None | Some("All") => {}
        Some(_) => return Err(Refused::new(422, "Invalid", "dryRun: supported values: All")),
    }
    let Some(name) = &route.name else {
        if seen.method != "GET" {
            return Err(Refused::new(
                405,
                "MethodNotAllowed",
                "the server does not allow this method",
            ));
        }
        let text = |name: &str| seen.query.get(name).map_or("", String::as_str);
        let items = objects.list(
            &route.resource,
            &route.namespace,
            text("labelSelector"),
            text("fieldSelector"),
        );
        let (version, kind) = objects::kind(&route.resource).unwrap();
        return Ok(Said::Object(
            200,
            json!({
                "apiVersion": version, "kind": format!("{kind}List"), "metadata": { "resourceVersion": "1" }, "items": items,
            }),
        ));
    };
    let key: Key = (route.resource.clone(), route.namespace.clone(), name.clone());
    match (seen.method.as_str(), route.part.as_deref()) {
        ("GET", None) => Ok(Said::Object(200, objects.get(&key)?.clone())),
        ("GET", Some("scale")) => Ok(Said::Object(200, objects::scale(objects.get(&key)?))),
        ("GET", Some("log")) => log(objects, &key, seen),
        ("PUT", None) => write(objects, &key, seen.body.clone(), seen),
        ("PATCH", None) => {
            let patched = patch::apply(objects.get(&key)?, &seen.content_type, &seen.body)?;
            write(objects, &key, patched, seen)
        }
        ("PUT", Some("scale")) => {
            let mut object = objects.get(&key)?.clone();
            // a scale without a version is written blindly
            if let Some(version) = seen.body["metadata"].get("resourceVersion") {
                object["metadata"]["resourceVersion"] = version.clone();
            }
            object["spec"]["replicas"] = seen.body["spec"]["replicas"].clone();
            write(objects, &key, object, seen)?;
            Ok(Said::Object(200, objects::scale(objects.get(&key)?)))
        }
        ("DELETE", None) => delete(objects, &key, &seen.body, seen.is_dry()),
        ("POST", Some("eviction")) if route.resource == "pods" => evict(objects, &key, seen),
        _ => Err(nowhere()),
    }
}

/// Checks and stores; a dry run only checks.
fn write(objects: &mut Objects, key: &Key, object: Value, seen: &Seen) -> Result<Said, Refused> {
    let checked = objects.checked(key, object)?;
    if seen.is_dry() {
        return Ok(Said::Object(200, checked));
    }
    objects.store(key, checked);
    objects.settle();
    Ok(Said::Object(200, objects.get(key)?.clone()))
}

/// Deletes if what the options demand of the object is so.
fn delete(objects: &mut Objects, key: &Key, options: &Value, dry: bool) -> Result<Said, Refused> {
    let object = objects.get(key)?.clone();
    let wanted = &options["preconditions"]["uid"];
    if !wanted.is_null() && *wanted != object["metadata"]["uid"] {
        let (resource, _, name) = key;
        let message = format!(
            "Operation cannot be fulfilled on {resource} \"{name}\": the UID in the precondition ({wanted}) does not match the UID in record ({})",
            object["metadata"]["uid"]
        );
        return Err(Refused::new(409, "Conflict", &message));
    }
    if !dry {
        if objects.lingering && key.0 == "pods" {
            let mut ending = object.clone();
            ending["metadata"]["deletionTimestamp"] = "2026-01-05T10:00:00Z".into();
            objects.store(key, ending);
        } else {
            objects.all.remove(key);
        }
        objects.settle();
    }
    Ok(Said::Object(200, object))
}

/// Evicts a pod if its budget allows it.
fn evict(objects: &mut Objects, key: &Key, seen: &Seen) -> Result<Said, Refused> {
    if seen.body["apiVersion"] != "policy/v1" || seen.body["kind"] != "Eviction" {
        return Err(Refused::bad("expected an Eviction of policy/v1"));
    }
    let pod = objects.get(key)?.clone();
    let (_, namespace, name) = key;
    let budgets: Vec<Value> = objects
        .list("poddisruptionbudgets", namespace, "", "")
        .into_iter()
        .filter(|budget| {
            let labels = budget["spec"]["selector"]["matchLabels"].as_object();
            labels.is_some_and(|labels| {
                labels.iter().all(|(label, value)| pod["metadata"]["labels"][label] == *value)
            })
        })
        .collect();
    if let [_, _, ..] = budgets.as_slice() {
        let message = "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.";
        return Err(Refused::new(500, "InternalError", message));
    }
    let options = &seen.body["deleteOptions"];
    let dry = seen.is_dry() || options["dryRun"] == json!(["All"]);
    if let Some(budget) = budgets.first() {
        let allowed = budget["status"]["disruptionsAllowed"].as_u64().unwrap_or(0);
        if allowed == 0 {
            let message = "Cannot evict pod as it would violate the pod's disruption budget.";
            let mut refused = Refused::new(429, "TooManyRequests", message);
            refused.details = json!({ "causes": [{
                "reason": "DisruptionBudget",
                "message": format!("The disruption budget {} needs more healthy pods", budget["metadata"]["name"]),
            }] });
            return Err(refused);
        }
        if !dry {
            let key = objects::key_of("poddisruptionbudgets", budget);
            let mut less = budget.clone();
            less["status"]["disruptionsAllowed"] = (allowed - 1).into();
            objects.store(&key, less);
        }
    }
    delete(objects, key, options, dry)?;
    Ok(Said::Object(
        201,
        json!({ "apiVersion": "v1", "kind": "Status", "status": "Success", "metadata": { "name": name } }),
    ))
}

/// What a container printed.
fn log(objects: &Objects, key: &Key, seen: &Seen) -> Result<Said, Refused> {
    let pod = objects.get(key)?;
    let containers = pod["spec"]["containers"].as_array().unwrap();
    let named = seen.query.get("container");
    if containers.len() > 1 && named.is_none() {
        let message =
            format!("a container name must be specified for pod {}", pod["metadata"]["name"]);
        return Err(Refused::bad(&message));
    }
    if let Some(name) = named
        && !containers.iter().any(|it| it["name"] == name.as_str())
    {
        return Err(Refused::bad(&format!(
            "container {name} is not valid for pod {}",
            pod["metadata"]["name"]
        )));
    }
    let text = objects
        .logs
        .iter()
        .find(|(prefix, _)| key.2.starts_with(prefix.as_str()))
        .map_or("", |(_, text)| text);
    let lines: Vec<&str> = text.lines().collect();
    let wanted = seen.query.get("tailLines").map_or(lines.len(), |it| it.parse().unwrap());
    let tail = &lines[lines.len().saturating_sub(wanted)..];
    Ok(Said::Text(tail.join("\n")))
}
