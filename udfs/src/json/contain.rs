//! `@>`: whether a value contains another, as PostgreSQL defines it.

use super::walk::{Kind, elements, member, members, text_of};

/// Whether `whole` contains `part`. At the top an array may contain a scalar.
pub(super) fn contains(whole: &str, part: &str) -> bool {
    let (outer, inner) = (Kind::of(whole), Kind::of(part));
    match (outer, inner) {
        (Kind::Array, inner) if inner.is_scalar() => has_scalar(whole, part),
        (outer, inner) if outer.is_scalar() && inner.is_scalar() => equal_scalars(whole, part),
        _ => nested(whole, part),
    }
}

fn nested(whole: &str, part: &str) -> bool {
    match (Kind::of(whole), Kind::of(part)) {
        (Kind::Object, Kind::Object) => members(part).all(|(key, value)| {
            text_of(key)
                .and_then(|key| member(whole, &key))
                .is_some_and(|own| nested(own, value))
        }),
        (Kind::Array, Kind::Array) => elements(part).all(|wanted| {
            if Kind::of(wanted).is_scalar() {
                has_scalar(whole, wanted)
            } else {
                elements(whole).any(|own| nested(own, wanted))
            }
        }),
        (outer, inner) => outer.is_scalar() && inner.is_scalar() && equal_scalars(whole, part),
    }
}

fn has_scalar(array: &str, scalar: &str) -> bool {
    elements(array).any(|own| Kind::of(own).is_scalar() && equal_scalars(own, scalar))
}

/// Numbers are equal by value: 1.0 is 1.
fn equal_scalars(a: &str, b: &str) -> bool {
    a == b || Kind::of(a) == Kind::Number && Kind::of(b) == Kind::Number && bare(a) == bare(b)
}

/// A number without the zeros at its end that mean nothing.
fn bare(number: &str) -> &str {
    if number.contains('.') {
        number.trim_end_matches('0').trim_end_matches('.')
    } else {
        number
    }
}
