//! TLS by certificate files: what does not load stops the start, nothing falls back to clear text.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use sha2::{Digest, Sha256, Sha384, Sha512};
use tokio_rustls::TlsAcceptor;

use crate::base::{Error, Result};

/// The protocol name that direct TLS must agree on (libpq `sslnegotiation=direct`).
pub const ALPN: &[u8] = b"postgresql";

/// A loaded certificate chain with its key.
#[derive(Clone)]
pub struct Tls {
    acceptor: TlsAcceptor,
    end_point: Option<Vec<u8>>,
}

impl Tls {
    /// Loads the chain (leaf first) and the private key, both PEM.
    ///
    /// # Errors
    /// When a file cannot be read or parsed, or the key does not fit the certificate.
    pub fn load(certificate: &Path, key: &Path) -> Result<Self> {
        let chain = CertificateDer::pem_file_iter(certificate)
            .and_then(Iterator::collect::<std::result::Result<Vec<_>, _>>)
            .map_err(|error| unreadable("certificate", certificate, &error))?;
        let Some(leaf) = chain.first() else {
            return Err(Error::invalid(format!(
                "{}: no certificate in it",
                certificate.display()
            )));
        };
        let end_point = end_point_hash(leaf);
        let private = PrivateKeyDer::from_pem_file(key)
            .map_err(|error| unreadable("private key", key, &error))?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| Error::internal(format!("TLS does not start: {error}")))?
            .with_no_client_auth()
            .with_single_cert(chain, private)
            .map_err(|error| {
                Error::invalid(format!(
                    "{}: unusable with this key: {error}",
                    certificate.display()
                ))
            })?;
        config.alpn_protocols = vec![ALPN.to_vec()];
        Ok(Self {
            acceptor: TlsAcceptor::from(Arc::new(config)),
            end_point,
        })
    }

    /// Takes the handshake of one connection.
    pub fn acceptor(&self) -> &TlsAcceptor {
        &self.acceptor
    }

    /// The hash of the leaf that SCRAM-SHA-256-PLUS binds to. None when the certificate's signature
    /// has no hash of its own (Ed25519, RSA-PSS): then PLUS is not offered.
    pub fn end_point(&self) -> Option<&[u8]> {
        self.end_point.as_deref()
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls")
            .field("binds", &self.end_point.is_some())
            .finish_non_exhaustive()
    }
}

fn unreadable(what: &str, path: &Path, error: &rustls::pki_types::pem::Error) -> Error {
    Error::invalid(format!(
        "{}: could not load the TLS {what}: {error}",
        path.display()
    ))
    .with_hint("name readable PEM files, or leave TLS out")
}

/// `tls-server-end-point` of RFC 5929, 4.1: the certificate hashed with the hash of its signature,
/// where MD5 and SHA-1 count as SHA-256.
fn end_point_hash(certificate: &[u8]) -> Option<Vec<u8>> {
    const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01];
    const ECDSA: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04];
    let oid = signature_oid(certificate)?;
    let sha256 = || Some(Sha256::digest(certificate).to_vec());
    let sha384 = || Some(Sha384::digest(certificate).to_vec());
    let sha512 = || Some(Sha512::digest(certificate).to_vec());
    if let Some(kind) = oid.strip_prefix(RSA) {
        match kind {
            [4 | 5 | 11] => sha256(),
            [12] => sha384(),
            [13] => sha512(),
            _ => None,
        }
    } else {
        match oid.strip_prefix(ECDSA)? {
            [1] | [3, 2] => sha256(),
            [3, 3] => sha384(),
            [3, 4] => sha512(),
            _ => None,
        }
    }
}

/// The signature algorithm: `Certificate ::= SEQUENCE { tbs, SEQUENCE { OID, .. }, signature }`.
fn signature_oid(certificate: &[u8]) -> Option<&[u8]> {
    const SEQUENCE: u8 = 0x30;
    const OID: u8 = 0x06;
    let (body, _) = der(certificate, SEQUENCE)?;
    let (_, after) = der(body, SEQUENCE)?;
    let (algorithm, _) = der(after, SEQUENCE)?;
    der(algorithm, OID).map(|(oid, _)| oid)
}

/// The content of the DER element at the start of `bytes`, and what follows it.
fn der(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&found, rest) = bytes.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        let count = usize::from(first & 0x7f);
        if count == 0 || count > 4 {
            return None;
        }
        let (digits, rest) = rest.split_at_checked(count)?;
        (
            digits
                .iter()
                .fold(0, |sum, digit| sum << 8 | usize::from(*digit)),
            rest,
        )
    };
    if found == tag {
        rest.split_at_checked(length)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_do_not_load_are_errors_that_name_them() {
        let error = Tls::load(Path::new("/nonexistent.crt"), Path::new("/nonexistent.key"));
        assert!(error.unwrap_err().message().contains("/nonexistent.crt"));
    }

    #[test]
    fn hostile_der_has_no_hash() {
        for bytes in [
            &b""[..],
            b"\x30",
            b"\x30\x84\xff\xff\xff\xff",
            b"\x30\x80",
            b"\x31\x00",
        ] {
            assert_eq!(end_point_hash(bytes), None);
        }
    }
}
