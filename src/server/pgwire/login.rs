//! From the start-up packet to the first ReadyForQuery: the user's proof and the server's facts.

use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use pgwire::messages::startup::{
    Authentication, BackendKeyData, NegotiateProtocolVersion, ParameterStatus, SecretKey,
};

use super::backend::BackendSession;
use super::frontend::{decode_sasl_initial, violation};
use super::input::Input;
use super::options::Login;
use super::output::Output;
use crate::base::rng::Rng;
use crate::base::{Error, Kind, Result};
use crate::security::Users;
use crate::security::backoff::Backoff;
use crate::security::scram::{Exchange, Refusal};

/// What the start-up packet asked for.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) user: String,
    pub(crate) database: String,
    /// Further settings, the contents of `options` among them.
    pub(crate) settings: Vec<(String, String)>,
}

impl Request {
    /// Sorts the settings of a start-up packet.
    ///
    /// # Errors
    /// When no user is named, or something is asked for that is not served.
    pub(crate) fn new(settings: Vec<(String, String)>) -> Result<Self> {
        let (mut user, mut database, mut others) = (String::new(), String::new(), Vec::new());
        for (name, value) in settings {
            match name.as_str() {
                "user" => user = value,
                "database" => database = value,
                "options" => others.extend(split_options(&value)?),
                "replication" if !matches!(value.as_str(), "false" | "off" | "no" | "0") => {
                    return Err(Error::unsupported("replication connections are not served"));
                }
                "client_encoding" => check_encoding(&value)?,
                name if name.starts_with("_pq_.") || name == "replication" => {}
                _ => others.push((name, value)),
            }
        }
        if user.is_empty() {
            let message = "no PostgreSQL user name specified in startup packet";
            return Err(Error::new(Kind::Denied, "28000", message));
        }
        if database.is_empty() {
            database.clone_from(&user);
        }
        Ok(Self {
            user,
            database,
            settings: others,
        })
    }
}

/// The settings in `-c name=value --name=value`; a backslash keeps a space inside a value.
fn split_options(options: &str) -> Result<Vec<(String, String)>> {
    let mut words = vec![String::new()];
    let mut chars = options.chars();
    while let Some(char) = chars.next() {
        match char {
            '\\' => words
                .last_mut()
                .into_iter()
                .for_each(|word| word.extend(chars.next())),
            char if char.is_whitespace() => words.push(String::new()),
            char => words
                .last_mut()
                .into_iter()
                .for_each(|word| word.push(char)),
        }
    }
    let mut settings = Vec::new();
    let mut words = words.into_iter().filter(|word| !word.is_empty());
    while let Some(word) = words.next() {
        let setting = match word.strip_prefix("--").or_else(|| word.strip_prefix("-c")) {
            Some("") => words.next(),
            Some(setting) => Some(setting.to_owned()),
            None => None,
        };
        let Some((name, value)) = setting.as_deref().and_then(|text| text.split_once('=')) else {
            let message = format!("invalid start-up option \"{word}\"");
            return Err(Error::syntax(message).with_hint("write -c name=value"));
        };
        settings.push((name.to_owned(), value.to_owned()));
    }
    Ok(settings)
}

fn check_encoding(name: &str) -> Result<()> {
    let plain: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
    match plain.to_ascii_lowercase().as_str() {
        "utf8" | "unicode" | "auto" | "sqlascii" => Ok(()),
        _ => Err(
            Error::invalid(format!("client_encoding \"{name}\" is not supported"))
                .with_hint("use UTF8"),
        ),
    }
}

/// What a login is checked against.
pub(crate) struct Guard<'a> {
    pub(crate) users: &'a Users,
    pub(crate) backoff: &'a Backoff,
    pub(crate) rng: &'a dyn Rng,
    pub(crate) login: Login,
    pub(crate) address: IpAddr,
    pub(crate) end_point: Option<Vec<u8>>,
}

