//! Restart strategies, failure by failure.

use std::time::Duration;

use tidemill_checkpoint::RestartStrategy;
use tidemill_checkpoint::restart::{ExponentialDelay, Restart};
use tidemill_core::config::{Configuration, Origin};

fn from(entries: &[(&str, &str)]) -> RestartStrategy {
    let mut configuration = Configuration::new();
    for (key, value) in entries {
        configuration.set_raw(*key, *value, Origin::CommandLine);
    }
    RestartStrategy::from_configuration(&configuration).unwrap()
}

fn after(strategy: &mut RestartStrategy, now: i64, random: f64) -> Option<i64> {
    match strategy.on_failure(now, random) {
        Restart::After { after_ms } => Some(after_ms),
        Restart::Fail { reason } => {
            assert!(reason.contains("restart-strategy."), "{reason}");
            None
        }
    }
}

#[test]
fn every_name_and_the_default() {
    for (name, expected) in [
        ("disable", "none"),
        ("OFF", "none"),
        ("none", "none"),
        ("fixeddelay", "fixed-delay"),
        ("Fixed-Delay", "fixed-delay"),
        ("failure-rate", "failure-rate"),
        ("failurerate", "failure-rate"),
        ("exponential-delay", "exponential-delay"),
        ("exponentialDelay", "exponential-delay"),
    ] {
        assert_eq!(from(&[("restart-strategy.type", name)]).name(), expected, "{name}");
        assert_eq!(from(&[("restart-strategy", name)]).name(), expected, "{name}, older spelling");
    }
    let interval = ("execution.checkpointing.interval", "1 min");
    assert_eq!(from(&[]).name(), "none");
    assert_eq!(from(&[interval]).name(), "exponential-delay");
    assert_eq!(from(&[interval, ("restart-strategy.type", "off")]).name(), "none");
    let mut configuration = Configuration::new();
    configuration.set_raw("restart-strategy.type", "sometimes", Origin::CommandLine);
    let error = RestartStrategy::from_configuration(&configuration).unwrap_err().to_string();
    assert!(error.contains("fixed-delay") && error.contains("-D: "), "{error}");
}

/// Each key by itself changes what it names, and nothing else.
#[test]
fn every_key_lands_in_its_own_place() {
    let seconds = Duration::from_secs;
    let same = |entries: &[(&str, &str)], expected: RestartStrategy| {
        assert_eq!(format!("{:?}", from(entries)), format!("{expected:?}"), "{entries:?}");
    };
    let named = ("restart-strategy.type", "fixed-delay");
    same(
        &[named, ("restart-strategy.fixed-delay.attempts", "7")],
        RestartStrategy::fixed_delay(7, seconds(1)),
    );
    same(
        &[named, ("restart-strategy.fixed-delay.delay", "7 s")],
        RestartStrategy::fixed_delay(1, seconds(7)),
    );

    let named = ("restart-strategy.type", "failure-rate");
    for (key, value, expected) in [
        ("max-failures-per-interval", "7", RestartStrategy::failure_rate(7, seconds(60), seconds(1))),
        ("failure-rate-interval", "7 min", RestartStrategy::failure_rate(1, seconds(420), seconds(1))),
        ("delay", "7 s", RestartStrategy::failure_rate(1, seconds(60), seconds(7))),
    ] {
        same(&[named, (&format!("restart-strategy.failure-rate.{key}"), value)], expected);
    }

    let named = ("restart-strategy.type", "exponential-delay");
    let default = ExponentialDelay::default;
    for (key, value, expected) in [
        ("initial-backoff", "7 s", ExponentialDelay { initial: seconds(7), ..default() }),
        ("max-backoff", "7 min", ExponentialDelay { max: seconds(420), ..default() }),
        ("backoff-multiplier", "7.5", ExponentialDelay { multiplier: 7.5, ..default() }),
        (
            "reset-backoff-threshold",
            "7 h",
            ExponentialDelay { reset_threshold: seconds(25_200), ..default() },
        ),
        ("jitter-factor", "0.7", ExponentialDelay { jitter: 0.7, ..default() }),
        ("attempts-before-reset-backoff", "7", ExponentialDelay { attempts: 7, ..default() }),
    ] {
        let expected = RestartStrategy::exponential_delay(expected).unwrap();
        same(&[named, (&format!("restart-strategy.exponential-delay.{key}"), value)], expected);
    }
}

#[test]
fn none_fails_at_once() {
    assert_eq!(after(&mut RestartStrategy::none(), 0, 0.5), None);
}

#[test]
fn fixed_delay_counts_all_failures() {
    let mut strategy = from(&[
        ("restart-strategy.type", "fixed-delay"),
        ("restart-strategy.fixed-delay.attempts", "2"),
        ("restart-strategy.fixed-delay.delay", "3 s"),
    ]);
    assert_eq!(after(&mut strategy, 0, 0.9), Some(3_000));
    assert_eq!(after(&mut strategy, 1_000_000_000, 0.1), Some(3_000));
    assert_eq!(after(&mut strategy, 9_000_000_000, 0.1), None);
    assert_eq!(after(&mut RestartStrategy::fixed_delay(0, Duration::ZERO), 0, 0.0), None);
}

