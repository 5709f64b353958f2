//! SQL text to statements.
//!
//! The order of work: `limits` refuses a text that is too large, the tokenizer of sqlparser cuts it, `split`
//! cuts the tokens into statements, `guard` refuses what would nest too deep *before* any tree is
//! built, and `statement` reads one statement each. PostgreSQL's grammar comes from sqlparser; what PostgreSQL
//! lacks (sources, sinks, models) is read here. Nothing is accepted and then ignored.

mod asof;
mod copy;
mod create;
mod cursor;
mod dialect;
mod dml;
mod drop;
mod explain;
mod external;
mod failure;
mod guard;
mod index;
mod input;
mod lookup;
mod names;
mod options;
mod session;
mod split;
mod statement;
mod substitute;
#[cfg(test)]
mod tests;
mod types;
mod window_tables;

pub use copy::{CopyFormat, CopyFrom, CopyOptions, CopySource, CopyTo};
pub use create::{
    Column, CreateMaterializedView, CreateRelation, CreateSink, CreateSource, CreateTable,
    CreateView, DefiningQuery, SinkInput, Unique, Watermark,
};
pub use cursor::{Declare, Fetch, FetchCount};
pub use dml::{Delete, Insert, Update};
pub use drop::{Drop, ObjectKind};
pub use explain::{Explain, ExplainMode, ExplainTarget};
pub use external::CreateExternalTable;
pub use failure::too_deep;
pub use guard::{MAX_DEPTH, MAX_STATEMENT_BYTES, MAX_TOKENS};
pub use index::{CreateIndex, OrderedColumn};
pub use names::{Name, fold as fold_ident, object_name as name_of};
pub use options::{Encoding, Options};
pub use session::{SetValue, Show};
pub use statement::{Parsed, Statement, parse};
pub use substitute::substitute;
pub use types::arrow_type;
