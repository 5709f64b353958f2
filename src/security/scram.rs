//! The server's side of SCRAM-SHA-256 and SCRAM-SHA-256-PLUS (RFC 5802, RFC 7677), as a pure state machine.
//!
//! Stricter than the RFC where a downgrade hides: a client that says "I could bind, but you do not
//! offer it" (gs2 flag `y`) is refused when binding was offered, and a binding is accepted only
//! under the PLUS mechanism, by the one name that was offered, over exactly this server's certificate.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::verifier::{DIGEST, Verifier, mac};
use crate::base::rng::Rng;

/// The mechanism without channel binding.
pub const PLAIN: &str = "SCRAM-SHA-256";
/// The mechanism with channel binding.
pub const PLUS: &str = "SCRAM-SHA-256-PLUS";

const BINDING: &str = "tls-server-end-point";
const NONCE_BYTES: usize = 18;
const MAX_MESSAGE: usize = 4_096;

/// Why a login failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The messages break the protocol; the text says how.
    Malformed(&'static str),
    /// The proof does not fit. What exactly was wrong is nobody's business.
    WrongProof,
    /// The system has no random bytes.
    NoRandomness,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(what) => f.write_str(what),
            Self::WrongProof => f.write_str("password authentication failed"),
            Self::NoRandomness => f.write_str("no random bytes from the system"),
        }
    }
}

/// One login, from the client's first message to the server's signature.
pub struct Exchange {
    verifier: Verifier,
    /// The hash of the certificate that the client sees (RFC 5929, 4.1), when TLS is on.
    end_point: Option<Vec<u8>>,
    state: State,
}

enum State {
    Start,
    Challenged {
        nonce: String,
        first_bare: String,
        server_first: String,
        binding: Vec<u8>,
    },
    Over,
}

impl Exchange {
    /// A login against `verifier`, over a channel whose certificate hashes to `end_point`.
    pub fn new(verifier: Verifier, end_point: Option<Vec<u8>>) -> Self {
        Self {
            verifier,
            end_point,
            state: State::Start,
        }
    }

