//! What readers see: the current rows of tables and models, in versions that can be pinned.
//!
//! A [`Collection`] is changed by the driver alone; a [`Snapshot`] of it never changes and costs a
//! few pointers. [`SnapshotTable`] gives a snapshot to DataFusion.

mod collection;
mod key_index;
mod row_index;
mod snapshot;
mod table;

pub use collection::Collection;
pub use snapshot::Snapshot;
pub use table::SnapshotTable;
