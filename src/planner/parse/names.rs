//! Names of objects, folded as PostgreSQL folds them.

use std::fmt;

use sqlparser::ast;

use crate::base::{Error, Result};

/// The name of a relation: lower case unless it was quoted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name {
    /// The schema, if one was written.
    pub schema: Option<String>,
    /// The object's own name.
    pub name: String,
}

impl Name {
    /// A name without a schema.
    pub fn bare(name: impl Into<String>) -> Self {
        Self {
            schema: None,
            name: name.into(),
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.schema {
            Some(schema) => write!(f, "{schema}.{}", self.name),
            None => f.write_str(&self.name),
        }
    }
}

/// An identifier as PostgreSQL means it: folded to lower case unless quoted.
pub fn fold(ident: &ast::Ident) -> String {
    if ident.quote_style.is_some() {
        ident.value.clone()
    } else {
        ident.value.to_lowercase()
    }
}

/// Reads a name of one to three parts; the first of three must be the catalog `lotic`.
pub fn object_name(name: &ast::ObjectName) -> Result<Name> {
    let mut parts = Vec::with_capacity(name.0.len());
    for part in &name.0 {
        match part {
            ast::ObjectNamePart::Identifier(ident) => parts.push(fold(ident)),
            ast::ObjectNamePart::Function(_) => {
                return Err(Error::syntax(format!("{name} is not a name")));
            }
        }
    }
    let mut last_first = parts.into_iter().rev();
    let own = last_first.next();
    let schema = last_first.next();
    let catalog = last_first.next();
    match (own, catalog.as_deref(), last_first.next()) {
        (Some(own), None | Some("lotic"), None) => Ok(Name { schema, name: own }),
        _ => Err(Error::new(
            crate::base::Kind::Unsupported,
            "0A000",
            format!("cross-database references are not implemented: {name}"),
        )),
    }
}