    /// The mechanisms to offer, best first.
    pub fn mechanisms(&self) -> &'static [&'static str] {
        if self.end_point.is_some() {
            &[PLUS, PLAIN]
        } else {
            &[PLAIN]
        }
    }

    /// Takes the client's first message, gives the server's first.
    ///
    /// # Errors
    /// When the message breaks the protocol or tries a downgrade.
    pub fn first(
        &mut self,
        mechanism: &str,
        message: &[u8],
        rng: &dyn Rng,
    ) -> Result<String, Refusal> {
        let mut bytes = [0; NONCE_BYTES];
        rng.fill(&mut bytes).map_err(|_| Refusal::NoRandomness)?;
        self.first_with_nonce(mechanism, message, &STANDARD.encode(bytes))
    }

    fn first_with_nonce(
        &mut self,
        mechanism: &str,
        message: &[u8],
        server_nonce: &str,
    ) -> Result<String, Refusal> {
        let started = matches!(
            std::mem::replace(&mut self.state, State::Over),
            State::Start
        );
        if !started {
            return Err(Refusal::Malformed("unexpected SCRAM message"));
        }
        let text = ascii(message)?;
        let (flag, rest) = text.split_once(',').ok_or(MALFORMED_FIRST)?;
        let (authzid, bare) = rest.split_once(',').ok_or(MALFORMED_FIRST)?;
        if !authzid.is_empty() {
            return Err(Refusal::Malformed(
                "SCRAM authorization identity is not supported",
            ));
        }
        let certificate = self.check_binding_flag(mechanism, flag)?;
        let client_nonce = client_nonce(bare)?;
        let nonce = format!("{client_nonce}{server_nonce}");
        let salt = STANDARD.encode(&self.verifier.salt);
        let server_first = format!("r={nonce},s={salt},i={}", self.verifier.iterations);
        let mut binding = format!("{flag},,").into_bytes();
        binding.extend_from_slice(certificate);
        let first_bare = bare.to_owned();
        self.state = State::Challenged {
            nonce,
            first_bare,
            server_first: server_first.clone(),
            binding,
        };
        Ok(server_first)
    }

    /// The bytes that the client must bind to under this gs2 flag.
    fn check_binding_flag(&self, mechanism: &str, flag: &str) -> Result<&[u8], Refusal> {
        match (mechanism, flag, &self.end_point) {
            (PLAIN, "n", _) | (PLAIN, "y", None) => Ok(&[]),
            (PLAIN, "y", Some(_)) => Err(Refusal::Malformed(
                "the client believes that channel binding is not offered, but it is: \
                 someone may stand in between",
            )),
            (PLUS, flag, Some(hash)) if flag.strip_prefix("p=") == Some(BINDING) => Ok(hash),
            (PLUS, _, None) => Err(Refusal::Malformed(
                "SCRAM-SHA-256-PLUS needs an encrypted connection",
            )),
            (PLAIN | PLUS, flag, _) if flag.starts_with("p=") => Err(Refusal::Malformed(
                "this SCRAM channel binding was not offered",
            )),
            (PLAIN | PLUS, _, _) => Err(Refusal::Malformed("malformed SCRAM channel binding flag")),
            _ => Err(Refusal::Malformed(
                "the client chose a SASL mechanism that was not offered",
            )),
        }
    }

    /// Takes the client's proof, gives the server's signature.
    ///
    /// # Errors
    /// [`Refusal::WrongProof`] when the password is wrong or the user unknown.
    pub fn last(&mut self, message: &[u8]) -> Result<String, Refusal> {
        let State::Challenged {
            nonce,
            first_bare,
            server_first,
            binding,
        } = std::mem::replace(&mut self.state, State::Over)
        else {
            return Err(Refusal::Malformed("unexpected SCRAM message"));
        };
        let text = ascii(message)?;
        let (without_proof, proof) = text.rsplit_once(",p=").ok_or(MALFORMED_LAST)?;
        let mut parts = without_proof.split(',');
        let channel = parts.next().and_then(|part| part.strip_prefix("c="));
        let echoed = parts.next().and_then(|part| part.strip_prefix("r="));
        let (channel, echoed) = (
            channel.ok_or(MALFORMED_LAST)?,
            echoed.ok_or(MALFORMED_LAST)?,
        );
        let channel = STANDARD.decode(channel).map_err(|_| MALFORMED_LAST)?;
        let proof: [u8; DIGEST] = STANDARD
            .decode(proof)
            .ok()
            .and_then(|bytes| bytes.try_into().ok())
            .ok_or(MALFORMED_LAST)?;
        if !bool::from(channel.ct_eq(&binding)) {
            return Err(Refusal::Malformed("SCRAM channel binding check failed"));
        }
        if !bool::from(echoed.as_bytes().ct_eq(nonce.as_bytes())) {
            return Err(Refusal::Malformed("SCRAM nonce does not match"));
        }
        let transcript = [first_bare.as_str(), &server_first, without_proof].join(",");
        self.check_proof(transcript.as_bytes(), &proof)
    }

    fn check_proof(&self, transcript: &[u8], proof: &[u8; DIGEST]) -> Result<String, Refusal> {
        let mut client_key = mac(&self.verifier.stored_key, &[transcript]);
        for (byte, sent) in client_key.iter_mut().zip(proof) {
            *byte ^= sent;
        }
        let stored: [u8; DIGEST] = Sha256::digest(client_key).into();
        let signature = mac(&self.verifier.server_key, &[transcript]);
        if bool::from(stored.ct_eq(&self.verifier.stored_key)) {
            Ok(format!("v={}", STANDARD.encode(signature)))
        } else {
            Err(Refusal::WrongProof)
        }
    }
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchange")
            .field("bound", &self.end_point.is_some())
            .finish_non_exhaustive()
    }
}

const MALFORMED_FIRST: Refusal = Refusal::Malformed("malformed SCRAM message (client-first)");
const MALFORMED_LAST: Refusal = Refusal::Malformed("malformed SCRAM message (client-final)");

fn ascii(message: &[u8]) -> Result<&str, Refusal> {
    if message.len() > MAX_MESSAGE || message.contains(&0) {
        return Err(Refusal::Malformed("malformed SCRAM message"));
    }
    std::str::from_utf8(message).map_err(|_| Refusal::Malformed("malformed SCRAM message"))
}

