//! The rows: generated once, written as Parquet files, one a table.
//!
//! The refresh streams. The specification lets `dbgen` go on where the tables end: the new orders of
//! RF1 are those whose row numbers follow the last order's, with random numbers that go on from
//! there, and keys that no order has. The generator gives exactly these when it is asked for a part
//! beyond the last: parts are ranges of row numbers, and customers and parts are drawn from the ranges
//! of the scale whatever the row number is. Round r of RF2 deletes the r-th oldest range of as many
//! row numbers. Both are functions of scale, fraction and round alone.

use std::fs::File;
use std::path::{Path, PathBuf};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::basic::Compression;
use datafusion::parquet::file::properties::WriterProperties;
use tpchgen::generators::{
    CustomerGenerator, LineItemGenerator, NationGenerator, OrderGenerator, PartGenerator,
    PartSuppGenerator, RegionGenerator, SupplierGenerator,
};
use tpchgen_arrow::{
    CustomerArrow, LineItemArrow, NationArrow, OrderArrow, PartArrow, PartSuppArrow, RegionArrow,
    SupplierArrow,
};

use super::usage::{Stopwatch, Usage};
use crate::base::{Error, Result};

/// The tables, small ones first.
pub(super) const TABLES: [&str; 8] = [
    "region", "nation", "supplier", "customer", "part", "partsupp", "orders", "lineitem",
];

type Rows = Box<dyn Iterator<Item = std::result::Result<RecordBatch, ArrowError>>>;

/// The rows of `table`, or of range `part` of `parts` of those that have ranges.
fn rows_of(table: &str, scale: f64, part: i32, parts: i32) -> Result<(SchemaRef, Rows)> {
    macro_rules! rows {
        ($arrow:ident, $generator:ident) => {
            (
                $arrow::schema_ref(),
                Box::new($arrow::new($generator::new(scale, part, parts))),
            )
        };
    }
    Ok(match table {
        "region" => rows!(RegionArrow, RegionGenerator),
        "nation" => rows!(NationArrow, NationGenerator),
        "supplier" => rows!(SupplierArrow, SupplierGenerator),
        "customer" => rows!(CustomerArrow, CustomerGenerator),
        "part" => rows!(PartArrow, PartGenerator),
        "partsupp" => rows!(PartSuppArrow, PartSuppGenerator),
        "orders" => rows!(OrderArrow, OrderGenerator),
        "lineitem" => rows!(LineItemArrow, LineItemGenerator),
        other => return Err(Error::internal(format!("there is no table {other}"))),
    })
}

/// A folder with the rows of one scale.
#[derive(Debug)]
pub(super) struct Dataset {
    folder: PathBuf,
    scale: f64,
    /// What it cost to make; nothing where the files were there.
    pub(super) generated: Usage,
    /// How many rows each table has.
    rows: Vec<u64>,
}

