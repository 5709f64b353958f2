//! Work on large deltas by several threads, where no row has to do with another.

use rayon::iter::{IntoParallelIterator, ParallelIterator};

use super::operator::{Deltas, StepContext};
use crate::base::Result;
use crate::zset::Delta;

/// From this many rows on a step is worth the threads of the pool: to wake them takes some microseconds.
pub(super) const LARGE: usize = 4096;
/// The most rows that one thread takes at a time.
const PIECE: usize = 1 << 14;

/// How many rows `deltas` have.
pub(super) fn rows_of(deltas: &[Delta]) -> usize {
    deltas.iter().map(Delta::rows).sum()
}

/// What `work` makes of each of `deltas`, or of slices of them.
///
/// # Errors
/// What `work` says.
pub(super) fn map_deltas<F>(deltas: &[Delta], cx: &mut StepContext, work: F) -> Result<Deltas>
where
    F: Fn(&Delta, &mut StepContext) -> Result<Deltas> + Sync,
{
    let mut output = Deltas::new();
    if rows_of(deltas) < 2 * LARGE {
        for delta in deltas {
            output.extend(work(delta, cx)?);
        }
        return Ok(output);
    }
    let shared: &StepContext = cx;
    let done = deltas
        .iter()
        .flat_map(slices)
        .collect::<Vec<_>>()
        .into_par_iter()
        .map(|delta| {
            let mut own = shared.fork();
            let made = work(&delta, &mut own)?;
            Ok((made, own))
        })
        .collect::<Result<Vec<_>>>()?;
    for (made, own) in done {
        output.extend(made);
        cx.join(own);
    }
    Ok(output)
}

fn slices(delta: &Delta) -> Vec<Delta> {
    let starts = (0..delta.rows()).step_by(PIECE);
    starts
        .map(|from| delta.slice(from, PIECE.min(delta.rows() - from)))
        .collect()
}
