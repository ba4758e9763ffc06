//! The control listener: what tests do by the library, for those outside the process. Plain HTTP
//! on an address of its own, so that it answers whatever happens to the arrays. It asks for no
//! password: keep it on the loopback address.
//!
//! ```text
//! GET    /sim/arrays                       what there is
//! GET    /sim/arrays/NAME/faults           plan in force and counters
//! PUT    /sim/arrays/NAME/faults           replace the plan (JSON)
//! DELETE /sim/arrays/NAME/faults           end all faults and rules
//! POST   /sim/arrays/NAME/rules            add a rule (JSON)
//! POST   /sim/arrays/NAME/release          let held calls go on
//! POST   /sim/arrays/NAME/down | up        stop listening, listen again
//! POST   /sim/arrays/NAME/silent | answer  keep silent, answer again
//! GET    /sim/arrays/NAME/luns             what the data path shows and did, and its faults
//! PUT    /sim/arrays/NAME/luns             faults of volumes (JSON): {"v1": {"fail_writes": true}}
//! POST   /sim/arrays/NAME/expire-sessions
//! POST   /sim/arrays/NAME/advance-clock    {"ms": 86400000}
//! GET    /sim/arrays/NAME/calls            the log of calls
//! DELETE /sim/arrays/NAME/calls            the same, and forget them
//! GET    /sim/arrays/NAME/events           who got and lost access to what, when
//! GET    /sim/arrays/NAME/witness          the moments from which two hosts could reach one volume
//! GET    /sim/arrays/NAME/names            which volume had, or lost, which name, when
//! GET    /sim/arrays/NAME/state            volumes, snapshots, hosts, connections and the rest
//! GET    /sim/arrays/NAME/settings         figures, limits and ports in force
//! PATCH  /sim/arrays/NAME/settings         change some of them (JSON)
//! PUT    /sim/arrays/NAME/protection-group make one, or put it in place of the old (JSON)
//! DELETE /sim/arrays/NAME/protection-group drop one: {"name": "pg1"}
//! ```

mod actions;

use std::io;
use std::net::SocketAddr;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{any, get};
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::array::Array;

/// A running control listener. Dropping it stops it.
#[derive(Debug)]
pub(crate) struct Control {
    address: SocketAddr,
    server: JoinHandle<()>,
}

impl Control {
    pub(crate) async fn start(address: &str, arrays: Vec<Array>) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let router = Router::new()
            .route("/sim/arrays", get(list))
            .route("/sim/arrays/{name}/{what}", any(one))
            .with_state(arrays);
        let server = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, router).await {
                tracing::error!(%error, "the control listener ended");
            }
        });
        Ok(Self { address, server })
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// What the binary prints, and GET `/sim/arrays` answers.
pub(crate) fn describe(array: &Array) -> Value {
    json!({
        "name": array.name(),
        "id": array.id(),
        "url": array.url(),
        "api_token": array.api_token(),
        "certificate": array.certificate_path(),
        "fingerprint": array.fingerprint(),
        "lun_folder": array.lun_folder(),
    })
}

async fn list(State(arrays): State<Vec<Array>>) -> Json<Value> {
    Json(json!({ "arrays": arrays.iter().map(describe).collect::<Vec<_>>() }))
}

/// The answer to what cannot be done.
struct Wrong(StatusCode, String);

impl From<String> for Wrong {
    fn from(text: String) -> Self {
        Self(StatusCode::BAD_REQUEST, text)
    }
}

async fn one(
    State(arrays): State<Vec<Array>>,
    Path((name, what)): Path<(String, String)>,
    method: Method,
    body: Bytes,
) -> Response {
    let Some(array) = arrays.iter().find(|array| array.name() == name) else {
        return wrong(StatusCode::NOT_FOUND, &format!("no array {name}"));
    };
    match actions::act(array, method.as_str(), &what, &body).await {
        Ok(value) => Json(value).into_response(),
        Err(Wrong(status, text)) => wrong(status, &text),
    }
}

fn wrong(status: StatusCode, text: &str) -> Response {
    (status, Json(json!({ "error": text }))).into_response()
}
