#!/usr/bin/env python3
"""Run a Lotic pipeline over files with the `datafusion` Python package, to compare with.

    pip install datafusion pyarrow
    python3 scripts/flights_python.py                        # sql/flights: rows, seconds, hash of each model
    python3 scripts/flights_python.py --all                  # of each table, source and view too
    python3 scripts/flights_python.py --json FILE            # the same, as JSON
    python3 scripts/flights_python.py --out FOLDER           # also writes FOLDER/<model>.parquet
    python3 scripts/flights_python.py --against FOLDER       # compares with FOLDER/<model>.parquet (or .csv, .ndjson)

The SQL is Lotic's own, read from the folder; only what the package lacks is put into its words: CREATE
TABLE and CREATE SOURCE become external tables (SQLite is read with Python's own module), a MATERIALIZED
VIEW is collected and registered, HOP and TUMBLE are written out, and the functions that come from
udfs/ are defined below.

The hash does not depend on the order of the rows, and takes numbers to nine digits: sums of floating
point numbers depend on the order of their parts in DataFusion, and do not in Lotic.

Exit status: 0 all is well, 1 a model differs (--against), 2 could not run.
"""
import argparse
import collections
import datetime
import decimal
import hashlib
import json
import os
import re
import sqlite3
import sys
import time

import datafusion
import pyarrow as pa
import pyarrow.compute as pc

CREATE = re.compile(r"CREATE\s+(TABLE|SOURCE|VIEW|MATERIALIZED\s+VIEW)\s+(\w+)\s*(.*)", re.S | re.I)
WINDOW = re.compile(r"\b(HOP|TUMBLE)\s*\(\s*(\w+)\s*,\s*(\w+)\s*,\s*(INTERVAL\s+'[^']+'(?:\s+\w+)?)"
                    r"(?:\s*,\s*(INTERVAL\s+'[^']+'(?:\s+\w+)?))?\s*\)", re.I)


def statements(text):
    """The statements of one file, without comments. Knows strings and comments, no more."""
    out, part, i = [], [], 0
    while i < len(text):
        if text.startswith("--", i):
            i = text.find("\n", i) if "\n" in text[i:] else len(text)
        elif text[i] == "'":
            end = text.index("'", i + 1) + 1
            part.append(text[i:end])
            i = end
        elif text[i] == ";":
            out.append("".join(part).strip())
            part, i = [], i + 1
        else:
            part.append(text[i])
            i += 1
    out.append("".join(part).strip())
    return [statement for statement in out if statement]


def definition(rest):
    """The column list and the options of `(columns) WITH (options)`."""
    found = re.search(r"\bWITH\s*\(", rest, re.I)
    columns, options = rest[:found.start()].strip(), rest[found.end():]
    return columns, dict(re.findall(r"(\w+)\s*=\s*'([^']*)'", options))


def register(context, kind, name, rest):
    """CREATE TABLE or CREATE SOURCE: the file behind it becomes a table of the package. The rows of a TABLE
    are held in memory from here on, as Lotic holds them; a SOURCE is read where it lies."""
    columns, options = definition(rest)
    columns = re.sub(r",\s*PRIMARY\s+KEY\s*\([^)]*\)", "", columns, flags=re.I)
    path = options["path"]
    if options["connector"] == "sqlite":
        cursor = sqlite3.connect(path).execute(f"SELECT * FROM {options['table']}")
        rows = cursor.fetchall()
        table = pa.table({column[0]: [row[k] for row in rows] for k, column in enumerate(cursor.description)})
        context.register_record_batches(name, [table.to_batches()])
        return
    stored = {"csv": "CSV", "ndjson": "JSON", "parquet": "PARQUET"}[options["format"]]
    settings = {"format.has_header": "true"} if stored == "CSV" else {}
    for ending, packing in ((".gz", "gzip"), (".zst", "zstd")):
        if path.endswith(ending):
            settings["format.compression"] = packing
    listed = ", ".join(f"'{key}' '{value}'" for key, value in settings.items())
    # The package reads a CSV file's null mark as a value, so such columns come as text and are cast.
    typed = re.findall(r"(\w+)\s+([^,]+?)\s*(?:,|\)$)", columns)
    if "null" in options:
        columns = "(" + ", ".join(f"{column} VARCHAR" for column, _ in typed) + ")"
    context.sql(f"CREATE EXTERNAL TABLE {name}_file {columns} STORED AS {stored} LOCATION '{path}'"
                + (f" OPTIONS ({listed})" if listed else ""))
    query = f"SELECT * FROM {name}_file"
    if "null" in options:
        query = "SELECT " + ", ".join(f"CAST(NULLIF({column}, '{options['null']}') AS {kind}) AS {column}"
                                      for column, kind in typed) + f" FROM {name}_file"
    if kind.upper() == "TABLE":
        context.register_record_batches(name, [collected(context.sql(query)).to_batches()])
    else:
        context.sql(f"CREATE VIEW {name} AS {query}")


