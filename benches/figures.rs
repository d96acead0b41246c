//! Figures, as they are measured and printed.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use nix::time::{ClockId, clock_gettime};

/// The processor time that this thread takes for it, in microseconds.
pub fn cost(run: impl FnOnce()) -> f64 {
    let before = thread_time();
    run();
    microseconds(thread_time().saturating_sub(before))
}

fn thread_time() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).expect("a clock").into()
}

pub fn microseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

/// The value that so much of them (1 is all) do not exceed.
pub fn quantile(values: &[f64], share: f64) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    let place = ((values.len() as f64 - 1.0) * share).round();
    values.into_iter().enumerate().find(|(at, _)| *at as f64 == place).expect("some").1
}

pub fn median(values: &[f64]) -> f64 {
    quantile(values, 0.5)
}

/// One line, `name value unit`.
pub fn print(name: &str, value: f64, unit: &str) {
    println!("{name} {value:.3} {unit}");
}

/// Lets so much time pass, which is what is measured.
pub fn rest(time: Duration) {
    let until = Instant::now() + time;
    while Instant::now() < until {
        thread::park_timeout(until.saturating_duration_since(Instant::now()));
    }
}

/// A line of a process's status that is in kB.
pub fn status_of(process: u32, line: &str) -> f64 {
    let text = fs::read_to_string(format!("/proc/{process}/status")).expect("its status");
    let value = text.lines().find_map(|found| found.strip_prefix(line)).expect("that line");
    value.trim().trim_end_matches(" kB").parse().expect("a number")
}
