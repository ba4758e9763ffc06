//! Certificates: who is trusted, who is refused, and what the refusal tells.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::http::HeaderMap;
use axum::routing::{get, post};
use axum_server::Handle;
use axum_server::tls_rustls::RustlsConfig;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use storage_http::{Call, Client, Fingerprint, HttpError, Stage, Trust};

use crate::support::{TokenLogin, config};

struct TlsServer {
    address: SocketAddr,
    handle: Handle<SocketAddr>,
}

impl Drop for TlsServer {
    fn drop(&mut self) {
        self.handle.shutdown();
    }
}

impl TlsServer {
    fn start(chain: Vec<CertificateDer<'static>>, key: &KeyPair, only_tls12: bool) -> Self {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let versions: &[&rustls::SupportedProtocolVersion] = if only_tls12 {
            &[&rustls::version::TLS12]
        } else {
            rustls::DEFAULT_VERSIONS
        };
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let tls = rustls::ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let handle = Handle::new();
        let login = async || {
            let mut headers = HeaderMap::new();
            headers.insert("x-auth-token", "session-token-d4e5f6".parse().unwrap());
            headers
        };
        let app = Router::new()
            .route("/login", post(login))
            .route("/v2/volumes", get(async || "{}"));
        let server =
            axum_server::from_tcp_rustls(listener, RustlsConfig::from_config(Arc::new(tls)))
                .unwrap()
                .handle(handle.clone());
        tokio::spawn(server.serve(app.into_make_service()));
        Self { address, handle }
    }

    async fn call(&self, trust: Trust) -> Result<(), HttpError> {
        let config = config(&self.address.to_string(), trust);
        let client = Client::new(&config, Arc::new(TokenLogin))?;
        client.send(Call::get("/volumes")).await.map(|_answer| ())
    }
}

struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

fn authority() -> Authority {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let pem = params.self_signed(&key).unwrap().pem();
    Authority {
        pem,
        issuer: Issuer::new(params, key),
    }
}

fn signed_by(authority: &Authority, name: &str) -> (CertificateDer<'static>, KeyPair) {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &authority.issuer).unwrap();
    (certificate.der().clone(), key)
}

#[tokio::test]
async fn an_authority_in_a_file_is_trusted_and_no_other() {
    let (ours, theirs) = (authority(), authority());
    let (leaf, key) = signed_by(&ours, "127.0.0.1");
    let server = TlsServer::start(vec![leaf.clone()], &key, false);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.pem");
    std::fs::write(&file, &ours.pem).unwrap();
    server.call(Trust::CaFile(file)).await.unwrap();

    for trust in [Trust::CaPem(theirs.pem.into_bytes()), Trust::System] {
        let error = server.call(trust).await.unwrap_err();
        assert_eq!(error.stage(), Stage::NotSent);
        let untrusted = error.untrusted().expect("the refused certificate");
        assert_eq!(untrusted.fingerprint, Fingerprint::of(&leaf));
        let line = format!("\"Fingerprint\": \"{}\"", untrusted.fingerprint);
        assert!(untrusted.to_string().contains(&line), "{untrusted}");
        assert!(format!("{error:?}").contains(&line), "{error:?}");
    }
}

#[tokio::test]
async fn a_name_that_does_not_match_is_refused() {
    let ours = authority();
    let (leaf, key) = signed_by(&ours, "other.example");
    let server = TlsServer::start(vec![leaf.clone()], &key, false);
    let error = server
        .call(Trust::CaPem(ours.pem.into_bytes()))
        .await
        .unwrap_err();
    assert_eq!(
        error.untrusted().unwrap().fingerprint,
        Fingerprint::of(&leaf)
    );
}

#[tokio::test]
async fn the_told_fingerprint_works_and_another_one_does_not() {
    for only_tls12 in [false, true] {
        // Self-signed, for another name, as arrays ship them.
        let own = rcgen::generate_simple_self_signed(vec!["array".to_owned()]).unwrap();
        let server = TlsServer::start(vec![own.cert.der().clone()], &own.signing_key, only_tls12);
        let refused = server.call(Trust::System).await.unwrap_err();
        let told = refused.untrusted().unwrap().fingerprint.to_string();
        server
            .call(Trust::Fingerprint(told.parse().unwrap()))
            .await
            .unwrap();

        let wrong = Fingerprint::of(b"something else");
        let error = server.call(Trust::Fingerprint(wrong)).await.unwrap_err();
        assert_eq!(error.untrusted().unwrap().fingerprint.to_string(), told);
        assert!(
            error
                .untrusted()
                .unwrap()
                .reason
                .contains(&wrong.to_string())
        );
        let text = format!("{error:?}");
        assert!(
            text.contains("than the pinned one") && text.contains(&told),
            "{text}"
        );
        assert!(!text.contains("add to its entry"), "{text}");
    }
}

#[tokio::test]
async fn a_pin_does_not_replace_the_proof_of_the_key() {
    // Somebody shows the right certificate, which everybody can see, and signs with another key.
    let own = rcgen::generate_simple_self_signed(vec!["array".to_owned()]).unwrap();
    let thief = KeyPair::generate().unwrap();
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let key = PrivateKeyDer::try_from(thief.serialize_der()).unwrap();
    let signing = provider.key_provider.load_private_key(key).unwrap();
    let certified = rustls::sign::CertifiedKey::new(vec![own.cert.der().clone()], signing);
    let tls = rustls::ServerConfig::builder_with_provider(Arc::new(provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(rustls::sign::SingleCertAndKey::from(certified)));
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    let handle = Handle::new();
    let server = axum_server::from_tcp_rustls(listener, RustlsConfig::from_config(Arc::new(tls)))
        .unwrap()
        .handle(handle.clone());
    tokio::spawn(server.serve(Router::new().into_make_service()));
    let server = TlsServer { address, handle };
    let pin = Fingerprint::of(own.cert.der());
    let error = server.call(Trust::Fingerprint(pin)).await.unwrap_err();
    assert_eq!(error.stage(), Stage::NotSent);
    assert!(
        error.untrusted().is_none(),
        "the certificate was the right one"
    );
    assert!(error.answer().is_none(), "{error:?}");
}

#[tokio::test]
async fn a_self_signed_certificate_in_the_file_is_trusted_as_it_is() {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec!["array".to_owned()]).unwrap();
    // `openssl req -x509` makes such ones: leaf and authority in one.
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let own = params.self_signed(&key).unwrap();
    let server = TlsServer::start(vec![own.der().clone()], &key, false);
    server
        .call(Trust::CaPem(own.pem().into_bytes()))
        .await
        .unwrap();
}

#[tokio::test]
async fn files_without_certificates_are_told_at_start() {
    let folder = tempfile::tempdir().unwrap();
    let empty = folder.path().join("empty.pem");
    std::fs::write(&empty, "no PEM").unwrap();
    for file in [empty, folder.path().join("missing.pem")] {
        let config = config("127.0.0.1:1", Trust::CaFile(file.clone()));
        let error = Client::new(&config, Arc::new(TokenLogin)).unwrap_err();
        assert_eq!(error.stage(), Stage::Construction);
        assert!(
            error.to_string().contains(file.to_str().unwrap()),
            "{error}"
        );
    }
}
