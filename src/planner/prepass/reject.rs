//! Syntax that DataFusion would parse and then ignore, refused by name.

use sqlparser::ast::{
    Distinct, Expr, Function, FunctionArguments, JoinOperator, LimitClause, OrderByKind, Query,
    Select, SelectItem, SetExpr, SetOperator, SetQuantifier, TableAlias, TableFactor, TableVersion,
};

use crate::base::{Error, Result};

fn refuse<T>(what: &str) -> Result<T> {
    Err(Error::unsupported(format!("{what} is not supported")))
}

fn refuse_if(present: bool, what: &str) -> Result<()> {
    if present { refuse(what) } else { Ok(()) }
}

/// Clauses of a query.
pub(super) fn query(query: &Query) -> Result<()> {
    refuse_if(!query.locks.is_empty(), "FOR UPDATE or FOR SHARE")?;
    refuse_if(query.for_clause.is_some(), "FOR XML, JSON or BROWSE")?;
    refuse_if(query.settings.is_some(), "SETTINGS")?;
    refuse_if(query.format_clause.is_some(), "FORMAT")?;
    refuse_if(!query.pipe_operators.is_empty(), "the pipe operator")?;
    if let Some(LimitClause::LimitOffset { limit_by, .. }) = &query.limit_clause {
        refuse_if(!limit_by.is_empty(), "LIMIT BY")?;
    }
    if let Some(fetch) = &query.fetch {
        refuse_if(fetch.percent, "FETCH ... PERCENT")?;
    }
    if let Some(order_by) = &query.order_by {
        refuse_if(order_by.interpolate.is_some(), "INTERPOLATE")?;
        if let OrderByKind::Expressions(expressions) = &order_by.kind {
            refuse_if(
                expressions.iter().any(|by| by.with_fill.is_some()),
                "WITH FILL",
            )?;
        }
    }
    for cte in query.with.iter().flat_map(|with| &with.cte_tables) {
        refuse_if(cte.from.is_some(), "FROM after a common table expression")?;
    }
    body(&query.body)
}

fn body(set: &SetExpr) -> Result<()> {
    match set {
        SetExpr::Insert(_) | SetExpr::Update(_) | SetExpr::Delete(_) | SetExpr::Merge(_) => {
            refuse("a statement that writes inside a query")
        }
        SetExpr::SetOperation {
            left,
            right,
            op,
            set_quantifier,
        } => {
            let by_name = !matches!(
                set_quantifier,
                SetQuantifier::All | SetQuantifier::Distinct | SetQuantifier::None
            );
            refuse_if(
                by_name && *op != SetOperator::Union,
                "BY NAME outside of UNION",
            )?;
            body(left)?;
            body(right)
        }
        _ => Ok(()),
    }
}

/// Clauses of a SELECT.
pub(super) fn select(select: &Select) -> Result<()> {
    refuse_if(select.top.is_some(), "TOP")?;
    refuse_if(select.exclude.is_some(), "EXCLUDE")?;
    refuse_if(select.into.is_some(), "SELECT INTO")?;
    refuse_if(!select.lateral_views.is_empty(), "LATERAL VIEW")?;
    refuse_if(select.prewhere.is_some(), "PREWHERE")?;
    refuse_if(!select.connect_by.is_empty(), "CONNECT BY")?;
    refuse_if(!select.cluster_by.is_empty(), "CLUSTER BY")?;
    refuse_if(!select.distribute_by.is_empty(), "DISTRIBUTE BY")?;
    refuse_if(!select.sort_by.is_empty(), "SORT BY")?;
    refuse_if(select.value_table_mode.is_some(), "AS STRUCT or AS VALUE")?;
    let modified = select
        .select_modifiers
        .as_ref()
        .is_some_and(|modifiers| modifiers.is_any_set());
    refuse_if(modified, "a modifier after SELECT")?;
    if let Some(Distinct::On(keys)) = &select.distinct {
        refuse_if(keys.is_empty(), "DISTINCT ON ()")?;
    }
    for item in &select.projection {
        refuse_if(
            matches!(item, SelectItem::ExprWithAliases { .. }),
            "several aliases for one column",
        )?;
    }
    for from in &select.from {
        for join in &from.joins {
            refuse_if(join.global, "GLOBAL JOIN")?;
            join_operator(&join.join_operator)?;
        }
    }
    Ok(())
}

fn join_operator(operator: &JoinOperator) -> Result<()> {
    match operator {
        JoinOperator::AsOf { .. } => refuse("ASOF JOIN here"),
        JoinOperator::CrossApply | JoinOperator::OuterApply => refuse("APPLY"),
        JoinOperator::StraightJoin(_) => refuse("STRAIGHT_JOIN"),
        JoinOperator::ArrayJoin | JoinOperator::LeftArrayJoin | JoinOperator::InnerArrayJoin => {
            refuse("ARRAY JOIN")
        }
        _ => Ok(()),
    }
}

