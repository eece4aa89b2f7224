//! TLS to PostgreSQL: whom to trust, and what it was when that was not the one.

mod certificate;
mod failure;
mod verifier;

use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

use super::address::AddressError;

pub(super) use failure::TlsFailure;
use verifier::Verifier;

/// In place of a file of authorities: those of the system.
pub(super) const SYSTEM: &str = "system";

/// How much of the server's certificate is looked at. libpq's meanings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trust {
    /// It may be anybody's: protects from listeners only.
    Anybody,
    /// Who signed it.
    Authority,
    /// Who signed it, and for which host.
    AuthorityAndName,
}

/// The files that the URL names.
#[derive(Default)]
pub(super) struct Files {
    /// `sslrootcert`
    pub(super) root: Option<String>,
    /// `sslcert`
    pub(super) certificate: Option<String>,
    /// `sslkey`
    pub(super) key: Option<String>,
}

/// Who is trusted to say who somebody is.
#[derive(Debug)]
struct Authorities {
    anchors: RootCertStore,
    /// The certificates of the operator's file: a server may have one of these itself.
    given: Vec<CertificateDer<'static>>,
}

/// What connections are made with.
pub(super) fn client(trust: Trust, files: &Files) -> Result<ClientConfig, AddressError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = |error: rustls::Error| AddressError::Tls(Box::new(error));
    let verifier = Verifier {
        trust,
        authorities: match trust {
            Trust::Anybody => Authorities::nobody(),
            Trust::Authority | Trust::AuthorityAndName => Authorities::new(files)?,
        },
        algorithms: provider.signature_verification_algorithms,
    };
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(tls)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    match (&files.certificate, &files.key) {
        (None, None) => Ok(builder.with_no_client_auth()),
        (Some(certificate), Some(key)) => {
            let chain = certificates("sslcert", certificate)?;
            let key =
                PrivateKeyDer::from_pem_file(key).map_err(|error| AddressError::Pem("sslkey", Box::new(error)))?;
            builder.with_client_auth_cert(chain, key).map_err(tls)
        }
        (Some(_), None) | (None, Some(_)) => Err(AddressError::HalfAnIdentity),
    }
}

impl Authorities {
    fn nobody() -> Self {
        Self {
            anchors: RootCertStore::empty(),
            given: Vec::new(),
        }
    }

    fn new(files: &Files) -> Result<Self, AddressError> {
        let mut authorities = Self::nobody();
        match files.root.as_deref() {
            Some(path) if path != SYSTEM => {
                authorities.given = certificates("sslrootcert", path)?;
                for certificate in &authorities.given {
                    let added = authorities.anchors.add(certificate.clone());
                    added.map_err(|error| AddressError::Tls(Box::new(error)))?;
                }
            }
            Some(_) | None => {
                let system = rustls_native_certs::load_native_certs().certs;
                authorities.anchors.add_parsable_certificates(system);
            }
        }
        if authorities.anchors.is_empty() {
            return Err(AddressError::NoAuthorities);
        }
        Ok(authorities)
    }
}

fn certificates(parameter: &'static str, path: &str) -> Result<Vec<CertificateDer<'static>>, AddressError> {
    let certificates: Vec<_> = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect)
        .map_err(|error| AddressError::Pem(parameter, Box::new(error)))?;
    if certificates.is_empty() {
        return Err(AddressError::Empty(parameter));
    }
    Ok(certificates)
}
