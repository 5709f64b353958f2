//! The wires: PostgreSQL and HTTP.
