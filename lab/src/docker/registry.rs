//! A registry on loopback, where Docker asks for no TLS: as much of the distribution protocol (its
//! v2 API) as pushing, installing and upgrading a plugin takes. Everything is in memory; nobody is
//! asked who they are.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::Response;
use axum::routing::{get, patch, post};
use sha2::{Digest, Sha256};
use tokio::task::JoinHandle;

/// A running registry. Dropping it ends it.
#[derive(Debug)]
pub struct Registry {
    address: String,
    server: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Content {
    /// By digest.
    blobs: HashMap<String, Bytes>,
    /// Content type and bytes, by digest and by `name:tag`.
    manifests: HashMap<String, (String, Bytes)>,
    /// What has arrived of each upload, by its number.
    uploads: HashMap<usize, Vec<u8>>,
    begun: usize,
}

type Shared = Arc<Mutex<Content>>;

impl Registry {
    /// Starts an empty one, on a port of its own.
    ///
    /// # Errors
    /// When it cannot listen.
    pub async fn start() -> Result<Self> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
        let listener = listener.context("listen on loopback")?;
        let address = listener.local_addr().context("a registry's address")?;
        let routes = Router::new()
            .route("/v2/", get(async || answer(StatusCode::OK)))
            .route("/v2/{name}/blobs/{digest}", get(blob))
            .route("/v2/{name}/blobs/uploads/", post(begin))
            .route("/v2/{name}/blobs/uploads/{upload}", patch(more).put(finish))
            .route("/v2/{name}/manifests/{tag}", get(manifest).put(tag))
            .layer(DefaultBodyLimit::disable())
            .with_state(Shared::default());
        let server = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, routes).await {
                tracing::warn!(%error, "the registry ended");
            }
        });
        Ok(Self {
            address: address.to_string(),
            server,
        })
    }

    /// The name of an image or plugin in it.
    #[must_use]
    pub fn reference(&self, name: &str, tag: &str) -> String {
        format!("{}/{name}:{tag}", self.address)
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.server.abort();
    }
}

fn lock(content: &Shared) -> MutexGuard<'_, Content> {
    content.lock().unwrap_or_else(PoisonError::into_inner)
}

fn digest(bytes: &[u8]) -> String {
    let hex = Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect::<String>();
    format!("sha256:{hex}")
}

fn answer(status: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

/// An answer with headers; one that cannot be written is our own mistake and answered as such.
fn with(status: StatusCode, body: Body, headers: &[(&str, &str)]) -> Response {
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(*name, *value);
    }
    response
        .body(body)
        .unwrap_or_else(|_error| answer(StatusCode::INTERNAL_SERVER_ERROR))
}

/// The bytes, or for HEAD their length alone, which hyper takes from the body that it drops.
fn found(method: &Method, kind: &str, bytes: Bytes) -> Response {
    let (name, length) = (digest(&bytes), bytes.len().to_string());
    let body = if method == Method::HEAD {
        Body::empty()
    } else {
        Body::from(bytes)
    };
    let headers = [
        ("Content-Type", kind),
        ("Content-Length", &length),
        ("Docker-Content-Digest", &name),
    ];
    with(StatusCode::OK, body, &headers)
}

async fn blob(
    State(content): State<Shared>,
    method: Method,
    Path((_name, digest)): Path<(String, String)>,
) -> Response {
    let bytes = lock(&content).blobs.get(&digest).cloned();
    bytes.map_or_else(
        || answer(StatusCode::NOT_FOUND),
        |bytes| found(&method, "application/octet-stream", bytes),
    )
}

async fn begin(State(content): State<Shared>, Path(name): Path<String>) -> Response {
    let mut content = lock(&content);
    content.begun += 1;
    let upload = content.begun;
    content.uploads.insert(upload, Vec::new());
    accepted(&name, upload, 0)
}

async fn more(
    State(content): State<Shared>,
    Path((name, upload)): Path<(String, usize)>,
    body: Bytes,
) -> Response {
    let mut content = lock(&content);
    let Some(bytes) = content.uploads.get_mut(&upload) else {
        return answer(StatusCode::NOT_FOUND);
    };
    bytes.extend_from_slice(&body);
    accepted(&name, upload, bytes.len())
}

fn accepted(name: &str, upload: usize, length: usize) -> Response {
    let location = format!("/v2/{name}/blobs/uploads/{upload}");
    let range = format!("0-{}", length.saturating_sub(1));
    let number = upload.to_string();
    let headers = [
        ("Location", location.as_str()),
        ("Range", &range),
        ("Docker-Upload-UUID", &number),
    ];
    with(StatusCode::ACCEPTED, Body::empty(), &headers)
}

async fn finish(
    State(content): State<Shared>,
    Path((name, upload)): Path<(String, usize)>,
    Query(query): Query<HashMap<String, String>>,
    body: Bytes,
) -> Response {
    let mut content = lock(&content);
    let Some(mut bytes) = content.uploads.remove(&upload) else {
        return answer(StatusCode::NOT_FOUND);
    };
    bytes.extend_from_slice(&body);
    let digest = digest(&bytes);
    if query.get("digest") != Some(&digest) {
        return answer(StatusCode::BAD_REQUEST);
    }
    let location = format!("/v2/{name}/blobs/{digest}");
    content.blobs.insert(digest.clone(), bytes.into());
    let headers = [
        ("Location", location.as_str()),
        ("Docker-Content-Digest", &digest),
    ];
    with(StatusCode::CREATED, Body::empty(), &headers)
}

async fn manifest(
    State(content): State<Shared>,
    method: Method,
    Path((name, tag)): Path<(String, String)>,
) -> Response {
    let content = lock(&content);
    let named = content.manifests.get(&format!("{name}:{tag}"));
    match named.or_else(|| content.manifests.get(&tag)) {
        Some((kind, bytes)) => found(&method, kind, bytes.clone()),
        None => answer(StatusCode::NOT_FOUND),
    }
}

async fn tag(
    State(content): State<Shared>,
    Path((name, tag)): Path<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let kind = headers
        .get("Content-Type")
        .and_then(|kind| kind.to_str().ok());
    let kind = kind.unwrap_or("application/json").to_owned();
    let digest = digest(&body);
    let mut content = lock(&content);
    content
        .manifests
        .insert(digest.clone(), (kind.clone(), body.clone()));
    content
        .manifests
        .insert(format!("{name}:{tag}"), (kind, body));
    with(
        StatusCode::CREATED,
        Body::empty(),
        &[("Docker-Content-Digest", &digest)],
    )
}
