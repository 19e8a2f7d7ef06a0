// Every sentence of the chat that depends on something, as pure functions.

/** @import { ChannelSettings, ChatMessage, ChatState, Participant } from "/sdk/index.js" */

// Relative, so that the tests of node find it too.
import { phraseText, problemText } from "../sdk/index.js";

/** What a quote and an announcement show of a text, in characters. */
const SNIPPET_CHARS = 90;

/** @typedef {readonly string[]} Languages */

/** @param {Pick<ChatMessage, "author" | "name">} message */
export function authorOf({ author, name }) {
  return name || author || "The game";
}

/**
 * What a message says, in words.
 *
 * @param {ChatMessage} message
 * @param {Languages} languages
 */
export function contentOf({ deleted, system, phrase, text }, languages) {
  if (deleted === "moderator") return "A moderator removed this message.";
  if (deleted) return "This message was deleted.";
  if (system?.event === "settings") return settingsWords(system.settings);
  if (system?.event === "notice") return phraseText(system.phrase, languages);
  if (phrase) return phraseText(phrase, languages);
  return text ?? "This message needs a newer version of the game.";
}

/** @param {ChannelSettings} settings */
export function settingsWords({ locked, slowS }) {
  if (locked) return "The chat is locked. Only moderators write.";
  if (slowS > 0) return `Slow mode: one message every ${secondsWords(slowS)}.`;
  return "The chat is open.";
}

/** @param {number} seconds */
function secondsWords(seconds) {
  if (seconds % 3600 === 0) return seconds === 3600 ? "hour" : `${seconds / 3600} hours`;
  if (seconds % 60 === 0) return seconds === 60 ? "minute" : `${seconds / 60} minutes`;
  return seconds === 1 ? "second" : `${seconds} seconds`;
}

/**
 * The first line of a text, cut at a character that a reader sees as one.
 *
 * @param {string} text
 */
export function snippet(text) {
  const line = text.trim().replace(/\s+/gu, " ");
  const letters = [...line];
  return letters.length <= SNIPPET_CHARS ? line : `${letters.slice(0, SNIPPET_CHARS).join("")}…`;
}

/**
 * What is said aloud about messages that arrived.
 *
 * @param {ChatMessage[]} messages
 * @param {Languages} languages
 */
export function arrivalWords(messages, languages) {
  if (messages.length > 2) return `${messages.length} new messages.`;
  return messages
    .map((message) => `${authorOf(message)}: ${snippet(contentOf(message, languages))}`)
    .join(" ");
}

/** @param {string[]} names */
export function typingWords(names) {
  const [first, second] = names;
  if (first === undefined) return "";
  if (second === undefined) return `${first} is typing`;
  return names.length === 2 ? `${first} and ${second} are typing` : "Several people are typing";
}

/**
 * Who reads a channel of a match.
 *
 * @param {string} name `room~ROOM~CHANNEL`
 * @param {boolean} isFirst own team's is the first
 */
export function channelWords(name, isFirst) {
  const channel = name.split("~")[2] ?? name;
  if (channel === "all") return "Everybody";
  return isFirst ? "Your team" : channel;
}

/** @param {number} count */
export function unreadWords(count) {
  return count === 1 ? "1 unread message" : `${count} unread messages`;
}

/**
 * What keeps from writing or reading, "" for nothing.
 *
 * @param {ChatState} state
 * @param {{ write: boolean, moderate: boolean }} may
 * @param {ChannelSettings} settings
 * @param {Languages} languages
 */
export function noticeWords({ state, problem }, may, settings, languages) {
  if (state === "refused" && problem) return problemText(problem, languages);
  if (state === "offline") return "The chat is not connected. What you write is sent later.";
  if (state === "loading") return "";
  if (!may.write) return "You may read here, not write.";
  return settings.locked || settings.slowS > 0 ? settingsWords(settings) : "";
}

/**
 * What becomes of an own message, "" when it has arrived.
 *
 * @param {ChatMessage} message
 * @param {Languages} languages
 */
export function deliveryWords({ state, problem }, languages) {
  if (state === "failed" && problem) return `Not sent. ${problemText(problem, languages)}`;
  if (state === "failed") return "Not sent.";
  if (state !== "pending") return "";
  return problem?.problem === "too-fast" ? problemText(problem, languages) : "Sending";
}

/**
 * The people whom a text names as `@name`, longest names first so that "@Ann Lee" is not "@Ann".
 *
 * @param {string} text
 * @param {Pick<Participant, "id" | "name">[]} people
 * @returns {string[]} ids, at most 16
 */
export function mentionsIn(text, people) {
  const found = new Set();
  let rest = text.toLowerCase();
  const byLength = people.filter(({ name }) => name).sort((a, b) => b.name.length - a.name.length);
  for (const { id, name } of byLength) {
    const sign = `@${name.toLowerCase()}`;
    if (!rest.includes(sign)) continue;
    found.add(id);
    rest = rest.replaceAll(sign, " ");
  }
  return [...found].slice(0, 16);
}

/**
 * @param {number} atMs
 * @param {Languages} languages
 */
export function timeWords(atMs, languages) {
  const style = /** @type {const} */ ({ hour: "2-digit", minute: "2-digit" });
  return new Intl.DateTimeFormat([...languages], style).format(atMs);
}
