//! JOIN .. USING, whose columns are one column each of the result, and come first.
//!
//! DataFusion takes that column from the left side, which is NULL for a row that a RIGHT or FULL JOIN adds, leaves it at its place among
//! the left columns, finds it ambiguous before IN (SELECT ..), and knows no second USING of the same name. Here a name stands for the right column of a RIGHT JOIN, for
//! whichever is there of a FULL JOIN, and a second USING becomes an ON.

use std::ops::ControlFlow;

use sqlparser::ast::{
    BinaryOperator, ExceptSelectItem, Expr, Ident, Join, JoinConstraint, JoinOperator, ObjectName,
    OrderByExpr, OrderByKind, Query, Select, SelectItem, SelectItemQualifiedWildcardKind, SetExpr,
    TableFactor, TableWithJoins, VisitMut, VisitorMut, WildcardAdditionalOptions,
};

use super::from_functions::function;
use super::rows::binary;
use crate::base::{Error, Result};
use crate::planner::parse::fold_ident;

/// Rewrites the joins of a query that is one SELECT, its names in ORDER BY too.
///
/// # Errors
/// As [`rewrite_select`].
pub(super) fn rewrite(query: &mut Query) -> Result<()> {
    let SetExpr::Select(select) = query.body.as_mut() else {
        return Ok(());
    };
    match query.order_by.as_mut().map(|order_by| &mut order_by.kind) {
        Some(OrderByKind::Expressions(keys)) => rewrite_all(select, keys),
        _ => rewrite_all(select, &mut []),
    }
}

/// Rewrites the joins of one SELECT.
///
/// # Errors
/// 0A000 for a NATURAL join that keeps rows of its right side: which columns it merges is not known here.
pub(super) fn rewrite_select(select: &mut Select) -> Result<()> {
    rewrite_all(select, &mut [])
}

fn rewrite_all(select: &mut Select, keys: &mut [OrderByExpr]) -> Result<()> {
    let mut sides = Vec::with_capacity(select.from.len());
    for from in &mut select.from {
        sides.push(Side::of(from)?);
    }
    if sides.iter().all(|side| side.merged.is_empty()) {
        return Ok(());
    }
    expand_wildcards(select, &sides);
    let mut replaces = Replaces {
        merged: sides.into_iter().flat_map(|side| side.merged).collect(),
        depth: 0,
    };
    // an output column of ORDER BY stays what it is
    let outputs: Vec<String> = select.projection.iter().filter_map(output).collect();
    let mut projection = std::mem::take(&mut select.projection);
    for item in &mut projection {
        if let SelectItem::UnnamedExpr(Expr::Identifier(name)) = item {
            if !replaces.is_told(name) {
                continue;
            }
            let (expr, alias) = (Expr::Identifier(name.clone()), name.clone());
            *item = SelectItem::ExprWithAlias { expr, alias };
        }
        let ControlFlow::Continue(()) = item.visit(&mut replaces);
    }
    let ControlFlow::Continue(()) = select.visit(&mut replaces);
    select.projection = projection;
    for key in keys {
        let is_output =
            matches!(&key.expr, Expr::Identifier(name) if outputs.contains(&fold_ident(name)));
        if !is_output {
            let ControlFlow::Continue(()) = key.visit(&mut replaces);
        }
    }
    Ok(())
}

fn output(item: &SelectItem) -> Option<String> {
    match item {
        SelectItem::UnnamedExpr(Expr::Identifier(name)) => Some(fold_ident(name)),
        SelectItem::ExprWithAlias { alias, .. } => Some(fold_ident(alias)),
        _ => None,
    }
}

/// A column of USING.
#[derive(Clone)]
struct Merged {
    name: Ident,
    expr: Expr,
    /// Whether DataFusion has to be told what the name stands for.
    is_told: bool,
    /// The relations that have a column of this name.
    relations: Vec<Ident>,
}

impl Merged {
    fn is_called(&self, name: &Ident) -> bool {
        fold_ident(&self.name) == fold_ident(name)
    }
}

/// What is known of one side of a join.
#[derive(Default)]
struct Side {
    /// The names of its relations; none where one has no name, or a join of it is NATURAL.
    relations: Option<Vec<Ident>>,
    merged: Vec<Merged>,
}

