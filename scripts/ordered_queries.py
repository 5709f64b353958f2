#!/usr/bin/env python3
"""Asks Lotic and PostgreSQL the same random queries and compares the answers, rows in their order.

The tables have a primary key, and every ORDER BY names all columns, so that both servers have one right answer. Queries are nested:
groups, ranks, DISTINCT, joins, set operations, subqueries, and a LIMIT anywhere. A difference is printed with both answers.

    pip install 'psycopg[binary]'
    scripts/ordered_queries.py "host=127.0.0.1 port=5432 user=postgres" "host=127.0.0.1 port=5433 user=lotic dbname=lotic password=.." \
        --seed 1 --count 5000

Both servers' tables oa and ob are dropped and made anew.
"""

import argparse
import random
import sys

import psycopg

DIRECTIONS = ["", "", " DESC", " NULLS FIRST", " DESC NULLS LAST"]
JOINED = "SELECT oa.id, oa.k, oa.v, ob.x, ob.y FROM oa {}JOIN ob ON oa.k = ob.k"


class Queries:
    """Random queries, of which each is its text and the names of its columns, all whole numbers."""

    def __init__(self, seed):
        self.random = random.Random(seed)

    def chance(self, part):
        return self.random.random() < part

    def pick(self, choices):
        return self.random.choice(choices)

    def some(self, columns, most=None):
        most = min(len(columns), most or len(columns))
        return self.random.sample(columns, self.random.randint(1, most))

    def ordered(self, columns):
        columns = self.random.sample(columns, len(columns))
        return ", ".join(column + self.pick(DIRECTIONS) for column in columns)

    def call(self, columns):
        return f"{self.pick(['count', 'max', 'min', 'sum'])}({self.pick(columns)})"

    def window(self, columns):
        function = self.pick(["rank()", "rank()", "dense_rank()", "count(*)", self.call(columns)])
        partition = f"PARTITION BY {self.pick(columns)} " if self.chance(0.3) else ""
        order = "1" if self.chance(0.15) else self.pick(columns) + self.pick(DIRECTIONS)
        frame = ""
        if "rank" not in function and self.chance(0.4):
            frame = self.pick([
                " RANGE BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING",
                " RANGE BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING",
                " GROUPS BETWEEN 1 PRECEDING AND CURRENT ROW",
            ])
        return f"{function} OVER ({partition}ORDER BY {order}{frame})"

    def table(self):
        if self.chance(0.6):
            return "SELECT id, k, v, w FROM oa", ["id", "k", "v", "w"]
        if self.chance(0.5):
            return "SELECT k, x, y FROM ob", ["k", "x", "y"]
        return JOINED.format(self.pick(["", "LEFT ", "FULL "])), ["id", "k", "v", "x", "y"]

    def query(self, depth):
        if depth == 0:
            return self.table()
        text, columns = self.query(depth - 1)
        form = self.pick([self.groups, self.groups, self.windows, self.windows, self.distinct, self.values, self.joined, self.unnested])
        values, rest = form(depth, text, columns)
        names = [f"c{number}" for number in range(len(values))]
        given = ", ".join(f"{value} AS {name}" for value, name in zip(values, names))
        text = f"SELECT {'DISTINCT ' if form == self.distinct else ''}{given} FROM {rest}"
        for part, wrap in ((0.25, self.filtered), (0.12, self.combined), (0.12, self.first_of_each), (0.35, self.limited)):
            if self.chance(part):
                text, names = wrap(depth, text, names)
        return text, names

    def groups(self, depth, text, columns):
        keys = self.some(columns, 3)
        values = keys + [self.pick(["count(*)", self.call(columns)]) for _ in range(self.random.randrange(3))]
        if self.chance(0.3):
            values.append(f"rank() OVER (ORDER BY {self.pick(keys + ['count(*)'])}{self.pick(DIRECTIONS)})")
        return self.some(values), f"({text}) q{depth} GROUP BY {', '.join(keys)}"

    def windows(self, depth, text, columns):
        return self.some(columns) + [self.window(columns) for _ in range(self.random.randint(1, 2))], f"({text}) q{depth}"

    def distinct(self, depth, text, columns):
        return self.some(columns), f"({text}) q{depth}"

    def values(self, depth, text, columns):
        values = [self.pick([c, c, f"{c} + 1", f"- {c}", f"{c}::bigint / 2", f"coalesce({c}, 1)"]) for c in self.some(columns)]
        return values, f"({text}) q{depth}"

    def joined(self, depth, text, columns):
        other, others = self.query(max(0, depth - 2))
        values = [f"a.{column}" for column in self.some(columns)] + [f"b.{column}" for column in self.some(others, 2)]
        kind = self.pick(["JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN"])
        return values, f"({text}) a {kind} ({other}) b ON a.{self.pick(columns)} = b.{self.pick(others)}"

    def unnested(self, depth, text, columns):
        count = self.pick(["2", f"abs(coalesce(a.{self.pick(columns)}, 1)) % 3"])
        values = [f"a.{column}" for column in self.some(columns)] + ["g"]
        return values, f"({text}) a, generate_series(1, {count}) AS u(g)"

    def filtered(self, depth, text, names):
        other, others = self.table()
        column, inner = self.pick(names), self.pick(others)
        condition = self.pick([
            f"{column} > 1",
            f"{column} IN (SELECT {inner} FROM ({other}) s)",
            f"EXISTS (SELECT 1 FROM ({other}) s WHERE s.{inner} = f{depth}.{column})",
            f"NOT EXISTS (SELECT 1 FROM ({other}) s WHERE s.{inner} > f{depth}.{column})",
            f"{column} >= (SELECT {self.call(others)} FROM ({other}) s)",
            f"{column} <= (SELECT {self.call(others)} FROM ({other}) s WHERE s.{inner} = f{depth}.{self.pick(names)})",
        ])
        return f"SELECT * FROM ({text}) f{depth} WHERE {condition}", names

    def combined(self, depth, text, names):
        other, others = self.table()
        width = min(len(names), len(others))
        names = names[:width]
        kind = self.pick(["UNION", "INTERSECT", "EXCEPT", "EXCEPT ALL", "INTERSECT ALL", "UNION ALL"])
        return f"SELECT {', '.join(names)} FROM ({text}) u{depth} {kind} SELECT {', '.join(others[:width])} FROM ({other}) o", names

    def first_of_each(self, depth, text, names):
        names = self.random.sample(names, len(names))
        keys = ", ".join(names[: self.random.randint(1, len(names))])
        order = ", ".join(name + self.pick(DIRECTIONS) for name in names)
        given = ", ".join(names)
        return f"SELECT DISTINCT ON ({keys}) {given} FROM ({text}) d{depth} ORDER BY {order}", names

    def limited(self, depth, text, names):
        offset = f" OFFSET {self.random.randrange(5)}" if self.chance(0.3) else ""
        return f"SELECT * FROM ({text}) l{depth} ORDER BY {self.ordered(names)} LIMIT {self.random.randint(1, 11)}{offset}", names

    def whole(self):
        text, names = self.query(self.random.randint(1, 3))
        start = f"WITH z AS ({text}) SELECT * FROM z" if self.chance(0.3) else f"SELECT * FROM ({text}) z"
        limit = f" LIMIT {self.random.randint(1, 9)}" if self.chance(0.3) else ""
        return f"{start} ORDER BY {self.ordered(names)}{limit}"

    def rows(self, count, *kinds):
        def value(kind):
            return "NULL" if kind < 0 and self.chance(0.2) else str(self.random.randrange(abs(kind)))

        return [f"({', '.join(value(kind) for kind in kinds)})" for _ in range(count)]


