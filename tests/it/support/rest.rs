//! A REST client that asserts with the whole answer in its message.

use reqwest::header::HeaderMap;
use reqwest::{Method, StatusCode};
use serde_json::Value;

use super::in_time;

/// Speaks to one server as one person.
#[derive(Clone, Debug)]
pub(crate) struct Rest {
    base: String,
    http: reqwest::Client,
    headers: Vec<(String, String)>,
}

/// What came back.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    /// The status.
    pub(crate) status: StatusCode,
    /// The headers.
    pub(crate) headers: HeaderMap,
    /// The body, as text.
    pub(crate) text: String,
}

impl Rest {
    /// Speaks to the server at `base` (`http://127.0.0.1:5000`).
    pub(crate) fn new(base: String) -> Self {
        // No proxy of the machine's environment, and no pool: a restarted server must not be met on an old connection.
        let http = reqwest::Client::builder()
            .no_proxy()
            .pool_max_idle_per_host(0)
            .build()
            .unwrap();
        Self {
            base,
            http,
            headers: Vec::new(),
        }
    }

    /// The same, keeping connections open: for many posts in a row.
    pub(crate) fn keeping_connections(mut self) -> Self {
        self.http = reqwest::Client::builder().no_proxy().build().unwrap();
        self
    }

    /// The same with one more header on every request.
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The same with this token.
    pub(crate) fn token(self, token: &str) -> Self {
        self.header("authorization", &format!("Bearer {token}"))
    }

    /// `GET`.
    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.ask(Method::GET, path, None).await
    }

    /// `POST` of a JSON body.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.ask(Method::POST, path, Some(body.to_string())).await
    }

    /// `PUT` of a JSON body.
    pub(crate) async fn put(&self, path: &str, body: &Value) -> Answer {
        self.ask(Method::PUT, path, Some(body.to_string())).await
    }

    /// `PATCH` of a JSON body.
    pub(crate) async fn patch(&self, path: &str, body: &Value) -> Answer {
        self.ask(Method::PATCH, path, Some(body.to_string())).await
    }

    /// Any request; a body is declared to be JSON, whatever it is.
    pub(crate) async fn ask(&self, method: Method, path: &str, body: Option<String>) -> Answer {
        let what = format!("{method} {path}");
        in_time(&what, self.attempt(method, path, body))
            .await
            .unwrap_or_else(|error| panic!("{what}: {error:?}"))
    }

    /// Any request, where having no answer is an outcome too.
    pub(crate) async fn attempt(
        &self,
        method: Method,
        path: &str,
        body: Option<String>,
    ) -> Result<Answer, reqwest::Error> {
        let mut request = self.http.request(method, format!("{}{path}", self.base));
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        if let Some(body) = body {
            if !self
                .headers
                .iter()
                .any(|(name, _)| name.eq_ignore_ascii_case("content-type"))
            {
                request = request.header("content-type", "application/json");
            }
            request = request.body(body);
        }
        let response = request.send().await?;
        let (status, headers) = (response.status(), response.headers().clone());
        Ok(Answer {
            status,
            headers,
            text: response.text().await?,
        })
    }
}

impl Answer {
    /// The body as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text)
            .unwrap_or_else(|error| panic!("{}: not JSON ({error}): {}", self.status, self.text))
    }

    /// The body as JSON, of an answer that must have this status.
    #[track_caller]
    pub(crate) fn expect(&self, status: u16) -> Value {
        assert_eq!(self.status.as_u16(), status, "{}", self.text);
        if self.text.is_empty() { Value::Null } else { self.json() }
    }

    /// The `error` of an answer that must be the contract's error of this status; checks its shape.
    #[track_caller]
    pub(crate) fn expect_error(&self, status: u16) -> String {
        let body = self.expect(status);
        assert_eq!(body["status_code"], status, "{body}");
        if let Some(details) = body.get("details") {
            let details = details
                .as_object()
                .unwrap_or_else(|| panic!("details are an object: {body}"));
            for (field, reasons) in details {
                let is_list_of_texts = reasons
                    .as_array()
                    .is_some_and(|all| !all.is_empty() && all.iter().all(Value::is_string));
                assert!(is_list_of_texts, "{field} has a list of texts: {body}");
            }
        }
        body["error"]
            .as_str()
            .unwrap_or_else(|| panic!("error is a text: {body}"))
            .to_owned()
    }

    /// A header's value.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}