impl Side {
    fn of(from: &mut TableWithJoins) -> Result<Self> {
        let mut side = Self::of_factor(&mut from.relation)?;
        for join in &mut from.joins {
            let right = Self::of_factor(&mut join.relation)?;
            side = side.join(join, right)?;
        }
        Ok(side)
    }

    fn of_factor(factor: &mut TableFactor) -> Result<Self> {
        if let TableFactor::NestedJoin {
            table_with_joins,
            alias: None,
        } = factor
        {
            return Self::of(table_with_joins);
        }
        Ok(Self {
            relations: relation(factor).map(|name| vec![name]),
            merged: Vec::new(),
        })
    }

    /// The column `name` of the side, where it is known which one that is; told if it is merged already.
    fn column(&self, name: &Ident) -> Option<Merged> {
        if let Some(column) = self.merged.iter().find(|column| column.is_called(name)) {
            let column = column.clone();
            return Some(Merged {
                is_told: true,
                ..column
            });
        }
        let Some([relation]) = self.relations.as_deref() else {
            return None;
        };
        Some(Merged {
            name: name.clone(),
            expr: Expr::CompoundIdentifier(vec![relation.clone(), name.clone()]),
            is_told: false,
            relations: vec![relation.clone()],
        })
    }

    fn join(self, join: &mut Join, right: Self) -> Result<Self> {
        let nothing_known = |merged| Self {
            relations: None,
            merged,
        };
        let Some((kept, constraint)) = kept_sides(&mut join.join_operator) else {
            // of a semi or an anti join one side is not seen
            return Ok(nothing_known(self.merged));
        };
        let names: Vec<Ident> = match constraint {
            JoinConstraint::Using(names) => names.iter().filter_map(single).collect(),
            JoinConstraint::Natural if kept == Kept::Left => {
                return Ok(nothing_known(self.merged));
            }
            JoinConstraint::Natural => return Err(natural()),
            _ => Vec::new(),
        };
        let mut merged = Vec::with_capacity(names.len());
        let mut pairs = Vec::with_capacity(names.len());
        for name in &names {
            let sides = (self.column(name), right.column(name));
            if let (Some(left), Some(right)) = &sides {
                let (left, right) = (left.expr.clone(), right.expr.clone());
                pairs.push(binary(left, BinaryOperator::Eq, right));
            }
            merged.extend(merge(kept, name, sides)?);
        }
        let known = pairs.len() == names.len();
        let again = names
            .iter()
            .any(|name| self.knows(name) || right.knows(name));
        if again && known {
            let all = pairs.into_iter();
            let all = all.reduce(|left, right| binary(left, BinaryOperator::And, right));
            *constraint = all.map_or(JoinConstraint::None, JoinConstraint::On);
            // nor are they names that DataFusion merges now
            merged.iter_mut().for_each(|column| column.is_told = true);
        }
        let relations = match (self.relations, right.relations) {
            (Some(left), Some(right)) if known => Some(left.into_iter().chain(right).collect()),
            _ => None,
        };
        let before = self.merged.into_iter().chain(right.merged);
        let before = before.filter(|column| !names.iter().any(|name| column.is_called(name)));
        merged.extend(before);
        Ok(Self { relations, merged })
    }

    /// All columns, as `*` gives them.
    fn columns(&self) -> Vec<SelectItem> {
        let merged = self.merged.iter().map(|column| SelectItem::ExprWithAlias {
            expr: column.expr.clone(),
            alias: column.name.clone(),
        });
        let mut items: Vec<SelectItem> = merged.collect();
        let relations = self.relations.iter().flatten();
        items.extend(relations.map(|relation| {
            let merged = self.merged.iter();
            let mut theirs = merged.filter(|column| column.relations.contains(relation));
            let opt_except = theirs.next().map(|first| ExceptSelectItem {
                first_element: first.name.clone(),
                additional_elements: theirs.map(|column| column.name.clone()).collect(),
            });
            let options = WildcardAdditionalOptions {
                opt_except,
                ..WildcardAdditionalOptions::default()
            };
            let name = ObjectName::from(vec![relation.clone()]);
            let kind = SelectItemQualifiedWildcardKind::ObjectName(name);
            SelectItem::QualifiedWildcard(kind, options)
        }));
        items
    }

    /// Whether a join within merges the column `name`.
    fn knows(&self, name: &Ident) -> bool {
        self.merged.iter().any(|column| column.is_called(name))
    }
}

