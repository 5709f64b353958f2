//! ROLLUP, CUBE and GROUPING SETS: which grouping columns each set has, and the number that tells the sets
//! apart, as DataFusion's aggregation computes them.

use datafusion::common::ScalarValue;
use datafusion::logical_expr::expr::GroupingSet;
use datafusion::logical_expr::{Aggregate, Expr};

use crate::base::{Error, Result};

/// The sets of one aggregate.
pub(super) struct Sets {
    /// The distinct grouping expressions, in the order of the output's columns.
    pub(super) exprs: Vec<Expr>,
    /// One entry a set.
    pub(super) sets: Vec<Set>,
}

/// One grouping set.
pub(super) struct Set {
    /// For each expression whether it is NULL in this set.
    pub(super) nulls: Vec<bool>,
    /// The value of the internal grouping column.
    pub(super) id: ScalarValue,
}

/// The sets of `group`.
pub(super) fn sets_of(group: &GroupingSet) -> Result<Sets> {
    let (exprs, patterns) = match group {
        GroupingSet::Rollup(exprs) => (exprs.clone(), rollup(exprs.len())),
        GroupingSet::Cube(exprs) => (exprs.clone(), cube(exprs.len())?),
        GroupingSet::GroupingSets(sets) => listed(sets),
    };
    if exprs.len() > 64 {
        return Err(Error::limit(
            "grouping sets over more than 64 columns are not supported",
        ));
    }
    let repeats: Vec<usize> = patterns
        .iter()
        .enumerate()
        .map(|(index, pattern)| {
            patterns
                .iter()
                .take(index)
                .filter(|p| *p == pattern)
                .count()
        })
        .collect();
    let most = repeats.iter().copied().max().unwrap_or(0);
    let kind = Aggregate::grouping_id_type(exprs.len(), most);
    let sets = patterns
        .into_iter()
        .zip(repeats)
        .map(|(nulls, repeat)| {
            let mask = nulls
                .iter()
                .fold(0_u128, |mask, null| (mask << 1) | u128::from(*null));
            // A set that is listed twice counts its rows twice: the bits above the mask tell them apart.
            let id = mask | (u128::try_from(repeat).unwrap_or(u128::MAX) << nulls.len());
            let id = u64::try_from(id)
                .map_err(|_| Error::limit("too many grouping sets over too many columns"))?;
            let id = ScalarValue::UInt64(Some(id)).cast_to(&kind)?;
            Ok(Set { nulls, id })
        })
        .collect::<Result<Vec<_>>>()?;
    Ok(Sets { exprs, sets })
}

fn rollup(width: usize) -> Vec<Vec<bool>> {
    (0..=width)
        .map(|kept| (0..width).map(|index| index >= kept).collect())
        .collect()
}

fn cube(width: usize) -> Result<Vec<Vec<bool>>> {
    // 2^16 output rows an input row are more than anyone means.
    if width > 16 {
        return Err(Error::limit(format!(
            "CUBE over {width} columns has too many grouping sets"
        ))
        .with_hint("list the sets that you need with GROUPING SETS"));
    }
    Ok((0..1_usize << width)
        .map(|mask| (0..width).rev().map(|bit| mask >> bit & 1 == 1).collect())
        .collect())
}

fn listed(sets: &[Vec<Expr>]) -> (Vec<Expr>, Vec<Vec<bool>>) {
    let mut exprs: Vec<Expr> = Vec::new();
    for expr in sets.iter().flatten() {
        if !exprs.contains(expr) {
            exprs.push(expr.clone());
        }
    }
    let patterns = sets
        .iter()
        .map(|set| exprs.iter().map(|expr| !set.contains(expr)).collect())
        .collect();
    (exprs, patterns)
}

#[cfg(test)]
mod tests {
    use datafusion::logical_expr::col;

    use super::*;

    fn ids(sets: &Sets) -> Vec<String> {
        sets.sets.iter().map(|set| set.id.to_string()).collect()
    }

    #[test]
    fn rollup_drops_columns_from_the_right() {
        let sets = sets_of(&GroupingSet::Rollup(vec![col("a"), col("b")])).unwrap();
        assert_eq!(ids(&sets), ["3", "1", "0"]);
    }

    #[test]
    fn cube_has_every_subset_once() {
        let sets = sets_of(&GroupingSet::Cube(vec![col("a"), col("b")])).unwrap();
        assert_eq!(ids(&sets), ["0", "1", "2", "3"]);
    }

    #[test]
    fn a_set_listed_twice_is_counted_above_the_mask() {
        let sets = vec![vec![col("a")], vec![col("b")], vec![col("a")]];
        let sets = sets_of(&GroupingSet::GroupingSets(sets)).unwrap();
        assert_eq!(ids(&sets), ["1", "2", "5"]);
        assert_eq!(sets.exprs.len(), 2);
    }
}
