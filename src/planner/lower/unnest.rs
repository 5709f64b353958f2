//! Unnest: which lists and structs of a plan's node are opened, and how deep.

use std::sync::Arc;

use datafusion::common::NullHandling;
use datafusion::logical_expr::Unnest;

use super::lowering::{Formed, Lowering};
use crate::base::Result;
use crate::engine::operators::{self, EmptyList, ListColumn, UnnestConfig};

impl Lowering<'_> {
    /// The operator of `unnest`, which always has one.
    pub(super) fn unnest(&mut self, unnest: &Unnest, depth: usize) -> Result<Formed> {
        let lists = unnest.list_type_columns.iter();
        let config = UnnestConfig {
            lists: lists
                .map(|(index, list)| ListColumn {
                    index: *index,
                    depth: list.depth,
                })
                .collect(),
            structs: unnest.struct_type_columns.clone(),
            empty: match unnest.options.null_handling {
                NullHandling::Drop => EmptyList::Drop,
                NullHandling::Preserve => EmptyList::KeepNull,
                NullHandling::PreserveAndExpandEmpty => EmptyList::Keep,
            },
            schema: Arc::clone(unnest.schema.inner()),
        };
        let input = self.node(&unnest.input, depth + 1)?;
        Ok(Ok(self.add(operators::Unnest::new(config), &[input])))
    }
}
