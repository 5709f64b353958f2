//! Who may import whom, and where a vendor's crate may be named: the architecture as a table.
//!
//! Read a row of [`MODULES`] as: this module may name these others, and nothing else of Lotic. The
//! directions keep out, in order of damage: anything that knows who asked (`server`, `cli`) below
//! the wiring; an engine that knows of topics, sessions or clocks; pure modules that do I/O;
//! connectors that reach into the engine; a log that knows schemas.

/// What the modules of the root crate may import.
pub(super) const MODULES: &[(&str, &[&str])] = &[
    ("base", &[]),
    ("zset", &["base"]),
    ("crypto", &["base"]),
    ("catalog", &["base"]),
    ("state", &["base", "zset", "crypto"]),
    ("transport", &["base", "crypto"]),
    ("security", &["base", "crypto", "catalog"]),
    ("engine", &["base", "zset", "state"]),
    ("planner", &["base", "zset", "catalog", "engine"]),
    ("sources", &["base", "zset", "catalog", "transport"]),
    ("sinks", &["base", "zset", "catalog", "transport"]),
    ("models", &["base", "zset", "state", "catalog", "engine"]),
    (
        "runtime",
        &[
            "base",
            "zset",
            "crypto",
            "catalog",
            "state",
            "transport",
            "security",
            "engine",
            "planner",
            "sources",
            "sinks",
            "models",
        ],
    ),
    (
        "server",
        &["base", "catalog", "security", "models", "runtime"],
    ),
    ("cli", &["base", "runtime", "server"]),
    (
        "testing",
        &[
            "base",
            "zset",
            "crypto",
            "catalog",
            "state",
            "transport",
            "security",
            "engine",
            "planner",
            "sources",
            "sinks",
            "models",
            "runtime",
            "server",
            "cli",
        ],
    ),
];

/// A name that only some modules may use.
pub(super) struct Fence {
    /// The beginnings of paths, such as `pgwire` or `datafusion::execution`.
    pub(super) paths: &'static [&'static str],
    pub(super) only: Where,
    pub(super) reason: &'static str,
}

/// Where a fenced name may stand.
pub(super) enum Where {
    /// In these modules and no others.
    Inside(&'static [&'static str]),
    /// Anywhere but in these modules.
    Outside(&'static [&'static str]),
}

pub(super) const FENCES: &[Fence] = &[
    Fence {
        paths: &["pgwire", "axum"],
        only: Where::Inside(&["server", "security"]),
        reason: "wire protocols end in the server: the engine never knows who asked",
    },
    Fence {
        paths: &["clap", "indicatif"],
        only: Where::Inside(&["cli"]),
        reason: "the command line ends in cli",
    },
    Fence {
        // In `sources` for the client's side, towards databases.
        paths: &["rustls", "tokio_rustls"],
        only: Where::Inside(&["server", "cli", "security", "sources"]),
        reason: "TLS belongs to those who hold a connection",
    },
    Fence {
        paths: &["rusqlite"],
        only: Where::Inside(&["sources"]),
        reason: "a connector's client stays in its connector",
    },
    Fence {
        // In `cli` because a command may ask a running server, as any client of it does.
        paths: &["tokio_postgres", "tokio_postgres_rustls"],
        only: Where::Inside(&["sources", "cli"]),
        reason: "a connector's client stays in its connector, and what asks a server in the command line",
    },
    Fence {
        paths: &["SessionContext", "SessionState", "SessionStateBuilder"],
        only: Where::Inside(&["planner", "models", "runtime"]),
        reason: "sessions are built with Lotic's functions, limits and spill rules, or not at all",
    },
    Fence {
        paths: &[
            "datafusion::catalog",
            "datafusion::datasource",
            "datafusion::execution",
            "datafusion::optimizer",
            "datafusion::physical_optimizer",
            "datafusion::physical_planner",
            "datafusion::prelude",
            "datafusion::sql",
        ],
        only: Where::Outside(&["engine", "zset", "state"]),
        reason: "an operator takes batches and gives batches: expressions are all it knows of \
                 DataFusion",
    },
    Fence {
        paths: &["arrow", "datafusion"],
        only: Where::Outside(&["transport", "crypto"]),
        reason: "the log carries opaque bytes: schema knowledge stops above it",
    },
    Fence {
        paths: &["tokio", "std::fs", "std::net", "std::thread"],
        only: Where::Outside(&["zset", "crypto", "engine"]),
        reason: "pure modules do no I/O and start nothing, so that they can be tested alone",
    },
];

/// The crates a path may begin with that are neither `std` nor Lotic's own.
pub(super) const STANDARD: &[&str] = &["std", "core", "alloc"];