/// Parts of a FROM item.
pub(super) fn factor(factor: &TableFactor) -> Result<()> {
    match factor {
        TableFactor::Table { .. } => table(factor),
        TableFactor::Derived { sample, alias, .. } => {
            refuse_if(sample.is_some(), "TABLESAMPLE")?;
            checked_alias(alias.as_ref())
        }
        TableFactor::UNNEST {
            with_offset,
            with_ordinality,
            alias,
            ..
        } => {
            refuse_if(*with_offset, "WITH OFFSET")?;
            refuse_if(*with_ordinality, "WITH ORDINALITY")?;
            checked_alias(alias.as_ref())
        }
        TableFactor::Function {
            with_ordinality,
            alias,
            ..
        } => {
            refuse_if(*with_ordinality, "WITH ORDINALITY")?;
            checked_alias(alias.as_ref())
        }
        TableFactor::NestedJoin {
            table_with_joins,
            alias,
        } => {
            checked_alias(alias.as_ref())?;
            table_with_joins
                .joins
                .iter()
                .try_for_each(|join| join_operator(&join.join_operator))
        }
        TableFactor::TableFunction { .. } => refuse("TABLE(function)"),
        TableFactor::JsonTable { .. } | TableFactor::OpenJsonTable { .. } => refuse("JSON_TABLE"),
        TableFactor::Pivot { .. } => Err(Error::unsupported("PIVOT is not supported")
            .with_hint("use aggregates with FILTER (WHERE ...) and GROUP BY")),
        TableFactor::Unpivot { .. } => Err(Error::unsupported("UNPIVOT is not supported")
            .with_hint("use UNION ALL of one SELECT for each column")),
        TableFactor::MatchRecognize { .. } => refuse("MATCH_RECOGNIZE"),
        TableFactor::XmlTable { .. } => refuse("XMLTABLE"),
        TableFactor::SemanticView { .. } => refuse("SEMANTIC_VIEW"),
    }
}

fn table(factor: &TableFactor) -> Result<()> {
    let TableFactor::Table {
        args,
        with_hints,
        version,
        with_ordinality,
        partitions,
        json_path,
        sample,
        index_hints,
        alias,
        ..
    } = factor
    else {
        return Ok(());
    };
    if let Some(version) = version {
        let what = match version {
            TableVersion::ForSystemTimeAsOf(_) => "FOR SYSTEM_TIME AS OF",
            _ => "a table version",
        };
        return refuse(what);
    }
    refuse_if(sample.is_some(), "TABLESAMPLE")?;
    refuse_if(*with_ordinality, "WITH ORDINALITY")?;
    refuse_if(
        !with_hints.is_empty() || !index_hints.is_empty(),
        "a table hint",
    )?;
    refuse_if(!partitions.is_empty(), "PARTITION in FROM")?;
    refuse_if(json_path.is_some(), "a path after a table")?;
    refuse_if(
        args.as_ref().is_some_and(|args| args.settings.is_some()),
        "SETTINGS",
    )?;
    checked_alias(alias.as_ref())
}

fn checked_alias(alias: Option<&TableAlias>) -> Result<()> {
    let Some(alias) = alias else { return Ok(()) };
    refuse_if(alias.at.is_some(), "AT after an alias")?;
    refuse_if(
        alias
            .columns
            .iter()
            .any(|column| column.data_type.is_some()),
        "a column type in an alias",
    )
}

/// Parts of an expression.
pub(super) fn expr(expr: &Expr) -> Result<()> {
    match expr {
        Expr::Function(function) => call(function),
        Expr::Cast { format, array, .. } => {
            refuse_if(format.is_some(), "CAST ... FORMAT")?;
            refuse_if(*array, "CAST ... ARRAY")
        }
        Expr::Prior(_) => refuse("PRIOR"),
        Expr::OuterJoin(_) => refuse("the (+) outer join operator"),
        Expr::MatchAgainst { .. } => refuse("MATCH ... AGAINST"),
        Expr::Collate { collation, .. } => Err(Error::unsupported(format!(
            "the collation {collation} is not supported"
        ))
        .with_hint("texts are compared by their bytes, as with COLLATE \"C\"")),
        _ => Ok(()),
    }
}

fn call(function: &Function) -> Result<()> {
    refuse_if(function.uses_odbc_syntax, "{fn ...}")?;
    refuse_if(
        !matches!(function.parameters, FunctionArguments::None),
        "a second list of arguments",
    )
}
