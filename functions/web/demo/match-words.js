// Every sentence of matchmaking that depends on something, as pure functions.

/** @import { Invitation, Match, Member, ModeExplanation } from "/sdk/index.js" */
/** @import { QueueRules, TicketDetail } from "/sdk/index.js" */

// Relative, so that the tests of node find it too.
import { problemText } from "../sdk/index.js";

/** As much of a player's id as tells it from others. */
const ID_CHARS = 10;

/** The largest that the service takes, whatever the mode. */
const PARTY_MAX = 16;

const LANGUAGES = new Intl.DisplayNames(["en"], { type: "language" });

const NUMBERS = ["no", "one", "two", "three", "four", "five", "six"];

/**
 * What stands in the way, by the rule's path; whatever else there is has a name of its own.
 *
 * @type {Record<string, string>}
 */
const OBSTACLES = {
  players: "Too few players are looking for a match right now.",
  "rating.spread": "Nobody of about your skill is waiting.",
  "latency.max_ms": "Nobody who waits has a good connection to a region that is near you.",
  cross_play: "The others are on other platforms and stay among themselves.",
  blocks: "Those who wait and your party have blocked each other.",
  teams: "The parties that wait do not add up to full teams.",
  "world.regions": "No region has room for a match right now.",
  "balance.favourite": "The teams would not be even.",
  "balance.distribution": "The teams would not be even.",
};

/**
 * What a wider search means, by the first part of the path that changes.
 *
 * @type {Record<string, string>}
 */
const WIDER = {
  rating: "skill",
  balance: "how even the teams are",
  latency: "distance",
  teams: "the size of teams",
};

/** @param {number} count */
function numberWords(count) {
  return NUMBERS[count] ?? String(count);
}

/**
 * What a queue plays, from the rules of its modes.
 *
 * @param {QueueRules} rules
 */
export function rulesWords({ modes }) {
  return modes.map(modeWords).join(" ");
}

/** @param {QueueRules["modes"][number]} mode */
function modeWords(mode) {
  const { teams, party, acceptance } = /** @type {Record<string, any>} */ (mode);
  const first = Array.isArray(teams) ? teams[0] : undefined;
  const [least, most] = [first?.players?.min, first?.players?.max];
  if (teams?.length !== 1 || typeof most !== "number") return `${mode.mode}.`;
  const size = least === most ? numberWords(most) : `${least} to ${most}`;
  const count = numberWords(first.count ?? 1);
  const teamsOf = `${capital(count)} teams of ${size}.`;
  const who = most === 1 ? `${capital(count)} players, each alone.` : teamsOf;
  const largest = party?.max ?? most;
  const parties = largest > 1 ? ` Come alone or as a party of up to ${numberWords(largest)}.` : "";
  const seconds = acceptance?.timeout_s;
  const asked = seconds ? ` Everyone accepts the match within ${seconds} seconds.` : "";
  return `${who}${parties}${asked}`;
}

/**
 * The largest party that one of the modes takes.
 *
 * @param {QueueRules} rules
 */
export function partyMax({ modes }) {
  const sizes = modes.map((mode) => {
    const { teams, party } = /** @type {Record<string, any>} */ (mode);
    const sizes = [teams ?? []].flat().map((team) => team?.players?.max);
    return party?.max ?? (sizes.length > 0 ? Math.max(...sizes) : PARTY_MAX);
  });
  return sizes.length > 0 ? Math.max(...sizes) : PARTY_MAX;
}

/**
 * The heading and the line below it while there is no match.
 *
 * @param {Pick<TicketDetail, "state" | "problem" | "retryInMs">} detail
 * @param {{ party: readonly Member[], typicalWaitS: number | null, requeued: boolean }} more
 * @param {readonly string[]} languages
 * @returns {{ title: string, detail: string }}
 */
export function searchWords({ state, problem }, { party, typicalWaitS, requeued }, languages) {
  const title = {
    queueing: "Asking for a place",
    gathering: "Waiting for your party",
  }[/** @type {string} */ (state)] ?? "Looking for a match";
  if (problem) return { title, detail: `${problemText(problem, languages)} Your place is kept.` };
  if (state === "gathering") {
    const missing = party.filter(({ joined }) => !joined).length;
    const who = missing === 1 ? "One player has" : `${capital(numberWords(missing))} players have`;
    return { title, detail: `${who} still to join. They are asked on their page.` };
  }
  if (state === "queueing") return { title, detail: "This takes a moment." };
  const typical = typicalWaitS === null ? "" : `Others waited about ${secondsWords(typicalWaitS)}.`;
  if (!requeued) return { title, detail: typical };
  const again = "Not everybody accepted. You are back in the queue and keep your place.";
  return { title, detail: `${again} ${typical}`.trim() };
}

