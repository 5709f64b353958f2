//! Files that hold a model: the live form of CREATE SINK, and the files of a batch run.
//!
//! A sink `FROM model` is a snapshot: the whole model at one epoch, written beside the file and renamed over
//! it. Readers see the old contents or the new, never half of either, and a retraction needs no special form.
//! Live, it is rewritten after epochs that changed the model, at most once every `interval`; a batch run
//! writes it once, at the end. What it costs is a rewrite of the whole model: for a large model with small
//! changes choose a longer interval.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::execution::SendableRecordBatchStream;
use futures::StreamExt;
use tokio::sync::{mpsc, oneshot};

use super::output::{BatchWriter, OutputFormat};
use crate::base::{Error, Result, task};

/// Batches that wait for the disk.
const AHEAD: usize = 4;
/// How often a live sink is written when its options do not say.
const INTERVAL: Duration = Duration::from_secs(1);

/// The checked options of a file sink: `connector = 'file'`, `path`, `format` (by the ending), `interval`
/// (`500ms`, `2s`, `1m`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SinkOptions {
    /// The file.
    pub path: PathBuf,
    /// Its format.
    pub format: OutputFormat,
    /// The least time between two writes of a live sink.
    pub interval: Duration,
}

impl SinkOptions {
    /// Checks the WITH options of sink `name`; relative paths start from `base_dir`.
    ///
    /// # Errors
    /// An option that is unknown, malformed or missing, by its name.
    pub fn new(name: &str, with: &BTreeMap<String, String>, base_dir: &Path) -> Result<Self> {
        let fail = |text: String| Error::invalid(format!("sink \"{name}\" {text}"));
        let (mut path, mut format, mut interval) = (None, None, INTERVAL);
        for (key, value) in with {
            match key.to_ascii_lowercase().as_str() {
                "connector" if value.trim().eq_ignore_ascii_case("file") => {}
                "connector" => {
                    return Err(fail(format!("has connector '{value}'; only file is known")));
                }
                "path" => path = Some(value.trim().to_owned()),
                "format" => format = Some(OutputFormat::from_name(value.trim())?),
                "interval" => {
                    interval = crate::base::clock::duration(value).ok_or_else(|| {
                        fail(format!("has interval '{value}', not as 500ms, 2s or 1m"))
                    })?;
                }
                other => {
                    return Err(fail(format!("has no option \"{other}\""))
                        .with_hint("known options: connector, format, interval, path"));
                }
            }
        }
        let path = path.filter(|path| !path.is_empty());
        let path = path.ok_or_else(|| fail("needs the option \"path\"".to_owned()))?;
        if path.contains("://") {
            return Err(fail(
                "writes local files; its path is an address".to_owned(),
            ));
        }
        let format = match format {
            Some(format) => format,
            None => OutputFormat::from_name(&path)?,
        };
        Ok(Self {
            path: base_dir.join(path),
            format,
            interval,
        })
    }
}

/// A file that holds the latest snapshot of a model.
#[derive(Debug)]
pub struct FileSink {
    options: SinkOptions,
    changed: bool,
    /// Monotonic time of the last write.
    written: Option<Duration>,
}

impl FileSink {
    /// A sink whose file was not written yet, so that its first snapshot is due at once.
    pub fn new(options: SinkOptions) -> Self {
        Self {
            options,
            changed: true,
            written: None,
        }
    }

    /// The options.
    pub fn options(&self) -> &SinkOptions {
        &self.options
    }

    /// The model has changed.
    pub fn mark_changed(&mut self) {
        self.changed = true;
    }

    /// Whether a snapshot is to be written at monotonic time `now`.
    pub fn is_due(&self, now: Duration) -> bool {
        let rested = self
            .written
            .is_none_or(|at| now.saturating_sub(at) >= self.options.interval);
        self.changed && rested
    }

    /// Writes a snapshot; returns its number of rows. On an error the old file stands, and the sink stays due.
    ///
    /// # Errors
    /// When the stream or the disk fails.
    pub async fn write(
        &mut self,
        snapshot: SendableRecordBatchStream,
        now: Duration,
    ) -> Result<u64> {
        // Set first: a failing disk is tried again after the interval, not in a tight loop.
        self.written = Some(now);
        let rows = write_file(&self.options.path, self.options.format, snapshot).await?;
        self.changed = false;
        Ok(rows)
    }
}

/// Writes a stream to a file, atomically: the file has all rows of the stream or its old contents. Returns
/// the number of rows.
///
/// # Errors
/// When the stream or the disk fails.
pub async fn write_file(
    path: &Path,
    format: OutputFormat,
    mut stream: SendableRecordBatchStream,
) -> Result<u64> {
    let (sender, receiver) = mpsc::channel(AHEAD);
    let (done, result) = oneshot::channel();
    let (target, schema) = (path.to_owned(), stream.schema());
    drop(task::thread("write-file", move || {
        // Nobody waits any more when the receiver is gone.
        drop(done.send(write_all(&target, format, &schema, receiver)));
    })?);
    while let Some(batch) = stream.next().await {
        // A closed channel means that the writer failed; its result tells why.
        if sender.send(Some(batch?)).await.is_err() {
            break;
        }
    }
    drop(sender.send(None).await);
    result
        .await
        .unwrap_or_else(|_| Err(Error::internal("a writing thread ended without a result")))
}

/// Takes batches up to the end mark; a channel that closes without it cancels the file.
fn write_all(
    path: &Path,
    format: OutputFormat,
    schema: &SchemaRef,
    mut batches: mpsc::Receiver<Option<RecordBatch>>,
) -> Result<u64> {
    let temporary = Temporary::new(path)?;
    let named = |error: Error| error.at(path.display());
    let mut writer =
        BatchWriter::new(format, schema, BufWriter::new(temporary.create()?)).map_err(named)?;
    loop {
        match batches.blocking_recv() {
            Some(Some(batch)) => writer.write(&batch).map_err(named)?,
            Some(None) => break,
            None => {
                return Err(Error::cancelled(format!(
                    "{} was not written",
                    path.display()
                )));
            }
        }
    }
    let (mut out, rows) = writer.finish().map_err(named)?;
    let fail = |error: std::io::Error| Error::io(format!("write {}", path.display()), &error);
    out.flush().map_err(fail)?;
    out.get_ref().sync_all().map_err(fail)?;
    temporary.rename_to(path).map_err(fail)?;
    Ok(rows)
}

/// A file beside its target that is removed unless it is renamed.
struct Temporary {
    path: PathBuf,
    folder: PathBuf,
}

impl Temporary {
    fn new(target: &Path) -> Result<Self> {
        let name = target
            .file_name()
            .ok_or_else(|| Error::invalid(format!("{} is not a file name", target.display())))?;
        let folder = match target.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
            _ => PathBuf::from("."),
        };
        fs::create_dir_all(&folder)
            .map_err(|error| Error::io(format!("create folder {}", folder.display()), &error))?;
        let path = folder.join(format!(
            ".{}.{}.tmp",
            name.to_string_lossy(),
            std::process::id()
        ));
        Ok(Self { path, folder })
    }

    fn create(&self) -> Result<File> {
        File::create(&self.path)
            .map_err(|error| Error::io(format!("create {}", self.path.display()), &error))
    }

    fn rename_to(&self, target: &Path) -> std::io::Result<()> {
        fs::rename(&self.path, target)?;
        // The rename itself must last.
        File::open(&self.folder)?.sync_all()
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // After the rename there is nothing to remove; a leftover is hidden and harmless.
        drop(fs::remove_file(&self.path));
    }
}
