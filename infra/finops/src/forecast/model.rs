//! Dollars of one region by hour, as a dynamic harmonic regression: Hyndman and Athanasopoulos,
//! "Forecasting: Principles and Practice" (3rd edition), chapter 10.5, on a logarithm (3.1), with
//! paths of bootstrapped errors for intervals (5.5). Its errors are an autoregression of order 1.
//! What is old weighs less, and hours that do not fit weigh less (Huber, 1964), so that an outage
//! moves nothing. Coefficients have normal priors, so that a short history gives a wide interval
//! and no nonsense.

use std::collections::BTreeMap;
use std::f64::consts::TAU;

use super::solve::{Matrix, N, Root, Vector};
use crate::calendar::Hour;
use crate::chance::Chance;

/// Hours that are looked at: a quarter of a year, in which an hour weighs half as much as one that
/// is so many hours younger.
pub(super) const WINDOW: i64 = 13 * WEEK;
const HALF_LIFE: f64 = (4 * WEEK) as f64;
const WEEK: i64 = 168;
/// Waves in a day and in a week.
const OF_DAY: usize = 4;
const OF_WEEK: usize = 5;
/// The last column: what events do, beyond what the calendar says of them.
const EVENT: usize = N - 1;
/// Standard deviations of the priors: of a week's growth, of a wave's height, of the power to
/// which a calendar's factor is too little or too much.
const GROWTH: f64 = 0.05;
/// By how much the growth of coming weeks may be another than that of the past.
const TURN: f64 = 0.012;
const WAVE: f64 = 0.5;
const EVENTS: f64 = 0.25;
/// Robust scales beyond which an hour weighs less, and beyond which it is cut off in the errors.
const HUBER: f64 = 1.5;
const CLIP: f64 = 4.0;
const ROUNDS: usize = 6;

/// Fewest hours with records.
pub const HOURS_MIN: usize = 72;

/// A fitted region.
#[derive(Debug, Clone)]
pub(super) struct Model {
    origin: Hour,
    mean: Vector,
    root: Root,
    rho: f64,
    /// Errors that nothing foretold, of each hour, the newest last.
    innovations: Vec<f64>,
    /// The last known hour, and how far it was off.
    last: (Hour, f64),
}

struct Row {
    hour: Hour,
    columns: Vector,
    /// The logarithm of dollars, less what the calendar says.
    value: f64,
}

impl Model {
    /// Of hours with dollars over 0. `factor` is the calendar's. None with fewer than
    /// [`HOURS_MIN`].
    pub(super) fn fit(hours: &BTreeMap<Hour, f64>, factor: &dyn Fn(Hour) -> f64) -> Option<Self> {
        let (origin, _) = hours.last_key_value()?;
        let origin = *origin;
        let rows: Vec<Row> = hours
            .range(origin - WINDOW..)
            .filter(|(_, dollars)| **dollars > 0.0)
            .map(|(hour, dollars)| {
                let event = log_factor(factor(*hour));
                let columns = columns(*hour, origin, event);
                let value = dollars.ln() - event;
                Row {
                    hour: *hour,
                    columns,
                    value,
                }
            })
            .collect();
        if rows.len() < HOURS_MIN {
            return None;
        }
        let mut weights: Vec<f64> = rows.iter().map(|row| age_weight(row, origin)).collect();
        let (mut variance, mut found) = (0.1, None);
        for _ in 0..ROUNDS {
            let (mean, root) = posterior(&rows, &weights, variance)?;
            let residuals: Vec<f64> = rows
                .iter()
                .map(|row| row.value - dot(&row.columns, &mean))
                .collect();
            let scale = robust_scale(&residuals);
            for ((weight, row), residual) in weights.iter_mut().zip(&rows).zip(&residuals) {
                let fits = (HUBER * scale / residual.abs().max(1e-12)).min(1.0);
                *weight = fits * age_weight(row, origin);
            }
            let clipped: Vec<f64> = residuals
                .iter()
                .map(|it| it.clamp(-CLIP * scale, CLIP * scale))
                .collect();
            let rho = autocorrelation(&rows, &clipped);
            // Hours in a row tell less than as many that are independent.
            variance = scale * scale * (1.0 + rho) / (1.0 - rho);
            found = Some((mean, root, rho, clipped));
        }
        let (mean, root, rho, clipped) = found?;
        let innovations = innovations(&rows, &clipped, rho);
        let last = (rows.last()?.hour, *clipped.last()?);
        Some(Self {
            origin,
            mean,
            root,
            rho,
            innovations,
            last,
        })
    }

    /// What the hours would have been by the model, dollars.
    pub(super) fn fitted(&self, hour: Hour, factor: f64) -> f64 {
        let event = log_factor(factor);
        (dot(&columns(hour, self.origin, event), &self.mean) + event).exp()
    }

    /// An hour to come, with the calendar's factor.
    pub(super) fn ahead(&self, hour: Hour, factor: f64) -> Ahead {
        let event = log_factor(factor);
        let columns = columns(hour, self.origin, event);
        Ahead {
            hour,
            columns,
            event,
        }
    }

