//! `||` and `-`: values made of values.

use datafusion_common::{Result, exec_err};

use super::walk::{Kind, Members, elements, finish_array, finish_object, members, text_of};

/// The members of an object, keys as texts.
pub(super) fn owned_members(object: &str) -> Members {
    members(object)
        .filter_map(|(key, value)| Some((text_of(key)?.into_owned(), value.to_owned())))
        .collect()
}

/// `left || right`: objects become one, everything else one array.
pub(super) fn concat(left: &str, right: &str, out: &mut String) {
    if Kind::of(left) == Kind::Object && Kind::of(right) == Kind::Object {
        let mut all = owned_members(left);
        all.extend(owned_members(right));
        finish_object(all, out);
        return;
    }
    let parts = |value| -> Vec<&str> {
        match Kind::of(value) {
            Kind::Object => vec![value],
            _ => elements(value).collect(),
        }
    };
    finish_array(parts(left).into_iter().chain(parts(right)), out);
}

/// `value - keys`: without these keys, or these strings of an array.
pub(super) fn delete_keys(value: &str, keys: &[&str], out: &mut String) -> Result<()> {
    match Kind::of(value) {
        Kind::Object => {
            let mut kept = owned_members(value);
            kept.retain(|(key, _)| !keys.contains(&key.as_str()));
            finish_object(kept, out);
        }
        Kind::Array => {
            let kept = elements(value).filter(|element| {
                !text_of(element).is_some_and(|text| keys.contains(&text.as_ref()))
            });
            finish_array(kept, out);
        }
        _ => return exec_err!("cannot delete from scalar"),
    }
    Ok(())
}

/// `value - position`: without the element there, from the end where it is negative.
pub(super) fn delete_element(value: &str, position: i64, out: &mut String) -> Result<()> {
    match Kind::of(value) {
        Kind::Object => return exec_err!("cannot delete from object using integer index"),
        Kind::Array => {}
        _ => return exec_err!("cannot delete from scalar"),
    }
    let all: Vec<&str> = elements(value).collect();
    let gone = index_in(position, all.len());
    let kept = all.iter().enumerate().filter(|(at, _)| Some(*at) != gone);
    finish_array(kept.map(|(_, element)| *element), out);
    Ok(())
}

/// `value #- path`: without what stands at the end of the path.
pub(super) fn delete_path(value: &str, path: &[&str], out: &mut String) -> Result<()> {
    if Kind::of(value).is_scalar() {
        return exec_err!("cannot delete path in scalar");
    }
    if is_empty(value) {
        out.push_str(value);
        return Ok(());
    }
    edit(value, path, 1, &mut |_| None, out)
}

/// `jsonb_set(value, path, new, create)`.
pub(super) fn set_path(
    value: &str,
    path: &[&str],
    new: &str,
    create: bool,
    out: &mut String,
) -> Result<()> {
    if Kind::of(value).is_scalar() {
        return exec_err!("cannot set path in scalar");
    }
    if is_empty(value) && !create {
        out.push_str(value);
        return Ok(());
    }
    let mut change = |old: Option<&str>| match old {
        None if !create => None,
        _ => Some(new.to_owned()),
    };
    edit(value, path, 1, &mut change, out)
}

/// Nothing of it is looked at then, not even whether the path fits.
fn is_empty(value: &str) -> bool {
    matches!(value, "{}" | "[]")
}

/// What stands in a place (none where nothing does) to what stands there then.
type Edit<'a> = dyn FnMut(Option<&str>) -> Option<String> + 'a;

/// Appends `value` with `change` done at the end of `path`, whose first step is the path's `step_number`th.
fn edit(
    value: &str,
    path: &[&str],
    step_number: usize,
    change: &mut Edit<'_>,
    out: &mut String,
) -> Result<()> {
    let [step, rest @ ..] = path else {
        out.push_str(value);
        return Ok(());
    };
    let mut changed = |old: &str| -> Result<Option<String>> {
        if rest.is_empty() {
            return Ok(change(Some(old)));
        }
        let mut inner = String::new();
        edit(old, rest, step_number + 1, change, &mut inner)?;
        Ok(Some(inner))
    };
    match Kind::of(value) {
        Kind::Object => {
            let mut kept: Members = Vec::new();
            let mut found = false;
            for (key, old) in owned_members(value) {
                if key == *step {
                    found = true;
                    kept.extend(changed(&old)?.map(|new| (key, new)));
                } else {
                    kept.push((key, old));
                }
            }
            if !found && rest.is_empty() {
                kept.extend(change(None).map(|new| ((*step).to_owned(), new)));
            }
            finish_object(kept, out);
        }
        Kind::Array => {
            let mut all: Vec<String> = elements(value).map(str::to_owned).collect();
            let Ok(position) = step.trim().parse::<i64>() else {
                return exec_err!(
                    "path element at position {step_number} is not an integer: \"{step}\""
                );
            };
            match index_in(position, all.len()) {
                Some(at) => match changed(&all[at])? {
                    Some(new) => all[at] = new,
                    None => {
                        all.remove(at);
                    }
                },
                None if rest.is_empty() => {
                    let at = if position < 0 { 0 } else { all.len() };
                    if let Some(new) = change(None) {
                        all.insert(at, new);
                    }
                }
                None => {}
            }
            finish_array(all.iter().map(String::as_str), out);
        }
        _ => out.push_str(value),
    }
    Ok(())
}

fn index_in(position: i64, length: usize) -> Option<usize> {
    let at = match usize::try_from(position) {
        Ok(at) => at,
        Err(_) => length.checked_sub(usize::try_from(position.unsigned_abs()).ok()?)?,
    };
    (at < length).then_some(at)
}

/// Without the members of objects that are null.
pub(super) fn strip_nulls(value: &str, out: &mut String) {
    match Kind::of(value) {
        Kind::Object => {
            let mut kept = owned_members(value);
            kept.retain(|(_, member)| Kind::of(member) != Kind::Null);
            for (_, member) in &mut kept {
                let mut inner = String::with_capacity(member.len());
                strip_nulls(member, &mut inner);
                *member = inner;
            }
            finish_object(kept, out);
        }
        Kind::Array => {
            let all: Vec<String> = elements(value)
                .map(|element| {
                    let mut inner = String::with_capacity(element.len());
                    strip_nulls(element, &mut inner);
                    inner
                })
                .collect();
            finish_array(all.iter().map(String::as_str), out);
        }
        _ => out.push_str(value),
    }
}
