//! What every answer has, whatever the path: known methods, security headers, the API's document.

use reqwest::Method;

use crate::support::{Answer, Ingest};

#[tokio::test]
async fn unknown_paths_and_methods_are_problems_too() {
    let ingest = Ingest::start(&[]).await;
    Answer::of(ingest.request(Method::GET, "/api/nothing")).await.is_problem(404, "not_found");
    for (method, path, allowed) in [
        (Method::PUT, "/api/events", "GET, POST"),
        (Method::POST, "/api/events/x", "GET"),
        (Method::GET, "/api/user-sessions", "POST"),
        (Method::GET, "/api/user-sessions/refresh", "POST"),
        (Method::POST, "/api/user-sessions/current", "DELETE"),
    ] {
        let answer = Answer::of(ingest.request(method, path)).await;
        answer.is_problem(405, "method_not_allowed");
        assert_eq!(answer.header("allow"), allowed, "{path}");
    }
}

#[tokio::test]
async fn every_answer_has_the_security_headers_and_no_cors() {
    let ingest = Ingest::start(&[]).await;
    for path in ["/api/nothing", "/api/events", "/api-docs/"] {
        let answer = Answer::of(ingest.request(Method::GET, path).header("origin", "https://elsewhere.example")).await;
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(answer.header("x-frame-options"), "DENY", "{path}");
        assert!(answer.header("content-security-policy").contains("default-src 'self'"), "{path}");
        assert_eq!(answer.header("access-control-allow-origin"), "", "{path}");
    }
}

#[tokio::test]
async fn the_document_names_every_path_and_the_page_needs_nobody_else() {
    let ingest = Ingest::start(&[]).await;
    let document = Answer::of(ingest.request(Method::GET, "/api-docs/openapi.json")).await;
    let paths = document.body["paths"].as_object().unwrap();
    for path in ["/api/events", "/api/events/{id}", "/api/user-sessions", "/api/user-sessions/refresh", "/api/user-sessions/current"] {
        assert!(paths.contains_key(path), "{path}");
    }
    let page = ingest.request(Method::GET, "/api-docs/").send().await.unwrap();
    assert_eq!(page.status(), 200);
    let page = page.text().await.unwrap();
    assert!(page.contains("swagger-ui") && !page.contains("https://"), "{page}");
}

#[tokio::test]
async fn the_private_listener_is_not_on_the_public_one() {
    let ingest = Ingest::start(&[]).await;
    for path in ["/metrics", "/health/live", "/health/ready"] {
        Answer::of(ingest.request(Method::GET, path)).await.is_problem(404, "not_found");
    }
}
