//! Settings of checkpoints, from the configuration to what takes effect.

use std::time::Duration;

use tidemill_checkpoint::CheckpointSettings;
use tidemill_core::config::options::{CheckpointingMode, ExternalizedCheckpointRetention};
use tidemill_core::config::{Configuration, Origin};

fn read(entries: &[(&str, &str)]) -> Result<CheckpointSettings, String> {
    let mut configuration = Configuration::new();
    for (key, value) in entries {
        configuration.set_raw(*key, *value, Origin::CommandLine);
    }
    CheckpointSettings::from_configuration(&configuration).map_err(|error| error.to_string())
}

#[test]
fn nothing_set_is_the_default() {
    assert_eq!(read(&[]).unwrap(), CheckpointSettings::default());
    let (effective, notes) = CheckpointSettings::default().effective().unwrap();
    assert_eq!((effective, notes.len()), (CheckpointSettings::default(), 0));
}

#[test]
fn every_option_and_older_spelling_takes_effect() {
    let seconds = Duration::from_secs;
    let expected = CheckpointSettings {
        interval: Some(seconds(60)),
        interval_during_backlog: Some(seconds(300)),
        min_pause: seconds(5),
        timeout: seconds(120),
        tolerable_failed_checkpoints: 3,
        max_concurrent: 1,
        mode: CheckpointingMode::ExactlyOnce,
        unaligned: true,
        aligned_checkpoint_timeout: seconds(30),
        num_retained: 4,
        retention: ExternalizedCheckpointRetention::RetainOnCancellation,
        checkpoints_after_tasks_finish: false,
        incremental: true,
        compression: true,
        history: 20,
    };
    let settings = read(&[
        ("execution.checkpointing.interval", "1 min"),
        ("execution.checkpointing.interval-during-backlog", "5 min"),
        ("execution.checkpointing.min-pause", "5 s"),
        ("execution.checkpointing.timeout", "2 min"),
        ("execution.checkpointing.tolerable-failed-checkpoints", "3"),
        ("execution.checkpointing.unaligned", "true"),
        ("execution.checkpointing.alignment-timeout", "30 s"),
        ("state.checkpoints.num-retained", "4"),
        ("execution.checkpointing.externalized-checkpoint-retention", "retain_on_cancellation"),
        ("execution.checkpointing.checkpoints-after-tasks-finish.enabled", "false"),
        ("state.backend.incremental", "true"),
        ("execution.checkpointing.snapshot-compression", "true"),
        ("jobmanager.web.checkpoints.history", "20"),
    ]);
    assert_eq!(settings.unwrap(), expected);
    assert_eq!(expected.clone().effective().unwrap(), (expected, vec![]));
}

#[test]
fn bad_values_name_their_key() {
    for (key, value) in [
        ("execution.checkpointing.interval", "9 ms"),
        ("execution.checkpointing.interval-during-backlog", "9 ms"),
        ("execution.checkpointing.timeout", "0"),
        ("execution.checkpointing.max-concurrent-checkpoints", "0"),
        ("execution.checkpointing.tolerable-failed-checkpoints", "-1"),
        ("execution.checkpointing.mode", "TWICE"),
    ] {
        let error = read(&[(key, value)]).unwrap_err();
        assert!(error.contains(key), "{error}");
    }
    let backlog = read(&[("execution.checkpointing.interval-during-backlog", "0")]).unwrap();
    assert_eq!(backlog.interval_during_backlog, Some(Duration::ZERO));
}

#[test]
fn contradictions_are_errors() {
    let default = CheckpointSettings::default;
    let ms = Duration::from_millis;
    for (settings, text) in [
        (CheckpointSettings { interval: Some(ms(9)), ..default() }, "interval' is 9 ms"),
        (CheckpointSettings { timeout: ms(9), ..default() }, "timeout' is 9 ms"),
        (CheckpointSettings { max_concurrent: 0, ..default() }, "max-concurrent-checkpoints' is 0"),
        (
            CheckpointSettings { unaligned: true, max_concurrent: 3, ..default() },
            "max-concurrent-checkpoints' is 3, and unaligned",
        ),
        (
            CheckpointSettings {
                interval: Some(ms(1_000)),
                interval_during_backlog: Some(ms(500)),
                ..default()
            },
            "interval-during-backlog' is 500 ms, less than the 1 s",
        ),
    ] {
        let error = settings.effective().unwrap_err().to_string();
        assert!(error.contains(text), "{error}");
    }
}

#[test]
fn what_has_no_effect_is_noted() {
    let default = CheckpointSettings::default;
    let seconds = Duration::from_secs;
    let effective = |settings: CheckpointSettings| {
        let (settings, notes) = settings.effective().unwrap();
        assert_eq!(notes.len(), 1, "{notes:?}");
        settings
    };
    let at_least_once = CheckpointSettings {
        unaligned: true,
        max_concurrent: 3,
        mode: CheckpointingMode::AtLeastOnce,
        ..default()
    };
    assert!(!effective(at_least_once).unaligned);
    let long_pause = CheckpointSettings { interval: Some(seconds(1)), min_pause: seconds(2), ..default() };
    assert_eq!(effective(long_pause).interval, Some(seconds(2)));
    assert_eq!(effective(CheckpointSettings { num_retained: 0, ..default() }).num_retained, 1);
    let no_interval = CheckpointSettings { interval_during_backlog: Some(seconds(9)), ..default() };
    assert_eq!(effective(no_interval).interval_during_backlog, None);
    let years = CheckpointSettings { min_pause: seconds(100_000_000), ..default() };
    assert_eq!(effective(years).min_pause, seconds(365 * 86_400));
}

#[test]
fn the_first_delay_is_between_pause_and_interval() {
    let settings = CheckpointSettings {
        interval: Some(Duration::from_secs(10)),
        min_pause: Duration::from_secs(4),
        ..CheckpointSettings::default()
    };
    assert_eq!([0.0, 0.25, 0.999_999].map(|random| settings.first_delay(random)), [4_000, 5_500, 9_999]);
    assert_eq!(CheckpointSettings::default().first_delay(0.5), 0);
}