impl Dataset {
    /// Makes the files of `scale` in `folder`, or takes those that are there.
    ///
    /// # Errors
    /// When a file cannot be written, or the folder has the rows of another scale.
    pub(super) fn prepare(folder: &Path, scale: f64) -> Result<Self> {
        if !(scale.is_finite() && scale >= 0.001) {
            return Err(Error::invalid("the scale is a number from 0.001 on"));
        }
        let io = |error: std::io::Error| Error::io(format!("use {}", folder.display()), &error);
        std::fs::create_dir_all(folder).map_err(io)?;
        let marker = folder.join("scale");
        let mut dataset = Self {
            folder: folder.to_owned(),
            scale,
            generated: Usage::default(),
            rows: Vec::new(),
        };
        match std::fs::read_to_string(&marker) {
            Ok(text) => dataset.take_over(&text)?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                dataset.generate()?;
                std::fs::write(&marker, dataset.marker()).map_err(io)?;
            }
            Err(error) => return Err(io(error)),
        }
        Ok(dataset)
    }

    /// The file of a table.
    pub(super) fn path(&self, table: &str) -> PathBuf {
        self.folder.join(format!("{table}.parquet"))
    }

    /// A path below the folder.
    pub(super) fn below(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// How many rows a table has.
    pub(super) fn rows(&self, table: &str) -> u64 {
        let place = TABLES.iter().position(|name| *name == table);
        place
            .and_then(|place| self.rows.get(place))
            .copied()
            .unwrap_or(0)
    }

    /// Rounds of refreshing, of this part of the orders each.
    ///
    /// # Errors
    /// When that is less than one order, or more than all.
    pub(super) fn rounds(&self, fraction: f64) -> Result<Rounds> {
        let orders = OrderGenerator::calculate_row_count(self.scale, 1, 1);
        let parts = (1.0 / fraction).round();
        if !(1.0..=1e9).contains(&parts) {
            return Err(Error::invalid(
                "the fraction is a number above 0, at most 1",
            ));
        }
        #[expect(clippy::cast_possible_truncation, reason = "between 1 and 1e9")]
        let parts = parts as i32;
        let size = orders / i64::from(parts);
        if size == 0 {
            return Err(Error::invalid(format!(
                "a fraction of {fraction} of {orders} orders is less than one"
            )));
        }
        // the last part has the remainder too, so the first that is beyond all may come later
        let first = (orders + size - 1) / size + 1;
        let first =
            i32::try_from(first).map_err(|_| Error::invalid("the fraction is too small"))?;
        Ok(Rounds { size, parts, first })
    }

    /// Writes the new orders and lines of round `round` and gives their files and how many rows.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub(super) fn new_orders(&self, rounds: &Rounds, round: u32) -> Result<[(PathBuf, u64); 2]> {
        let part = i32::try_from(round)
            .ok()
            .and_then(|round| rounds.first.checked_add(round))
            .ok_or_else(|| Error::invalid("there are too many rounds"))?;
        let written = |table: &str| -> Result<(PathBuf, u64)> {
            let path = self.below(&format!("new-{table}-{round}.parquet"));
            let (schema, rows) = rows_of(table, self.scale, part, rounds.parts)?;
            let rows = write(&path, &schema, rows)?;
            Ok((path, rows))
        };
        Ok([written("orders")?, written("lineitem")?])
    }

    fn generate(&mut self) -> Result<()> {
        let watch = Stopwatch::start();
        for table in TABLES {
            let (schema, rows) = rows_of(table, self.scale, 1, 1)?;
            self.rows.push(write(&self.path(table), &schema, rows)?);
        }
        self.generated = watch.usage();
        Ok(())
    }

    fn marker(&self) -> String {
        let rows: Vec<String> = self.rows.iter().map(u64::to_string).collect();
        format!("{} {}\n", self.scale, rows.join(" "))
    }

    fn take_over(&mut self, marker: &str) -> Result<()> {
        let numbers = marker.split_whitespace().skip(1);
        self.rows = numbers.filter_map(|number| number.parse().ok()).collect();
        if self.rows.len() == TABLES.len() && marker == self.marker() {
            return Ok(());
        }
        Err(Error::invalid(format!(
            "{} has rows of another scale: {}",
            self.folder.display(),
            marker.trim_end()
        )))
    }
}

/// The ranges of orders that come and go, a round each.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rounds {
    /// How many orders.
    size: i64,
    parts: i32,
    /// The first part whose orders no table has.
    first: i32,
}

impl Rounds {
    /// The first and the last key of the orders that go in round `round`, both included.
    pub(super) fn old_keys(self, round: u32) -> (i64, i64) {
        let start = self.size * i64::from(round);
        (
            OrderGenerator::make_order_key(start + 1),
            OrderGenerator::make_order_key(start + self.size),
        )
    }

    /// The first key of the orders that come in round 0.
    #[cfg(test)]
    pub(super) fn first_new_key(self) -> i64 {
        OrderGenerator::make_order_key(self.size * i64::from(self.first - 1) + 1)
    }
}

fn write(path: &Path, schema: &SchemaRef, rows: Rows) -> Result<u64> {
    let file = File::create(path)
        .map_err(|error| Error::io(format!("write {}", path.display()), &error))?;
    let failed = |error: datafusion::parquet::errors::ParquetError| {
        Error::invalid(format!("write {}: {error}", path.display()))
    };
    let properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .build();
    let mut writer =
        ArrowWriter::try_new(file, SchemaRef::clone(schema), Some(properties)).map_err(failed)?;
    let mut count = 0;
    for batch in rows {
        let batch = batch?;
        count += batch.num_rows() as u64;
        writer.write(&batch).map_err(failed)?;
    }
    writer.close().map_err(failed)?;
    Ok(count)
}
