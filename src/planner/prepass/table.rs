//! `TABLE t` becomes `SELECT * FROM t`.

use sqlparser::ast::helpers::attached_token::AttachedToken;
use sqlparser::ast::{
    GroupByExpr, Ident, ObjectName, Query, Select, SelectFlavor, SelectItem, SetExpr, TableFactor,
    TableWithJoins, WildcardAdditionalOptions,
};

use crate::base::Result;

/// Rewrites the body of `query`, where it is `TABLE t`.
pub(super) fn rewrite(query: &mut Query) -> Result<()> {
    body(&mut query.body)
}

fn body(set: &mut SetExpr) -> Result<()> {
    match set {
        SetExpr::SetOperation { left, right, .. } => {
            body(left)?;
            body(right)
        }
        SetExpr::Table(table) => {
            let parts = [table.schema_name.as_deref(), table.table_name.as_deref()];
            let name = ObjectName::from(
                parts
                    .into_iter()
                    .flatten()
                    .map(Ident::new)
                    .collect::<Vec<_>>(),
            );
            let star = SelectItem::Wildcard(WildcardAdditionalOptions::default());
            *set = SetExpr::Select(Box::new(select(vec![star], vec![from(relation(name))])));
            Ok(())
        }
        _ => Ok(()),
    }
}

/// A FROM item that is one relation.
pub(super) fn relation(name: ObjectName) -> TableFactor {
    TableFactor::Table {
        name,
        alias: None,
        args: None,
        with_hints: Vec::new(),
        version: None,
        with_ordinality: false,
        partitions: Vec::new(),
        json_path: None,
        sample: None,
        index_hints: Vec::new(),
    }
}

/// A FROM entry without joins.
pub(super) fn from(relation: TableFactor) -> TableWithJoins {
    TableWithJoins {
        relation,
        joins: Vec::new(),
    }
}

/// `SELECT projection FROM from`.
pub(super) fn select(projection: Vec<SelectItem>, from: Vec<TableWithJoins>) -> Select {
    Select {
        select_token: AttachedToken::empty(),
        optimizer_hints: Vec::new(),
        distinct: None,
        select_modifiers: None,
        top: None,
        top_before_distinct: false,
        projection,
        exclude: None,
        into: None,
        from,
        lateral_views: Vec::new(),
        prewhere: None,
        selection: None,
        connect_by: Vec::new(),
        group_by: GroupByExpr::Expressions(Vec::new(), Vec::new()),
        cluster_by: Vec::new(),
        distribute_by: Vec::new(),
        sort_by: Vec::new(),
        having: None,
        named_window: Vec::new(),
        qualify: None,
        window_before_qualify: false,
        value_table_mode: None,
        flavor: SelectFlavor::Standard,
    }
}

/// A query with `body` alone.
pub(super) fn query(body: SetExpr) -> Query {
    Query {
        with: None,
        body: Box::new(body),
        order_by: None,
        limit_clause: None,
        fetch: None,
        locks: Vec::new(),
        for_clause: None,
        settings: None,
        format_clause: None,
        pipe_operators: Vec::new(),
    }
}
