//! Tables that are written by primary key, and tables that are read so: random changes go through queries, and what a table was told
//! comes to what the query says of the rows that are left.

use std::collections::{BTreeMap, BTreeSet};

use tidemill_core::batch::RowKind;
use tidemill_sql::{Connectors, Planned, SqlSession};
use tidemill_testkit::Random;
use tidemill_testkit::jobs::Job;

use super::changing::{Changes, Changing, Values};

/// `t` is added to; `u` says the last row of each `id`, `uk` too, and of rows that are taken away the `id` only; `r` says all changes.
const TABLES: &str = "
    CREATE TABLE t (id BIGINT, k BIGINT, v BIGINT) WITH ('connector' = 'changing');
    CREATE TABLE u (id BIGINT, k BIGINT, v BIGINT, PRIMARY KEY (id) NOT ENFORCED)
      WITH ('connector' = 'changing', 'changes' = 'upsert');
    CREATE TABLE uk (id BIGINT, k BIGINT, v BIGINT, PRIMARY KEY (id) NOT ENFORCED)
      WITH ('connector' = 'changing', 'changes' = 'upsert-keys', 'scan.parallelism' = '1');
    CREATE TABLE r (id BIGINT, k BIGINT, v BIGINT, PRIMARY KEY (id) NOT ENFORCED)
      WITH ('connector' = 'changing', 'changes' = 'all');
    CREATE TABLE by_one (a BIGINT, b BIGINT, c BIGINT, PRIMARY KEY (a) NOT ENFORCED)
      WITH ('connector' = 'changing', 'changes' = 'upsert');
    CREATE TABLE by_two (a BIGINT, b BIGINT, c BIGINT, PRIMARY KEY (a, b) NOT ENFORCED)
      WITH ('connector' = 'changing', 'changes' = 'upsert', 'sink.parallelism' = '1');
    CREATE TABLE by_key (a BIGINT, b BIGINT, c BIGINT, PRIMARY KEY (a) NOT ENFORCED)
      WITH ('connector' = 'changing', 'changes' = 'upsert-keys');
    CREATE TABLE whole (a BIGINT, b BIGINT, c BIGINT) WITH ('connector' = 'changing', 'changes' = 'all');";

/// The rows that are left of each table.
type Left = BTreeMap<&'static str, Vec<[i64; 3]>>;

/// Random changes of a table, and the rows that they leave.
fn changes(random: &mut Random, table: &str) -> (Vec<Changes>, Vec<[i64; 3]>) {
    let mut left: BTreeMap<i64, [i64; 3]> = BTreeMap::new();
    let mut batches = Vec::new();
    let mut next = 0;
    for _ in 0..12 {
        let mut batch: Changes = Vec::new();
        for _ in 0..random.below(6) {
            let row: Values = [random.below(4), random.below(8)].map(|value| Some(value as i64)).to_vec();
            let is_new = table == "t" || left.is_empty() || random.one_in(2);
            let id = if is_new {
                next += 1;
                next
            } else {
                *left.keys().nth(random.below(left.len() as u64) as usize).unwrap()
            };
            let before = left.get(&id).map(|row| row.map(Some).to_vec());
            let after = [id, row[0].unwrap(), row[1].unwrap()];
            let values = after.map(Some).to_vec();
            if let Some(before) = &before
                && random.one_in(3)
            {
                left.remove(&id);
                let gone = if table == "uk" { vec![Some(id), None, None] } else { before.clone() };
                batch.push((RowKind::Delete, gone));
                continue;
            }
            left.insert(id, after);
            match (before, table) {
                (None, _) => batch.push((RowKind::Insert, values)),
                (Some(before), "r") => {
                    batch.push((RowKind::UpdateBefore, before));
                    batch.push((RowKind::UpdateAfter, values));
                }
                (Some(_), _) => {
                    let kind = if random.one_in(2) { RowKind::Insert } else { RowKind::UpdateAfter };
                    batch.push((kind, values));
                }
            }
        }
        if !batch.is_empty() {
            batches.push(batch);
        }
    }
    (batches, left.into_values().collect())
}

/// Some random tables.
fn made_up(seed: u64) -> (Changing, Left) {
    let mut random = Random::seeded(seed);
    let tables = Changing::default();
    let mut left = Left::new();
    for table in ["t", "u", "uk", "r"] {
        let (given, rows) = changes(&mut random, table);
        tables.given.lock().unwrap().insert(table.to_owned(), given);
        left.insert(table, rows);
    }
    (tables, left)
}

