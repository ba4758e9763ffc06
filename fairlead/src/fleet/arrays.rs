//! Configured arrays as backends.

use std::fmt;
use std::sync::Arc;

use backend_flasharray::{FlashArray, FlashArrayConfig, San};
use storage_core::{Backend, Protocol};
use storage_http::Trust;

use crate::config::{self, Config, SanType};

/// An array that is configured and not served.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Refused {
    /// Its address, as configured.
    pub endpoint: String,
    /// Why not.
    pub reason: String,
}

impl Refused {
    pub(super) fn new(endpoint: impl fmt::Display, reason: impl Into<String>) -> Self {
        Self {
            endpoint: endpoint.to_string(),
            reason: reason.into(),
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.endpoint, self.reason)
    }
}

pub(super) fn join(refused: &[Refused]) -> String {
    let texts: Vec<String> = refused.iter().map(ToString::to_string).collect();
    texts.join("; ")
}

/// An array that can be served as far as this program is concerned.
#[derive(Debug)]
pub(super) struct Built {
    pub(super) backend: Arc<dyn Backend>,
    pub(super) protocol: Protocol,
    pub(super) draining: bool,
}

pub(super) fn build(config: &Config) -> (Vec<Built>, Vec<Refused>) {
    let (mut arrays, mut refused) = (Vec::new(), Vec::new());
    for array in &config.flash_arrays {
        match flash_array(config, array) {
            Ok(backend) => arrays.push(Built {
                protocol: backend.capabilities().protocol,
                backend,
                draining: array.draining,
            }),
            Err(reason) => refused.push(Refused::new(&array.endpoint, reason)),
        }
    }
    for blade in &config.flash_blades {
        refused.push(Refused::new(
            &blade.endpoint,
            "FlashBlades are not served by this version",
        ));
    }
    (arrays, refused)
}

fn flash_array(config: &Config, array: &config::FlashArray) -> Result<Arc<dyn Backend>, String> {
    let san = match (array.san_type, &array.loop_folder) {
        (SanType::Loop, Some(folder)) => San::Loop {
            folder: folder.clone(),
        },
        (SanType::Loop, None) => return Err("SanType LOOP needs a LoopFolder".to_owned()),
        (SanType::Iscsi | SanType::FibreChannel | SanType::NvmeTcp, _) => {
            let san = array.san_type.as_str();
            return Err(format!(
                "the connector for {san} is not built in this version"
            ));
        }
    };
    let mut settings = FlashArrayConfig::new(
        array.endpoint.as_str(),
        array.token.clone(),
        config.namespace.clone(),
        san,
    );
    settings.labels = array.labels.clone();
    settings.trust = trust(array)?;
    let backend = FlashArray::new(settings).map_err(|error| error.chain().to_string())?;
    Ok(Arc::new(backend))
}

fn trust(array: &config::FlashArray) -> Result<Trust, String> {
    if let Some(fingerprint) = &array.fingerprint {
        let digits = fingerprint.to_string();
        let parsed = digits
            .parse()
            .map_err(|error| format!("Fingerprint: {error}"))?;
        return Ok(Trust::Fingerprint(parsed));
    }
    Ok(array.ca_file.clone().map_or(Trust::System, Trust::CaFile))
}
