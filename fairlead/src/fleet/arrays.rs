//! Configured arrays as backends.

use std::fmt;
use std::sync::Arc;

use backend_flasharray::{FlashArray, FlashArrayConfig, San};
use storage_core::{Backend, Protocol};
use storage_http::Trust;

use crate::config::{self, Config, SanType};
use crate::operator::Site;

/// An array that is configured and not, or not completely, served.
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

/// An array that can be asked about names.
#[derive(Debug)]
pub(super) struct Built {
    pub(super) backend: Arc<dyn Backend>,
    pub(super) protocol: Protocol,
    pub(super) draining: bool,
}

/// A backend for every FlashArray, whatever this host can attach: an array that was left out here
/// could not be asked about names, and a volume that it holds would be made a second time.
///
/// # Errors
/// The arrays whose configuration cannot work.
pub(super) fn build(config: &Config) -> Result<Vec<Built>, Vec<Refused>> {
    let (mut arrays, mut wrong) = (Vec::new(), Vec::new());
    for array in &config.flash_arrays {
        match flash_array(config, array) {
            Ok(backend) => arrays.push(Built {
                protocol: backend.capabilities().protocol,
                backend,
                draining: array.draining,
            }),
            Err(reason) => wrong.push(Refused::new(&array.endpoint, reason)),
        }
    }
    if wrong.is_empty() {
        Ok(arrays)
    } else {
        Err(wrong)
    }
}

/// As [`build`], for those who look: each array, or why its configuration cannot work.
pub(super) fn sites(config: &Config) -> Vec<Site> {
    let site = |array: &config::FlashArray| Site {
        endpoint: array.endpoint.to_string(),
        san_type: array.san_type.as_str().to_owned(),
        draining: array.draining,
        backend: flash_array(config, array),
    };
    config.flash_arrays.iter().map(site).collect()
}

/// Every `FlashBlade`: there is no code yet that could ask them anything.
pub(super) fn blades(config: &Config) -> Vec<Refused> {
    let blades = config.flash_blades.iter();
    blades
        .map(|blade| Refused::new(&blade.endpoint, config::BLADES_NOT_SERVED))
        .collect()
}

fn flash_array(config: &Config, array: &config::FlashArray) -> Result<Arc<dyn Backend>, String> {
    let mut settings = FlashArrayConfig::new(
        array.endpoint.as_str(),
        array.token.clone(),
        config.namespace.clone(),
        san(array)?,
    );
    settings.labels = array.labels.clone();
    settings.trust = trust(array)?;
    let backend = FlashArray::new(settings).map_err(|error| error.chain().to_string())?;
    Ok(Arc::new(backend))
}

fn san(array: &config::FlashArray) -> Result<San, String> {
    match (array.san_type, &array.loop_folder) {
        (SanType::Loop, Some(folder)) => Ok(San::Loop {
            folder: folder.clone(),
        }),
        (SanType::Loop, None) => Err("SanType LOOP needs a LoopFolder".to_owned()),
        (SanType::Iscsi, _) => Ok(San::Iscsi {
            allowed_networks: array.allowed_networks.clone(),
        }),
        (SanType::FibreChannel, _) => Ok(San::NotBuilt(Protocol::FibreChannel)),
        (SanType::NvmeTcp, _) => Ok(San::NotBuilt(Protocol::NvmeTcp)),
    }
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
