// Polite announcements for screen readers: gathered for a moment, then spoken as one.

import { byId, say } from "./dom.js";

const GATHER_MS = 400;
/** More than this at once is noise: the latest ones count. */
const SENTENCES_MAX = 4;

/** @type {string[]} */
let waiting = [];

/** @param {string | null} text */
export function announce(text) {
  if (!text) return;
  if (waiting.length === 0) {
    setTimeout(() => {
      say(byId("announcer"), waiting.join(" "));
      waiting = [];
    }, GATHER_MS);
  }
  waiting.push(text);
  waiting = waiting.slice(-SENTENCES_MAX);
}
