//! Which operators are chained, what they are called, how many subtasks and slots there are.

use std::sync::Arc;

use tidemill_core::graph::ShipStrategy;
use tidemill_runtime::JobError;
use tidemill_runtime::cluster::{EmbeddedCluster, TaskManagerResources};
use tidemill_runtime::graph::{ChainingStrategy, EdgeType, ExecutionPlan, NodeId, StreamEdge, TypedEdge};
use tidemill_runtime::operator::{boxed, stateful};
use tidemill_testkit::jobs::{Job, small_resources};
use tidemill_testkit::{Log, faults};

fn source(job: &mut Job, name: &str) -> NodeId {
    job.source(name, Log::<u32>::bounded([vec![]]).source())
}

fn pass(job: &mut Job, name: &str) -> NodeId {
    job.operator(name, faults::pass::<u32>())
}

/// Source, a, b, sink in a row.
fn row() -> (Job, [NodeId; 4]) {
    let mut job = Job::new("row");
    let nodes = [
        source(&mut job, "in"),
        pass(&mut job, "a"),
        pass(&mut job, "b"),
        job.sink("out", faults::pass::<u32>()),
    ];
    for pair in nodes.windows(2) {
        job.connect::<u32>(pair[0], pair[1]);
    }
    (job, nodes)
}

fn names(plan: &ExecutionPlan) -> Vec<&str> {
    plan.job.vertices.iter().map(|vertex| vertex.name.as_str()).collect()
}

#[test]
fn a_row_is_cut_where_flink_cuts_it() {
    type Change = fn(&mut Job, [NodeId; 4]);
    let whole = &["Source: in -> a -> b -> Sink: out"][..];
    let between_a_and_b = &["Source: in -> a", "b -> Sink: out"][..];
    let around_a = &["Source: in", "a", "b -> Sink: out"][..];
    let cases: Vec<(&str, Change, &[&str])> = vec![
        ("nothing in the way", |_, _| {}, whole),
        (
            "chaining switched off",
            |job, _| job.settings.chaining = false,
            &["Source: in", "a", "b", "Sink: out"],
        ),
        ("a new chain", |job, [_, _, b, _]| job.node(b).chaining = ChainingStrategy::Head, between_a_and_b),
        ("chaining disabled", |job, [_, a, _, _]| job.node(a).chaining = ChainingStrategy::Never, around_a),
        (
            "a source that starts chains only",
            |job, [source, ..]| job.node(source).chaining = ChainingStrategy::Head,
            whole,
        ),
        ("explicitly forward", |job, _| job.graph.edges[1].strategy = Some(ShipStrategy::Forward), whole),
        (
            "rebalanced at equal parallelism",
            |job, _| job.graph.edges[1].strategy = Some(ShipStrategy::Rebalance),
            between_a_and_b,
        ),
        ("rescaled", |job, _| job.graph.edges[1].strategy = Some(ShipStrategy::Rescale), between_a_and_b),
        ("broadcast", |job, _| job.graph.edges[1].strategy = Some(ShipStrategy::Broadcast), between_a_and_b),
        ("global", |job, _| job.graph.edges[1].strategy = Some(ShipStrategy::Global), between_a_and_b),
        ("shuffled", |job, _| job.graph.edges[1].strategy = Some(ShipStrategy::Shuffle), between_a_and_b),
        (
            "by key",
            |job, [_, a, b, _]| {
                job.graph.edges.remove(1);
                job.connect_keyed::<u32>(a, b, |record| u64::from(*record));
            },
            between_a_and_b,
        ),
        (
            "another parallelism",
            |job, [_, _, b, out]| {
                job.node(b).parallelism = Some(2);
                job.node(out).parallelism = Some(2);
            },
            between_a_and_b,
        ),
        (
            "another slot sharing group, which those behind inherit",
            |job, [_, _, b, _]| job.node(b).slot_sharing_group = Some("other".into()),
            between_a_and_b,
        ),
        ("another max parallelism", |job, [_, _, b, _]| job.node(b).max_parallelism = Some(64), whole),
        (
            "another max parallelism where that matters",
            |job, [_, _, b, out]| {
                job.settings.chain_different_max_parallelism = false;
                job.node(b).max_parallelism = Some(64);
                job.node(out).max_parallelism = Some(64);
            },
            between_a_and_b,
        ),
        (
            "a second input",
            |job, [source, _, b, _]| {
                job.connect::<u32>(source, b).input = 1;
            },
            between_a_and_b,
        ),
        (
            "a union",
            |job, [source, _, b, _]| {
                job.connect::<u32>(source, b);
            },
            between_a_and_b,
        ),
    ];
    for (what, change, expected) in cases {
        let (mut job, nodes) = row();
        change(&mut job, nodes);
        assert_eq!(names(&job.plan().unwrap()), expected, "{what}");
    }
}

