//! Checks a server's certificate against a [`Trust`], and remembers what it refused.
//!
//! The signature over the handshake is always verified for real; only the question "is this
//! certificate acceptable" is answered in different ways.

use std::error::Error as StdError;
use std::fmt;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error as TlsError, OtherError,
    RootCertStore, SignatureScheme,
};

use crate::trust::{Fingerprint, Trust};

/// No file of certificates is larger: the whole of Mozilla's set is a quarter of it.
const CA_FILE_MAX: u64 = 1 << 20;

/// A certificate that was presented and not accepted. `Display` prints the fingerprint and the
/// line that would make it acceptable, unless another one is pinned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UntrustedCertificate {
    /// Of the certificate that the server presented.
    pub fingerprint: Fingerprint,
    /// Why it was not accepted.
    pub reason: String,
    /// The one certificate that would have been accepted, where one is pinned.
    pub pinned: Option<Fingerprint>,
}

impl fmt::Display for UntrustedCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Nobody is told to trust what took a pinned certificate's place: that is what an attacker
        // would have them do.
        if self.pinned.is_some() {
            return write!(
                f,
                "the array shows another certificate (SHA-256 {}) than the pinned one; if it was \
                 renewed on purpose, replace `Fingerprint`; otherwise find out who answers at this \
                 address",
                self.fingerprint
            );
        }
        write!(
            f,
            "the certificate is not trusted ({}). If you have compared this fingerprint with the \
             array's own, add to its entry: \"Fingerprint\": \"{}\"",
            self.reason, self.fingerprint
        )
    }
}

impl StdError for UntrustedCertificate {}

impl UntrustedCertificate {
    /// Finds the refusal in an error's causes. It travels inside of rustls' error, which the
    /// layers above wrap in I/O errors that hide it from `source()`.
    pub(crate) fn find(error: &(dyn StdError + 'static)) -> Option<Self> {
        let mut next = Some(error);
        while let Some(cause) = next {
            if let Some(found) = Self::in_tls(cause.downcast_ref::<TlsError>()) {
                return Some(found);
            }
            let inside = cause
                .downcast_ref::<std::io::Error>()
                .and_then(std::io::Error::get_ref);
            next = match inside {
                Some(inside) => Some(inside),
                None => cause.source(),
            };
        }
        None
    }

    fn in_tls(error: Option<&TlsError>) -> Option<Self> {
        match error? {
            TlsError::InvalidCertificate(CertificateError::Other(OtherError(inner))) => {
                inner.downcast_ref::<Self>().cloned()
            }
            _ => None,
        }
    }
}

#[derive(Debug)]
enum Rule {
    /// Signed by an authority, or itself one of the listed certificates.
    Chain {
        authorities: Arc<dyn ServerCertVerifier>,
        listed: Vec<CertificateDer<'static>>,
    },
    /// Exactly this certificate.
    Pin(Fingerprint),
    /// There is nothing to trust; the reason is told with the fingerprint.
    Nothing(String),
}

#[derive(Debug)]
struct Verifier {
    rule: Rule,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        let fingerprint = Fingerprint::of(leaf);
        let refusal = match &self.rule {
            Rule::Pin(pinned) if *pinned == fingerprint => None,
            Rule::Pin(pinned) => Some(format!("the configuration pins {pinned}")),
            Rule::Nothing(reason) => Some(reason.clone()),
            Rule::Chain { listed, .. } if listed.iter().any(|one| one == leaf) => None,
            Rule::Chain { authorities, .. } => authorities
                .verify_server_cert(leaf, intermediates, name, ocsp, now)
                .err()
                .map(|error| error.to_string()),
        };
        match refusal {
            None => Ok(ServerCertVerified::assertion()),
            Some(reason) => Err(TlsError::InvalidCertificate(CertificateError::Other(
                OtherError(Arc::new(UntrustedCertificate {
                    fingerprint,
                    reason,
                    pinned: match &self.rule {
                        Rule::Pin(pinned) => Some(*pinned),
                        Rule::Chain { .. } | Rule::Nothing(_) => None,
                    },
                })),
            ))),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, leaf, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, leaf, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

/// The TLS side of a client, with its own crypto provider: nothing depends on a process-wide one.
pub(crate) fn tls_config(trust: &Trust) -> Result<ClientConfig, String> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let rule = match trust {
        Trust::System => system_rule(&provider),
        Trust::CaFile(path) => listed_rule(&read_bounded(path)?, &provider)
            .map_err(|reason| format!("{}: {reason}", path.display()))?,
        Trust::CaPem(pem) => listed_rule(pem, &provider)?,
        Trust::Fingerprint(fingerprint) => Rule::Pin(*fingerprint),
        Trust::PlainLoopback => Rule::Nothing("TLS is switched off".to_owned()),
    };
    let verifier = Arc::new(Verifier {
        rule,
        provider: Arc::clone(&provider),
    });
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    Ok(builder
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth())
}

fn system_rule(provider: &Arc<CryptoProvider>) -> Rule {
    match rustls_platform_verifier::Verifier::new(Arc::clone(provider)) {
        Ok(verifier) => Rule::Chain {
            authorities: Arc::new(verifier),
            listed: Vec::new(),
        },
        // A container image without certificates: the client still starts, and its refusal tells
        // the fingerprint, which is the way out.
        Err(error) => Rule::Nothing(format!("this system's authorities: {error}")),
    }
}

fn listed_rule(pem: &[u8], provider: &Arc<CryptoProvider>) -> Result<Rule, String> {
    let mut roots = RootCertStore::empty();
    let mut listed = Vec::new();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        // The library's own words repeat what it could not read, byte by byte: of a file that
        // may hold a key as well.
        let certificate = certificate.map_err(|_error| {
            "not PEM: a section's first or last line, or what is between them, is damaged"
                .to_owned()
        })?;
        roots
            .add(certificate.clone())
            .map_err(|error| format!("not a usable certificate: {error}"))?;
        listed.push(certificate);
    }
    if listed.is_empty() {
        return Err("there is no certificate in it".to_owned());
    }
    let authorities =
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
            .build()
            .map_err(|error| error.to_string())?;
    Ok(Rule::Chain {
        authorities,
        listed,
    })
}

fn read_bounded(path: &Path) -> Result<Vec<u8>, String> {
    let mut pem = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(CA_FILE_MAX).read_to_end(&mut pem))
        .map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(pem)
}
