//! Rate, errors and duration of every endpoint: one histogram, by the conventions of OpenTelemetry.
//!
//! A middleware, outermost of a listener. A route is the pattern that took the request, never its path, so the series are
//! bounded by what is registered. Each worker keeps the labels that it has used: where a route is its own pattern, as that
//! of events is, nothing is allocated after the first request.

use std::cell::RefCell;
use std::collections::HashMap;
use std::future::{Ready, ready};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use actix_web::dev::{Service, ServiceRequest, ServiceResponse, Transform, forward_ready};
use actix_web::http::Method;
use opentelemetry::KeyValue;
use tokio::time::Instant;

use super::exemplars::Histogram;
use super::table::{METHOD, METHODS, OTHER_METHOD, ROUTE, STATUS, UNMATCHED};

/// Measures requests; clones tell the same histogram.
#[derive(Debug, Clone)]
pub struct Requests(pub(super) Histogram);

/// The labels of requests of one kind.
type Labels = [KeyValue; 3];
/// The labels of one route, by method and status.
type OfRoute = HashMap<(&'static str, u16), Labels>;

/// Measures the requests of one worker.
#[derive(Debug)]
pub struct Measured<S> {
    /// What answers.
    service: S,
    /// What is told.
    told: Rc<Told>,
}

/// What a worker tells.
#[derive(Debug)]
struct Told {
    /// Where it is counted.
    histogram: Histogram,
    /// Labels by route.
    labels: RefCell<HashMap<String, OfRoute>>,
}

impl Told {
    /// A request was answered.
    fn answered<B>(&self, response: &ServiceResponse<B>, began: Instant) {
        let request = response.request();
        let (method, status) = (known(request.method()), response.status().as_u16());
        let mut labels = self.labels.borrow_mut();
        // Most routes are their own pattern, which need not be asked for then.
        let route = if labels.contains_key(request.path()) { None } else { Some(pattern(request)) };
        let of_route = match route {
            None => labels.get_mut(request.path()),
            Some(pattern) => Some(labels.entry(pattern).or_default()),
        };
        let Some(of_route) = of_route else { return };
        let labels = of_route.entry((method, status)).or_insert_with(|| {
            [KeyValue::new(ROUTE.name, pattern(request)), METHOD.is(method), KeyValue::new(STATUS.name, i64::from(status))]
        });
        self.histogram.record(began.elapsed(), labels);
    }
}

/// The pattern that took a request.
fn pattern(request: &actix_web::HttpRequest) -> String {
    request.match_pattern().unwrap_or_else(|| UNMATCHED.to_owned())
}

/// A method's word; what is none of the known is another.
fn known(method: &Method) -> &'static str {
    METHODS.into_iter().find(|known| *known == method.as_str()).unwrap_or(OTHER_METHOD)
}

impl<S, B> Transform<S, ServiceRequest> for Requests
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = actix_web::Error>,
    S::Future: 'static,
{
    type Response = ServiceResponse<B>;
    type Error = actix_web::Error;
    type Transform = Measured<S>;
    type InitError = ();
    type Future = Ready<Result<Self::Transform, ()>>;

    fn new_transform(&self, service: S) -> Self::Future {
        let told = Told { histogram: self.0.clone(), labels: RefCell::default() };
        ready(Ok(Measured { service, told: Rc::new(told) }))
    }
}

impl<S, B> Service<ServiceRequest> for Measured<S>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = actix_web::Error>,
    S::Future: 'static,
{
    type Response = ServiceResponse<B>;
    type Error = actix_web::Error;
    type Future = Answering<S::Future>;

    forward_ready!(service);

    fn call(&self, request: ServiceRequest) -> Self::Future {
        Answering { began: Instant::now(), told: Rc::clone(&self.told), answer: self.service.call(request) }
    }
}

pin_project_lite::pin_project! {
    /// A request that is being answered.
    #[derive(Debug)]
    pub struct Answering<F> {
        // When it came.
        began: Instant,
        // What is told of it.
        told: Rc<Told>,
        // Its answer.
        #[pin]
        answer: F,
    }
}

impl<F, B> Future for Answering<F>
where
    F: Future<Output = Result<ServiceResponse<B>, actix_web::Error>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let answer = std::task::ready!(this.answer.poll(context));
        // What handlers fail with is an answer by now; an error here is one of a middleware within, and there is none.
        if let Ok(response) = &answer {
            this.told.answered(response, *this.began);
        }
        Poll::Ready(answer)
    }
}

#[cfg(test)]
mod tests {
    use actix_web::http::Method;
    use actix_web::test::{TestRequest, call_service, init_service};
    use actix_web::{App, HttpResponse, web};

    use crate::metrics::Registry;

    #[actix_rt::test]
    async fn a_request_is_counted_under_its_pattern_whatever_its_path() {
        let registry = Registry::new();
        let app = App::new()
            .wrap(registry.requests())
            .service(web::resource("/one").route(web::post().to(HttpResponse::Accepted)))
            .service(web::resource("/one/{id}").route(web::get().to(HttpResponse::Ok)));
        let app = init_service(app).await;
        let brew = Method::from_bytes(b"BREW").unwrap();
        for (method, path, status) in [
            (Method::POST, "/one", 202),
            (Method::POST, "/one", 202),
            (Method::GET, "/one/1", 200),
            (Method::GET, "/one/2?x=1", 200),
            (Method::GET, "/one/{id}", 200),
            (Method::GET, "/unmatched", 404),
            (Method::GET, "/two", 404),
            (brew, "/one", 405),
        ] {
            let request = TestRequest::default().method(method).uri(path.replace('{', "%7B").replace('}', "%7D").as_str()).to_request();
            assert_eq!(call_service(&app, request).await.status(), status, "{path}");
        }
        let text = registry.render();
        let count = |route: &str, method: &str, status: u16, count: u32| {
            let labels = format!("http_request_method=\"{method}\",http_response_status_code=\"{status}\",http_route=\"{route}\"");
            let line = format!("http_server_request_duration_seconds_count{{{labels}}} {count}");
            assert!(text.lines().any(|found| found == line), "`{line}` is missing in\n{text}");
        };
        count("/one", "POST", 202, 2);
        count("/one/{id}", "GET", 200, 3);
        count("unmatched", "GET", 404, 2);
        count("/one", "_OTHER", 405, 1);
    }
}
