// Loudness for a meter: from samples to 0..1.

/** What the meter shows as nothing. */
const FLOOR_DB = -60;
/** What the meter shows as full: loud speech. */
const FULL_DB = -12;
/** The share of the last value that a falling meter keeps. */
const RELEASE = 0.75;

/**
 * @param {Float32Array} samples -1 to 1
 * @returns {number} 0 to 1, linear in decibels
 */
export function levelOf(samples) {
  if (samples.length === 0) return 0;
  let sum = 0;
  for (const sample of samples) sum += sample * sample;
  const decibels = 10 * Math.log10(sum / samples.length + 1e-12);
  return Math.min(1, Math.max(0, (decibels - FLOOR_DB) / (FULL_DB - FLOOR_DB)));
}

/**
 * Rises at once, falls gently.
 *
 * @param {number} before
 * @param {number} level
 */
export function smooth(before, level) {
  if (level >= before) return level;
  const falling = before * RELEASE + level * (1 - RELEASE);
  return falling < 0.01 ? 0 : falling;
}
