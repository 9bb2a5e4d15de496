//! `HELP`.

/// What can be typed.
pub(super) const HELP: &str = "\
Statements end with a semicolon, and may go over several lines.

  SELECT … | VALUES … | WITH …     show the result of a query; a file may stand in FROM: 'flights.csv'
  INSERT INTO … SELECT …           run a job that writes into a table
  EXECUTE STATEMENT SET BEGIN … END
                                   run one job that writes into several tables
  EXPLAIN [CHANGELOG_MODE, JSON_EXECUTION_PLAN] …
                                   show how a statement would be run
  CREATE | ALTER | DROP …          tables, views, databases, catalogs
  USE … | SHOW … | DESCRIBE …      look around
  SET ['key' = 'value'] | RESET ['key']
                                   show and change options; among them
                                   'sql-client.execution.result-mode' = 'table' | 'changelog' | 'tableau'
                                   'table.dml-sync' = 'true': wait for jobs that write
  SHOW JOBS                        the jobs of this shell
  DESCRIBE JOB 'id'                one of them
  STOP JOB 'id' [WITH SAVEPOINT] [WITH DRAIN]
                                   end one of them
  CLEAR | HELP | QUIT | EXIT       need no semicolon

  Tab completes, the arrows go back to what was typed, Ctrl-R searches it.
  Ctrl-C ends a query, or empties the line; Ctrl-D leaves.
";
