//! How long checkpoints take under back pressure, aligned and unaligned.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tidemill::datastream::WatermarkStrategy;
use tidemill::runtime::cluster::JobHandle;

use crate::cluster::environment;
use crate::median;
use crate::source::GoalSource;

const CHECKPOINTS: usize = 7;
/// What each record costs the last operator, which holds up all before it.
const COST: Duration = Duration::from_micros(20);

#[derive(Clone, Copy)]
struct Figures {
    end_to_end: f64,
    alignment: f64,
    persisted: f64,
}

fn measure(options: &[(&str, &str)]) -> Figures {
    let figures = Arc::new(Mutex::new(Vec::new()));
    let drive = {
        let figures = Arc::clone(&figures);
        move |job: &JobHandle| {
            // Until all queues are full.
            std::thread::sleep(Duration::from_secs(2));
            for _ in 0..CHECKPOINTS {
                job.checkpoint().expect("a checkpoint");
                let statistics = job.checkpoint_statistics().expect("statistics");
                let newest = statistics.latest_completed().expect("a checkpoint");
                let subtasks = newest.tasks.iter().flat_map(|task| task.acknowledged());
                let alignment = subtasks.map(|subtask| subtask.statistics.alignment_duration).max();
                figures.lock().push(Figures {
                    end_to_end: newest.end_to_end_duration().unwrap_or(0) as f64,
                    alignment: alignment.unwrap_or(0) as f64,
                    persisted: newest.persisted_data() as f64 / 1e3,
                });
            }
        }
    };
    let all: Vec<(&str, &str)> =
        [("execution.checkpointing.interval", "1 d")].into_iter().chain(options.iter().copied()).collect();
    let (env, _folder) = environment(false, &all, drive);
    env.set_parallelism(2).expect("a job may set it");
    let record = |number: u64| tidemill::core::hash::int(number as i64);
    let source = GoalSource { goal: Arc::new(AtomicU64::new(u64::MAX)), record, end: u64::MAX };
    let _ = env
        .from_source(source, WatermarkStrategy::no_watermarks(), "numbers")
        .rebalance()
        .map(|number: u64| number ^ 1)
        .rebalance()
        .filter(|_: &u64| {
            let until = Instant::now() + COST;
            while Instant::now() < until {
                std::hint::spin_loop();
            }
            false
        });
    env.execute("alignment").expect("the job runs");
    let of = |figure: fn(&Figures) -> f64| median(figures.lock().iter().map(figure).collect());
    Figures {
        end_to_end: of(|figures| figures.end_to_end),
        alignment: of(|figures| figures.alignment),
        persisted: of(|figures| figures.persisted),
    }
}

pub(crate) fn run() {
    println!("\nCheckpoints under back pressure, medians of {CHECKPOINTS}");
    println!(
        "| barriers | checkpoint, ms | longest alignment, ms | records stored on their way, kB |\n|---|---:|---:|---:|"
    );
    let aligned = measure(&[]);
    let unaligned = measure(&[("execution.checkpointing.unaligned.enabled", "true")]);
    let patient = measure(&[
        ("execution.checkpointing.unaligned.enabled", "true"),
        ("execution.checkpointing.aligned-checkpoint-timeout", "100 ms"),
    ]);
    for (name, figures) in
        [("aligned", aligned), ("unaligned", unaligned), ("aligned, overtaking after 100 ms", patient)]
    {
        println!(
            "| {name} | {:.0} | {:.0} | {:.0} |",
            figures.end_to_end, figures.alignment, figures.persisted
        );
    }
    println!(
        "Aligned checkpoints take {:.0} times as long as unaligned ones",
        aligned.end_to_end / unaligned.end_to_end.max(1.0)
    );
}
