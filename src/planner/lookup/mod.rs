//! Joins that look up a table as it is when a row arrives: `JOIN t FOR SYSTEM_TIME AS OF PROCTIME()`.
//!
//! The one form whose model is not its query in batch: what was given out stays as it was when later changes of the table
//! come. In a plan it is an ordinary join whose right input stands below a [`PresentNode`]; `build` puts it there. In batch the
//! node lets all rows through: a lookup of everything now. Lowering has the operator.

mod build;
mod node;

pub use build::rewrite;
pub use node::{PresentNode, has_lookup, present_below};
