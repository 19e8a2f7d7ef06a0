// Every sentence that depends on something, as pure functions.

/** @import { Participant, StateDetail, QualityDetail } from "/sdk/index.js" */

/** Room names as the edge takes them. */
const ROOM_CHARS_MAX = 64;

/**
 * What stopped us, in words for the person: what happened and what to do.
 *
 * @typedef {{ title: string, detail: string, advice: string }} Explanation
 */

/** @type {Record<string, { title: string, advice: string }>} */
const KNOWN = {
  "microphone-denied": {
    title: "The microphone is blocked",
    advice:
      "Allow it in the browser's address bar and try again, or join and only listen. You can " +
      "switch the microphone on later in Sound.",
  },
  "microphone-absent": {
    title: "No microphone found",
    advice: "Plug one in and try again, or join and only listen.",
  },
  "microphone-busy": {
    title: "The microphone does not open",
    advice: "Close other programs that use it and try again, or join and only listen.",
  },
  "not-supported": {
    title: "This browser cannot do voice here",
    advice: "Open the page over https in a current Firefox, Chrome, Edge or Safari.",
  },
  "token-needed": {
    title: "An access token is needed",
    advice: "Paste a token below your room and join again.",
  },
  kicked: {
    title: "You were removed from the room",
    advice: "Ask a moderator before you come back.",
  },
  banned: {
    title: "You are kept out of this room",
    advice: "Choose another room, or ask a moderator.",
  },
  replaced: {
    title: "You joined from somewhere else",
    advice: "The voice moved to your other tab or device. Join again to bring it back here.",
  },
};

/**
 * @param {{ problem: string, message: string, status: number, title?: string,
 *   retryAfterMs?: number | null }} error
 * @returns {Explanation}
 */
export function explain(error) {
  const known = KNOWN[error.problem];
  if (error.problem === "banned" && known && error.retryAfterMs) {
    return { ...known, detail: `It is open to you again in ${timeWords(error.retryAfterMs)}.` };
  }
  if (known) return { ...known, detail: error.message };
  const detail = error.message;
  const title = error.title ?? "";
  if (error.status === 401) {
    const advice = "Get a new access token from your game and join again.";
    return { title: title || "Your access token was not accepted", detail, advice };
  }
  if (error.status === 403) {
    const advice = "Choose another room, or ask for access to this one.";
    return { title: title || "This room is not open to you", detail, advice };
  }
  const advice = "Check the room and try again.";
  return { title: title || "The join was refused", detail, advice };
}

/**
 * What is going on while joining or coming back.
 *
 * @param {StateDetail} detail
 * @returns {{ title: string, detail: string }}
 */
export function progressWords({ state, problem, retryInMs }) {
  if (state === "microphone") {
    return {
      title: "May we use your microphone?",
      detail: "Answer your browser's question. Nothing is recorded.",
    };
  }
  const title = state === "reconnecting" ? "Getting you back in" : "Connecting";
  if (!problem) return { title, detail: "This takes a moment." };
  return { title, detail: `${obstacle(problem)} ${patience(retryInMs)}` };
}

/** @param {{ problem: string, message: string }} problem */
function obstacle({ problem, message }) {
  if (problem === "network") return "The voice service cannot be reached. Are you online?";
  if (problem === "no-live-relay") return "No voice relay is running right now.";
  if (problem === "connection-lost") return "The connection broke.";
  return message;
}

/** @param {number | null} retryInMs */
function patience(retryInMs) {
  if (retryInMs === null || retryInMs < 1500) return "Trying again by itself.";
  return `Trying again in ${Math.round(retryInMs / 1000)} seconds.`;
}

/**
 * What is worth an announcement: that it became poor, and that it is better again.
 *
 * @param {string | undefined} before
 * @param {QualityDetail["quality"]} now
 */
export function qualityNews(before, now) {
  if (now === "poor" && before !== "poor") return "Your connection is poor.";
  if (before !== "poor") return null;
  return { good: "Your connection is good again.", fair: "Your connection is better." }[
    /** @type {"good"} */ (now)
  ] ?? null;
}

/**
 * The figures behind the word: how one hears, and how one is heard.
 *
 * @param {Pick<QualityDetail, "jitter" | "loss" | "uplink" | "score">} quality
 */
export function qualityTitle({ jitter, loss, uplink, score }) {
  const percent = (/** @type {number} */ share) => `${(share * 100).toFixed(1)} %`;
  const parts = [
    jitter === null ? [] : `Jitter ${Math.round(jitter)} ms`,
    loss === null ? [] : `${percent(loss)} lost`,
    uplink ? `your voice: ${percent(uplink.loss)} lost, ${percent(uplink.concealed)} for good` : [],
    score === null ? [] : `score ${score.toFixed(1)} of 4.5`,
  ];
  return parts.flat().join(", ");
}

