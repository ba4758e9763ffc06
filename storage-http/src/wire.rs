//! One exchange: a request out, a whole and bounded answer back, and an exact word on how far it
//! got. No retries and no session logic here.

use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};
use tracing::{debug, trace};

use crate::answer::Answer;
use crate::call::{Call, Method};
use crate::calls::{CallName, Calls};
use crate::config::{ClientConfig, Limits, Timeouts};
use crate::endpoint::Endpoint;
use crate::error::HttpError;
use crate::session::Session;
use crate::trust::Trust;
use crate::verify::{UntrustedCertificate, tls_config};

/// The connection pool to one array with its limits and counters.
#[derive(Debug)]
pub(crate) struct Wire {
    http: reqwest::Client,
    pub(crate) endpoint: Endpoint,
    pub(crate) timeouts: Timeouts,
    limits: Limits,
    slots: Semaphore,
    pub(crate) calls: Calls,
}

impl Wire {
    pub(crate) fn new(config: &ClientConfig) -> Result<Self, HttpError> {
        let endpoint = &config.endpoint;
        let wrong = |reason: &str| HttpError::construction(&endpoint.to_string(), reason);
        let plain = matches!(config.trust, Trust::PlainLoopback);
        if endpoint.is_plain() != plain || (plain && !endpoint.is_loopback()) {
            return Err(wrong(
                "arrays are reached by https; plain http is for loopback addresses alone",
            ));
        }
        let tls = tls_config(&config.trust).map_err(|reason| wrong(&reason))?;
        let limits = config.limits;
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            // A proxy from the environment would see the tokens of a private network.
            .no_proxy()
            // No array redirects; a redirect would carry the token elsewhere.
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(config.timeouts.connect)
            .pool_max_idle_per_host(limits.concurrent)
            .user_agent(concat!("fairlead/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| wrong("no HTTP client").caused_by(error.without_url()))?;
        Ok(Self {
            http,
            endpoint: endpoint.clone(),
            timeouts: config.timeouts,
            limits,
            slots: Semaphore::new(limits.concurrent.max(1)),
            calls: Calls::default(),
        })
    }

    /// Sends once. `Ok` is a whole answer of any status.
    pub(crate) async fn exchange(
        &self,
        base: &str,
        call: &Call,
        session: Option<&Session>,
        deadline: Instant,
    ) -> Result<Answer, HttpError> {
        let name = call.name();
        let request = self.request(base, call, session)?;
        let slot = match timeout_at(deadline, self.slots.acquire()).await {
            Ok(Ok(slot)) if Instant::now() < deadline => slot,
            Ok(Ok(_) | Err(_)) | Err(_) => {
                let reason = "the deadline passed while it waited for a free connection";
                return Err(HttpError::not_sent(name, reason)
                    .timed_out()
                    .at(&self.endpoint));
            }
        };
        let started = Instant::now();
        let until = deadline.min(started + self.timeouts.attempt);
        self.calls.count(name);
        trace!(endpoint = %self.endpoint, call = %name, query = %call.shown_query(), "send");
        crash_points::point!("rest.send", name);
        let result = match timeout_at(until, self.round_trip(name, request)).await {
            Ok(result) => result,
            Err(_elapsed) => {
                let reason = format!("no answer within {:.1?}", started.elapsed());
                Err(HttpError::maybe_sent(name, reason).timed_out())
            }
        };
        crash_points::point!("rest.answer", name);
        drop(slot);
        let elapsed_ms = started.elapsed().as_millis();
        match &result {
            Ok(answer) => {
                debug!(endpoint = %self.endpoint, call = %name, status = answer.status(), elapsed_ms, "answered");
            }
            Err(error) => {
                debug!(endpoint = %self.endpoint, call = %name, ?error, elapsed_ms, "no answer");
            }
        }
        result.map_err(|error| error.at(&self.endpoint))
    }

    fn request(
        &self,
        base: &str,
        call: &Call,
        session: Option<&Session>,
    ) -> Result<reqwest::Request, HttpError> {
        let wrong = |reason: &str| {
            HttpError::construction(&call.name().to_string(), format!("no request: {reason}"))
        };
        let mut url = self.endpoint.url(&format!("{base}{}", call.name().path));
        if call.parameters().next().is_some() {
            url.query_pairs_mut().extend_pairs(call.parameters());
            // Form encoding writes a blank as `+`; RFC 3986 knows only `%20`, and not every
            // server decodes both. A literal `+` is `%2B` by now.
            let query = url.query().unwrap_or_default().replace('+', "%20");
            url.set_query(Some(&query));
        }
        let method = match call.name().method {
            Method::Get => reqwest::Method::GET,
            Method::Post => reqwest::Method::POST,
            Method::Put => reqwest::Method::PUT,
            Method::Patch => reqwest::Method::PATCH,
            Method::Delete => reqwest::Method::DELETE,
        };
        let mut builder = self.http.request(method, url);
        let token = session.map(|session| (session.header(), session.token()));
        let secrets = call.headers().iter().map(|(name, value)| (*name, value));
        for (header, secret) in secrets.chain(token) {
            let mut value = reqwest::header::HeaderValue::from_str(secret.expose())
                .map_err(|_error| wrong("a token has characters that a header cannot carry"))?;
            value.set_sensitive(true);
            builder = builder.header(header, value);
        }
        if let Some(body) = call.body().map_err(wrong)? {
            builder = builder
                .header(reqwest::header::CONTENT_TYPE, "application/json")
                .body(body.to_vec());
        }
        builder
            .build()
            .map_err(|error| wrong("rejected by the HTTP library").caused_by(error.without_url()))
    }

    async fn round_trip(
        &self,
        name: CallName,
        request: reqwest::Request,
    ) -> Result<Answer, HttpError> {
        let mut response = match self.http.execute(request).await {
            Ok(response) => response,
            Err(error) => return Err(classify(name, error)),
        };
        let status = response.status().as_u16();
        let headers = response.headers().clone();
        let mut body = Vec::new();
        loop {
            match response.chunk().await {
                Ok(None) => return Ok(Answer::new(name, status, headers, body)),
                Ok(Some(chunk)) if body.len() + chunk.len() <= self.limits.answer_bytes => {
                    body.extend_from_slice(&chunk);
                }
                Ok(Some(_)) => {
                    let reason = format!("longer than {} bytes", self.limits.answer_bytes);
                    return Err(HttpError::unreadable(name, status, reason));
                }
                Err(error) => {
                    let cut = HttpError::unreadable(name, status, "cut off");
                    return Err(cut.caused_by(error.without_url()));
                }
            }
        }
    }
}

fn classify(name: CallName, error: reqwest::Error) -> HttpError {
    let error = error.without_url();
    if let Some(untrusted) = UntrustedCertificate::find(&error) {
        return HttpError::not_sent(name, "the certificate was refused").caused_by(untrusted);
    }
    let timed_out = error.is_timeout();
    let failure = if error.is_connect() {
        HttpError::not_sent(name, "no connection")
    } else if error.is_builder() {
        HttpError::construction(&name.to_string(), "no request")
    } else {
        HttpError::maybe_sent(name, "the connection broke before an answer came")
    };
    let failure = failure.caused_by(error);
    if timed_out {
        failure.timed_out()
    } else {
        failure
    }
}
