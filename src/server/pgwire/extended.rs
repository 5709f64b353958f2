//! The extended protocol: statements are prepared, bound to values, and run in pieces.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::common::ScalarValue;
use pgwire::messages::data::{NoData, ParameterDescription};
use pgwire::messages::extendedquery::{
    BindComplete, CloseComplete, ParseComplete, PortalSuspended,
};
use pgwire::messages::response::EmptyQueryResponse;

use super::backend::{BackendSession, Response};
use super::connection::{Connection, Stop, supervise};
use super::frontend::{Bind, Format, Target, violation};
use super::parameters;
use super::stream::{Progress, Rows, check_width, describe};
use super::types::{self, PgType, TEXT, UNKNOWN};
use crate::base::{Error, Kind, Result};

/// A prepared statement.
pub(crate) struct Statement<P> {
    /// None for an empty text.
    prepared: Option<Arc<P>>,
    /// The OIDs of its parameters, as declared or as found.
    types: Vec<u32>,
    bytes: usize,
}

/// A statement with its values.
pub(crate) struct Portal<P> {
    prepared: Option<Arc<P>>,
    values: Vec<ScalarValue>,
    formats: Vec<Format>,
    state: State,
}

enum State {
    Bound,
    /// Some rows may have been sent.
    Open(Box<Rows>),
    Ended,
}

impl<S: BackendSession> Connection<S> {
    /// Parse: prepares a statement under a name.
    pub(crate) async fn parse(
        &mut self,
        name: String,
        sql: &str,
        mut types: Vec<u32>,
    ) -> Result<(), Stop> {
        if name.is_empty() {
            self.statements.remove("");
        } else if self.statements.contains_key(&name) {
            let message = format!("prepared statement \"{name}\" already exists");
            return Err(Error::new(Kind::Conflict, "42P05", message).into());
        }
        self.check_room(sql.len())?;
        let mut parsed = self.session.parse(sql)?;
        if parsed.len() > 1 {
            let message = "cannot insert multiple commands into a prepared statement";
            return Err(Error::syntax(message).into());
        }
        let mut prepared = None;
        if let Some(statement) = parsed.pop() {
            let hints: Vec<_> = types.iter().map(|oid| types::data_type(*oid)).collect();
            let running = self.entered.slot.start();
            let prepare = self.session.prepare(statement, &hints);
            let statement = supervise(prepare, &mut self.input, &running).await?;
            let (found, schema) = self.session.describe(&statement);
            check_width(schema.map_or(0, |schema| schema.fields().len()))?;
            complete(
                &mut types,
                found.iter().map(|found| PgType::of_data(found).oid),
            );
            prepared = Some(Arc::new(statement));
        }
        self.statements.insert(
            name,
            Statement {
                prepared,
                types,
                bytes: sql.len(),
            },
        );
        self.output.message(&ParseComplete::new());
        Ok(())
    }

    fn check_room(&self, bytes: usize) -> Result<()> {
        let held: usize = self
            .statements
            .values()
            .map(|statement| statement.bytes)
            .sum();
        if self.statements.len() >= self.limits.statements
            || held.saturating_add(bytes) > self.limits.statement_bytes
        {
            return Err(
                Error::limit("this connection holds too many prepared statements")
                    .with_hint("DEALLOCATE or close those that are not needed"),
            );
        }
        Ok(())
    }

    /// Bind: gives a statement its values.
    pub(crate) fn bind(&mut self, bind: Bind) -> Result<(), Stop> {
        if bind.portal.is_empty() {
            self.portals.remove("");
        } else if self.portals.contains_key(&bind.portal) {
            let message = format!("cursor \"{}\" already exists", bind.portal);
            return Err(Error::new(Kind::Conflict, "42P03", message).into());
        }
        if self.portals.len() >= self.limits.portals {
            let error = Error::limit("this connection holds too many open portals");
            return Err(error.with_hint("close those that are not needed").into());
        }
        let statement = self
            .statements
            .get(&bind.statement)
            .ok_or_else(|| no_statement(&bind))?;
        let wanted = statement.types.len();
        let given = bind.parameters.len();
        if wanted != given {
            return Err(violation(format!(
                "bind message supplies {given} parameters, but prepared statement \"{}\" \
                 requires {wanted}",
                bind.statement
            ))
            .into());
        }
        check_formats("parameter", &bind.parameter_formats, given)?;
        let mut values = Vec::with_capacity(given);
        if let Some(prepared) = &statement.prepared {
            let (found, schema) = self.session.describe(prepared);
            let columns = schema.map_or(0, |schema| schema.fields().len());
            check_formats("result", &bind.result_formats, columns)?;
            let typed = found.iter().zip(&statement.types).zip(&bind.parameters);
            for (index, ((target, oid), value)) in typed.enumerate() {
                let format = Format::of(&bind.parameter_formats, index);
                let value = parameters::decode(*oid, format, value.as_ref(), target);
                values.push(value.map_err(|error| error.at(format!("parameter ${}", index + 1)))?);
            }
        }
        let prepared = statement.prepared.as_ref().map(Arc::clone);
        let formats = bind.result_formats;
        let portal = Portal {
            prepared,
            values,
            formats,
            state: State::Bound,
        };
        self.portals.insert(bind.portal, portal);
        self.output.message(&BindComplete::new());
        Ok(())
    }

