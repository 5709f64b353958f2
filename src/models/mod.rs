//! Collections in versions, served as table providers.
