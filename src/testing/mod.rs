//! What tests share: strategies, oracles, fault layers.

pub mod fault_disk;
pub mod laws;
pub mod mem_disk;
pub mod sql_laws;

pub use fault_disk::FaultDisk;
pub use mem_disk::MemDisk;