    /// Describe: the parameters and columns of a statement, or the columns of a portal.
    pub(crate) fn describe(&mut self, target: &Target) -> Result<(), Stop> {
        let (prepared, formats) = match target {
            Target::Statement(name) => {
                let statement = self.statements.get(name).ok_or_else(|| missing(target))?;
                self.output
                    .message(&ParameterDescription::new(statement.types.clone()));
                (&statement.prepared, &[][..])
            }
            Target::Portal(name) => {
                let portal = self.portals.get(name).ok_or_else(|| missing(target))?;
                (&portal.prepared, portal.formats.as_slice())
            }
        };
        let schema = prepared
            .as_ref()
            .and_then(|prepared| self.session.describe(prepared).1);
        match schema {
            Some(schema) => describe(schema, formats, &mut self.output),
            None => {
                self.output.message(&NoData::new());
            }
        }
        Ok(())
    }

    /// Execute: runs a portal, up to `max_rows` rows; none or less means all.
    pub(crate) async fn execute(&mut self, name: &str, max_rows: i32) -> Result<(), Stop> {
        let target = || Target::Portal(name.to_owned());
        let portal = self
            .portals
            .get_mut(name)
            .ok_or_else(|| missing(&target()))?;
        let Some(prepared) = &portal.prepared else {
            self.output.message(&EmptyQueryResponse::new());
            return Ok(());
        };
        let running = self.entered.slot.start();
        if let State::Bound = portal.state {
            portal.state = State::Ended;
            let execute = self.session.execute(prepared, &portal.values);
            let response = supervise(execute, &mut self.input, &running).await?;
            let Response::Rows {
                schema,
                stream,
                tag,
            } = response
            else {
                self.report();
                return self.respond(response, &running).await;
            };
            check_described(self.session.describe(prepared).1, &schema)?;
            let rows = Rows::new(
                stream,
                schema,
                tag,
                portal.formats.clone(),
                self.zone.clone(),
            );
            portal.state = State::Open(Box::new(rows));
            self.report();
        }
        let Some(portal) = self.portals.get_mut(name) else {
            return Err(missing(&target()).into());
        };
        let State::Open(rows) = &mut portal.state else {
            let message = format!("portal \"{name}\" cannot be run any more");
            return Err(Error::new(Kind::Conflict, "55000", message).into());
        };
        let limit = u64::try_from(max_rows)
            .ok()
            .filter(|limit| *limit > 0)
            .unwrap_or(u64::MAX);
        match rows
            .run(limit, &mut self.input, &mut self.output, &running)
            .await
        {
            Ok((Progress::Suspended, _)) => {
                self.output.message(&PortalSuspended::new());
            }
            Ok((Progress::Finished, sent)) => {
                let complete = rows.complete(sent);
                self.report();
                self.output.message(&complete);
            }
            Err(stop) => {
                portal.state = State::Ended;
                return Err(stop);
            }
        }
        Ok(())
    }

    /// Close: forgets a statement or portal. That there is none is no error.
    pub(crate) fn close_target(&mut self, target: &Target) {
        match target {
            Target::Statement(name) => drop(self.statements.remove(name)),
            Target::Portal(name) => drop(self.portals.remove(name)),
        }
        self.output.message(&CloseComplete::new());
    }
}

/// Puts the types that were found where the client left them open.
fn complete(types: &mut Vec<u32>, found: impl Iterator<Item = u32>) {
    for (index, found) in found.enumerate() {
        match types.get_mut(index) {
            Some(declared) if *declared == 0 || *declared == UNKNOWN => *declared = found,
            Some(_) => {}
            None => types.push(found),
        }
    }
    for open in types.iter_mut().filter(|oid| **oid == 0) {
        *open = TEXT;
    }
}

/// Refuses rows that do not fit what the client was told of them.
fn check_described(described: Option<&SchemaRef>, actual: &SchemaRef) -> Result<()> {
    let types = |schema: &SchemaRef| {
        schema
            .fields()
            .iter()
            .map(|field| PgType::of(field).oid)
            .collect::<Vec<_>>()
    };
    if described.is_some_and(|described| types(described) == types(actual)) {
        return Ok(());
    }
    let message = "the columns changed since the statement was prepared";
    Err(Error::new(Kind::Conflict, "0A000", message).with_hint("prepare it again"))
}

fn check_formats(what: &str, formats: &[Format], values: usize) -> Result<()> {
    let count = formats.len();
    if count > 1 && count != values {
        return Err(violation(format!(
            "bind message has {count} {what} formats but {values} {what}s"
        )));
    }
    Ok(())
}

fn no_statement(bind: &Bind) -> Error {
    missing(&Target::Statement(bind.statement.clone()))
}

fn missing(target: &Target) -> Error {
    match target {
        Target::Statement(name) => {
            let message = format!("prepared statement \"{name}\" does not exist");
            Error::new(Kind::Missing, "26000", message)
        }
        Target::Portal(name) => Error::new(
            Kind::Missing,
            "34000",
            format!("portal \"{name}\" does not exist"),
        ),
    }
}
