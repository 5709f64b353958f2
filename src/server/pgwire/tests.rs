//! The wire over real sockets, against a backend made for the purpose.