fn session(tables: &Changing) -> SqlSession {
    let mut connectors = Connectors::default();
    connectors.add(tables.clone());
    let mut session = SqlSession::new(connectors, BTreeMap::new());
    session.plan_script(TABLES).unwrap();
    session
}

/// Runs a script; answers what each table was told.
fn told(tables: &Changing, script: &str, parallelism: u32) -> BTreeMap<String, Changes> {
    tables.told.lock().unwrap().clear();
    let planned = session(tables).plan_script(script).unwrap_or_else(|error| panic!("{script}: {error}"));
    for planned in planned {
        let Planned::Job(job) = planned else { continue };
        let mut running = Job::new(&job.name).parallelism(parallelism);
        running.graph = job.graph.0;
        running.run().unwrap_or_else(|error| panic!("{script}: {error}"));
    }
    tables.told.lock().unwrap().clone()
}

/// The rows of a table that takes changes by the first `key` columns.
fn by_key(changes: &Changes, key: usize) -> BTreeMap<Values, Values> {
    let mut table = BTreeMap::new();
    for (kind, row) in changes {
        match kind {
            RowKind::Insert | RowKind::UpdateAfter => {
                table.insert(row[..key].to_vec(), row.clone());
            }
            RowKind::Delete => {
                assert!(table.remove(&row[..key]).is_some(), "{row:?} is taken away, but is not there");
            }
            RowKind::UpdateBefore => panic!("{row:?} is an old row"),
        }
    }
    table
}

/// The rows of a table that takes all changes.
fn folded(changes: &Changes) -> Vec<Values> {
    let mut table: BTreeMap<&Values, i64> = BTreeMap::new();
    for (kind, row) in changes {
        let is_new = matches!(kind, RowKind::Insert | RowKind::UpdateAfter);
        let count = table.entry(row).or_default();
        *count += if is_new { 1 } else { -1 };
        assert!(*count >= 0, "{row:?} is taken away, but is not there");
    }
    table.into_iter().flat_map(|(row, count)| (0..count).map(|_| row.clone())).collect()
}

fn sorted(rows: impl IntoIterator<Item = [Option<i64>; 3]>) -> Vec<Values> {
    let mut rows: Vec<Values> = rows.into_iter().map(|row| row.to_vec()).collect();
    rows.sort();
    rows
}

/// `SELECT k, COUNT(*), SUM(v) … GROUP BY k`.
fn grouped(rows: &[[i64; 3]]) -> BTreeMap<i64, [i64; 2]> {
    let mut groups: BTreeMap<i64, [i64; 2]> = BTreeMap::new();
    for [_, k, v] in rows {
        let group = groups.entry(*k).or_default();
        *group = [group[0] + 1, group[1] + v];
    }
    groups
}

/// Runs queries over random tables, and compares the rows of the table that they are written to.
fn check(
    into: &str,
    key: usize,
    settings: &str,
    query: &str,
    answer: impl Fn(&Left) -> Vec<[Option<i64>; 3]>,
) {
    for seed in Random::seeds(6) {
        let (tables, left) = made_up(seed);
        for parallelism in [1, 2] {
            let script = format!("{settings} INSERT INTO {into} {query};");
            let told = told(&tables, &script, parallelism);
            let told = told.get(into).cloned().unwrap_or_default();
            let found: Vec<Values> = by_key(&told, key).into_values().collect();
            assert_eq!(
                sorted(answer(&left)),
                found,
                "{script} with TIDEMILL_SEED={seed} at parallelism {parallelism}: {told:?}"
            );
        }
    }
}

fn some(row: [i64; 3]) -> [Option<i64>; 3] {
    row.map(Some)
}

const BUNDLES: &str = "SET 'table.exec.mini-batch.enabled' = 'true'; SET 'table.exec.mini-batch.size' = '3';
    SET 'table.exec.mini-batch.allow-latency' = '1 h';";

const SPLIT: &str = "SET 'table.optimizer.distinct-agg.split.enabled' = 'true';";

