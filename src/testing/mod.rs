//! What tests share: strategies, oracles, fault layers.
pub mod sql_laws;

pub mod fault_disk;
pub mod mem_disk;

pub use fault_disk::FaultDisk;
pub use mem_disk::MemDisk;

pub mod laws;
