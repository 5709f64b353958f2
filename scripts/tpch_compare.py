#!/usr/bin/env python3
"""Hold the answers and times of `lotic bench tpch` against PostgreSQL and the `datafusion` Python package.

    pip install pyarrow datafusion
    lotic bench tpch --scale 0.01 --part batch --keep /tmp/tpch          # makes the files
    python3 scripts/tpch_compare.py /tmp/tpch --lotic target/release/lotic    # answers, against PostgreSQL
    python3 scripts/tpch_compare.py /tmp/tpch --time                     # seconds of the datafusion package

For the answers a temporary PostgreSQL server is started (its programs are looked for under
/usr/lib/postgresql), filled from the Parquet files, and asked the same queries; Lotic computes them with
`lotic run`. Rows are compared as sets, since ORDER BY of a model says which rows are in it and not how they are
read; numbers may differ by a millionth, since PostgreSQL's numeric divides to more digits.

Exit status: 0 all is well, 1 a query differs, 2 could not run.
"""
import argparse
import collections
import csv
import decimal
import glob
import os
import pathlib
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent.parent / "src/cli/bench/tpch"
TABLES = ["region", "nation", "supplier", "customer", "part", "partsupp", "orders", "lineitem"]


def queries(scale):
    """The queries by name."""
    fraction = f"{0.0001 / scale:.12f}"
    texts = {}
    for path in sorted((HERE / "queries").glob("q*.sql")):
        texts[f"q{int(path.stem[1:])}"] = path.read_text().replace("${fraction}", fraction)
    return texts


class Postgres:
    """A server in a temporary folder, reached through a socket in it."""

    def __init__(self):
        found = sorted(glob.glob("/usr/lib/postgresql/*/bin/postgres"))
        if not found:
            sys.exit("no PostgreSQL server is installed")
        self.bin = os.path.dirname(found[-1])
        self.folder = tempfile.mkdtemp(prefix="tpch-postgres-")
        self.as_user = []
        if os.geteuid() == 0:
            shutil.chown(self.folder, "postgres", "postgres")
            self.as_user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
        data = f"{self.folder}/data"
        self.call("initdb", "-D", data, "-U", "tpch", "--auth=trust", "--encoding=UTF8", "--locale=C")
        options = f"-c listen_addresses='' -c unix_socket_directories='{self.folder}' -c fsync=off"
        self.call("pg_ctl", "-D", data, "-w", "-o", options, "-l", f"{self.folder}/log", "start")

    def call(self, program, *arguments):
        command = [*self.as_user, f"{self.bin}/{program}", *arguments]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=self.folder)

    def psql(self, *arguments, stdin=None):
        command = ["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-h", self.folder, "-U", "tpch", "-d", "postgres"]
        return subprocess.run([*command, *arguments], check=True, stdin=stdin, stdout=subprocess.PIPE, text=True).stdout

    def stop(self):
        self.call("pg_ctl", "-D", f"{self.folder}/data", "-m", "immediate", "stop")
        shutil.rmtree(self.folder)


def fill(server, folder):
    """The tables of the Parquet files, in the server."""
    import pyarrow.csv
    import pyarrow.parquet

    server.psql("-f", str(HERE / "tables.sql"))
    for table in TABLES:
        with tempfile.NamedTemporaryFile(suffix=".csv") as file:
            rows = pyarrow.parquet.read_table(f"{folder}/{table}.parquet")
            plain = pyarrow.schema(
                [f.with_type(pyarrow.string()) if "string" in str(f.type) else f for f in rows.schema]
            )
            pyarrow.csv.write_csv(rows.cast(plain), file.name)
            with open(file.name) as stdin:
                server.psql("-c", f"COPY {table} FROM STDIN WITH (FORMAT csv, HEADER)", stdin=stdin)
    for index in ["lineitem (l_partkey)", "partsupp (ps_partkey)", "orders (o_custkey)"]:
        server.psql("-c", f"CREATE INDEX ON {index}")
    server.psql("-c", "ANALYZE")


