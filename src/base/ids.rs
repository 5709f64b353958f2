//! Identities and positions, a type each, so that they cannot be mixed.

use std::fmt;

macro_rules! identity {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[derive(serde::Serialize, serde::Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

identity! {
    /// One object of the catalog. Never reused, not even after DROP.
    ObjectId(u64)
}
identity! {
    /// One topic of the log. Never reused.
    TopicId(u64)
}
identity! {
    /// A partition of a topic, counted from 0.
    PartitionId(u32)
}
identity! {
    /// The place of a row in a partition, counted from 0. It never changes.
    Offset(u64)
}
identity! {
    /// One step of the whole engine, counted from 1; 0 is the empty world.
    Epoch(u64)
}

impl Epoch {
    /// The epoch after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl Offset {
    /// The offset `rows` places further on.
    #[must_use]
    pub fn advance(self, rows: u64) -> Self {
        Self(self.0 + rows)
    }
}
