//! Definitions of sources, tables, models and sinks; names and versions, no behaviour.
