// When to try again, and how long to wait for what. Time and chance are arguments.

/** First pause after a failed attempt. */
const DELAY_FIRST_MS = 250;
/** Longest pause between attempts. */
const DELAY_MAX_MS = 5000;
/** A connection that lived this long makes the next loss a first one. */
export const STABLE_AFTER_MS = 5000;
/** Time over which those come back who lost the same relay. */
export const RETURN_WITHIN_MS = 500;
/** The first wait for the relay's answer to connectivity checks. */
const ICE_FIRST_MS = 1500;
/** Enough for a satellite link. */
const ICE_MAX_MS = 6000;
/** From the edge's answer to the relay's welcome: ICE, DTLS, SCTP and the hello. */
export const WELCOME_MAX_MS = 8000;
/** The longest wait for the edge's reply to a join. */
export const JOIN_MAX_MS = 6000;

/**
 * The pause before attempt `attempt`. The first is made at once; then 250 ms doubling to 5 s, of
 * which the lower half is certain and the upper half is chance, so that a thousand players who
 * lost the same relay do not come back in the same millisecond.
 *
 * @param {number} attempt 0 for the first
 * @param {number} random 0 to 1
 * @param {number | null} [retryAfterMs] what the edge asked for
 * @returns {number} milliseconds
 */
export function delayBefore(attempt, random, retryAfterMs = null) {
  if (attempt <= 0) return 0;
  const ceiling = Math.min(DELAY_MAX_MS, DELAY_FIRST_MS * 2 ** Math.min(attempt - 1, 16));
  const delay = ceiling * (0.5 + random / 2);
  return Math.round(Math.max(delay, Math.min(retryAfterMs ?? 0, DELAY_MAX_MS)));
}

/**
 * How long attempt `attempt` waits for the relay to answer connectivity checks. Short at first: a
 * dead relay is the usual reason for silence, and the next join goes to another one.
 *
 * @param {number} attempt
 * @returns {number} milliseconds
 */
export function icePatience(attempt) {
  return Math.min(ICE_MAX_MS, ICE_FIRST_MS * 1.5 ** Math.min(Math.max(attempt, 0), 16));
}

/**
 * The attempt number to go on with after a connection was lost: 0 when it had been stable, one
 * more than before when it hardly lived, so that a relay which accepts and drops is not hammered.
 *
 * @param {number} attempt the number of the attempt that made the connection
 * @param {number} livedMs
 */
export function attemptAfterLoss(attempt, livedMs) {
  return livedMs >= STABLE_AFTER_MS ? 0 : attempt + 1;
}
