//! The only wiring place: one engine over one data folder, and the sessions that use it.
//!
//! `open` recovers what is on disk, the `driver` thread steps epochs and publishes worlds, a
//! `writer` a table makes rows durable and hands them to the driver, and a `session` runs one
//! client's statements over a pinned world.

mod build;
mod check;
mod ddl;
mod defaults;
mod dml;
mod driver;
mod feed;
mod figures;
mod filling;
mod functions;
mod idle;
mod index;
mod instance;
mod late;
mod lateness;
mod masked;
mod model;
mod options;
mod pipeline;
mod plan;
mod push;
mod quarantine;
mod recovery;
mod rights;
mod sampler;
mod session;
mod settings;
mod sink;
mod source;
mod source_time;
mod step;
mod store;
mod stream;
mod system;
mod topic_table;
mod trim;
mod unique;
mod values;
mod world;
mod writer;

pub use figures::{Figure, ModelRows};
pub use instance::Lotic;
pub use options::{Options, Secret};
pub use pipeline::{Applied, Pipeline, Step};
//pub use push::{PushFormat, Pushed};
pub use push::{PushFormat, Pushed};
pub use session::{CopyIn, Notice, Prepared, Response, Session, TransactionStatus};
pub use stream::Canceller;

pub use crate::planner::parse::Parsed;