#[test]
fn a_chain_branches() {
    let mut job = Job::new("tree");
    let source = source(&mut job, "in");
    let (a, b, c) = (pass(&mut job, "a"), pass(&mut job, "b"), pass(&mut job, "c"));
    job.connect::<u32>(source, a);
    job.connect::<u32>(source, b).side_output = Some("late".into());
    job.connect::<u32>(b, c);
    let plan = job.plan().unwrap();
    assert_eq!(names(&plan), ["Source: in -> (a, b -> c)"]);
    let outputs: Vec<_> =
        plan.job.vertices[0].operators.iter().map(|operator| operator.chained_outputs.clone()).collect();
    assert_eq!(outputs, [vec![1, 2], vec![], vec![3], vec![]]);
}

#[test]
fn ids_depend_on_uids_and_places_and_never_on_names() {
    let ids = |job: &Job| -> Vec<String> {
        let vertices = job.plan().unwrap().job.vertices.clone();
        vertices.iter().flat_map(|v| &v.operators).map(|operator| operator.id.to_string()).collect()
    };
    let (job, nodes) = row();
    let first = ids(&job);
    assert_eq!(first, ids(&row().0), "the same in each run");
    let (mut renamed, _) = row();
    for node in nodes {
        renamed.node(node).name.push_str(" (new)");
    }
    assert_eq!(first, ids(&renamed));

    let (mut with_uid, [_, a, ..]) = row();
    with_uid.node(a).uid = Some("my-state".into());
    let with_uid = ids(&with_uid);
    assert_ne!(first[1], with_uid[1]);
    let mut elsewhere = Job::new("another job");
    let before = source(&mut elsewhere, "another source");
    let other = pass(&mut elsewhere, "between");
    let a = pass(&mut elsewhere, "renamed");
    elsewhere.node(a).uid = Some("my-state".into());
    elsewhere.connect::<u32>(before, other);
    elsewhere.connect::<u32>(other, a);
    assert_eq!(ids(&elsewhere)[2], with_uid[1], "state is found by its uid wherever it has gone");
    let mut all = first.clone();
    all.sort();
    all.dedup();
    assert_eq!(all.len(), first.len(), "no two operators share an id");
}

#[test]
fn uids_are_checked() {
    let (mut job, [_, a, b, _]) = row();
    job.node(a).uid = Some("same".into());
    job.node(b).uid = Some("same".into());
    let error = job.plan().err().unwrap().to_string();
    assert!(
        error.contains("uid 'same'") && error.contains("'b'") && error.contains("chaining.rs"),
        "{error}"
    );

    let (mut job, [source, a, ..]) = row();
    job.settings.auto_generate_uids = false;
    let error = job.plan().err().unwrap().to_string();
    assert!(error.contains("'in'") && error.contains("pipeline.auto-generate-uids"), "{error}");
    job.node(source).uid = Some("in".into());
    job.plan().unwrap();
    let nothing = || Nothing;
    job.node(a).kind = tidemill_runtime::graph::NodeKind::Operator(Arc::new(stateful(nothing)));
    assert!(job.plan().is_err(), "an operator with state needs one");
    job.node(a).kind = tidemill_runtime::graph::NodeKind::Operator(Arc::new(boxed(nothing)));
    job.plan().unwrap();
}

struct Nothing;

impl tidemill_runtime::Operator for Nothing {
    fn process(
        &mut self,
        _: usize,
        _: tidemill_core::batch::Batch,
        _: &mut tidemill_runtime::Output,
    ) -> Result<tidemill_runtime::Progress, tidemill_runtime::OperatorError> {
        Ok(tidemill_runtime::Progress::Done)
    }
}

#[test]
fn overrides_change_whole_vertices() {
    let (mut job, [_, _, b, _]) = row();
    job.node(b).chaining = ChainingStrategy::Head;
    let plan = job.plan().unwrap();
    let (first, second) = (plan.job.vertices[0].id, plan.job.vertices[1].id);
    job.settings.parallelism_overrides.insert(second, 3);
    let plan = job.plan().unwrap();
    assert_eq!(names(&plan), ["Source: in -> a", "b -> Sink: out"]);
    assert_eq!(plan.parallelism, [1, 1, 3, 3]);
    assert_eq!(plan.job.edges[0].ship_strategy, ShipStrategy::Rebalance);
    assert_eq!((plan.job.vertices[0].id, plan.job.vertices[1].id), (first, second));

    let (mut job, _) = row();
    job.settings.parallelism_overrides.insert(tidemill_core::id::JobVertexId(7), 3);
    let error = job.plan().err().unwrap().to_string();
    assert!(error.contains("pipeline.jobvertex-parallelism-overrides") && error.contains("(in)"), "{error}");
}