def seconds(interval):
    """The length of an INTERVAL literal of one number and one unit."""
    number, inside, outside = re.search(r"'(\d+)\s*(\w*)'\s*(\w*)", interval).groups()
    name = (inside or outside).upper().rstrip("S")
    return int(number) * {"SECOND": 1, "MINUTE": 60, "HOUR": 3600, "DAY": 86400}[name]


def windows(sql):
    """HOP and TUMBLE written out: each row once for every window that holds it."""
    def written(found):
        kind, relation, column, first, second = found.groups()
        slide, size = (first, second) if kind.upper() == "HOP" else (first, first)
        parts = []
        for k in range(seconds(size) // seconds(slide)):
            start = (f"date_bin(INTERVAL '{seconds(slide)} second', {column}, TIMESTAMP '1970-01-01')"
                     f" - INTERVAL '{k * seconds(slide)} second'")
            parts.append(f"SELECT *, {start} AS window_start,"
                         f" {start} + INTERVAL '{seconds(size)} second' AS window_end FROM {relation}")
        return "(" + " UNION ALL ".join(parts) + ") AS windows"
    return WINDOW.sub(written, sql)


def hour_of_week(moment):
    """0 is Monday 0:00, 167 Sunday 23:00."""
    return pc.cast(pc.add(pc.multiply(pc.day_of_week(moment), 24), pc.hour(moment)), pa.int32())


def wind_band(speed):
    """Five bands of wind by miles an hour."""
    bands = [("calm", 4), ("light", 13), ("moderate", 25), ("strong", 39)]
    answer = pc.if_else(pc.is_valid(speed), "gale", pa.scalar(None, pa.string()))
    for name, below in reversed(bands):
        answer = pc.if_else(pc.fill_null(pc.less(speed, below), False), name, answer)
    return answer


def delay_bucket(minutes):
    """Five words for a delay in minutes; bounds belong to the smaller bucket."""
    buckets = [("on time", 0), ("up to 15 minutes", 15), ("up to an hour", 60), ("up to three hours", 180)]
    answer = pc.if_else(pc.is_valid(minutes), "over three hours", pa.scalar(None, pa.string()))
    for name, most in reversed(buckets):
        answer = pc.if_else(pc.fill_null(pc.less_equal(minutes, most), False), name, answer)
    return answer


def session():
    """A session that reads literals as Lotic does, with the functions of udfs/ that pipelines use."""
    config = datafusion.SessionConfig({"datafusion.sql_parser.parse_float_as_decimal": "true"})
    context = datafusion.SessionContext(config)
    for function, argument, answer in ((hour_of_week, pa.timestamp("ns"), pa.int32()),
                                       (delay_bucket, pa.int64(), pa.string()),
                                       (wind_band, pa.float64(), pa.string())):
        context.register_udf(datafusion.udf(function, [argument], answer, "immutable", function.__name__))
    return context


def collected(answer):
    """All rows of a query as one table. The batches know better than the plan which columns hold NULLs."""
    batches = answer.collect()
    return pa.Table.from_batches(batches, schema=batches[0].schema if batches else answer.schema())


def run(folder, everything):
    """The models of the folder by name (or every relation): the kind, the rows, the seconds they took. Views and
    sources are timed on their own, after the models that read through them."""
    context, models = session(), {}
    for file in sorted(name for name in os.listdir(folder) if name.endswith(".sql")):
        with open(os.path.join(folder, file), encoding="utf-8") as handle:
            found = statements(handle.read())
        for statement in found:
            kind, name, rest = CREATE.fullmatch(statement).groups()
            start = time.monotonic()
            if kind.upper() in ("TABLE", "SOURCE"):
                register(context, kind, name, rest)
                models[name] = (kind.lower(), None, time.monotonic() - start)
                continue
            query = windows(re.sub(r"^AS\s", "", rest, flags=re.I))
            if kind.upper() == "VIEW":
                context.sql(f"CREATE VIEW {name} AS {query}")
                models[name] = ("view", None, None)
                continue
            table = collected(context.sql(query))
            context.register_record_batches(name, [table.to_batches()])
            models[name] = ("model", table, time.monotonic() - start)
    for name, (kind, table, took) in list(models.items()):
        if table is None and not everything:
            if kind != "table":
                del models[name]
        elif table is None:
            start = time.monotonic()
            table = collected(context.table(name))
            models[name] = (kind, table, took if kind == "table" else time.monotonic() - start)
    return models


def shown(value):
    """One value as the hash takes it."""
    if value is None:
        return "\\N"
    if isinstance(value, bool):
        return "t" if value else "f"
    if isinstance(value, (float, decimal.Decimal)):
        return "%.9g" % (float(value) + 0.0)
    if isinstance(value, datetime.datetime):
        return value.replace(tzinfo=None).isoformat(" ", "microseconds")
    return str(value)


def plain(table):
    """The table with timestamps in microseconds and strings of one type, as Python can hold them."""
    columns = []
    for column in table.columns:
        if pa.types.is_timestamp(column.type):
            column = column.cast(pa.timestamp("us"))
        elif pa.types.is_string_view(column.type) or pa.types.is_dictionary(column.type):
            column = column.cast(pa.string())
        columns.append(column)
    return pa.table(columns, names=table.column_names)


def bag(table):
    """The rows as a multiset of texts."""
    columns = [[shown(value) for value in column.to_pylist()] for column in plain(table).columns]
    return collections.Counter("\x1f".join(row) for row in zip(*columns))


def digest(rows):
    """A hash of a multiset: the sum of the hashes of its members."""
    total = 0
    for row, count in rows.items():
        total += count * int.from_bytes(hashlib.sha256(row.encode()).digest()[:16], "big")
    return f"{total % (1 << 128):032x}"


def load(folder, name, like):
    """What another program wrote for a model, with the types that the package found; None where there is none."""
    import pyarrow.csv
    import pyarrow.json
    import pyarrow.parquet
    path = os.path.join(folder, name)
    if os.path.exists(path + ".parquet"):
        return pyarrow.parquet.read_table(path + ".parquet")
    types = {field.name: field.type for field in plain(like).schema}
    if os.path.exists(path + ".csv"):
        options = pyarrow.csv.ConvertOptions(column_types=types, strings_can_be_null=True, null_values=[""],
                                             true_values=["t", "true"], false_values=["f", "false"])
        return pyarrow.csv.read_csv(path + ".csv", convert_options=options)
    if os.path.exists(path + ".ndjson"):
        options = pyarrow.json.ParseOptions(explicit_schema=pa.schema(types.items()))
        return pyarrow.json.read_json(path + ".ndjson", parse_options=options)
    return None


def differs(name, mine, folder, table):
    """True, and a line or more that say so, where the other program has other rows."""
    theirs = load(folder, name, table)
    if theirs is None:
        print(f"  {name}: nothing to compare with")
        return False
    if theirs.column_names != table.column_names:
        print(f"  {name}: columns {theirs.column_names}, expected {table.column_names}")
        return True
    other = bag(theirs)
    if other == mine:
        print(f"  {name}: equal, {sum(mine.values()):,} rows")
        return False
    print(f"  {name}: DIFFERENT")
    for sign, rows in (("-", mine - other), ("+", other - mine)):
        print(f"    {sum(rows.values()):,} rows {'missing' if sign == '-' else 'too many'}")
        for row in sorted(rows)[:3]:
            print(f"    {sign} " + row.replace("\x1f", " | "))
    return True


def main():
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", default="sql/flights")
    parser.add_argument("--json", metavar="FILE")
    parser.add_argument("--out", metavar="FOLDER")
    parser.add_argument("--against", metavar="FOLDER")
    parser.add_argument("--all", action="store_true", help="views, tables and sources too, not the models alone")
    options = parser.parse_args()
    start = time.monotonic()
    models = run(options.folder, options.all)
    whole = time.monotonic() - start
    report, wrong = {}, False
    print(f"{'rows':>9}  {'seconds':>8}  {'hash':32}  name")
    for name, (kind, table, took) in models.items():
        if table is None:
            print(f"{'':>9}  {took:>8.3f}  {'':32}  {name} ({kind}, reading it)")
            continue
        rows = bag(table)
        report[name] = {"kind": kind, "rows": table.num_rows, "seconds": round(took, 3), "hash": digest(rows)}
        print(f"{table.num_rows:>9,}  {took:>8.3f}  {report[name]['hash']}  {name} ({kind})")
        if options.out:
            import pyarrow.parquet
            os.makedirs(options.out, exist_ok=True)
            pyarrow.parquet.write_table(plain(table), os.path.join(options.out, name + ".parquet"))
        if options.against:
            wrong |= differs(name, rows, options.against, table)
    needed = sum(took for kind, _, took in models.values() if kind in ("table", "model"))
    print(f"tables and models {needed:.3f} s; with all that was asked {whole:.3f} s; datafusion {datafusion.__version__}")
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump({"seconds": round(needed, 3), "relations": report}, file, indent=2)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
