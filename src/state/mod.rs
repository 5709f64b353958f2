//! Arrangements: what a stateful operator remembers.
