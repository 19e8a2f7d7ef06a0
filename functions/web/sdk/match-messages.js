// What the matchmaking routes say, checked on the way in: a reader returns null for what is not of
// its kind.

import { isId, isObject, listOf, readText } from "./check.js";

const NAME_CHARS_MAX = 128;
const PATH_CHARS_MAX = 256;
const FAULT_CHARS_MAX = 400;
const TOKEN_CHARS_MAX = 16_384;
/** A page asks others over https, or its edge by a path; two slashes would be another host. */
const PROBE = /^(https:\/\/.|\/(?!\/))/;

/**
 * - `gathering`: somebody of the party has still to join
 * - `waiting`: for a match
 * - `proposed`: there is a match that all must accept
 * - `matched`: there is a match
 * - `ended`
 *
 * @typedef {"gathering" | "waiting" | "proposed" | "matched" | "ended"} TicketStatus
 *
 * @typedef {"cancelled" | "not-accepted"} TicketEnd
 *
 * `joined` is false for whoever was invited and has not answered.
 *
 * @typedef {{ player: string, joined: boolean }} Member
 *
 * Times are the service's, of which `nowMs` is the clock.
 *
 * @typedef {{ ticket: string, queue: string, modes: string[], status: TicketStatus,
 *   players: Member[], nowMs: number, sinceMs: number | null, pollAfterMs: number | null,
 *   typicalWaitS: number | null, ended: TicketEnd | null, match: MatchData | null }} TicketData
 *
 * - `proposed`: all must accept it
 * - `ready`: it can be joined
 * - `abandoned`: somebody did not accept it
 * - `over`: its result is known
 *
 * @typedef {"proposed" | "ready" | "abandoned" | "over"} MatchStatus
 *
 * @typedef {{ name: string, channel: string, players: string[] }} Team
 *
 * `ratingSpread` is the largest difference of two parties' ratings, `favourite` the predicted
 * probability that the better team wins, `latencyWorstMs` the longest round trip to the region.
 *
 * @typedef {{ ratingSpread: number, favourite: number, latencyWorstMs: number | null,
 *   language: string | null }} MatchQuality
 *
 * @typedef {{ token: string, expiresAtMs: number, channels: string[] }} Seat
 *
 * @typedef {{ id: string, queue: string, mode: string, rulesVersion: number, region: string,
 *   room: string, status: MatchStatus, formedAtMs: number, acceptUntilMs: number | null,
 *   accepted: string[], teams: Team[], quality: MatchQuality, seat: Seat | null }} MatchData
 *
 * `blockedBy` are paths in the mode's rules, the most decisive first; `fault` says why it can never
 * be matched; `candidates` how many other tickets are left after each rule.
 *
 * @typedef {{ mode: string, matchable: boolean, waitedS: number, fault: string | null,
 *   playersMissing: number, blockedBy: string[], candidates: { rule: string, tickets: number }[],
 *   nextExpansionS: number | null, nextExpansionPaths: string[], estimateS: number | null
 *   }} ModeExplanation
 *
 * The rules of a queue; RULES.md of the service describes those of a mode.
 *
 * @typedef {{ mode: string } & Record<string, unknown>} ModeRules
 * @typedef {{ version: number, modes: ModeRules[], regions: Regions }} QueueRules
 *
 * Regions, each with an address near it that `measureLatency` times.
 *
 * @typedef {Record<string, { probe: string }>} Regions
 *
 * @typedef {{ mu: number, sigma: number, matches: number }} PlayerRating
 *
 * A party that has named this player.
 *
 * @typedef {{ queue: string, ticket: string, leader: string }} Invitation
 *
 * Where this player waits, and the match that he plays in.
 *
 * @typedef {{ own: { queue: string, ticket: string } | null, match: string | null,
 *   invitations: Invitation[] }} OwnSeat
 */

const STATUSES = /** @type {const} */ (["gathering", "waiting", "proposed", "matched", "ended"]);
const MATCH_STATUSES = /** @type {const} */ (["proposed", "ready", "abandoned", "over"]);
const ENDS = /** @type {const} */ (["cancelled", "not-accepted"]);

/**
 * @param {unknown} value
 * @returns {TicketData | null}
 */
export function readTicket(value) {
  if (!isObject(value)) return null;
  const [ticket, queue] = [name(value.ticket), name(value.queue)];
  const [modes, players] = [listOf(value.modes, name), listOf(value.players, readMember)];
  const status = oneOf(STATUSES, value.status);
  const match = value.match === undefined ? null : readMatch(value.match);
  const nowMs = count(value.now_ms);
  if (!ticket || !queue || !modes || !players || !status || nowMs === null) return null;
  if (match === null && (status === "proposed" || status === "matched")) return null;
  return {
    ticket,
    queue,
    modes,
    status,
    players,
    nowMs,
    sinceMs: count(value.since_ms),
    pollAfterMs: count(value.poll_after_ms),
    typicalWaitS: count(value.typical_wait_s),
    ended: oneOf(ENDS, value.ended),
    match,
  };
}

/** @param {unknown} value */
function readMember(value) {
  if (!isObject(value) || typeof value.joined !== "boolean") return null;
  const player = name(value.player);
  return player ? { player, joined: value.joined } : null;
}

/**
 * @param {unknown} value
 * @returns {MatchData | null}
 */