#[test]
fn groups() {
    for table in ["t", "u", "uk", "r"] {
        let query = format!("SELECT k, COUNT(*), SUM(v) FROM {table} GROUP BY k");
        let forced = "SET 'table.exec.sink.upsert-materialize' = 'FORCE';";
        for settings in ["", forced, BUNDLES] {
            check("by_one", 1, settings, &query, |left| {
                grouped(&left[table]).into_iter().map(|(k, [n, sum])| some([k, n, sum])).collect()
            });
        }
        let distinct = format!("SELECT k, COUNT(*), COUNT(DISTINCT v) FROM {table} GROUP BY k");
        check("by_one", 1, &format!("{BUNDLES} {SPLIT}"), &distinct, |left| {
            let values = |k| -> BTreeSet<i64> {
                left[table].iter().filter(|row| row[1] == k).map(|row| row[2]).collect()
            };
            let distinct = |k| values(k).len() as i64;
            grouped(&left[table]).into_iter().map(|(k, [n, _])| some([k, n, distinct(k)])).collect()
        });
        // The table tells rows apart by more than the query does.
        check("by_two", 2, "", &query, |left| {
            grouped(&left[table]).into_iter().map(|(k, [n, sum])| some([k, n, sum])).collect()
        });
    }
}

#[test]
fn conditions_on_what_changes() {
    for table in ["t", "u", "uk", "r"] {
        let query = format!(
            "SELECT * FROM (SELECT k, COUNT(*) AS n, SUM(v) AS s FROM {table} GROUP BY k) WHERE MOD(n, 2) = 0"
        );
        check("by_one", 1, "", &query, |left| {
            let groups = grouped(&left[table]).into_iter().filter(|(_, [n, _])| n % 2 == 0);
            groups.map(|(k, [n, sum])| some([k, n, sum])).collect()
        });
    }
    for table in ["u", "uk", "r"] {
        for into in ["by_one", "by_key"] {
            let is_left = |condition: &'static str, row: &[i64; 3]| match condition {
                "v > 3" => row[2] > 3,
                "id > 3" => row[0] > 3,
                "id > 2 AND v > 3" => row[0] > 2 && row[2] > 3,
                _ => true,
            };
            for condition in ["TRUE", "v > 3", "id > 3", "id > 2 AND v > 3"] {
                let query = format!("SELECT id, k, v FROM {table} WHERE {condition}");
                check(into, 1, "", &query, |left| {
                    left[table].iter().filter(|row| is_left(condition, row)).map(|row| some(*row)).collect()
                });
            }
        }
        let query = format!("SELECT id, v, v + 1 FROM {table}");
        check("by_key", 1, "", &query, |left| {
            left[table].iter().map(|[id, _, v]| some([*id, *v, v + 1])).collect()
        });
    }
}

#[test]
fn joins() {
    for (one, other) in [("t", "u"), ("u", "r"), ("uk", "t"), ("r", "uk")] {
        let of = |table: &str| format!("(SELECT k, COUNT(*) AS n, SUM(v) AS s FROM {table} GROUP BY k)");
        let (left, right) = (of(one), of(other));
        let inner = format!("SELECT l.k, l.n, r.s FROM {left} AS l JOIN {right} AS r ON l.k = r.k");
        check("by_one", 1, "", &inner, |tables| {
            let (left, right) = (grouped(&tables[one]), grouped(&tables[other]));
            left.into_iter().filter_map(|(k, [n, _])| Some(some([k, n, right.get(&k)?[1]]))).collect()
        });
        let outer = inner.replace("JOIN", "LEFT JOIN");
        check("by_one", 1, "", &outer, |tables| {
            let (left, right) = (grouped(&tables[one]), grouped(&tables[other]));
            left.into_iter()
                .map(|(k, [n, _])| [Some(k), Some(n), right.get(&k).map(|right| right[1])])
                .collect()
        });
        let more = format!("{inner} AND l.n < r.n");
        check("by_one", 1, "", &more, |tables| {
            let (left, right) = (grouped(&tables[one]), grouped(&tables[other]));
            left.into_iter()
                .filter_map(|(k, [n, _])| {
                    right.get(&k).filter(|right| n < right[0]).map(|right| some([k, n, right[1]]))
                })
                .collect()
        });
    }
    for (one, other) in [("u", "uk"), ("uk", "r"), ("r", "u")] {
        let by_id = |rows: &[[i64; 3]]| -> BTreeMap<i64, [i64; 3]> {
            rows.iter().map(|row| (row[0], *row)).collect()
        };
        for (join, is_outer) in [("JOIN", false), ("LEFT JOIN", true)] {
            let query = format!("SELECT l.id, l.v, r.v FROM {one} AS l {join} {other} AS r ON l.id = r.id");
            check("by_one", 1, "", &query, |tables| {
                let (left, right) = (by_id(&tables[one]), by_id(&tables[other]));
                let pairs = left
                    .into_iter()
                    .map(|(id, row)| [Some(id), Some(row[2]), right.get(&id).map(|right| right[2])]);
                pairs.filter(|row| is_outer || row[2].is_some()).collect()
            });
        }
        for (not, wanted) in [("", true), ("NOT", false)] {
            let query = format!(
                "SELECT id, k, v FROM {one} AS l WHERE {not} EXISTS (SELECT 1 FROM {other} AS r WHERE r.id = l.id)"
            );
            check("by_one", 1, "", &query, |tables| {
                let right = by_id(&tables[other]);
                let rows = tables[one].iter().filter(|row| right.contains_key(&row[0]) == wanted);
                rows.map(|row| some(*row)).collect()
            });
        }
        // The rows of the left are dealt out by another column than the one that tells them apart.
        let query = format!(
            "SELECT l.id, r.id, l.v FROM {one} AS l JOIN {other} AS r ON l.k = r.k ON CONFLICT DO DEDUPLICATE"
        );
        check("by_two", 2, "", &query, |tables| {
            let mut pairs = Vec::new();
            for left in &tables[one] {
                let right = tables[other].iter().filter(|right| right[1] == left[1]);
                pairs.extend(right.map(|right| some([left[0], right[0], left[2]])));
            }
            pairs
        });
    }
}