    /// One course that `hours` may take. `steps` says for each of them which error of the past
    /// comes again, and is the same for all regions, whose errors may go together.
    pub(super) fn path(&self, hours: &[Ahead], steps: &[f64], chance: &mut Chance) -> Vec<f64> {
        let normal: Vector = std::array::from_fn(|_| chance.normal());
        let off = self.root.solve_transposed(&normal);
        let coefficients: Vector = std::array::from_fn(|at| self.mean[at] + off[at]);
        let turn = TURN * chance.normal();
        let first = hours.first().map_or(self.last.0, |ahead| ahead.hour);
        let gap = (first - self.last.0 - 1).clamp(0, 10_000) as i32;
        let mut error = self.last.1 * self.rho.powi(gap);
        let count = self.innovations.len();
        hours
            .iter()
            .zip(steps)
            .map(|(ahead, step)| {
                let back = ((step * count as f64) as usize).min(count - 1);
                error = self.rho * error + self.innovations[count - 1 - back];
                let turned = turn * (ahead.hour - self.origin) as f64 / WEEK as f64;
                (dot(&ahead.columns, &coefficients) + turned + ahead.event + error).exp()
            })
            .collect()
    }
}

/// An hour that is to come.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ahead {
    hour: Hour,
    columns: Vector,
    event: f64,
}

/// A factor of 0 takes nearly everything, so that there is a logarithm.
fn log_factor(factor: f64) -> f64 {
    factor.clamp(0.01, 20.0).ln()
}

fn columns(hour: Hour, origin: Hour, event: f64) -> Vector {
    let mut columns = [0.0; N];
    columns[0] = 1.0;
    columns[1] = (hour - origin) as f64 / WEEK as f64;
    let daily = (1..=OF_DAY).map(|k| (k, 24));
    let weekly = (1..=OF_WEEK).map(|k| (k, WEEK));
    for (at, (k, period)) in daily.chain(weekly).enumerate() {
        let angle = TAU * k as f64 * hour.rem_euclid(period) as f64 / period as f64;
        (columns[2 + 2 * at], columns[3 + 2 * at]) = angle.sin_cos();
    }
    columns[EVENT] = event;
    columns
}

fn age_weight(row: &Row, origin: Hour) -> f64 {
    0.5_f64.powf((origin - row.hour) as f64 / HALF_LIFE)
}

/// Mean of the coefficients, and the root of the inverse of their covariance.
fn posterior(rows: &[Row], weights: &[f64], variance: f64) -> Option<(Vector, Root)> {
    let (mut matrix, mut right): (Matrix, Vector) = ([[0.0; N]; N], [0.0; N]);
    for (row, weight) in rows.iter().zip(weights) {
        let weight = weight / variance.max(1e-9);
        for (i, cells) in matrix.iter_mut().enumerate() {
            let of_row = weight * row.columns[i];
            right[i] += of_row * row.value;
            for (cell, column) in cells.iter_mut().zip(&row.columns).take(i + 1) {
                *cell += of_row * column;
            }
        }
    }
    for (at, cells) in matrix.iter_mut().enumerate() {
        let deviation = match at {
            // The level may be anything from pico-dollars to millions.
            0 => 100.0,
            1 => GROWTH,
            EVENT => EVENTS,
            _ => WAVE,
        };
        cells[at] += 1.0 / (deviation * deviation);
    }
    let root = Root::of(&matrix)?;
    Some((root.solve(&right), root))
}

fn dot(a: &Vector, b: &Vector) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// A standard deviation that outliers do not move: 1.4826 times the median of the distances.
fn robust_scale(residuals: &[f64]) -> f64 {
    let mut distances: Vec<f64> = residuals.iter().map(|it| it.abs()).collect();
    distances.sort_by(f64::total_cmp);
    (1.4826 * distances[distances.len() / 2]).max(1e-4)
}

/// Of each hour with the one before it, where both are known.
fn autocorrelation(rows: &[Row], residuals: &[f64]) -> f64 {
    let pairs = pairs(rows, residuals);
    let (product, square) = pairs.fold((0.0, 1e-12), |(product, square), (before, now)| {
        (product + before * now, square + before * before)
    });
    (product / square).clamp(0.0, 0.95)
}

fn innovations(rows: &[Row], residuals: &[f64], rho: f64) -> Vec<f64> {
    let found: Vec<f64> = pairs(rows, residuals)
        .map(|(before, now)| now - rho * before)
        .collect();
    // Without two hours in a row there is nothing to foretell an error from.
    match found.is_empty() {
        true => residuals.to_vec(),
        false => found,
    }
}

fn pairs(rows: &[Row], residuals: &[f64]) -> impl Iterator<Item = (f64, f64)> {
    let hours = rows.windows(2).zip(residuals.windows(2));
    hours
        .filter(|(rows, _)| rows[0].hour + 1 == rows[1].hour)
        .map(|(_, residuals)| (residuals[0], residuals[1]))
}
