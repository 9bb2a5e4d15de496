//! What has to be started again together when a task has failed.

use std::collections::BTreeMap;

use crate::graph::chaining::ExecutionPlan;
use crate::graph::stream_graph::NodeKind;

impl ExecutionPlan {
    /// The regions of the job, each as its vertices in order: vertices between which records flow, over any number of others, and
    /// vertices whose sources wait for each other. Source: Flink's `RegionPartitionReleaseStrategy`, where all exchanges are
    /// pipelined.
    ///
    /// ```
    /// # use tidemill_testkit::{Log, jobs::Job, sinks};
    /// # let (sink, _collected) = sinks::collect::<u32>();
    /// # let mut job = Job::new("numbers");
    /// # let source = job.source("numbers", Log::bounded([vec![(1u32, 10), (2, 20)]]).source());
    /// # let target = job.sink("collect", sink);
    /// # job.connect::<u32>(source, target);
    /// # job.settings.chaining = false;
    /// # let plan = job.plan()?;
    /// assert_eq!(plan.regions(), [[0, 1]]);
    /// # Ok::<(), tidemill_runtime::JobError>(())
    /// ```
    pub fn regions(&self) -> Vec<Vec<usize>> {
        // The lowest vertex of the region that each is known to be in.
        let mut lowest: Vec<usize> = (0..self.vertices.len()).collect();
        let mut join = |one: usize, other: usize| {
            let (from, to) = (lowest[one].max(lowest[other]), lowest[one].min(lowest[other]));
            lowest.iter_mut().filter(|vertex| **vertex == from).for_each(|vertex| *vertex = to);
        };
        self.exchanges.iter().for_each(|exchange| join(exchange.source, exchange.target));
        let mut groups: BTreeMap<&str, usize> = BTreeMap::new();
        for (index, vertex) in self.vertices.iter().enumerate() {
            for node in &vertex.nodes {
                let NodeKind::Source(spec) = &self.graph.nodes[*node].kind else { continue };
                let Some(alignment) = &spec.watermarks.alignment else { continue };
                join(*groups.entry(&alignment.group).or_insert(index), index);
            }
        }
        let mut regions: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (vertex, lowest) in lowest.into_iter().enumerate() {
            regions.entry(lowest).or_default().push(vertex);
        }
        regions.into_values().collect()
    }
}
