//! One call of an aggregate function: what it computes, how it is kept, and whose states it can share.

use std::sync::Arc;

use arrow::datatypes::{DataType, FieldRef};
use datafusion::physical_expr::PhysicalExpr;

use crate::base::Result;
use crate::engine::accumulate::{
    AggregateFunction, Evaluated, EvaluatedStates, GroupStates, Reading,
};

/// How a call is kept up to date.
#[derive(Clone, Debug)]
pub enum CallForm {
    /// By a state that takes single rows in and out.
    Exact(AggregateFunction),
    /// By the rows of each group, over which the function is run anew when the group is touched.
    Evaluated(Evaluated),
}

/// One call of an aggregate function.
#[derive(Clone, Debug)]
pub struct AggregateCall {
    /// Which function, and how.
    pub form: CallForm,
    /// Its arguments, over the input's columns, of the types that the batch function takes. For an evaluated function
    /// the columns that it is given, in the order in which they sort its rows.
    pub args: Vec<Arc<dyn PhysicalExpr>>,
    /// Only rows for which this is true count.
    pub filter: Option<Arc<dyn PhysicalExpr>>,
    /// Each different value counts once. An evaluated function sees to that itself.
    pub distinct: bool,
    /// The result's column.
    pub field: FieldRef,
}

impl AggregateCall {
    /// Empty states for arguments of the types `inputs`.
    pub(super) fn states(
        &self,
        inputs: &[DataType],
        append_only: bool,
    ) -> Result<Box<dyn GroupStates>> {
        match &self.form {
            CallForm::Exact(function) => {
                let output = self.field.data_type();
                if append_only && let Some(states) = function.append_only_states(inputs, output)? {
                    return Ok(states);
                }
                function.states(inputs, output, self.distinct)
            }
            CallForm::Evaluated(evaluated) => {
                Ok(Box::new(EvaluatedStates::new(inputs, evaluated.clone())?))
            }
        }
    }

    /// How the call reads the states that it has, its own or those of another call.
    pub(super) fn reading(&self) -> Reading<'_> {
        match &self.form {
            CallForm::Exact(function) => match function.pick() {
                Some(pick) => Reading::Pick {
                    pick,
                    distinct: self.distinct,
                },
                None => Reading::Own,
            },
            CallForm::Evaluated(evaluated) => Reading::Evaluated(evaluated),
        }
    }

    fn is_extremum(&self) -> bool {
        let CallForm::Exact(function) = &self.form else {
            return false;
        };
        matches!(function, AggregateFunction::Min | AggregateFunction::Max)
    }

    /// Whether the states of `other` hold what this call needs.
    fn shares(&self, other: &Self) -> bool {
        let same_kept = match (&self.form, &other.form) {
            (CallForm::Exact(own), CallForm::Exact(other)) => {
                own.pick().is_some() && other.pick().is_some()
            }
            (CallForm::Evaluated(own), CallForm::Evaluated(other)) => own.order == other.order,
            _ => false,
        };
        same_kept && self.args == other.args && self.filter == other.filter
    }
}

/// For each call the first one whose states hold what it needs: the values of `min(x)` are those of `max(x)` and of
/// every percentile of x.
pub(super) fn sharing(calls: &[AggregateCall], append_only: bool) -> Vec<usize> {
    // one value a group holds no other
    let alone = |call: &AggregateCall| append_only && call.is_extremum();
    let first = |(place, call): (usize, &AggregateCall)| {
        let shared = calls[..place]
            .iter()
            .position(|other| !alone(call) && !alone(other) && call.shares(other));
        shared.unwrap_or(place)
    };
    calls.iter().enumerate().map(first).collect()
}

/// For each call whether another call asks its states for more than an end of the ordered values.
pub(super) fn read_inside(calls: &[AggregateCall], shared: &[usize]) -> Vec<bool> {
    let asks = |call: &AggregateCall| match &call.form {
        CallForm::Exact(function) => function.pick().is_some_and(|pick| !pick.is_end()),
        CallForm::Evaluated(_) => false,
    };
    (0..calls.len())
        .map(|place| {
            let mut readers = calls.iter().zip(shared);
            readers.any(|(call, of)| *of == place && asks(call))
        })
        .collect()
}
