// Messages and events of text chat, checked before anything believes them. Unknown fields are
// ignored; what is wrong is dropped whole.

import { isId, isObject, listOf, readText } from "./check.js";

/** Longest text, in UTF-16 units: 2,000 characters outside the basic plane. */
export const TEXT_UNITS_MAX = 4000;
/** Longest display name, in UTF-16 units. */
const NAME_UNITS_MAX = 128;
/** Longest id of a player, phrase, attachment or platform. */
const ID_CHARS_MAX = 128;
/** Longest reaction, in UTF-16 units: 32 bytes of UTF-8 are never more. */
const REACTION_UNITS_MAX = 32;
/** Most entries of a list in a message. */
const LIST_MAX = 1024;

/**
 * @typedef {{ locked: boolean, slowS: number }} ChannelSettings `slowS` is the least time between
 *   two messages of one player in seconds, 0 for none
 *
 * @typedef {{ event: "settings", settings: ChannelSettings } | { event: "notice", phrase: string }
 *   | { event: "unknown" }} SystemEvent
 *
 * @typedef {{ reaction: string, count: number, mine: boolean }} ReactionCount
 *
 * @typedef {{ id: string, kind: string }} Attachment
 *
 * A message as the service has it. A deleted one has no content.
 *
 * @typedef {{ seq: number, atMs: number, version: number, author: string | null,
 *   name: string | null, platform: string | null, text: string | null, phrase: string | null,
 *   system: SystemEvent | null, replyTo: number | null, mentions: string[],
 *   attachments: Attachment[], editedAtMs: number | null,
 *   deleted: "author" | "moderator" | "erasure" | null, reactions: ReactionCount[] }} Message
 *
 * @typedef {{ kind: "posted", message: Message, tail: string | null }
 *   | { kind: "changed", message: Message }
 *   | { kind: "reacted", seq: number, player: string, reaction: string, added: boolean }
 *   | { kind: "typing", player: string }
 *   | { kind: "fetch", seq: number }} ChatEvent
 *
 * @typedef {{ messages: Message[], next: number | null, more: boolean,
 *   settings: ChannelSettings | null, tail: string | null,
 *   pollAfterMs: number | null }} HistoryPage
 */

/**
 * What a push tells, or null.
 *
 * @param {unknown} value
 * @returns {ChatEvent | null}
 */
export function readEvent(value) {
  if (!isObject(value)) return null;
  const message = readMessage(value.message);
  switch (value.kind) {
    case "posted":
      return message && { kind: "posted", message, tail: readTail(value.tail) };
    case "changed":
      return message && { kind: "changed", message };
    case "reacted":
      return readReacted(value);
    case "typing": {
      const player = readText(value.player, ID_CHARS_MAX);
      return player ? { kind: "typing", player } : null;
    }
    case "fetch":
      return isId(value.seq) ? { kind: "fetch", seq: value.seq } : null;
    default:
      return null;
  }
}

/**
 * @param {Record<string, unknown>} value
 * @returns {ChatEvent | null}
 */
function readReacted({ seq, player, reaction, added }) {
  const who = readText(player, ID_CHARS_MAX);
  const how = readText(reaction, REACTION_UNITS_MAX);
  if (!isId(seq) || !who || !how) return null;
  return { kind: "reacted", seq, player: who, reaction: how, added: added === true };
}

/**
 * A page of history; null when it is none. Messages that make no sense are left out: their
 * numbers count as seen.
 *
 * @param {unknown} value
 * @returns {HistoryPage | null}
 */
export function readHistory(value) {
  if (!isObject(value) || !Array.isArray(value.messages)) return null;
  if (value.messages.length > LIST_MAX) return null;
  const messages = value.messages.map(readMessage).filter((message) => message !== null);
  messages.sort((a, b) => a.seq - b.seq);
  return {
    messages,
    next: isId(value.next) ? value.next : null,
    more: value.more === true,
    settings: isObject(value.settings) ? readSettings(value.settings) : null,
    tail: readTail(value.tail),
    pollAfterMs: isId(value.poll_after_ms) ? value.poll_after_ms : null,
  };
}

/**
 * @param {unknown} value
 * @returns {Message | null}
 */
export function readMessage(value) {
  if (!isObject(value) || !isId(value.seq) || value.seq === 0) return null;
  const mentions = listOf(value.mentions, (item) => readText(item, ID_CHARS_MAX));
  const attachments = listOf(value.attachments, readAttachment);
  const reactions = listOf(value.reactions, readReaction);
  if (!mentions || !attachments || !reactions || reactions.length > LIST_MAX) return null;
  return {
    seq: value.seq,
    atMs: isId(value.at_ms) ? value.at_ms : 0,
    version: isId(value.version) ? value.version : 1,
    author: readText(value.author, ID_CHARS_MAX),
    name: readText(value.name, NAME_UNITS_MAX),
    platform: readText(value.platform, ID_CHARS_MAX),
    text: readText(value.text, TEXT_UNITS_MAX),
    phrase: readText(value.phrase, ID_CHARS_MAX),
    system: isObject(value.system) ? readSystem(value.system) : null,
    replyTo: isId(value.reply_to) ? value.reply_to : null,
    mentions,
    attachments,
    editedAtMs: isId(value.edited_at_ms) ? value.edited_at_ms : null,
    deleted: readDeletion(value.deleted),
    reactions,
  };
}

/**
 * A way of a later version still means that the message is gone.
 *
 * @param {unknown} value
 * @returns {Message["deleted"]}
 */
function readDeletion(value) {
  if (typeof value !== "string") return null;
  return value === "author" || value === "erasure" ? value : "moderator";
}

/**
 * @param {Record<string, unknown>} value
 * @returns {SystemEvent}
 */
function readSystem(value) {
  const phrase = readText(value.phrase, ID_CHARS_MAX);
  if (value.event === "notice" && phrase) return { event: "notice", phrase };
  if (value.event === "settings" && isObject(value.settings)) {
    return { event: "settings", settings: readSettings(value.settings) };
  }
  return { event: "unknown" };
}

/**
 * @param {Record<string, unknown>} value
 * @returns {ChannelSettings}
 */
function readSettings(value) {
  return { locked: value.locked === true, slowS: isId(value.slow_s) ? value.slow_s : 0 };
}

/** @param {unknown} value */
function readAttachment(value) {
  if (!isObject(value)) return null;
  const id = readText(value.id, ID_CHARS_MAX);
  const kind = readText(value.kind, ID_CHARS_MAX);
  return id && kind ? { id, kind } : null;
}

/** @param {unknown} value */
function readReaction(value) {
  if (!isObject(value)) return null;
  const reaction = readText(value.reaction, REACTION_UNITS_MAX);
  if (!reaction || !isId(value.count)) return null;
  return { reaction, count: value.count, mine: value.mine === true };
}

/** @param {unknown} value */
function readTail(value) {
  return readText(value, ID_CHARS_MAX);
}
