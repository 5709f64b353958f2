-- values made and looked into
SELECT k, jsonb_build_object('a', a, 's', s) -> 'a' AS j, to_jsonb(s) ->> 0 AS text FROM t;
-- JSON as the key of groups
SELECT jsonb_build_array(a, b) AS j, count(*) AS n FROM t GROUP BY jsonb_build_array(a, b);
-- JSON as the key of a join
SELECT t.k, u.c FROM t JOIN u ON to_jsonb(t.k) = to_jsonb(u.k) AND to_jsonb(u.c) @> to_jsonb(u.c);
-- rows of elements
SELECT t.k, e AS element FROM t, jsonb_array_elements(jsonb_build_array(t.a, t.s, NULL)) AS e;
-- rows of members
SELECT t.k, m.key, m.value FROM t, jsonb_each_text(jsonb_build_object('a', t.a, 's', t.s)) AS m;
-- aggregates that make JSON
SELECT k, jsonb_agg(a ORDER BY a) AS list, jsonb_object_agg(b, a ORDER BY a) FILTER (WHERE b IS NOT NULL) AS object FROM t GROUP BY k;
-- texts read as JSON, some of which are none
SELECT k, CAST(s AS JSONB) AS j FROM t;
-- changed values
SELECT k, jsonb_build_object('a', a) || jsonb_build_object('b', b) - 'a' AS j FROM t;
