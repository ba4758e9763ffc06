//! A client for tests: sends what it is told and shows what came back.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "support of tests: a failure is a failed test"
)]

use std::sync::Once;
use std::time::{Duration, Instant};

use array_sim::{Array, ArrayConfig, Simulator};
use serde_json::{Value, json};

/// An answer.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) body: Value,
}

impl Answer {
    /// The items of a successful answer.
    #[track_caller]
    pub(crate) fn items(&self) -> &Vec<Value> {
        assert_eq!(self.status, 200, "{}", self.body);
        self.body["items"].as_array().unwrap()
    }

    /// The only item.
    #[track_caller]
    pub(crate) fn item(&self) -> &Value {
        let items = self.items();
        assert_eq!(items.len(), 1, "{}", self.body);
        &items[0]
    }

    /// The names of the items.
    #[track_caller]
    pub(crate) fn names(&self) -> Vec<&str> {
        let names = self.items().iter().map(|item| item["name"].as_str());
        names.map(Option::unwrap).collect()
    }

    /// Message and context of the first error of a refusal.
    #[track_caller]
    pub(crate) fn refusal(&self) -> (&str, Option<&str>) {
        assert_eq!(self.status, 400, "{}", self.body);
        let error = &self.body["errors"][0];
        (
            error["message"].as_str().unwrap(),
            error["context"].as_str(),
        )
    }

    #[track_caller]
    pub(crate) fn done(&self) {
        assert_eq!(self.status, 200, "{}", self.body);
    }
}

/// A session with one array.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    pub(crate) http: reqwest::Client,
    pub(crate) url: String,
    pub(crate) session: String,
    pub(crate) version: String,
}

/// An HTTP client that trusts the array's certificate and nothing else.
pub(crate) fn http(array: &Array) -> reqwest::Client {
    static PROVIDER: Once = Once::new();
    PROVIDER.call_once(|| {
        rustls::crypto::aws_lc_rs::default_provider()
            .install_default()
            .unwrap();
    });
    let certificate = reqwest::Certificate::from_pem(array.certificate_pem().as_bytes()).unwrap();
    reqwest::Client::builder()
        .tls_certs_only([certificate])
        .timeout(Duration::from_secs(20))
        .build()
        .unwrap()
}

impl Client {
    pub(crate) async fn login(array: &Array) -> Self {
        let http = http(array);
        let response = http
            .post(format!("{}/api/2.26/login", array.url()))
            .header("api-token", array.api_token())
            .send()
            .await
            .unwrap();
        assert_eq!(response.status(), 200);
        let session = response.headers()["x-auth-token"].to_str().unwrap();
        Self {
            session: session.to_owned(),
            url: array.url(),
            version: "2.26".to_owned(),
            http,
        }
    }

    pub(crate) async fn try_send(
        &self,
        method: &str,
        path: &str,
        body: Option<Value>,
    ) -> reqwest::Result<Answer> {
        let target = format!("/api/{}/{path}", self.version);
        let verb = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let mut request = self
            .http
            .request(verb, format!("{}{target}", self.url))
            .header("x-auth-token", &self.session);
        if let Some(body) = body {
            request = request.body(body.to_string());
        }
        let response = request.send().await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await?;
        crate::clients::record(method, &target, status, &text);
        let body = if text.is_empty() {
            Value::Null
        } else {
            serde_json::from_str(&text).unwrap()
        };
        Ok(Answer {
            status,
            headers,
            body,
        })
    }

    pub(crate) async fn send(&self, method: &str, path: &str, body: Option<Value>) -> Answer {
        self.try_send(method, path, body)
            .await
            .unwrap_or_else(|error| panic!("{method} {path}: {error:?}"))
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, None).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.send("POST", path, Some(body)).await
    }

    pub(crate) async fn patch(&self, path: &str, body: Value) -> Answer {
        self.send("PATCH", path, Some(body)).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.send("DELETE", path, None).await
    }

    /// A volume of 1 MiB.
    pub(crate) async fn volume(&self, name: &str) -> Value {
        let answer = self.post(&format!("volumes?names={name}"), json!({})).await;
        answer.item().clone()
    }

    pub(crate) async fn host(&self, name: &str) {
        let path = format!("hosts?names={name}");
        let iqn = format!("iqn.1994-05.com.example:{name}");
        self.post(&path, json!({ "iqns": [iqn] })).await.done();
    }

    pub(crate) async fn connect(&self, volume: &str, host: &str) -> Answer {
        let path = format!("connections?volume_names={volume}&host_names={host}");
        self.send("POST", &path, None).await
    }

    pub(crate) async fn destroy(&self, volume: &str) -> Answer {
        let path = format!("volumes?names={volume}");
        self.patch(&path, json!({ "destroyed": true })).await
    }
}

/// A simulator with one array of all defaults, and a session.
pub(crate) async fn one_array() -> (Simulator, Array, Client) {
    with(ArrayConfig::new("array-a")).await
}

pub(crate) async fn with(config: ArrayConfig) -> (Simulator, Array, Client) {
    let name = config.name.clone();
    let simulator = Simulator::builder().array(config).start().await.unwrap();
    let array = simulator.array(&name).unwrap().clone();
    let client = Client::login(&array).await;
    (simulator, array, client)
}

/// Waits for a condition, with an end.
pub(crate) async fn until(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < deadline, "{what} did not happen");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

pub(crate) fn encode(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}
