//! Topics: an encrypted, partitioned log of opaque bytes.