/// What `name` stands for above a join of the two sides, where that is known.
fn merge(
    kept: Kept,
    name: &Ident,
    sides: (Option<Merged>, Option<Merged>),
) -> Result<Option<Merged>> {
    let (left, right) = match sides {
        (Some(left), Some(right)) => (left, right),
        (None, Some(right)) if kept == Kept::Right => {
            return Ok(Some(Merged {
                is_told: true,
                ..right
            }));
        }
        _ if kept == Kept::Left => return Ok(None),
        _ => return Err(unknown(name)),
    };
    let is_told = kept != Kept::Left || left.is_told;
    let expr = match kept {
        Kept::Left => left.expr,
        Kept::Right => right.expr,
        Kept::Both => function("coalesce", vec![left.expr, right.expr]),
    };
    Ok(Some(Merged {
        name: name.clone(),
        expr,
        is_told,
        relations: left.relations.into_iter().chain(right.relations).collect(),
    }))
}

fn single(name: &ObjectName) -> Option<Ident> {
    match &name.0[..] {
        [name] => name.as_ident().cloned(),
        _ => None,
    }
}

/// What the columns of a FROM item are qualified by.
fn relation(factor: &TableFactor) -> Option<Ident> {
    match factor {
        TableFactor::NestedJoin { alias, .. }
        | TableFactor::Derived { alias, .. }
        | TableFactor::Function { alias, .. }
        | TableFactor::UNNEST { alias, .. } => Some(alias.as_ref()?.name.clone()),
        TableFactor::Table { name, alias, .. } => match alias {
            Some(alias) => Some(alias.name.clone()),
            None => name.0.last()?.as_ident().cloned(),
        },
        _ => None,
    }
}

/// The same, folded.
pub(super) fn relation_name(factor: &TableFactor) -> Option<String> {
    relation(factor).as_ref().map(fold_ident)
}

/// The side whose rows are all there, which the merged column is taken from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kept {
    Left,
    Right,
    Both,
}

fn kept_sides(operator: &mut JoinOperator) -> Option<(Kept, &mut JoinConstraint)> {
    match operator {
        JoinOperator::Join(constraint)
        | JoinOperator::Inner(constraint)
        | JoinOperator::Left(constraint)
        | JoinOperator::LeftOuter(constraint)
        | JoinOperator::CrossJoin(constraint) => Some((Kept::Left, constraint)),
        JoinOperator::Right(constraint) | JoinOperator::RightOuter(constraint) => {
            Some((Kept::Right, constraint))
        }
        JoinOperator::FullOuter(constraint) => Some((Kept::Both, constraint)),
        _ => None,
    }
}

fn natural() -> Error {
    Error::unsupported("a NATURAL RIGHT or FULL JOIN is not supported")
        .with_hint("name the columns: JOIN ... USING (column, ...)")
}

fn unknown(name: &Ident) -> Error {
    Error::unsupported(format!(
        "which table the column {name} of USING comes from cannot be told beside other joins"
    ))
    .with_hint("write the condition with ON, and each table's name before the column")
}

/// Writes out `*`: the merged columns of each FROM item first.
fn expand_wildcards(select: &mut Select, sides: &[Side]) {
    if sides.iter().any(|side| side.relations.is_none()) {
        return;
    }
    for item in std::mem::take(&mut select.projection) {
        match item {
            SelectItem::Wildcard(options) if options == WildcardAdditionalOptions::default() => {
                let columns = sides.iter().flat_map(Side::columns);
                select.projection.extend(columns);
            }
            item => select.projection.push(item),
        }
    }
}

/// Puts what they stand for in the place of names. Those in subqueries may be of their own tables.
struct Replaces {
    merged: Vec<Merged>,
    depth: usize,
}

impl Replaces {
    /// Whether DataFusion would take a plain column of this name for another than it is.
    fn is_told(&self, name: &Ident) -> bool {
        let mut merged = self.merged.iter();
        merged.any(|column| column.is_told && column.is_called(name))
    }
}

impl VisitorMut for Replaces {
    type Break = std::convert::Infallible;

    fn pre_visit_query(&mut self, _query: &mut Query) -> ControlFlow<Self::Break> {
        self.depth += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _query: &mut Query) -> ControlFlow<Self::Break> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Self::Break> {
        if self.depth == 0
            && let Expr::Identifier(name) = expr
            && let Some(column) = self.merged.iter().find(|column| column.is_called(name))
        {
            *expr = column.expr.clone();
        }
        ControlFlow::Continue(())
    }
}
