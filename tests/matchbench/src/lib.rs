//! A simulated population that queues for matches, to see how waits, fairness and regions come out
//! over a day, and what the matcher's benchmark needs besides.

pub mod charts;
pub mod churn;
pub mod day;
pub mod page;
pub mod population;
pub mod rules;

/// CPU time of this thread, seconds: what a pass takes of a core, however busy the machine is.
///
/// # Errors
/// Where Linux does not tell it.
pub fn cpu_s() -> anyhow::Result<f64> {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    let nanoseconds = told.split(' ').next().unwrap_or_default().parse::<u64>()?;
    Ok(nanoseconds as f64 / 1e9)
}
