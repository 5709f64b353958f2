//! Tests of the decoders: bad records are set apart, good ones keep their values.

use std::io::Read;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::util::pretty::pretty_format_batches;
use proptest::prelude::{Strategy, any, prop, prop_assert_eq, proptest};

use super::{
    CopyDecoder, CsvDialect, TextFormat, TextReader, TextSplitter, string_type, timestamp_type,
    timestamptz_type,
};
use crate::base::Result;
use crate::sources::{CopyOptions, MemoryQuarantine};

fn schema(columns: &[(&str, DataType)]) -> SchemaRef {
    let fields: Vec<Field> = columns
        .iter()
        .map(|(name, of)| Field::new(*name, of.clone(), true))
        .collect();
    Arc::new(Schema::new(fields))
}

fn csv(nulls: &[&str]) -> TextFormat {
    let nulls = nulls.iter().map(|text| (*text).to_owned()).collect();
    TextFormat::Csv {
        dialect: CsvDialect::default(),
        header: true,
        nulls,
    }
}

fn ndjson() -> TextFormat {
    TextFormat::Ndjson {
        nulls: vec!["NA".to_owned()],
    }
}

/// Gives its bytes a few at a time.
struct Drip<'a>(&'a [u8], usize);

impl Read for Drip<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.1.min(buffer.len()).min(self.0.len());
        buffer[..count].copy_from_slice(&self.0[..count]);
        self.0 = &self.0[count..];
        Ok(count)
    }
}

fn read(format: TextFormat, schema: &SchemaRef, text: &[u8]) -> Result<(String, Vec<String>)> {
    let quarantine = MemoryQuarantine::new();
    let splitter = TextSplitter::new(format, "s", "f", schema, None);
    let mut reader = TextReader::new(Drip(text, 3), splitter);
    let mut batches: Vec<RecordBatch> = Vec::new();
    while let Some(cells) = reader.next_cells()? {
        batches.push(reader.splitter().read(&cells, &quarantine)?);
    }
    let bad = quarantine.take().into_iter().map(|record| {
        format!(
            "{} [{}] {}",
            record.place,
            String::from_utf8_lossy(&record.bytes),
            record.reason
        )
    });
    Ok((rows(&batches), bad.collect()))
}

/// The rows, a line each, cells between bars, NULL as a dot.
fn rows(batches: &[RecordBatch]) -> String {
    let options = arrow::util::display::FormatOptions::default().with_null(".");
    let mut out = Vec::new();
    for batch in batches {
        let columns: Vec<_> = batch
            .columns()
            .iter()
            .map(|column| {
                arrow::util::display::ArrayFormatter::try_new(column.as_ref(), &options).unwrap()
            })
            .collect();
        for row in 0..batch.num_rows() {
            let cells: Vec<String> = columns
                .iter()
                .map(|column| column.value(row).to_string())
                .collect();
            out.push(cells.join("|"));
        }
    }
    out.join("\n")
}

fn int_text() -> SchemaRef {
    schema(&[("a", DataType::Int64), ("b", string_type())])
}

#[test]
fn bad_csv_lines_are_set_apart_and_the_rest_goes_on() {
    let text = b"a,b\n1,x\n2\n3,y,z\nfour,u\n5,\"v\"w\n6,last\n";
    let (good, bad) = read(csv(&[]), &int_text(), text).unwrap();
    assert_eq!(good, "1|x\n6|last");
    assert_eq!(
        bad,
        [
            "f:3 [2] 1 fields where 2 are expected",
            "f:4 [3,y,z] 3 fields where 2 are expected",
            "f:6 [5,\"v\"w] text follows a closing quote",
            "f:5 [four,u] column \"a\": \"four\" is not a value of type bigint",
        ]
    );
}

#[test]
fn a_quote_that_never_closes_costs_one_line() {
    let (good, bad) = read(csv(&[]), &int_text(), b"a,b\n1,\"open\n2,x\n3,y").unwrap();
    assert_eq!(good, "2|x\n3|y");
    assert_eq!(bad, ["f:2 [1,\"open] a quote is opened and never closed"]);
}

