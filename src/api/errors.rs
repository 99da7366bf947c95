//! The page of an error code: what the `type` of a problem leads to.

use axum::extract::Path;
use axum::http::header;
use axum::response::IntoResponse;
use axum::response::Response;

use super::problem;
use super::problem::Problem;
use crate::library::codes;

/// `GET /errors/Q0502`: Markdown. For everybody, since who is refused needs it most.
pub(super) async fn page(Path(code): Path<String>) -> Response {
    match codes::explain(&code) {
        Some(found) => {
            ([(header::CONTENT_TYPE, "text/markdown; charset=utf-8")], found.page).into_response()
        }
        None => Problem::new(problem::NO_SUCH, "there is no error code like that").into_response(),
    }
}

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;

    use super::*;

    #[tokio::test]
    async fn every_problem_has_a_page() {
        for code in ["Q0502", "q0502"] {
            let response = page(Path(code.to_owned())).await;
            assert_eq!(response.status(), StatusCode::OK);
            let body = axum::body::to_bytes(response.into_body(), 1 << 16).await.unwrap();
            assert!(body.starts_with(b"# Q0502: not an Alertmanager webhook body\n"), "{body:?}");
        }
        assert_eq!(page(Path("Q9999".to_owned())).await.status(), StatusCode::NOT_FOUND);
    }
}
