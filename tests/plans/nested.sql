-- unnest
SELECT k, unnest(items) AS item FROM l;
-- an aggregate over unnest
SELECT item, count(*) AS n FROM (SELECT unnest(items) AS item FROM l) AS q GROUP BY item;
-- two lists side by side
SELECT k, unnest(items) AS item, unnest(make_array(k, k + 1)) AS near FROM l;
-- a list of lists
SELECT k, unnest(unnest(make_array(items, make_array(k)))) AS item FROM l;
-- a list of lists, to both depths
SELECT unnest(unnest(make_array(items, make_array(k)))) AS item, unnest(make_array(items, make_array(k))) AS list FROM l;
-- a struct
SELECT k, unnest(named_struct('a', a, 's', s)) FROM t;
-- a list of structs
SELECT k, q.part['a'] AS a, q.part['b'] AS b FROM (SELECT k, unnest(make_array(named_struct('a', a, 'b', b), named_struct('a', k, 'b', b))) AS part FROM t) AS q;
-- unnest in FROM
SELECT l.k, x FROM l, unnest(l.items) AS x WHERE x > 1;
-- LEFT JOIN of an unnest
SELECT l.k, x FROM l LEFT JOIN LATERAL unnest(l.items) AS x ON true;
-- a series up to a column
SELECT t.k, g FROM t, generate_series(1, t.k) AS g;
-- a series in the SELECT list
SELECT k, unnest(generate_series(a, a + 2)) AS n FROM t;
-- a join with what was unnested
SELECT q.k, u.c FROM (SELECT k, unnest(items) AS item FROM l) AS q JOIN u ON q.item = u.k;