#[test]
fn quoted_line_ends_carriage_returns_and_a_byte_order_mark_are_read() {
    let text =
        b"\xEF\xBB\xBFa,b\r\n1,\"two\r\nlines, \"\"quoted\"\"\"\r\n\r\n2,5\" pipe\r\nx,y\r\n";
    let (good, bad) = read(csv(&[]), &int_text(), text).unwrap();
    assert_eq!(good, "1|two\r\nlines, \"quoted\"\n2|5\" pipe");
    assert_eq!(
        bad,
        ["f:6 [x,y] column \"a\": \"x\" is not a value of type bigint"]
    );
}

#[test]
fn markers_and_empty_cells_are_null_and_quoted_ones_are_text() {
    let text = b"a,b\nNA,NA\n,\n\"NA\",\"NA\"\n\"\",\"\"\n";
    let (good, bad) = read(csv(&["NA"]), &int_text(), text).unwrap();
    assert_eq!(good, ".|.\n.|.\n.|NA\n.|");
    assert!(bad.is_empty());
}

#[test]
fn columns_are_found_by_their_names_and_a_missing_one_is_named() {
    let (good, _) = read(csv(&[]), &int_text(), b"x, B ,a\n0,text,7\n").unwrap();
    assert_eq!(good, "7|text");
    let error = read(csv(&[]), &int_text(), b"a,c\n1,2\n").unwrap_err();
    assert_eq!(error.message(), "f has no column \"b\"");
    assert_eq!(error.code(), "42703");
}

#[test]
fn values_that_their_types_cannot_hold_are_bad() {
    let wide = schema(&[
        ("i", DataType::Int16),
        ("d", DataType::Date32),
        ("t", timestamp_type()),
        ("n", DataType::Decimal128(5, 2)),
        ("f", DataType::Float64),
        ("o", DataType::Boolean),
    ]);
    let text = b"i,d,t,n,f,o\n\
        1,2013-02-28,2013-01-01T10:00:00Z,1.005,1e3,t\n\
        2.0,2013-01-01,2013-01-01 10:00,-999.99,NaN,FALSE\n\
        40000,2013-01-01,,,,\n\
        1,2013-02-30,,,,\n\
        1,,2013-01-01T25:00:00Z,,,\n\
        1,,,1000,,\n\
        1,,,,1e999,\n\
        1,,,,,maybe\n\
        1.5,,,,,\n";
    let (good, bad) = read(csv(&[]), &wide, text).unwrap();
    assert_eq!(
        good,
        "1|2013-02-28|2013-01-01T10:00:00|1.01|1000.0|true\n\
         2|2013-01-01|2013-01-01T10:00:00|-999.99|NaN|false"
    );
    let lines: Vec<&str> = bad
        .iter()
        .map(|bad| bad.split(' ').next().unwrap())
        .collect();
    assert_eq!(lines, ["f:4", "f:5", "f:6", "f:7", "f:8", "f:9", "f:10"]);
}

#[test]
fn a_not_null_column_without_value_is_bad() {
    let strict = Arc::new(Schema::new(vec![Field::new("a", DataType::Int64, false)]));
    let (good, bad) = read(csv(&["NA"]), &strict, b"a\n1\nNA\n").unwrap();
    assert_eq!(good, "1");
    assert_eq!(bad, ["f:3 [NA] column \"a\" is NOT NULL and has no value"]);
}

#[test]
fn bad_json_lines_are_set_apart() {
    let text =
        b"{\"a\":1,\"b\":\"x\"}\n{\"a\":2\n{\"b\":\"\\u00e9\\n\",\"z\":[{}],\"a\":\"NA\"}\n\n[1]\n\
        {\"a\":1.5}\n{\"a\":3} x\n{\"a\":01}\n{\"b\":{\"k\":[1, 2]}}";
    let (good, bad) = read(ndjson(), &int_text(), text).unwrap();
    assert_eq!(good, "1|x\n.|\u{e9}\n\n.|{\"k\":[1, 2]}");
    let lines: Vec<&str> = bad
        .iter()
        .map(|bad| bad.split(' ').next().unwrap())
        .collect();
    assert_eq!(lines, ["f:2", "f:5", "f:7", "f:8", "f:6"]);
    assert!(
        bad[0].ends_with("a comma or a closing brace is expected at character 7"),
        "{}",
        bad[0]
    );
}