/** @param {Pick<QualityDetail, "quality" | "rtt">} quality */
export function qualityWords({ quality, rtt }) {
  const word = { good: "Good", fair: "Fair", poor: "Poor", lost: "No connection" }[quality];
  return rtt === null || quality === "lost" ? word : `${word}, ${Math.round(rtt)} ms`;
}

/**
 * A time in the largest unit of which there are two, rounded up.
 *
 * @param {number} ms
 */
function timeWords(ms) {
  const minutes = Math.ceil(ms / 60_000);
  if (minutes >= 2 * 24 * 60) return `${Math.ceil(minutes / (24 * 60))} days`;
  if (minutes >= 2 * 60) return `${Math.ceil(minutes / 60)} hours`;
  return minutes === 1 ? "1 minute" : `${minutes} minutes`;
}

/**
 * What a person is doing, in a word or two.
 *
 * @param {Participant} person
 */
export function doing(person) {
  if (person.deafened) return "Deafened";
  if (person.serverMuted) return "Silenced by a moderator";
  if (person.muted) return "Muted";
  if (!person.speaker) return "Listening";
  return person.speaking ? "Speaking" : "Quiet";
}

/**
 * Who came and who went, for the announcements; null when nobody did.
 *
 * @param {Participant[]} before
 * @param {Participant[]} after
 * @returns {string | null}
 */
export function rosterNews(before, after) {
  const came = missingFrom(after, before);
  const went = missingFrom(before, after);
  const parts = [came && `${came} joined.`, went && `${went} left.`].filter(Boolean);
  return parts.length > 0 ? parts.join(" ") : null;
}

/**
 * @param {Participant[]} people
 * @param {Participant[]} others
 */
function missingFrom(people, others) {
  const ids = new Set(others.map((person) => person.id));
  const missing = people.filter((person) => !person.self && !ids.has(person.id));
  if (missing.length === 0) return "";
  if (missing.length > 3) return `${missing.length} people`;
  const names = missing.map((person) => person.name);
  const last = names.pop();
  return names.length > 0 ? `${names.join(", ")} and ${last}` : `${last}`;
}

/** @param {number} people */
export function countWords(people) {
  if (people === 1) return "Only you so far";
  return `${people} people`;
}

/**
 * Up to two letters for a name, whatever the script.
 *
 * @param {string} name
 */
export function initials(name) {
  const words = name.trim().split(/[\s_.-]+/u).filter(Boolean);
  const picked = words.length > 1 ? [words[0], words.at(-1)] : words;
  const letters = picked.map((word) => [...(word ?? "")][0] ?? "");
  return letters.join("").toLocaleUpperCase() || "?";
}

/**
 * A colour that stays with the player: a hue in degrees.
 *
 * @param {string} id
 */
export function hueOf(id) {
  let hash = 2166136261;
  for (const char of id) hash = Math.imul(hash ^ (char.codePointAt(0) ?? 0), 16777619);
  // Multiplying by the golden angle keeps similar ids apart.
  return Math.round(((hash >>> 0) * 137.508) % 360);
}

/**
 * The room as the edge wants it, from what a person typed: "Guild Hall" is "guild-hall".
 *
 * @param {string} typed
 * @returns {string} "" when nothing usable is left
 */
export function cleanRoom(typed) {
  const plain = typed.trim().replace(/^#/, "").replace(/\s+/g, "-");
  return plain.replace(/[^A-Za-z0-9_.-]/g, "").slice(0, ROOM_CHARS_MAX);
}

/**
 * The room an address invites to: `#lobby` or `?room=lobby`.
 *
 * @param {URL} url
 */
export function roomOf(url) {
  let fragment = url.hash.slice(1);
  try {
    fragment = decodeURIComponent(fragment);
  } catch {
    // A broken escape: take it as it is, cleaning drops the rest.
  }
  return cleanRoom(fragment) || cleanRoom(url.searchParams.get("room") ?? "");
}

/**
 * The link that invites to a room. The room is in the fragment, so that no server on the way logs
 * it.
 *
 * @param {URL} url
 * @param {string} room
 */
export function inviteLink(url, room) {
  return `${url.origin}${url.pathname}#${room}`;
}

/**
 * Those of a large room whom the list does not name.
 *
 * @param {number} others
 */
export function andMore(others) {
  return others === 1 ? "and one more" : `and ${others.toLocaleString("en")} more`;
}

/**
 * What voice that was heard has cost whoever runs the service.
 *
 * @param {number} bytes
 * @param {number} usdPerGb
 */
export function costWords(bytes, usdPerGb) {
  const megabytes = (bytes / 1e6).toFixed(1);
  const dollars = ((bytes / 1e9) * usdPerGb).toFixed(6);
  return `${megabytes} MB heard, about ${dollars} $`;
}

/**
 * How that is known.
 *
 * @param {string} date
 * @param {number} usdPerGb
 */
export function costNote(date, usdPerGb) {
  return (
    `An estimate of the traffic to you since you joined, at the list price of ${usdPerGb} $ a ` +
    `gigabyte (AWS, read ${date}).`
  );
}
