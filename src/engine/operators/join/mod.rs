//! Join: pairs of rows, and for the outer, semi and anti kinds the rows that found no partner or one.
//!
//! Law. Let `pairs = { l ++ r : wl * wr | keys equal, residual true }` and `m(l)` the sum of `wr` over
//! the partners of `l`; a row is *matched* when that sum is above 0. Then
//! inner = `pairs`; left = `pairs + { l ++ NULL : wl | l not matched }`; right and full likewise;
//! left semi = `{ l : wl | l matched }`; left anti = `{ l : wl | l not matched }`.
//!
//! A step takes one side's delta against the state of the other, then puts it into its own, then
//! takes the other side's: `dL * R + (L + dL) * dR`, which is the bilinear form without its third
//! term. A side whose unmatched rows matter keeps `m` beside every stored row; when the other side's
//! delta moves it across zero, the row is given or taken back. A key with a NULL matches nothing
//! (unless NULL equals NULL): such rows need no state at all. Without a key every pair is a candidate, but for those that an
//! inequality of the condition rules out by the order of its values (`ranges`). State: both sides.

mod config;
mod kernel;
mod pairs;
mod ranges;
mod side;
mod waiting;

pub use config::{JoinConfig, JoinKind};
pub use kernel::Join;
pub use ranges::Bound;
pub use waiting::WaitingJoin;
