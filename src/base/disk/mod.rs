//! The seam to files: the only way to the files that Lotic owns, so that a test can own the disk.

mod lock;
mod real;
mod seam;

#[cfg(test)]
mod tests;

pub use lock::DataLock;
pub use real::RealDisk;
pub use seam::{Disk, DiskFile, DiskRead, DiskRef};
