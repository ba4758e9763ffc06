//! Who an array is: kept beside its state, so that a restart is the same array to its clients.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rcgen::{CertificateParams, DnType, KeyPair, SanType};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

/// Id, token, certificate and key.
#[derive(Clone)]
pub(crate) struct Identity {
    pub(crate) id: String,
    pub(crate) api_token: String,
    pub(crate) certificate_pem: String,
    pub(crate) key_pem: String,
    /// SHA-256 of the certificate's DER, lower-case hexadecimal.
    pub(crate) fingerprint: String,
    pub(crate) certificate_path: PathBuf,
    /// The port of the last run.
    pub(crate) port: Option<u16>,
    folder: PathBuf,
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Identity")
            .field("id", &self.id)
            .field("fingerprint", &self.fingerprint)
            .finish_non_exhaustive()
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct Stored {
    id: String,
    api_token: String,
    port: Option<u16>,
}

impl Identity {
    /// Reads the identity in `folder`, or makes one. A token of the configuration wins.
    pub(crate) fn open(folder: &Path, name: &str, api_token: Option<&str>) -> io::Result<Self> {
        let stored: Option<Stored> = match fs::read(folder.join("identity.json")) {
            Ok(bytes) => Some(serde_json::from_slice(&bytes)?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        let stored = stored.unwrap_or_else(|| Stored {
            id: Uuid::new_v4().to_string(),
            api_token: Uuid::new_v4().to_string(),
            port: None,
        });
        let certificate_path = folder.join("certificate.pem");
        let key_path = folder.join("key.pem");
        if !certificate_path.exists() || !key_path.exists() {
            let (certificate, key) = make_certificate(name)?;
            write_private(&key_path, key.as_bytes())?;
            fs::write(&certificate_path, certificate)?;
        }
        let certificate_pem = fs::read_to_string(&certificate_path)?;
        let identity = Self {
            id: stored.id,
            api_token: api_token.map_or(stored.api_token, str::to_owned),
            fingerprint: fingerprint(&certificate_pem)?,
            certificate_pem,
            key_pem: fs::read_to_string(&key_path)?,
            certificate_path,
            port: stored.port,
            folder: folder.to_owned(),
        };
        identity.save()?;
        Ok(identity)
    }

    /// Remembers the port for the next run.
    pub(crate) fn set_port(&mut self, port: u16) -> io::Result<()> {
        self.port = Some(port);
        self.save()
    }

    fn save(&self) -> io::Result<()> {
        let stored = Stored {
            id: self.id.clone(),
            api_token: self.api_token.clone(),
            port: self.port,
        };
        let path = self.folder.join("identity.json");
        let fresh = self.folder.join("identity.new");
        write_private(&fresh, &serde_json::to_vec_pretty(&stored)?)?;
        fs::rename(fresh, path)
    }
}

fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .create(true)
        .truncate(true)
        .write(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(bytes)
}

fn make_certificate(name: &str) -> io::Result<(String, String)> {
    let key = KeyPair::generate().map_err(io::Error::other)?;
    let mut params =
        CertificateParams::new(vec!["localhost".to_owned()]).map_err(io::Error::other)?;
    params
        .subject_alt_names
        .push(SanType::IpAddress(std::net::Ipv4Addr::LOCALHOST.into()));
    params
        .distinguished_name
        .push(DnType::CommonName, format!("array-sim {name}"));
    let certificate = params.self_signed(&key).map_err(io::Error::other)?;
    Ok((certificate.pem(), key.serialize_pem()))
}

/// SHA-256 of the certificate itself, from its PEM form.
fn fingerprint(pem: &str) -> io::Result<String> {
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject as _;
    let der = CertificateDer::from_pem_slice(pem.as_bytes()).map_err(io::Error::other)?;
    Ok(Sha256::digest(&der)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect())
}