export function readMatch(value) {
  if (!isObject(value)) return null;
  const [id, queue, mode] = [name(value.id), name(value.queue), name(value.mode)];
  const [region, room] = [name(value.region), name(value.room)];
  const [rulesVersion, formedAtMs] = [count(value.rules_version), count(value.formed_at_ms)];
  const [teams, accepted] = [listOf(value.teams, readTeam), listOf(value.accepted, name)];
  const [status, quality] = [oneOf(MATCH_STATUSES, value.status), readQuality(value.quality)];
  const seat = value.seat === undefined ? null : readSeat(value.seat);
  if (!id || !queue || !mode || !region || !room || !teams || !accepted || !status) return null;
  if (!quality || rulesVersion === null || formedAtMs === null) return null;
  if (value.seat !== undefined && !seat) return null;
  const times = { formedAtMs, acceptUntilMs: count(value.accept_until_ms) };
  const who = { accepted, teams, quality, seat };
  return { id, queue, mode, rulesVersion, region, room, status, ...times, ...who };
}

/** @param {unknown} value */
function readTeam(value) {
  if (!isObject(value)) return null;
  const [title, channel] = [name(value.name), name(value.channel)];
  const players = listOf(value.players, name);
  return title && channel && players ? { name: title, channel, players } : null;
}

/** @param {unknown} value */
function readQuality(value) {
  if (!isObject(value)) return null;
  const [ratingSpread, favourite] = [number(value.rating_spread), number(value.favourite)];
  if (ratingSpread === null || favourite === null) return null;
  const latencyWorstMs = count(value.latency_worst_ms);
  return { ratingSpread, favourite, latencyWorstMs, language: name(value.language) };
}

/** @param {unknown} value */
function readSeat(value) {
  if (!isObject(value)) return null;
  const token = readText(value.token, TOKEN_CHARS_MAX);
  const [expiresAt, channels] = [count(value.expires_at), listOf(value.channels, name)];
  if (!token || expiresAt === null || !channels || channels.length === 0) return null;
  return { token, expiresAtMs: expiresAt * 1000, channels };
}

/**
 * @param {unknown} value
 * @returns {OwnSeat | null}
 */
export function readOwnSeat(value) {
  if (!isObject(value)) return null;
  const [queue, ticket] = [name(value.queue), name(value.ticket)];
  const invitations = listOf(value.invitations, readInvitation);
  if (!invitations) return null;
  return { own: queue && ticket ? { queue, ticket } : null, match: name(value.match), invitations };
}

/** @param {unknown} value */
function readInvitation(value) {
  if (!isObject(value)) return null;
  const [queue, ticket, leader] = [name(value.queue), name(value.ticket), name(value.leader)];
  return queue && ticket && leader ? { queue, ticket, leader } : null;
}

/**
 * @param {unknown} value
 * @returns {ModeExplanation[] | null}
 */
export function readExplanation(value) {
  return isObject(value) && Array.isArray(value.modes) ? listOf(value.modes, readMode) : null;
}

/** @param {unknown} value */
function readMode(value) {
  if (!isObject(value)) return null;
  const [mode, waitedS] = [name(value.mode), count(value.waited_s)];
  const playersMissing = count(value.players_missing);
  const blockedBy = listOf(value.blocked_by, path);
  const candidates = listOf(value.candidates, readCandidates);
  const nextExpansionPaths = listOf(value.next_expansion_paths, path);
  if (!mode || waitedS === null || playersMissing === null) return null;
  if (!blockedBy || !candidates || !nextExpansionPaths) return null;
  return {
    mode,
    matchable: value.matchable === true,
    waitedS,
    fault: readText(value.fault, FAULT_CHARS_MAX),
    playersMissing,
    blockedBy,
    candidates,
    nextExpansionS: count(value.next_expansion_s),
    nextExpansionPaths,
    estimateS: number(value.estimate_s),
  };
}

/** @param {unknown} value */
function readCandidates(value) {
  if (!isObject(value)) return null;
  const [rule, tickets] = [path(value.rule), count(value.tickets)];
  return rule !== null && tickets !== null ? { rule, tickets } : null;
}

/**
 * @param {unknown} value
 * @returns {QueueRules | null}
 */
export function readRules(value) {
  if (!isObject(value)) return null;
  const [version, modes] = [count(value.version), listOf(value.modes, readModeRules)];
  const listed = isObject(value.regions) ? Object.entries(value.regions) : [];
  const regions = listOf(listed, readRegion);
  if (version === null || !modes || !regions) return null;
  return { version, modes, regions: Object.fromEntries(regions) };
}

/**
 * @param {unknown} value a name and what is said of it
 * @returns {[string, { probe: string }] | null}
 */
function readRegion(value) {
  const [region, found] = Array.isArray(value) ? value : [];
  const probe = isObject(found) ? readText(found.probe, PATH_CHARS_MAX) : null;
  return name(region) && probe && PROBE.test(probe) ? [region, { probe }] : null;
}

/**
 * @param {unknown} value
 * @returns {ModeRules | null}
 */
function readModeRules(value) {
  const mode = isObject(value) ? name(value.mode) : null;
  return isObject(value) && mode ? { ...value, mode } : null;
}

/**
 * @param {unknown} value
 * @returns {PlayerRating | null}
 */
export function readRating(value) {
  if (!isObject(value) || !isObject(value.rating)) return null;
  const [mu, sigma] = [number(value.rating.mu), number(value.rating.sigma)];
  const matches = count(value.matches);
  return mu !== null && sigma !== null && matches !== null ? { mu, sigma, matches } : null;
}

/** A text that is not empty. @param {unknown} value */
function name(value) {
  return readText(value, NAME_CHARS_MAX) || null;
}

/** @param {unknown} value */
function path(value) {
  return readText(value, PATH_CHARS_MAX);
}

/** @param {unknown} value */
function number(value) {
  return typeof value === "number" && Number.isFinite(value) ? value : null;
}

/** @param {unknown} value */
function count(value) {
  return isId(value) ? value : null;
}

/**
 * @template {string} T
 * @param {readonly T[]} known
 * @param {unknown} value
 */
function oneOf(known, value) {
  return known.find((one) => one === value) ?? null;
}