#[test]
fn failure_rate_forgets_what_is_older_than_the_interval() {
    let second = Duration::from_secs(1);
    let mut strategy = RestartStrategy::failure_rate(2, 10 * second, second);
    assert_eq!(after(&mut strategy, 0, 0.0), Some(1_000));
    assert_eq!(after(&mut strategy, 4_000, 0.0), Some(1_000));
    assert_eq!(after(&mut strategy, 10_001, 0.0), Some(1_000), "the first is older than the interval");
    assert_eq!(after(&mut strategy, 14_000, 0.0), None, "the second is exactly as old");
    let mut default = from(&[("restart-strategy.type", "failure-rate")]);
    assert_eq!(after(&mut default, 0, 0.0), Some(1_000));
    assert_eq!(after(&mut default, 60_000, 0.0), None);
    assert_eq!(after(&mut default, 120_001, 0.0), Some(1_000));
}

#[test]
fn exponential_delay_grows_to_the_longest_wait() {
    let mut strategy = RestartStrategy::exponential_delay(ExponentialDelay::default()).unwrap();
    let mut now = 0;
    let mut waits = Vec::new();
    for _ in 0..14 {
        let wait = after(&mut strategy, now, 0.5).unwrap();
        waits.push(wait);
        now += wait + 1;
    }
    assert_eq!(&waits[..5], [1_000, 1_500, 2_250, 3_375, 5_062]);
    assert_eq!(&waits[11..], [60_000, 60_000, 60_000]);
    for _ in 0..5_000 {
        now += 60_001;
        assert_eq!(after(&mut strategy, now, 0.5), Some(60_000), "powers beyond all bounds");
    }
}

#[test]
fn failures_before_the_restart_belong_to_it() {
    let mut strategy = RestartStrategy::exponential_delay(ExponentialDelay::default()).unwrap();
    assert_eq!(after(&mut strategy, 0, 0.5), Some(1_000));
    assert_eq!(after(&mut strategy, 400, 0.5), Some(600));
    assert_eq!(after(&mut strategy, 1_000, 0.5), Some(0));
    assert_eq!(after(&mut strategy, 1_001, 0.5), Some(1_500));
}

#[test]
fn a_calm_as_long_as_the_threshold_begins_anew() {
    let settings =
        ExponentialDelay { reset_threshold: Duration::from_secs(10), attempts: 2, ..Default::default() };
    let mut strategy = RestartStrategy::exponential_delay(settings).unwrap();
    assert_eq!(after(&mut strategy, 0, 0.5), Some(1_000));
    assert_eq!(after(&mut strategy, 10_999, 0.5), Some(1_500), "9.999 s after the restart");
    assert_eq!(after(&mut strategy, 22_499, 0.5), Some(1_000), "10 s after the restart");
    assert_eq!(after(&mut strategy, 24_000, 0.5), Some(1_500));
    assert_eq!(after(&mut strategy, 26_000, 0.5), None, "the third without a calm");
}

#[test]
fn jitter_stays_in_its_bounds() {
    let wait = |random: f64, attempt: usize| {
        let mut strategy = RestartStrategy::exponential_delay(ExponentialDelay::default()).unwrap();
        let mut now = 0;
        for _ in 0..attempt {
            now += after(&mut strategy, now, 0.5).unwrap() + 1;
        }
        after(&mut strategy, now, random).unwrap()
    };
    assert_eq!((wait(0.0, 0), wait(0.999_999, 0)), (1_000, 1_099), "never below the first wait");
    assert_eq!((wait(0.0, 2), wait(0.999_999, 2)), (2_025, 2_474));
    assert_eq!((wait(0.0, 20), wait(0.999_999, 20)), (60_000, 60_000), "never above the longest wait");
    let settings = ExponentialDelay { jitter: 0.0, ..Default::default() };
    let mut strategy = RestartStrategy::exponential_delay(settings).unwrap();
    assert_eq!(after(&mut strategy, 0, 0.0), Some(1_000));
}

#[test]
fn settings_out_of_bounds_are_refused() {
    let default = ExponentialDelay::default;
    for settings in [
        ExponentialDelay { initial: Duration::from_micros(900), ..default() },
        ExponentialDelay { max: Duration::from_millis(999), ..default() },
        ExponentialDelay { multiplier: 0.5, ..default() },
        ExponentialDelay { multiplier: f64::NAN, ..default() },
        ExponentialDelay { jitter: 1.5, ..default() },
    ] {
        let error = RestartStrategy::exponential_delay(settings).unwrap_err().to_string();
        assert!(error.starts_with("'restart-strategy.exponential-delay."), "{error}");
    }
}
