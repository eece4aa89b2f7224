//! What a certificate says, where rustls does not tell: its version, its time, its common name.
//!
//! It builds no chains: a certificate of version 1 is taken from an authority that has signed it itself, or not at all.

use std::net::IpAddr;

use rustls::pki_types::{CertificateDer, ServerName, SignatureVerificationAlgorithm, UnixTime};
use rustls::{CertificateError, Error};
use x509_cert::Version;
use x509_cert::der::asn1::ObjectIdentifier;
use x509_cert::der::{Decode, Encode};
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoOwned};

/// `id-at-commonName` of X.520.
const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");

/// A certificate that was read.
pub(super) struct Certificate(x509_cert::Certificate);

impl Certificate {
    pub(super) fn read(der: &CertificateDer<'_>) -> Result<Self, Error> {
        match x509_cert::Certificate::from_der(der) {
            Ok(certificate) => Ok(Self(certificate)),
            Err(_) => Err(CertificateError::BadEncoding.into()),
        }
    }

    /// Whether it is of version 3, which has all the others' rules and its own.
    pub(super) fn is_modern(&self) -> bool {
        self.0.tbs_certificate.version == Version::V3
    }

    /// Whether it is valid now.
    pub(super) fn verify_time(&self, now: UnixTime) -> Result<(), Error> {
        let validity = &self.0.tbs_certificate.validity;
        if now.as_secs() < validity.not_before.to_unix_duration().as_secs() {
            Err(CertificateError::NotValidYet.into())
        } else if now.as_secs() > validity.not_after.to_unix_duration().as_secs() {
            Err(CertificateError::Expired.into())
        } else {
            Ok(())
        }
    }

    /// Whether the owner of `authority` has signed this certificate.
    pub(super) fn is_signed_by(
        &self,
        authority: &CertificateDer<'_>,
        algorithms: &[&dyn SignatureVerificationAlgorithm],
    ) -> bool {
        let (Ok(authority), Ok(signed)) = (Self::read(authority), self.0.tbs_certificate.to_der()) else {
            return false;
        };
        let Some(signature) = self.0.signature.as_bytes() else {
            return false;
        };
        let by = inner(&self.0.signature_algorithm);
        let mut fitting = algorithms
            .iter()
            .filter(|algorithm| Some(algorithm.signature_alg_id().as_ref()) == by.as_deref());
        self.0.tbs_certificate.issuer == authority.0.tbs_certificate.subject
            && fitting.any(|algorithm| authority.has_signed(&signed, signature, *algorithm))
    }

    /// Whether the owner of this certificate has signed `message`.
    pub(super) fn has_signed(
        &self,
        message: &[u8],
        signature: &[u8],
        algorithm: &dyn SignatureVerificationAlgorithm,
    ) -> bool {
        let SubjectPublicKeyInfoOwned {
            algorithm: kind,
            subject_public_key: key,
        } = &self.0.tbs_certificate.subject_public_key_info;
        let is_of_that_kind = inner(kind).as_deref() == Some(algorithm.public_key_alg_id().as_ref());
        is_of_that_kind
            && key
                .as_bytes()
                .is_some_and(|key| algorithm.verify_signature(key, message, signature).is_ok())
    }

    /// Whether it is for this host by what libpq looks at and the web does not: an address written as a name, and the common
    /// name where no alternative name is of the host's kind.
    pub(super) fn is_for_otherwise(&self, host: &ServerName<'_>) -> bool {
        let names = match self.0.tbs_certificate.get::<SubjectAltName>() {
            Ok(Some((_, SubjectAltName(names)))) => names,
            Ok(None) => Vec::new(),
            Err(_) => return false,
        };
        let text = |name: &GeneralName| {
            if let GeneralName::DnsName(text) = name {
                Some(text.as_str().to_owned())
            } else {
                None
            }
        };
        let mut texts = names.iter().filter_map(text);
        match host {
            ServerName::DnsName(name) => texts.next().is_none() && self.has_common_name(name.as_ref(), true),
            ServerName::IpAddress(address) => {
                let address = IpAddr::from(*address).to_string();
                let has_addresses = names.iter().any(|name| matches!(name, GeneralName::IpAddress(_)));
                texts.any(|text| text == address) || !has_addresses && self.has_common_name(&address, false)
            }
            _ => false,
        }
    }

    fn has_common_name(&self, host: &str, may_be_pattern: bool) -> bool {
        let subject = &self.0.tbs_certificate.subject;
        let mut attributes = subject.0.iter().flat_map(|part| part.0.iter());
        attributes
            .find(|attribute| attribute.oid == COMMON_NAME)
            // Whichever kind of string it is: a host's name is written the same in all that are bytes.
            .and_then(|attribute| std::str::from_utf8(attribute.value.value()).ok())
            .is_some_and(|pattern| pattern.eq_ignore_ascii_case(host) || may_be_pattern && is_of_pattern(host, pattern))
    }
}

/// Whether a host's first label stands where the pattern has an asterisk.
fn is_of_pattern(host: &str, pattern: &str) -> bool {
    let (Some(domain), Some((label, rest))) = (pattern.strip_prefix("*."), host.split_once('.')) else {
        return false;
    };
    !label.is_empty() && domain.contains('.') && rest.eq_ignore_ascii_case(domain)
}

/// An algorithm as rustls knows it: without the heading of the sequence.
fn inner(algorithm: &AlgorithmIdentifierOwned) -> Option<Vec<u8>> {
    let mut bytes = algorithm.oid.to_der().ok()?;
    if let Some(parameters) = &algorithm.parameters {
        bytes.extend(parameters.to_der().ok()?);
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_asterisk_stands_for_one_label() {
        assert!(is_of_pattern("db.ward.test", "*.ward.test"));
        assert!(is_of_pattern("DB.ward.test", "*.Ward.Test"));
        for (host, pattern) in [
            ("a.b.ward.test", "*.ward.test"),
            ("ward.test", "*.ward.test"),
            (".ward.test", "*.ward.test"),
            ("ward.test", "*.test"),
            ("db.ward.test", "d*.ward.test"),
            ("db.ward.test", "*"),
            ("db", "*.db"),
        ] {
            assert!(!is_of_pattern(host, pattern), "{host} {pattern}");
        }
    }
}
