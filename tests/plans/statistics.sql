-- covariance and correlation
SELECT k, covar_pop(b, a) AS cp, covar_samp(b, a) AS cs, corr(b, a) AS r FROM t GROUP BY k;
-- covariance of floats with infinities and NaN
SELECT k, covar_pop(x, a) AS cp, corr(x, b) AS r, covar_samp(a, x) AS cs FROM t GROUP BY k;
-- regression
SELECT k, regr_slope(b, a) AS slope, regr_intercept(b, a) AS i, regr_r2(b, a) AS r2, regr_count(b, a) AS n FROM t GROUP BY k;
-- averages and squares of pairs
SELECT k, regr_avgx(b, a) AS ax, regr_avgy(b, a) AS ay, regr_sxx(b, a) AS sxx, regr_syy(b, a) AS syy, regr_sxy(b, a) AS sxy FROM t GROUP BY k;
-- regression of floats
SELECT k, regr_slope(x, a) AS slope, regr_avgy(x, a) AS ay, regr_sxx(a, x) AS sxx, regr_r2(a, x) AS r2 FROM t GROUP BY k;
-- distinct and filtered pairs
SELECT k, corr(DISTINCT b, a) AS r, covar_pop(b, a) FILTER (WHERE f) AS cp, regr_count(x, d) FILTER (WHERE a > 0) AS n FROM t GROUP BY k;
-- one row of statistics for everything
SELECT corr(b, a) AS r, regr_count(b, a) AS n, var_pop(a) AS v, stddev_samp(DISTINCT a) AS sd FROM t;
-- spread of integers, decimals and floats
SELECT k, var_pop(a) AS va, stddev(b) AS sb, var_samp(d) AS vd, stddev_pop(x) AS sx, var_pop(DISTINCT a) AS vda FROM t GROUP BY k;
-- statistics of grouping sets
SELECT k, a, corr(b, x) AS r, regr_count(b, a) AS n FROM t GROUP BY ROLLUP (k, a);
