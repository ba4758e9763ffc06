//! An administrator's look at an array over its REST interface, for checks that must not go
//! through the product: which volumes there are, which were destroyed, who is connected to what.
//!
//! It is *not* a client library: no retries, no paging, any certificate will do.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

const TIMEOUT: Duration = Duration::from_secs(30);

/// A session with one array.
#[derive(Debug)]
pub struct ArrayRest {
    client: reqwest::Client,
    base: String,
    session: String,
}

impl ArrayRest {
    /// Logs in at `https://address` with an API token.
    ///
    /// # Errors
    /// When the array does not answer, or refuses the token.
    pub async fn login(address: &str, token: &str) -> Result<Self> {
        // one provider for the process; it does not matter who was first
        if rustls::crypto::aws_lc_rs::default_provider()
            .install_default()
            .is_err()
        {
            tracing::trace!("a TLS provider is installed already");
        }
        let client = reqwest::Client::builder()
            .tls_danger_accept_invalid_certs(true)
            .no_proxy()
            .timeout(TIMEOUT)
            .build()
            .context("make an HTTP client")?;
        let versions = client
            .get(format!("https://{address}/api/api_version"))
            .send()
            .await;
        let versions: Value = versions.context("ask for the versions")?.json().await?;
        let newest = newest(&versions).context("the array names no REST 2 version")?;
        let base = format!("https://{address}/api/{newest}");
        let login = client
            .post(format!("{base}/login"))
            .header("api-token", token)
            .send()
            .await;
        let login = login
            .context("log in")?
            .error_for_status()
            .context("log in")?;
        let session = login
            .headers()
            .get("x-auth-token")
            .context("no session in the answer")?;
        let session = session.to_str().context("read the session")?.to_owned();
        Ok(Self {
            client,
            base,
            session,
        })
    }

    /// The `items` of a collection; `path` with its query, for example `volumes?destroyed=true`.
    ///
    /// # Errors
    /// When the array does not answer with a list.
    pub async fn items(&self, path: &str) -> Result<Vec<Value>> {
        let asked = format!("{}/{path}", self.base);
        let request = self
            .client
            .get(&asked)
            .header("x-auth-token", &self.session);
        let answer = request.send().await.context("ask the array")?;
        let status = answer.status();
        let mut body: Value = answer
            .json()
            .await
            .with_context(|| format!("{asked}: {status}"))?;
        match body.get_mut("items").map(Value::take) {
            Some(Value::Array(items)) if status.is_success() => Ok(items),
            _ => bail!("{asked}: {status} {body}"),
        }
    }

    /// Makes an object as an administrator would; `path` with its query, for example
    /// `volumes?names=copy`.
    ///
    /// # Errors
    /// When the array refuses.
    pub async fn make(&self, path: &str, body: &Value) -> Result<()> {
        let asked = format!("{}/{path}", self.base);
        let request = self
            .client
            .post(&asked)
            .header("x-auth-token", &self.session);
        let answer = request.json(body).send().await.context("ask the array")?;
        let status = answer.status();
        if status.is_success() {
            return Ok(());
        }
        bail!(
            "{asked}: {status} {}",
            answer.text().await.unwrap_or_default()
        )
    }

    /// The values of one text field of a collection, for example the names of the volumes.
    ///
    /// # Errors
    /// As [`ArrayRest::items`].
    pub async fn texts(&self, path: &str, field: &str) -> Result<Vec<String>> {
        let items = self.items(path).await?;
        let texts = items.iter().filter_map(|item| item.get(field)?.as_str());
        Ok(texts.map(str::to_owned).collect())
    }
}

/// The newest of the 2.x versions.
fn newest(versions: &Value) -> Option<String> {
    let versions = versions.get("version")?.as_array()?;
    let minor = |version: &Value| version.as_str()?.strip_prefix("2.")?.parse::<u32>().ok();
    let newest = versions.iter().filter_map(minor).max()?;
    Some(format!("2.{newest}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_compare_as_numbers() {
        let versions = serde_json::json!({"version": ["1.19", "2.2", "2.26", "2.9", "2.X"]});
        assert_eq!(newest(&versions).as_deref(), Some("2.26"));
        assert_eq!(newest(&serde_json::json!({"version": ["1.19"]})), None);
    }
}