def fill(servers, queries):
    keyed = [f"({number}, {row[1:]}" for number, row in enumerate(queries.rows(40, 5, -4, 4))]
    plain = queries.rows(20, -6, 3, -3)
    for server in servers:
        server.execute("DROP TABLE IF EXISTS oa")
        server.execute("DROP TABLE IF EXISTS ob")
        server.execute("CREATE TABLE oa (id INT PRIMARY KEY, k INT NOT NULL, v INT, w INT)")
        server.execute("CREATE TABLE ob (k INT, x INT, y INT)")
        # in parts, so that there are several to read at a time
        for table, rows in (("oa", keyed[:13]), ("oa", keyed[13:]), ("ob", plain[:7]), ("ob", plain[7:])):
            server.execute(f"INSERT INTO {table} VALUES {', '.join(rows)}")


def answer(server, text):
    return [tuple(None if value is None else int(value) for value in row) for row in server.execute(text)]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("postgres")
    parser.add_argument("lotic")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=1000)
    arguments = parser.parse_args()
    servers = [psycopg.connect(where, autocommit=True) for where in (arguments.postgres, arguments.lotic)]
    queries = Queries(arguments.seed)
    fill(servers, queries)
    refused = differ = 0
    for _ in range(arguments.count):
        text = queries.whole()
        try:
            expected = answer(servers[0], text)
        except psycopg.Error:
            refused += 1
            continue
        try:
            found = answer(servers[1], text)
        except psycopg.Error as error:
            found = str(error).split("\n", maxsplit=1)[0]
        if found != expected:
            differ += 1
            print(f"{text}\n  PostgreSQL {expected[:8]}\n  Lotic      {found[:8] if isinstance(found, list) else found}")
    print(f"{arguments.count} queries, {refused} refused by PostgreSQL, {differ} differ")
    sys.exit(differ > 0)


if __name__ == "__main__":
    main()
