//! A script of SQL as a program that is killed: windows, a join and distinct rows, written to files.

use std::path::Path;
use std::process::Command;

/// The tables; an event comes every 10 ms of event time, and 24000 in a second.
const TABLES: &str = "
CREATE TABLE events (
  event_type INT,
  auction ROW<id BIGINT, seller BIGINT, category BIGINT, `dateTime` TIMESTAMP(3)>,
  bid ROW<auction BIGINT, bidder BIGINT, price BIGINT, `dateTime` TIMESTAMP(3)>,
  ts AS CASE event_type WHEN 1 THEN auction.`dateTime` ELSE bid.`dateTime` END,
  WATERMARK FOR ts AS ts - INTERVAL '4' SECOND
) WITH ('connector' = 'nexmark', 'events.num' = '48000', 'first-event.rate' = '100', 'rows-per-second' = '24000');
CREATE VIEW auctions AS SELECT auction.id, auction.seller, auction.category, ts FROM events WHERE event_type = 1;
CREATE VIEW bids AS SELECT bid.auction, bid.bidder, bid.price, ts FROM events WHERE event_type = 2;
";

/// For each sink its columns and its rows.
const SINKS: [(&str, &str, &str); 4] = [
    (
        "windows",
        "starts TIMESTAMP(3), bidder BIGINT, n BIGINT, total BIGINT, least BIGINT",
        "SELECT window_start, bidder, COUNT(*), SUM(price), MIN(price)
           FROM TABLE(TUMBLE(TABLE bids, DESCRIPTOR(ts), INTERVAL '10' SECOND)) GROUP BY window_start, window_end, bidder",
    ),
    (
        "longer",
        "starts TIMESTAMP(3), auction BIGINT, bidders BIGINT, n BIGINT",
        "SELECT window_start, auction, COUNT(DISTINCT bidder), COUNT(*)
           FROM TABLE(HOP(TABLE bids, DESCRIPTOR(ts), INTERVAL '20' SECOND, INTERVAL '60' SECOND))
           GROUP BY window_start, window_end, auction",
    ),
    (
        "won",
        "auction BIGINT, bidder BIGINT, price BIGINT, seller BIGINT",
        "SELECT b.auction, b.bidder, b.price, a.seller FROM bids b JOIN auctions a ON b.auction = a.id AND b.price > a.category",
    ),
    ("bidders", "bidder BIGINT, category BIGINT", "SELECT DISTINCT b.bidder, a.category FROM bids b JOIN auctions a ON b.auction = a.id"),
];

fn text(output: &Path) -> String {
    let tables = SINKS.iter().map(|(name, columns, _)| {
        let path = output.join(name);
        format!(
            "CREATE TABLE `{name}` ({columns}) WITH ('connector' = 'filesystem', 'path' = '{}', 'format' = 'csv');\n",
            path.display()
        )
    });
    let inserts = SINKS.iter().map(|(name, _, query)| format!("INSERT INTO `{name}` {query};\n"));
    let (tables, inserts): (String, String) = (tables.collect(), inserts.collect());
    format!("{TABLES}{tables}EXECUTE STATEMENT SET BEGIN\n{inserts}END;\n")
}

/// Runs it as a user does, such that its sinks are folders in this one.
pub(super) fn command(output: &Path) -> Command {
    let script = output.with_file_name("job.sql");
    std::fs::write(&script, text(output)).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidemill"));
    command.arg("run").arg(script).args(super::super::NO_REST);
    command
}