def run_lotic(lotic, folder, texts, out):
    """Every query as a model of a pipeline, by `lotic run`."""
    pipeline = pathlib.Path(out) / "pipeline"
    pipeline.mkdir()
    with open(pipeline / "queries.sql", "w") as file:
        for table in TABLES:
            path = os.path.abspath(f"{folder}/{table}.parquet")
            file.write(f"CREATE SOURCE {table} WITH (connector = 'file', path = '{path}', format = 'parquet');\n")
        for name, text in texts.items():
            file.write(f"CREATE MATERIALIZED VIEW {name} AS\n{text};\n")
    command = [lotic, "run", str(pipeline), "--out", out, "--format", "csv", "--quiet"]
    subprocess.run(command, check=True)


def value(text):
    """A number, or the text as it is."""
    try:
        return decimal.Decimal(text)
    except decimal.InvalidOperation:
        return re.sub(r"T00:00:00$", "", text)


def close(ours, theirs):
    """Whether two rows are equal but for the last digits of quotients."""
    if len(ours) != len(theirs):
        return False
    for our, their in zip(ours, theirs):
        if isinstance(our, decimal.Decimal) and isinstance(their, decimal.Decimal):
            if abs(our - their) > decimal.Decimal("1e-6") + abs(their) * decimal.Decimal("1e-9"):
                return False
        elif our != their:
            return False
    return True


def difference(ours, theirs):
    """The rows that one side lacks."""
    extra, missing = list((ours - theirs).elements()), list((theirs - ours).elements())
    for row in list(extra):
        partner = next((other for other in missing if close(row, other)), None)
        if partner is not None:
            extra.remove(row)
            missing.remove(partner)
    return missing, extra


def rows_of(lines):
    rows = list(csv.reader(lines))
    # a row that is one NULL is an empty line
    return collections.Counter(tuple(value(cell) for cell in row or [""]) for row in rows[1:])


def compare(folder, lotic, scale):
    texts = queries(scale)
    server = Postgres()
    differ = 0
    try:
        fill(server, folder)
        with tempfile.TemporaryDirectory() as out:
            run_lotic(lotic, folder, texts, out)
            for name, text in texts.items():
                theirs = rows_of(server.psql("--csv", "-c", text).splitlines())
                with open(f"{out}/{name}.csv", newline="") as file:
                    ours = rows_of(file)
                missing, extra = difference(ours, theirs)
                print(f"{name:>4} {sum(theirs.values()):>6} rows", "equal" if not missing and not extra else "DIFFERS")
                for sign, rows in [("PostgreSQL", missing), ("Lotic", extra)]:
                    for row in rows[:3]:
                        print("     only", sign, row)
                differ += bool(missing or extra)
    finally:
        server.stop()
    print(f"{len(texts) - differ} of {len(texts)} queries are equal")
    return 1 if differ else 0


def measure(folder, scale):
    import datafusion

    context = datafusion.SessionContext()
    for table in TABLES:
        context.register_parquet(table, f"{folder}/{table}.parquet")
    total, cpu_total = 0.0, 0.0
    for name, text in queries(scale).items():
        start, cpu = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF)
        rows = sum(batch.num_rows for batch in context.sql(text).collect())
        after = resource.getrusage(resource.RUSAGE_SELF)
        seconds = time.monotonic() - start
        spent = after.ru_utime + after.ru_stime - cpu.ru_utime - cpu.ru_stime
        total, cpu_total = total + seconds, cpu_total + spent
        print(f"{name:>6} {rows:>7} rows {seconds:>8.3f} s {spent:>8.3f} s of processor time")
    print(f" total {total:>21.3f} s {cpu_total:>8.3f} s of processor time")
    return 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", help="what --keep named")
    parser.add_argument("--lotic", default="target/release/lotic", help="the program to ask")
    parser.add_argument("--time", action="store_true", help="times of the datafusion package instead")
    arguments = parser.parse_args()
    scale = float(pathlib.Path(arguments.folder, "scale").read_text().split()[0])
    if arguments.time:
        return measure(arguments.folder, scale)
    return compare(arguments.folder, arguments.lotic, scale)


if __name__ == "__main__":
    sys.exit(main())