/// The nonce of `n=<user>,r=<nonce>[,extensions]`. The user named here is ignored: the start-up
/// packet has named him already, and libpq leaves this one empty.
fn client_nonce(bare: &str) -> Result<&str, Refusal> {
    let mut parts = bare.split(',');
    let user = parts.next().ok_or(MALFORMED_FIRST)?;
    if user.starts_with("m=") {
        return Err(Refusal::Malformed(
            "the client asks for an unknown SCRAM extension",
        ));
    }
    let nonce = parts
        .next()
        .and_then(|part| part.strip_prefix("r="))
        .ok_or(MALFORMED_FIRST)?;
    let printable = nonce.bytes().all(|byte| byte.is_ascii_graphic());
    if !user.starts_with("n=") || nonce.is_empty() || !printable {
        return Err(MALFORMED_FIRST);
    }
    Ok(nonce)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLIENT_NONCE: &str = "rOprNGfwEbeRWgbNEkqO";
    const SERVER_NONCE: &str = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
    const PROOF: &str = "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";

    fn pencil() -> Verifier {
        let salt = STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
        Verifier::derive("pencil", &salt, 4_096).unwrap()
    }

    fn challenged() -> Exchange {
        let mut exchange = Exchange::new(pencil(), None);
        let first = format!("n,,n=user,r={CLIENT_NONCE}");
        let answer = exchange
            .first_with_nonce(PLAIN, first.as_bytes(), SERVER_NONCE)
            .unwrap();
        assert_eq!(
            answer,
            format!("r={CLIENT_NONCE}{SERVER_NONCE},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096")
        );
        exchange
    }

    #[test]
    fn rfc_7677_example_is_accepted_and_signed() {
        let last = format!("c=biws,r={CLIENT_NONCE}{SERVER_NONCE},p={PROOF}");
        let signature = challenged().last(last.as_bytes()).unwrap();
        assert_eq!(signature, "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
    }

    #[test]
    fn proof_nonce_and_binding_must_all_fit() {
        let nonce = format!("{CLIENT_NONCE}{SERVER_NONCE}");
        let wrong = PROOF.replace("dHz", "dHy");
        for (last, wanted) in [
            (
                format!("c=biws,r={nonce},p={wrong}"),
                Some(Refusal::WrongProof),
            ),
            (format!("c=biws,r={CLIENT_NONCE},p={PROOF}"), None),
            (format!("c=eSws,r={nonce},p={PROOF}"), None),
            (format!("c=biws,r={nonce},p=AAAA"), None),
            (format!("c=biws,r={nonce}"), None),
            (format!("r={nonce},c=biws,p={PROOF}"), None),
            (String::new(), None),
        ] {
            let refusal = challenged().last(last.as_bytes()).unwrap_err();
            match wanted {
                Some(wanted) => assert_eq!(refusal, wanted),
                None => assert!(matches!(refusal, Refusal::Malformed(_)), "{last}"),
            }
        }
    }

    #[test]
    fn a_proof_cannot_be_replayed() {
        let mut exchange = challenged();
        let last = format!("c=biws,r={CLIENT_NONCE}{SERVER_NONCE},p={PROOF}");
        exchange.last(last.as_bytes()).unwrap();
        assert!(exchange.last(last.as_bytes()).is_err());
        let mut other = Exchange::new(pencil(), None);
        let first = format!("n,,n=user,r={CLIENT_NONCE}");
        other
            .first_with_nonce(PLAIN, first.as_bytes(), "another")
            .unwrap();
        assert!(other.last(last.as_bytes()).is_err());
    }

    #[test]
    fn downgrades_and_foreign_bindings_are_refused() {
        let hash = Some(vec![7; 32]);
        for (end_point, mechanism, flag, accepted) in [
            (None, PLAIN, "n", true),
            (None, PLAIN, "y", true),
            (None, PLAIN, "p=tls-server-end-point", false),
            (None, PLUS, "p=tls-server-end-point", false),
            (hash.clone(), PLAIN, "n", true),
            (hash.clone(), PLAIN, "y", false),
            (hash.clone(), PLAIN, "p=tls-server-end-point", false),
            (hash.clone(), PLUS, "p=tls-server-end-point", true),
            (hash.clone(), PLUS, "p=tls-unique", false),
            (hash.clone(), PLUS, "n", false),
            (hash.clone(), PLUS, "y", false),
            (hash, "SCRAM-SHA-1", "n", false),
        ] {
            let mut exchange = Exchange::new(pencil(), end_point);
            let first = format!("{flag},,n=,r={CLIENT_NONCE}");
            let answer = exchange.first_with_nonce(mechanism, first.as_bytes(), SERVER_NONCE);
            assert_eq!(answer.is_ok(), accepted, "{mechanism} {flag}");
        }
    }

    #[test]
    fn malformed_first_messages_are_refused() {
        for first in [
            "",
            "n",
            "n,",
            "n,,",
            "n,,n=",
            "n,,n=,r=",
            "n,a=x,n=,r=a",
            "n,,m=1,r=a",
            "z,,n=,r=a",
        ] {
            let mut exchange = Exchange::new(pencil(), None);
            assert!(
                exchange
                    .first_with_nonce(PLAIN, first.as_bytes(), "s")
                    .is_err(),
                "{first}"
            );
        }
        let mut exchange = Exchange::new(pencil(), None);
        assert!(
            exchange
                .first_with_nonce(PLAIN, b"n,,n=,r=\xff", "s")
                .is_err()
        );
    }
}
