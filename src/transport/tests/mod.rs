//! Tests of the log.

mod basic;
mod crash;
mod damage;
mod full;
mod random;
