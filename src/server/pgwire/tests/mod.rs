//! The wire over real sockets, against an engine made for the purpose.

mod copies;
mod fake;
mod hostile;
mod logins;
mod queries;
mod raw;
mod tools;
