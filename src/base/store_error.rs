//! An object store's errors as Lotic's: what went wrong and what to do, without the texts that may hold
//! signed addresses, keys or the server's own pages.

use std::error::Error as StdError;
use std::io;

use super::{Error, Kind};

/// What `error` means for whoever wanted to read `name`, which is an address without secrets.
pub(crate) fn store_error(name: &str, error: &object_store::Error) -> Error {
    match error {
        object_store::Error::NotFound { .. } => {
            Error::new(Kind::Missing, "58P01", format!("{name} does not exist"))
        }
        object_store::Error::PermissionDenied { .. }
        | object_store::Error::Unauthenticated { .. } => {
            Error::denied(format!("the server refuses to give {name}"))
                .with_hint("give aws_access_key_id and aws_secret_access_key, or AWS_... variables")
        }
        object_store::Error::NotSupported { .. } => {
            Error::unsupported(format!("the server of {name} does not give parts of files"))
                .with_hint(
                    "it must take the header Range for this; csv and ndjson are read without it",
                )
        }
        other => Error::unavailable(format!("could not read {name}: {}", cause(other))).with_hint(
            "check the address, the options aws_region and aws_endpoint, and the network",
        ),
    }
}

/// The object store's error that caused `error`, if one did.
pub(super) fn store_error_within(error: &(dyn StdError + 'static)) -> Option<Error> {
    let found = chain(error).find_map(|cause| cause.downcast_ref::<object_store::Error>())?;
    let name = match found {
        object_store::Error::NotFound { path, .. }
        | object_store::Error::PermissionDenied { path, .. }
        | object_store::Error::Unauthenticated { path, .. } => path.as_str(),
        _ => "a file of an object store",
    };
    Some(store_error(name, found))
}

fn chain<'a>(
    error: &'a (dyn StdError + 'static),
) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |error| {
        let error: &'a (dyn StdError + 'static) = *error;
        error.source()
    })
}

/// The cause in words of our own.
fn cause(error: &object_store::Error) -> String {
    let mut timed_out = false;
    for cause in chain(error) {
        if let Some(io) = cause.downcast_ref::<io::Error>()
            && !matches!(io.kind(), io::ErrorKind::Other)
            && io
                .get_ref()
                .is_none_or(|inner| !inner.is::<object_store::Error>())
        {
            return io.kind().to_string();
        }
        let text = cause.to_string();
        // the type is private, and of its text only the number is sure to hold no secret
        if let Some((_, rest)) = text.split_once("status code: ") {
            let status: String = rest.chars().take_while(char::is_ascii_digit).collect();
            if status.len() == 3 {
                return format!("the server answers with status {status}");
            }
        }
        timed_out |= text.contains("timed out");
    }
    if timed_out {
        "the server takes too long".to_owned()
    } else {
        "the server is away, or the connection broke".to_owned()
    }
}