#[test]
fn ranks() {
    for table in ["t", "u", "uk", "r"] {
        let query = format!(
            "SELECT k, place, v FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY k ORDER BY v DESC) AS place FROM {table}) \
             WHERE place <= 2"
        );
        let ranked = |rows: &[[i64; 3]], most: usize| {
            let mut all: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
            rows.iter().for_each(|[_, k, v]| all.entry(*k).or_default().push(*v));
            let mut found = Vec::new();
            for (k, mut values) in all {
                values.sort_by(|one, other| other.cmp(one));
                found.extend(values.iter().take(most).zip(1..).map(|(v, place)| some([k, place, *v])));
            }
            found
        };
        check("by_two", 2, "", &query, |left| ranked(&left[table], 2));
        let first = query.replace("place <= 2", "place = 1");
        check("by_one", 1, "", &first, |left| ranked(&left[table], 1));
    }
}

/// Rows of different keys of a query that have one primary key: one of them is left, as long as there is one.
#[test]
fn rows_with_one_primary_key() {
    for (query, tables) in [
        ("SELECT id, k, v FROM u UNION ALL SELECT id, k, v FROM r", ["u", "r"]),
        ("SELECT v, id, k FROM uk", ["uk", "uk"]),
        ("SELECT v, id, k FROM u WHERE k > 1 UNION ALL SELECT v, id, k FROM t WHERE k > 1", ["u", "t"]),
    ] {
        let turned = query.starts_with("SELECT v");
        let filtered = query.contains("k > 1");
        for seed in Random::seeds(6) {
            let (given, left) = made_up(seed);
            let rows: BTreeSet<Values> = tables
                .iter()
                .flat_map(|table| &left[table])
                .filter(|row| !filtered || row[1] > 1)
                .map(|[id, k, v]| if turned { [*v, *id, *k] } else { [*id, *k, *v] })
                .map(|row| some(row).to_vec())
                .collect();
            let keys: BTreeSet<Values> = rows.iter().map(|row| row[..1].to_vec()).collect();
            for parallelism in [1, 2] {
                for script in [
                    format!("INSERT INTO by_one {query} ON CONFLICT DO DEDUPLICATE;"),
                    format!(
                        "SET 'table.exec.sink.require-on-conflict' = 'false'; INSERT INTO by_one {query};"
                    ),
                ] {
                    let told = told(&given, &script, parallelism);
                    let found = by_key(told.get("by_one").unwrap_or(&Vec::new()), 1);
                    let what = format!("{script} with TIDEMILL_SEED={seed}: {told:?}");
                    assert_eq!(keys, found.keys().cloned().collect(), "{what}");
                    assert!(found.values().all(|row| rows.contains(row)), "{what}, of {rows:?}");
                }
            }
        }
    }
}