/// Has the user prove himself. None when the client went away.
///
/// # Errors
/// When the proof fails. The error is fit to be sent, and says nothing about which users exist.
pub(crate) async fn authenticate(
    guard: Guard<'_>,
    user: &str,
    input: &mut Input,
    output: &mut Output,
) -> Result<Option<()>> {
    let local = guard.address.to_canonical().is_loopback();
    if guard.login == Login::TrustLoopback && local {
        return Ok(Some(()));
    }
    if let Some(wait) = guard.backoff.wait(guard.address) {
        let seconds = wait.as_secs() + 1;
        let message = "too many failed logins from this address";
        return Err(Error::new(Kind::Denied, "28000", message)
            .with_hint(format!("try again in {seconds} s")));
    }
    let refusal = match exchange(&guard, user, input, output).await? {
        None => return Ok(None),
        Some(Ok(())) => {
            guard.backoff.succeeded(guard.address);
            return Ok(Some(()));
        }
        Some(Err(refusal)) => refusal,
    };
    let late = guard.backoff.failed(guard.address, user);
    tracing::warn!(user, address = %guard.address, reason = %refusal, "login failed");
    if late > Duration::ZERO {
        tokio::time::sleep(late).await;
    }
    Err(match refusal {
        Refusal::WrongProof => {
            let message = format!("password authentication failed for user \"{user}\"");
            Error::new(Kind::Denied, "28P01", message)
        }
        Refusal::Malformed(what) => violation(what),
        Refusal::NoRandomness => Error::unavailable("no random bytes from the system"),
    })
}

/// The four SASL messages.
async fn exchange(
    guard: &Guard<'_>,
    user: &str,
    input: &mut Input,
    output: &mut Output,
) -> Result<Option<std::result::Result<(), Refusal>>> {
    let mut exchange = Exchange::new(guard.users.verifier(user), guard.end_point.clone());
    let offered = exchange
        .mechanisms()
        .iter()
        .map(|name| (*name).to_owned())
        .collect();
    output.message(&Authentication::SASL(offered));
    let Some(body) = answer(input, output).await? else {
        return Ok(None);
    };
    let (mechanism, data) = decode_sasl_initial(body)?;
    let challenge = match exchange.first(&mechanism, &data, guard.rng) {
        Ok(challenge) => challenge,
        Err(refusal) => return Ok(Some(Err(refusal))),
    };
    output.message(&Authentication::SASLContinue(challenge.into()));
    let Some(body) = answer(input, output).await? else {
        return Ok(None);
    };
    Ok(Some(exchange.last(&body).map(|signature| {
        output.message(&Authentication::SASLFinal(signature.into()));
    })))
}

/// Sends what waits, and reads the client's next SASL message.
async fn answer(input: &mut Input, output: &mut Output) -> Result<Option<Bytes>> {
    if output.flush().await.is_err() {
        return Ok(None);
    }
    match input.next().await? {
        None => Ok(None),
        Some(frame) if frame.kind == b'p' => Ok(Some(frame.body)),
        Some(_) => Err(violation("expected a SASL response")),
    }
}

/// Answers a request for a protocol version or extension that is not spoken here.
pub(crate) fn negotiate(output: &mut Output, unsupported: Vec<String>) {
    output.message(&NegotiateProtocolVersion::new(3 << 16, unsupported));
}

/// Adds AuthenticationOk, the reported settings and the key for cancel requests. Gives the settings.
pub(crate) fn welcome(
    output: &mut Output,
    session: &mut impl BackendSession,
    facts: &[(&str, &str)],
    (process, secret): (i32, i32),
) -> Vec<(String, String)> {
    output.message(&Authentication::Ok);
    let mut settings: Vec<(String, String)> = facts
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    for (name, value) in session.parameter_changes() {
        match settings
            .iter_mut()
            .find(|(known, _)| known.eq_ignore_ascii_case(&name))
        {
            Some((_, old)) => *old = value,
            None => settings.push((name, value)),
        }
    }
    for (name, value) in &settings {
        output.message(&ParameterStatus::new(name.clone(), value.clone()));
    }
    output.message(&BackendKeyData::new(process, SecretKey::I32(secret)));
    settings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_split_as_libpq_writes_them() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(
            split_options("-c TimeZone=UTC  --a=b -cx=1\\ 2").unwrap(),
            [pair("TimeZone", "UTC"), pair("a", "b"), pair("x", "1 2")]
        );
        assert!(split_options("-d 5").is_err() && split_options("-c").is_err());
    }

    #[test]
    fn a_request_needs_a_user_and_utf8() {
        let setting = |name: &str, value: &str| vec![(name.to_owned(), value.to_owned())];
        assert_eq!(Request::new(vec![]).unwrap_err().code(), "28000");
        assert_eq!(
            Request::new(setting("user", "ada")).unwrap().database,
            "ada"
        );
        assert!(Request::new(setting("client_encoding", "LATIN1")).is_err());
    }
}