#[test]
fn types_are_inferred_from_what_every_value_fits() {
    let text = b"i,f,b,d,t,z,zip,empty,mixed\n\
        1,1.5,TRUE,2013-01-01,2013-01-01T10:00:00,2013-01-01T10:00:00Z,00501,NA,1\n\
        NA,2,false,2013-01-02,2013-01-01 10:00:00.5,2013-01-01T10:00:00+02:00,10001,,x\n";
    let found = csv(&["NA"]).infer("f", &text[..]).unwrap();
    let types: Vec<&DataType> = found
        .fields()
        .iter()
        .map(|field| field.data_type())
        .collect();
    assert_eq!(
        types,
        [
            &DataType::Int64,
            &DataType::Float64,
            &DataType::Boolean,
            &DataType::Date32,
            &timestamp_type(),
            &timestamptz_type(),
            &string_type(),
            &string_type(),
            &string_type(),
        ]
    );
    let lines = b"{\"a\":1,\"s\":\"1\",\"d\":\"2013-01-01\"}\n{\"x\":true,\"a\":1.5}\n";
    let found = ndjson().infer("f", &lines[..]).unwrap();
    let shown: Vec<String> = found
        .fields()
        .iter()
        .map(|field| format!("{} {}", field.name(), field.data_type()))
        .collect();
    assert_eq!(shown, ["a Float64", "s Utf8View", "d Date32", "x Boolean"]);
}

#[test]
fn json_columns_hold_values_of_every_format() {
    let json = schema(&[("j", lotic_udfs::json::TYPE)]);
    let lines = b"{\"j\":{\"b\":1,\"a\":[1e2]}}\n{\"j\":\"{}\"}\n{\"j\":7}\n{\"j\":null}\n";
    let (good, bad) = read(ndjson(), &json, lines).unwrap();
    assert_eq!(good, "{\"a\": [100], \"b\": 1}\n\"{}\"\n7\n.");
    assert!(bad.is_empty(), "{bad:?}");
    let text = b"j\n\"{\"\"a\"\":1}\"\nnull\n{x\n";
    let (good, bad) = read(csv(&[]), &json, text).unwrap();
    assert_eq!(good, "{\"a\": 1}\nnull");
    assert!(bad[0].contains("is not a value of type json"), "{}", bad[0]);
    let rows = copy(&json, CopyOptions::text(), b"[1,  2]\n\\N\n").unwrap();
    assert_eq!(rows, "[1, 2]\n.");
}

#[test]
fn lists_are_read_from_json_and_from_postgres_texts() {
    let list = schema(&[(
        "l",
        DataType::List(Arc::new(Field::new_list_field(DataType::Int32, true))),
    )]);
    let (good, bad) = read(
        ndjson(),
        &list,
        b"{\"l\":[1,null,3]}\n{\"l\":[\"x\"]}\n{\"l\":[]}\n",
    )
    .unwrap();
    assert_eq!((good.as_str(), bad.len()), ("[1, ., 3]\n[]", 1));
    assert_eq!(
        copy(&list, CopyOptions::text(), b"{1,NULL,3}\n\\N\n").unwrap(),
        "[1, ., 3]\n."
    );
}

fn copy(schema: &SchemaRef, options: CopyOptions, text: &[u8]) -> Result<String> {
    let mut decoder = CopyDecoder::new("t", schema, options)?;
    let mut batches = Vec::new();
    for piece in text.chunks(5) {
        batches.extend(decoder.push(piece)?);
    }
    batches.extend(decoder.finish()?);
    Ok(rows(&batches))
}

#[test]
fn copy_text_follows_postgres() {
    let text = b"1\ta\\tb\\nc\\\\d\\x41\\101\n\\N\t\\N\n3\tx\\\ny\r\n4\t\\\\N\n\\.\nignored\n";
    let good = copy(&int_text(), CopyOptions::text(), text).unwrap();
    assert_eq!(good, "1|a\tb\nc\\dAA\n.|.\n3|x\ny\n4|\\N");
}

