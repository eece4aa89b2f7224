//! Whether a server's certificate is good enough: what libpq takes is taken, what it refuses is refused.
//!
//! Two things that libpq takes are not in the rules of the web, by which rustls goes: a server whose own certificate is the
//! one that the operator trusts, and certificates of version 1, which the recipe in PostgreSQL's manual makes.

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, SignatureScheme};

use super::certificate::Certificate;
use super::{Authorities, Trust};

/// Looks at servers' certificates.
#[derive(Debug)]
pub(super) struct Verifier {
    pub(super) trust: Trust,
    pub(super) authorities: Authorities,
    pub(super) algorithms: WebPkiSupportedAlgorithms,
}

impl Verifier {
    fn verify_authority(
        &self,
        der: &CertificateDer<'_>,
        certificate: &Certificate,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), Error> {
        if self.authorities.given.contains(der) {
            return certificate.verify_time(now);
        }
        if certificate.is_modern() {
            let (anchors, algorithms) = (&self.authorities.anchors, self.algorithms.all);
            let parsed = ParsedCertificate::try_from(der)?;
            return verify_server_cert_signed_by_trust_anchor(&parsed, anchors, intermediates, now, algorithms);
        }
        certificate.verify_time(now)?;
        let given = &self.authorities.given;
        if given
            .iter()
            .any(|authority| certificate.is_signed_by(authority, self.algorithms.all))
        {
            return Ok(());
        }
        Err(CertificateError::UnknownIssuer.into())
    }

    /// Without version 3 rustls does not read the certificate; its key is where it is in all versions.
    fn verify_old_signature(
        &self,
        certificate: &Certificate,
        message: &[u8],
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let candidates = self.algorithms.mapping.iter();
        let candidates = candidates.filter(|(scheme, _)| *scheme == signed.scheme);
        let mut candidates = candidates.flat_map(|(_, algorithms)| algorithms.iter().copied());
        if candidates.any(|algorithm| certificate.has_signed(message, signed.signature(), algorithm)) {
            Ok(HandshakeSignatureValid::assertion())
        } else {
            Err(CertificateError::BadSignature.into())
        }
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if self.trust == Trust::Anybody {
            return Ok(ServerCertVerified::assertion());
        }
        let certificate = Certificate::read(end_entity)?;
        self.verify_authority(end_entity, &certificate, intermediates, now)?;
        if self.trust == Trust::AuthorityAndName {
            let by_names = if certificate.is_modern() {
                verify_server_name(&ParsedCertificate::try_from(end_entity)?, name)
            } else {
                Err(CertificateError::NotValidForName.into())
            };
            if !certificate.is_for_otherwise(name) {
                by_names?;
            }
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        end_entity: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        match Certificate::read(end_entity)? {
            certificate if certificate.is_modern() => {
                verify_tls12_signature(message, end_entity, signed, &self.algorithms)
            }
            certificate => self.verify_old_signature(&certificate, message, signed),
        }
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        end_entity: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        match Certificate::read(end_entity)? {
            certificate if certificate.is_modern() => {
                verify_tls13_signature(message, end_entity, signed, &self.algorithms)
            }
            certificate => self.verify_old_signature(&certificate, message, signed),
        }
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
