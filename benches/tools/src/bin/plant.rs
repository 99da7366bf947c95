//! What remedies act on: things that are ill until they are mended.
//!
//! `plant PORT`: `GET /healthy/WORD` answers 503 until `POST /mend/WORD` or a datagram `WORD …` to the UDP port of the same
//! number came, and 200 from then on. So a verification is unhealthy before the step and healthy after it, as it should be.
use std::collections::HashSet;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use axum::Router;
use axum::extract::Path;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use axum::routing::post;
use quell_bench_tools::Arguments;
use quell_bench_tools::ended;

#[derive(Clone, Default)]
struct Plant(Arc<Mutex<HashSet<String>>>);

impl Plant {
    fn mended(&self) -> MutexGuard<'_, HashSet<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn healthy(State(plant): State<Plant>, Path(word): Path<String>) -> StatusCode {
    if plant.mended().contains(&word) { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}

async fn mend(State(plant): State<Plant>, Path(word): Path<String>) -> StatusCode {
    plant.mended().insert(word);
    StatusCode::NO_CONTENT
}

#[tokio::main]
async fn serve(port: u16) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("plant: port {port}: {error}");
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await.map_err(failed)?;
    let socket = tokio::net::UdpSocket::bind(("127.0.0.1", port)).await.map_err(failed)?;
    let plant = Plant::default();
    let told = plant.clone();
    tokio::spawn(async move {
        let mut datagram = [0; 256];
        while let Ok(length) = socket.recv(&mut datagram).await {
            let text = String::from_utf8_lossy(&datagram[..length]);
            told.mended().extend(text.split(' ').next().map(str::to_owned));
        }
    });
    let router = Router::new()
        .route("/healthy/{word}", get(healthy))
        .route("/mend/{word}", post(mend))
        .with_state(plant);
    axum::serve(listener, router).await.map_err(failed)
}

fn main() -> ExitCode {
    let port = Arguments::of_process(&[]).and_then(|it| match it.others.as_slice() {
        [port] => port.parse().map_err(|_| format!("plant: {port:?} is no port")),
        _ => Err("usage: plant PORT".to_owned()),
    });
    ended(port.and_then(serve))
}