#[test]
fn copy_csv_follows_postgres() {
    let options = CopyOptions {
        header: true,
        ..CopyOptions::csv()
    };
    let text = b"h1,h2\n1,\"a\"\"b\nc\"\n2,\n3,\"\"\n4,x\"y,\"z\n";
    assert_eq!(
        copy(&int_text(), options, text).unwrap(),
        "1|a\"b\nc\n2|.\n3|\n4|xy,z"
    );
}

#[test]
fn copy_fails_at_the_first_record_that_does_not_fit() {
    let failure = |text: &[u8]| copy(&int_text(), CopyOptions::text(), text).unwrap_err();
    let error = failure(b"1\tx\n2\ty\nz\tw\n");
    assert_eq!(
        (error.code(), error.message()),
        (
            "22P02",
            "COPY t, line 3, column \"a\": \"z\" is not a value of type bigint"
        )
    );
    assert_eq!(
        failure(b"1\n").message(),
        "COPY t, line 1: missing data for column \"b\""
    );
    assert_eq!(
        failure(b"1\t2\t3\n").message(),
        "COPY t, line 1: extra data after last expected column"
    );
    let open = copy(&int_text(), CopyOptions::csv(), b"1,\"x\n").unwrap_err();
    assert_eq!(
        open.message(),
        "COPY t, line 1: unterminated CSV quoted field"
    );
    assert_eq!(failure(b"1.0\tx\n").code(), "22P02");
}

#[test]
fn an_empty_file_has_no_rows() {
    assert_eq!(
        read(csv(&[]), &int_text(), b"").unwrap(),
        (String::new(), vec![])
    );
    assert_eq!(
        read(csv(&[]), &int_text(), b"a,b\n").unwrap(),
        (String::new(), vec![])
    );
    assert_eq!(
        read(ndjson(), &int_text(), b"").unwrap(),
        (String::new(), vec![])
    );
}

proptest! {
    #[test]
    fn any_bytes_are_rows_or_quarantined_and_never_a_crash(
        bytes in prop::collection::vec(prop::sample::select(b"a1,\"\n\r\\{}:[]\xFFx".to_vec()), 0..200),
        json in any::<bool>(),
    ) {
        let format = if json {
            ndjson()
        } else {
            TextFormat::Csv { dialect: CsvDialect::default(), header: false, nulls: vec![] }
        };
        read(format, &int_text(), &bytes).unwrap();
        drop(copy(&int_text(), CopyOptions::text(), &bytes));
        drop(copy(&int_text(), CopyOptions::csv(), &bytes));
    }

    #[test]
    fn csv_texts_come_back_as_they_were(
        texts in prop::collection::vec("[a-z\",\n\r ]{1,12}".prop_filter("cr", |t| !t.is_empty()), 1..20),
    ) {
        let mut file = "a,b\n".to_owned();
        for (row, text) in texts.iter().enumerate() {
            file.push_str(&format!("{row},\"{}\"\n", text.replace('"', "\"\"")));
        }
        let (good, bad) = read(csv(&[]), &int_text(), file.as_bytes()).unwrap();
        let wanted: Vec<String> =
            texts.iter().enumerate().map(|(row, text)| format!("{row}|{text}")).collect();
        prop_assert_eq!(good, wanted.join("\n"));
        prop_assert_eq!(bad.len(), 0);
    }
}

#[test]
fn a_projection_does_not_change_which_rows_are_good() {
    let quarantine = MemoryQuarantine::new();
    let splitter = TextSplitter::new(csv(&[]), "s", "f", &int_text(), Some(vec![1]));
    let mut reader = TextReader::new(&b"a,b\n1,x\nbad,y\n"[..], splitter);
    let cells = reader.next_cells().unwrap().unwrap();
    let batch = reader.splitter().read(&cells, &quarantine).unwrap();
    assert_eq!(
        rows(std::slice::from_ref(&batch)),
        "x",
        "{}",
        pretty_format_batches(&[batch]).unwrap()
    );
    assert_eq!(quarantine.len(), 1);
}
