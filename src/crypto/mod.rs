//! Envelope encryption: bytes in, bytes out.
