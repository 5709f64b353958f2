//! Window functions: a value a row, computed from the rows around it.
//!
//! Law: `out = { (r, f1(r), f2(r), ...) }`, each function over the rows of r's partition in their order; a row of
//! weight w stands there w times. Beyond the keys all other columns order the rows, so that nothing is left open. A
//! row on which a function fails is left out and told. State: every row, by partition and order, and nothing else.
//!
//! A step cuts out the rows whose values can have changed ([`reach`], [`cut`]), evaluates them as they were and as
//! they are, with as many rows around them as the functions look at ([`spans`]), and gives the difference. The old
//! values are computed anew and not kept: where functions look at a few neighbours that costs next to nothing, and
//! where they look at the whole partition the kept values would double the state to save half of the time.

mod cut;
mod distance;
mod function;
mod operator;
mod reach;
mod spans;

pub use function::WindowFunction;
pub use operator::{Window, WindowConfig};
pub use reach::{Extent, Reach};