/// A table that takes all changes, and one that takes them by key, of the same rows.
#[test]
fn shared_rows() {
    for seed in Random::seeds(6) {
        let (tables, left) = made_up(seed);
        for parallelism in [1, 2] {
            let script = "CREATE VIEW in_groups AS SELECT k, COUNT(*) AS n, SUM(v) AS s FROM u GROUP BY k;
                EXECUTE STATEMENT SET BEGIN
                  INSERT INTO whole SELECT k, n, s FROM in_groups;
                  INSERT INTO whole SELECT id, k, v FROM uk;
                  INSERT INTO by_one SELECT k, n, s FROM in_groups;
                  INSERT INTO by_key SELECT id, k, v FROM uk;
                END;";
            let told = told(&tables, script, parallelism);
            let groups: Vec<_> = grouped(&left["u"]).into_iter().map(|(k, [n, s])| some([k, n, s])).collect();
            let rows: Vec<_> = left["uk"].iter().map(|row| some(*row)).collect();
            let of = |table: &str| told.get(table).cloned().unwrap_or_default();
            assert_eq!(sorted(groups.clone()), by_key(&of("by_one"), 1).into_values().collect::<Vec<_>>());
            assert_eq!(sorted(rows.clone()), by_key(&of("by_key"), 1).into_values().collect::<Vec<_>>());
            assert_eq!(sorted(groups.into_iter().chain(rows)), folded(&of("whole")), "{told:?}");
        }
    }
}

/// Changes that come twice.
#[test]
fn events_that_come_twice() {
    for seed in Random::seeds(6) {
        let (tables, left) = made_up(seed);
        for changes in tables.given.lock().unwrap().get_mut("r").unwrap() {
            let again = changes.clone();
            changes.extend(again);
        }
        let script = "SET 'table.exec.source.cdc-events-duplicate' = 'true';
            INSERT INTO whole SELECT id, k, v FROM r; INSERT INTO by_one SELECT id, k, v FROM r WHERE v > 3;
            INSERT INTO by_two SELECT k, COUNT(*), SUM(v) FROM r GROUP BY k;";
        let told = told(&tables, script, 2);
        let of = |table: &str| told.get(table).cloned().unwrap_or_default();
        assert_eq!(sorted(left["r"].iter().map(|row| some(*row))), folded(&of("whole")));
        let greater = left["r"].iter().filter(|row| row[2] > 3).map(|row| some(*row));
        assert_eq!(sorted(greater), by_key(&of("by_one"), 1).into_values().collect::<Vec<_>>());
        let groups = grouped(&left["r"]).into_iter().map(|(k, [n, s])| some([k, n, s]));
        assert_eq!(sorted(groups), by_key(&of("by_two"), 2).into_values().collect::<Vec<_>>());
    }
}

#[test]
fn nulls_where_there_must_be_none() {
    let tables = Changing::default();
    let row = |k: Option<i64>| (RowKind::Insert, vec![Some(1), k, Some(2)]);
    tables.given.lock().unwrap().insert("t".to_owned(), vec![vec![row(Some(7)), row(None), row(Some(8))]]);
    let into = "CREATE TABLE filled (a BIGINT, b BIGINT NOT NULL) WITH ('connector' = 'changing'); INSERT INTO filled SELECT id, k FROM t;";
    let drop = "SET 'table.exec.sink.not-null-enforcer' = 'DROP';";
    let told = told(&tables, &format!("{drop} {into}"), 1);
    let left = [7, 8].map(|k| (RowKind::Insert, vec![Some(1), Some(k)]));
    assert_eq!(told["filled"], left);

    let mut session = session(&tables);
    let planned = session.plan_script(into).unwrap();
    let Some(Planned::Job(job)) = planned.into_iter().last() else { panic!("no job") };
    let mut running = Job::new(&job.name);
    running.graph = job.graph.0;
    let error = running.run().unwrap_err().to_string();
    assert!(
        error.contains("the column 'b' of the table 'default_catalog.default_database.filled' is NOT NULL"),
        "{error}"
    );
}

/// The plan of a script's last statement.
fn explained(script: &str) -> String {
    let mut planned = session(&Changing::default()).plan_script(script).unwrap();
    let Some(Planned::Text(text)) = planned.pop() else { panic!("{script}") };
    text
}

