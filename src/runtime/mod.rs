//! The only wiring place: one engine over one data folder, and the sessions that use it.
//!
//! `open` recovers what is on disk, the `driver` thread steps epochs and publishes worlds, a
//! `writer` a table makes rows durable and hands them to the driver, and a `session` runs one
//! client's statements over a pinned world.

mod driver;
mod model;
mod world;
mod writer;
