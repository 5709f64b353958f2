//! What tests share: strategies, oracles, fault layers.

pub mod fault_disk;
pub mod laws;
pub mod mem_disk;
pub mod sql_laws;
#[cfg(test)]
mod sql_machine;

pub use fault_disk::FaultDisk;
pub use mem_disk::MemDisk;
