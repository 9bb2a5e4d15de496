//! What a plan looks like to people and to Flink's tools.

use tidemill_core::graph::ShipStrategy;
use tidemill_runtime::graph::{ChainingStrategy, ExecutionPlan, explain_json, explain_text};
use tidemill_testkit::jobs::Job;
use tidemill_testkit::{Log, faults};

fn plan() -> ExecutionPlan {
    let mut job = Job::new("explained");
    let source = job.source("in", Log::<u32>::bounded([vec![]]).source());
    let split = job.operator("split", faults::pass::<u32>());
    let left = job.operator("left", faults::pass::<u32>());
    let both = job.operator("both", faults::pass::<u32>());
    let sink = job.sink("out", faults::pass::<u32>());
    job.node(source).uid = Some("the-source".into());
    job.node(both).parallelism = Some(2);
    job.node(sink).parallelism = Some(2);
    job.node(sink).chaining = ChainingStrategy::Never;
    job.connect::<u32>(source, split);
    job.connect::<u32>(split, left);
    job.connect_keyed::<u32>(left, both, |record| u64::from(*record));
    let side = job.connect_by::<u32>(split, both, ShipStrategy::Broadcast);
    (side.side_output, side.input) = (Some("odd".into()), 1);
    job.connect::<u32>(both, sink);
    job.plan().unwrap()
}

#[test]
fn as_text() {
    // The ids are frozen: state would be lost if they changed.
    let expected = "\
Job 'explained': vertices 3, subtasks 5, slots 2

[1] Source: in -> split -> left
    id SOURCE  parallelism 1  max parallelism 128  slot sharing group 'default'
    - Source: in  operator SOURCE  uid 'the-source'
    - split  operator SPLIT
    - left  operator LEFT

[2] both
    id BOTH  parallelism 2  max parallelism 128  slot sharing group 'default'
    <- [1] HASH (input 1)
    <- [1] BROADCAST (input 2, side output 'odd')
    - both  operator BOTH

[3] Sink: out
    id SINK  parallelism 2  max parallelism 128  slot sharing group 'default'
    <- [2] FORWARD (input 1)
    - Sink: out  operator SINK
";
    let ids = [
        ("SOURCE", "3384ad1d379adb19fbfaa10006d6d6ab"),
        ("SPLIT", "973c94695242c7ba4f6fb44c5f3d6b19"),
        ("LEFT", "e8c302c2ed22178648b8ec6915fcb8f2"),
        ("BOTH", "3c45ea680f5d5a5552064cbea69fa8d2"),
        ("SINK", "b6eceef3196bb80d8a94eb4591b9822d"),
    ];
    let expected = ids.iter().fold(expected.to_owned(), |text, (name, id)| text.replace(name, id));
    assert_eq!(explain_text(&plan()), expected);
}

#[test]
fn as_json() {
    let json = explain_json(&plan());
    let nodes = json["nodes"].as_array().unwrap();
    let brief: Vec<String> = nodes
        .iter()
        .map(|node| {
            let from: Vec<String> = node["predecessors"]
                .as_array()
                .map(Vec::as_slice)
                .unwrap_or_default()
                .iter()
                .map(|edge| format!("{} {} {}", edge["id"], edge["ship_strategy"], edge["side"]))
                .collect();
            format!(
                "{} {} {} x{} <- {from:?}",
                node["id"], node["pact"], node["contents"], node["parallelism"]
            )
        })
        .map(|line| line.replace(['"', '\\'], ""))
        .collect();
    assert_eq!(
        brief,
        [
            "1 Data Source Source: in x1 <- []",
            "2 Operator split x1 <- [1 FORWARD first]",
            "3 Operator left x1 <- [2 FORWARD first]",
            "4 Operator both x2 <- [3 HASH first, 2 BROADCAST second]",
            "5 Data Sink Sink: out x2 <- [4 FORWARD first]",
        ]
    );
}