#[test]
fn parallelisms_are_checked() {
    let cases: [(u32, Option<u32>); 3] = [(0, None), (5, Some(4)), (1, Some(32_769))];
    for (parallelism, max) in cases {
        let (mut job, [_, a, ..]) = row();
        (job.node(a).parallelism, job.node(a).max_parallelism) = (Some(parallelism), max);
        let error = job.plan().err().unwrap().to_string();
        assert!(error.contains("'a'") && error.contains("max parallelism"), "{error}");
    }
    let (mut job, [_, a, ..]) = row();
    job.node(a).parallelism = Some(2);
    job.graph.edges[0].strategy = Some(ShipStrategy::Forward);
    let error = job.plan().err().unwrap().to_string();
    assert!(error.contains("from 'in' (parallelism 1) to 'a' (parallelism 2)"), "{error}");
}

#[test]
fn graphs_that_are_none_are_refused() {
    let error = Job::new("empty").plan().err().unwrap();
    assert!(matches!(error, JobError::InvalidGraph(_)), "{error}");
    // Edges that lead back, to the node itself or into nothing.
    for (from, to) in [(2, 1), (1, 1), (7, 1), (1, 7)] {
        let (mut job, _) = row();
        job.graph.edges.push(StreamEdge {
            source: from,
            side_output: None,
            target: to,
            input: 1,
            strategy: None,
            edge: Arc::new(TypedEdge::<u32>::new()),
        });
        let error = job.plan().err().unwrap_or_else(|| panic!("{from} to {to} is taken"));
        assert!(matches!(error, JobError::InvalidGraph(_)), "{error}");
    }
}

#[test]
fn an_edge_without_a_key_cannot_be_partitioned_by_one() {
    let hash = |value: &u32| u64::from(*value);
    let custom = |value: &u32, channels: usize| *value as usize % channels;
    let edges: [(Arc<dyn EdgeType>, &[ShipStrategy]); 3] = [
        (Arc::new(TypedEdge::<u32>::new()), &[ShipStrategy::Hash, ShipStrategy::Custom]),
        (Arc::new(TypedEdge::<u32, _>::keyed(hash)), &[ShipStrategy::Custom]),
        (Arc::new(TypedEdge::<u32, (), _>::custom(custom)), &[ShipStrategy::Hash]),
    ];
    for (edge, refused) in edges {
        for strategy in [ShipStrategy::Hash, ShipStrategy::Custom, ShipStrategy::Rebalance] {
            let (mut job, _) = row();
            (job.graph.edges[0].strategy, job.graph.edges[0].edge) = (Some(strategy), Arc::clone(&edge));
            match job.plan() {
                Ok(_) => assert!(!refused.contains(&strategy), "{strategy} is taken"),
                Err(error) => {
                    assert!(refused.contains(&strategy), "{error}");
                    assert!(matches!(error, JobError::InvalidGraph(_)), "{error}");
                    let text = error.to_string();
                    assert!(text.starts_with(&format!("{strategy} partitioning from 'in' to 'a'")), "{text}");
                }
            }
        }
    }
}

#[test]
fn slots_are_counted_by_group() {
    let (mut job, [source, a, b, _]) = row();
    job.node(source).parallelism = Some(2);
    job.node(a).parallelism = Some(4);
    job.node(b).parallelism = Some(3);
    job.node(b).slot_sharing_group = Some("heavy".into());
    let plan = job.plan().unwrap();
    let groups: Vec<_> = plan.slots_by_group().into_iter().collect();
    assert_eq!(groups, [("default", 4), ("heavy", 3)]);

    let resources = TaskManagerResources { slots: Some(5), ..small_resources() };
    let error = EmbeddedCluster::new(resources).submit(plan).err().unwrap();
    assert!(matches!(error, JobError::NotEnoughSlots { needed: 7, available: 5, .. }), "{error}");
    let error = error.to_string();
    for part in [
        "needs 7 task slots but there are only 5: 2 missing",
        "slot sharing group 'default' needs 4",
        "slot sharing group 'heavy' needs 3",
        "taskmanager.numberOfTaskSlots",
    ] {
        assert!(error.contains(part), "'{part}' in: {error}");
    }
    let resources = TaskManagerResources { slots: Some(7), ..small_resources() };
    EmbeddedCluster::new(resources).run(job.plan().unwrap()).unwrap();
}
