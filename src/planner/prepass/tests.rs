//! SQL in, SQL out or error out, for each rule.
