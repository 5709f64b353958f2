//! A running server as the command line asks it: over PostgreSQL's wire, as any client does.

use std::net::IpAddr;

use tokio_postgres::config::SslMode;
use tokio_postgres::{Client, Config, NoTls, SimpleQueryMessage};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::config::Settings;
use crate::base::{Error, Kind, Result, task};

/// Runs CHECK ALL there; gives each model with its number of differing rows, none where its query fails.
///
/// # Errors
/// When the server is away, refuses the password, or the check fails.
pub(crate) async fn check_all(
    address: &str,
    settings: &Settings,
) -> Result<Vec<(String, Option<u64>)>> {
    let client = connect(address, settings).await?;
    let answers = client
        .simple_query("CHECK ALL")
        .await
        .map_err(|error| failed(address, &error))?;
    let mut models = Vec::new();
    for answer in answers {
        if let SimpleQueryMessage::Row(row) = answer {
            let rows = row.try_get(1).map(|text| text.map(str::parse).transpose());
            let (Some(name), Ok(Ok(rows))) = (row.get(0), rows) else {
                return Err(Error::internal(format!(
                    "{address} does not answer as Lotic does"
                )));
            };
            models.push((name.to_owned(), rows));
        }
    }
    Ok(models)
}

async fn connect(address: &str, settings: &Settings) -> Result<Client> {
    let wrong = || {
        Error::invalid(format!("\"{address}\" is not an address"))
            .with_hint("an address is HOST:PORT, such as 127.0.0.1:5433")
    };
    let (host, port) = address.rsplit_once(':').ok_or_else(wrong)?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let mut config = Config::new();
    config
        .host(host)
        .port(port.parse().map_err(|_| wrong())?)
        .user("lotic")
        .dbname("lotic")
        .application_name("lotic check")
        .connect_timeout(std::time::Duration::from_secs(10));
    if let Some(password) = settings.client_password()? {
        config.password(password.expose());
    }
    let near = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    if near {
        let (client, connection) = config
            .ssl_mode(SslMode::Disable)
            .connect(NoTls)
            .await
            .map_err(|error| failed(address, &error))?;
        drop(task::spawn("check-connection", async move {
            // the statement that waits gets the error too
            drop(connection.await);
        }));
        return Ok(client);
    }
    // A password goes over a network encrypted, and to the right server, or not at all.
    let (tls, _bad) = MakeRustlsConnect::with_native_certs().map_err(|_| {
        Error::unavailable("this system has no authorities for TLS")
            .with_hint("install the package ca-certificates, or set SSL_CERT_FILE")
    })?;
    let (client, connection) = config
        .ssl_mode(SslMode::Require)
        .connect(tls)
        .await
        .map_err(|error| failed(address, &error))?;
    drop(task::spawn("check-connection", async move {
        drop(connection.await);
    }));
    Ok(client)
}

fn failed(address: &str, error: &tokio_postgres::Error) -> Error {
    let hint = "the password comes from LOTIC_PASSWORD, the file password of --data, or PGPASSWORD";
    if let Some(told) = error.as_db_error() {
        let text = format!("server {address}: {}", told.message());
        return match told.code().code() {
            // another code than 28000, which is a wrong master key to the exit code
            "28P01" | "28000" => Error::new(Kind::Denied, "28P01", text).with_hint(hint),
            _ => Error::unavailable(text),
        };
    }
    let cause = std::error::Error::source(error).map(ToString::to_string);
    let reason = cause.unwrap_or_else(|| error.to_string());
    if reason.contains("password missing") {
        let text = format!("server {address} asks for a password");
        return Error::new(Kind::Denied, "28P01", text).with_hint(hint);
    }
    Error::unavailable(format!("server {address} is away: {reason}"))
        .with_hint("check that it runs and that host and port are right")
}