/**
 * Why it waits, for the mode that is nearest to a match.
 *
 * @param {readonly ModeExplanation[]} modes
 */
export function explanationWords(modes) {
  const mode = [...modes].sort((a, b) => a.playersMissing - b.playersMissing)[0];
  if (!mode) return "";
  if (mode.fault !== null) return `No match is possible: ${mode.fault}`;
  if (mode.matchable) return "There is company for you. The match is being made.";
  const [obstacle = "players"] = mode.blockedBy;
  const why = Object.hasOwn(OBSTACLES, obstacle)
    ? OBSTACLES[obstacle]
    : `Those who wait do not fit the rule “${obstacle.replace(/[-_.]+/g, " ")}”.`;
  return [why, missingWords(mode), widerWords(mode), estimateWords(mode)].filter(Boolean).join(" ");
}

/** @param {ModeExplanation} mode */
function missingWords({ playersMissing, blockedBy }) {
  if (playersMissing === 0 || blockedBy[0] !== "players") return "";
  const more = playersMissing === 1 ? "player is" : "players are";
  return `${capital(numberWords(playersMissing))} more ${more} needed.`;
}

/** @param {ModeExplanation} mode */
function widerWords({ nextExpansionS, nextExpansionPaths, blockedBy }) {
  // Wider limits bring nobody where nobody is.
  if (nextExpansionS === null || blockedBy[0] === "players") return "";
  const kinds = nextExpansionPaths.map((path) => WIDER[path.split(/[.[]/)[0] ?? ""]);
  const named = [...new Set(kinds)].filter(Boolean).join(" and ");
  const what = named ? ` in ${named}` : "";
  return `In ${secondsWords(Math.max(1, nextExpansionS))} the search gets wider${what}.`;
}

/** @param {ModeExplanation} mode */
function estimateWords({ estimateS }) {
  if (estimateS === null || estimateS > 3600) return "";
  return `Probably about ${secondsWords(Math.max(1, Math.round(estimateS)))} more.`;
}

/** @param {number} seconds */
function secondsWords(seconds) {
  if (seconds >= 90) return `${Math.round(seconds / 60)} minutes`;
  return seconds === 1 ? "1 second" : `${seconds} seconds`;
}

/** @param {number} ms as minutes and seconds */
export function clockWords(ms) {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
}

/**
 * Who has accepted.
 *
 * @param {Pick<Match, "accepted" | "teams">} match
 */
export function acceptedWords({ accepted, teams }) {
  const all = teams.flatMap(({ players }) => players).length;
  if (accepted.length === 0) return `Nobody of ${all} has accepted yet.`;
  return `${accepted.length} of ${all} ${accepted.length === 1 ? "has" : "have"} accepted.`;
}

/** @param {Pick<Match, "mode" | "region" | "team" | "quality">} match */
export function matchWords({ mode, region, team, quality }) {
  const ms = quality.latencyWorstMs;
  const near = ms === null ? "" : `, ${ms} ms at most`;
  const language = languageName(quality.language);
  const spoken = language ? ` Everybody speaks ${language}.` : "";
  const talk = team ? ` Your team is ${team.name}.` : "";
  return `${mode} in region ${region}${near}.${spoken}${talk}`;
}

/** @param {string | null} code */
function languageName(code) {
  try {
    return code === null ? "" : LANGUAGES.of(code.split("-")[0] ?? "");
  } catch {
    return "";
  }
}

/**
 * Why a search is over, "" when there is nothing to say.
 *
 * @param {TicketDetail} detail
 * @param {{ own: boolean, declined: boolean }} by whether this player ended or declined it
 * @param {readonly string[]} languages
 */
export function endWords({ reason, problem }, { own, declined }, languages) {
  if (declined) return "You declined the match and left the queue.";
  if (own || reason === "closed") return "";
  if (reason === "not-accepted") {
    return "You or somebody of your party did not accept the match in time. Search again.";
  }
  if (reason === "cancelled") return "Somebody of your party ended the search.";
  return problemText(problem ?? { problem: "" }, languages);
}

/**
 * A player as others see him before there is a name.
 *
 * @param {string} id
 * @param {string} self
 */
export function playerWords(id, self) {
  if (id === self) return "You";
  return id.length > ID_CHARS ? `${id.slice(0, ID_CHARS)}…` : id;
}

/**
 * The players whom a text names, without the one who writes it.
 *
 * @param {string} text
 * @param {string} self
 */
export function playersIn(text, self) {
  const ids = text.split(/[\s,;]+/).filter(Boolean);
  return [...new Set(ids)].filter((id) => id !== self);
}

/** @param {Invitation} invitation */
export function invitationWords({ leader, queue }) {
  return `${playerWords(leader, "")} invites you to ${queue}.`;
}

/** @param {string} word */
function capital(word) {
  return word.charAt(0).toUpperCase() + word.slice(1);
}