#[test]
fn rows_are_dealt_out_by_primary_key() {
    let of_all = "CREATE TABLE s (a BIGINT, PRIMARY KEY (a) NOT ENFORCED) WITH ('connector' = 'changing', 'changes' = 'all');";
    let insert = format!("{of_all} EXPLAIN INSERT INTO s SELECT id FROM t");
    let with_parallelism = insert.replace("INTO s", "INTO s /*+ OPTIONS('sink.parallelism' = '3') */");
    // Changes by key must stay in order, whatever is said.
    let by_key = "EXPLAIN INSERT INTO by_one /*+ OPTIONS('sink.parallelism' = '3') */ SELECT id, k, v FROM u WHERE v > 1";
    let set = |value: &str| format!("SET 'table.exec.sink.keyed-shuffle' = '{value}';");
    for (script, is_dealt_out) in [
        (insert.clone(), false),
        (with_parallelism.clone(), true),
        (set("NONE") + &with_parallelism, false),
        (set("FORCE") + &insert, true),
        (set("NONE") + by_key, true),
    ] {
        assert_eq!(explained(&script).contains("Exchange(distribution=[hash[a]])"), is_dealt_out, "{script}");
    }
}

#[test]
fn rows_are_kept_where_that_is_asked_for() {
    let set = |value: &str| {
        format!(
            "SET 'table.exec.sink.upsert-materialize' = '{value}'; EXPLAIN INSERT INTO by_one SELECT id, k, v FROM u UNION ALL SELECT * FROM r"
        )
    };
    assert!(explained(&set("FORCE")).contains("SinkMaterializer(pk=[a], upsertKey=[])"));
    assert!(!explained(&set("NONE")).contains("SinkMaterializer"));
    let deduplicated = set("AUTO") + " ON CONFLICT DO DEDUPLICATE";
    assert!(explained(&deduplicated).contains("SinkMaterializer"));
    let keyed = "SET 'table.exec.sink.upsert-materialize' = 'FORCE'; EXPLAIN INSERT INTO by_one SELECT id, k, v FROM u";
    assert!(explained(keyed).contains("SinkMaterializer(pk=[a], upsertKey=[a])"));
}

#[test]
fn what_is_refused() {
    let refused = |script: &str, expected: &str| {
        let error = session(&Changing::default()).plan_script(script).unwrap_err().to_string();
        assert!(error.contains(expected), "{script}: {error}");
    };
    refused("INSERT INTO by_one SELECT id, k, v FROM t", "the rows of the query have no upsert key");
    refused("INSERT INTO by_one SELECT k, id, v FROM u", "are told apart by (b)");
    refused(
        "INSERT INTO by_one SELECT id, k, v FROM u ON CONFLICT DO NOTHING",
        "ON CONFLICT DO NOTHING are not supported",
    );
    // So does Apache Flink 2.3.0: "ON CONFLICT clause is only allowed for upsert sinks".
    for changes in ["insert", "all"] {
        refused(
            &format!(
                "CREATE TABLE s (a BIGINT, PRIMARY KEY (a) NOT ENFORCED) WITH ('connector' = 'changing', 'changes' = '{changes}');
                 INSERT INTO s SELECT k FROM t ON CONFLICT DO DEDUPLICATE"
            ),
            "ON CONFLICT stands only where rows are written by primary key",
        );
    }
    refused(
        "CREATE TABLE s (a BIGINT) WITH ('connector' = 'changing', 'changes' = 'upsert'); INSERT INTO s SELECT id FROM u",
        "takes rows by primary key, but declares none",
    );
    refused(
        "CREATE TABLE s (a BIGINT) WITH ('connector' = 'changing', 'changes' = 'upsert'); SELECT * FROM s",
        "needs a primary key",
    );
    refused(
        "SET 'table.exec.source.cdc-events-duplicate' = 'true';
         CREATE TABLE s (a BIGINT) WITH ('connector' = 'changing', 'changes' = 'all'); SELECT * FROM s",
        "needs a primary key",
    );
    refused(
        "CREATE TABLE s (a BIGINT, b BIGINT) WITH ('connector' = 'changing'); INSERT INTO s SELECT k, COUNT(*) FROM t GROUP BY k",
        "takes new rows only, but GroupAggregate(groupBy=[k], select=[k, COUNT(*) AS EXPR$0]) updates rows: the column 'b' would change",
    );
}
