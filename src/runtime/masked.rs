//! A definition as anybody may read it: its text without the secrets of its options.

use crate::catalog::{Definition, Object};

const MASK: &str = "***";

/// The statement that made `object`, secrets masked.
pub(super) fn definition(object: &Object) -> String {
    let mut text = object.sql.clone();
    for secret in secrets(object) {
        // as it stands in a literal, where quotes are doubled, or between other quotes
        let quoted = secret.replace('\'', "''");
        let masked = text.replace(&quoted, MASK).replace(&secret, MASK);
        if masked == text && !text.contains(MASK) {
            return "(its secret is written in a form that cannot be masked)".to_owned();
        }
        text = masked;
    }
    text
}

fn secrets(object: &Object) -> Vec<String> {
    let (Definition::Table {
        connector: Some(options),
        ..
    }
    | Definition::Stream {
        connector: Some(options),
        ..
    }
    | Definition::Bounded { connector: options }
    | Definition::Sink {
        connector: options, ..
    }) = &object.definition
    else {
        return Vec::new();
    };
    let mut secrets = Vec::new();
    for (name, value) in options {
        let name = name.to_ascii_lowercase();
        let whole = ["secret", "password", "token", "access_key", "customer_key"]
            .iter()
            .any(|part| name.contains(part));
        if whole {
            secrets.push(value.clone());
        } else if matches!(name.as_str(), "url" | "path") || value.contains("://") {
            secrets.extend(secrets_of_address(value));
        }
    }
    secrets.retain(|secret| !secret.is_empty());
    // the longest first: one may be a part of another
    secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    secrets
}

/// The password and the query of an address, as they are written in it.
fn secrets_of_address(text: &str) -> Vec<String> {
    let Some((_, rest)) = text.split_once("://") else {
        return Vec::new();
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let password = authority
        .rsplit_once('@')
        .and_then(|(user, _)| user.split_once(':'))
        .map(|(_, password)| password.to_owned());
    let query = rest.split_once('?').map(|(_, query)| query.to_owned());
    password.into_iter().chain(query).collect()
}
