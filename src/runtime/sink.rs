//! Sinks: files that hold the rows of an object or a query.
//!
//! Live, a sink is written after epochs that changed what it reads, at most once an interval; in
//! batch once, at the end.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::instance::Lotic;
use super::plan::{Planner, Purpose};
use super::source::start_of_paths;
use crate::base::{Epoch, Error, Result, task};
use crate::catalog::{Definition, Object, SinkInput};
use crate::sinks::{FileSink, SinkOptions};

/// How often a live sink looks whether it is due.
const PAUSE: Duration = Duration::from_millis(100);

/// The checked options of a sink.
pub(super) fn options_of(object: &Object) -> Result<SinkOptions> {
    let Definition::Sink { connector, .. } = &object.definition else {
        return Err(Error::internal(format!(
            "\"{}\" is not a sink",
            object.name
        )));
    };
    SinkOptions::new(
        &object.name,
        connector,
        start_of_paths(connector, &object.base_dir),
    )
}

impl Lotic {
    /// Lets a sink follow what it reads. In batch [`Lotic::run_sinks`] writes it.
    pub(super) fn start_sink(self: &Arc<Self>, object: &Object) -> Result<()> {
        if !self.options().maintain {
            return Ok(());
        }
        let mut sink = FileSink::new(options_of(object)?);
        let (lotic, object) = (Arc::clone(self), object.clone());
        let token = self.feeds.begin(object.id);
        task::spawn("sink", async move {
            let mut seen = Epoch::default();
            loop {
                let newest = lotic.changed_at(&object);
                if newest > seen {
                    sink.mark_changed();
                    seen = newest;
                }
                if sink.is_due(lotic.options().clock.monotonic()) {
                    match lotic.write_sink(&object, &mut sink).await {
                        Ok(()) => lotic.set_source_state(object.id, "ok", None),
                        Err(error) => {
                            tracing::warn!(sink = object.name, %error, "the sink could not be written");
                            lotic.set_source_state(
                                object.id,
                                "retrying",
                                Some(error.message().to_owned()),
                            );
                        }
                    }
                }
                tokio::select! {
                    () = token.cancelled() => return,
                    () = tokio::time::sleep(PAUSE) => {}
                }
            }
        });
        Ok(())
    }

    /// The newest epoch that changed what a sink reads.
    fn changed_at(&self, object: &Object) -> Epoch {
        let world = self.world();
        let mut open = object.dependencies.clone();
        let mut seen = BTreeSet::new();
        let mut newest = Epoch::default();
        while let Some(id) = open.pop() {
            if !seen.insert(id) {
                continue;
            }
            if let Some(content) = world.contents.get(&id) {
                newest = newest.max(content.health.changed);
            } else if let Some(view) = world.catalog.by_id(id) {
                open.extend(&view.dependencies);
            }
        }
        newest
    }

    async fn write_sink(self: &Arc<Self>, object: &Object, sink: &mut FileSink) -> Result<()> {
        let Definition::Sink { input, .. } = &object.definition else {
            return Err(Error::internal("not a sink"));
        };
        let query = match input {
            SinkInput::Object(name) => format!("SELECT * FROM \"{}\"", name.replace('"', "\"\"")),
            SinkInput::Query(query) => query.clone(),
        };
        let world = self.world();
        let planned = Planner::new(self, &world, Purpose::Read)
            .plan_text(&query)
            .await?;
        let physical =
            crate::planner::context::physical_plan(&planned.state, &planned.plan).await?;
        let stream = datafusion::physical_plan::execute_stream(physical, planned.state.task_ctx())?;
        sink.write(stream, self.options().clock.monotonic()).await?;
        Ok(())
    }

    /// Writes every sink once, as the end of a batch run does.
    ///
    /// # Errors
    /// When a sink cannot be written.
    pub async fn run_sinks(self: &Arc<Self>) -> Result<()> {
        let catalog = Arc::clone(&self.world().catalog);
        for object in catalog.objects() {
            if matches!(object.definition, Definition::Sink { .. }) {
                let mut sink = FileSink::new(options_of(object)?);
                self.write_sink(object, &mut sink)
                    .await
                    .map_err(|error| error.at(&object.name))?;
            }
        }
        Ok(())
    }
}
