// What a player token says, for showing what its bearer may do. Nothing is proved here: the edge
// checks the token with every request.

import { isObject, listOf, readText } from "./check.js";

const TEXT_CHARS_MAX = 256;

/**
 * @typedef {{ room: string, channels: string[], permissions: string[] }} Grant
 * @typedef {{ player: string, name: string | null, grants: Grant[] }} Claims
 */

/**
 * Reads the payload of a JWT; null when it is not one of a player.
 *
 * @param {string} token
 * @returns {Claims | null}
 */
export function claimsOf(token) {
  const payload = decode(token.split(".")[1] ?? "");
  const player = isObject(payload) ? readText(payload.sub, TEXT_CHARS_MAX) : null;
  if (!isObject(payload) || !player) return null;
  const grants = listOf(payload.grants, readGrant) ?? [];
  return { player, name: readText(payload.name, TEXT_CHARS_MAX), grants };
}

/** @param {string} payload base64url */
function decode(payload) {
  try {
    const binary = atob(payload.replace(/-/g, "+").replace(/_/g, "/"));
    const bytes = Uint8Array.from(binary, (char) => char.charCodeAt(0));
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch {
    return null;
  }
}

/** @param {unknown} value */
function readGrant(value) {
  if (!isObject(value)) return null;
  const text = (/** @type {unknown} */ item) => readText(item, TEXT_CHARS_MAX);
  const [room, channels] = [text(value.room), listOf(value.channels, text)];
  const permissions = listOf(value.permissions, text);
  return room && channels && permissions ? { room, channels, permissions } : null;
}

/**
 * Whether the claims grant a permission in a chat channel (`room~ROOM~CHANNEL`, `party~ROOM`,
 * `direct~PLAYER`, `world~REGION`, `world~REGION~HALL`).
 *
 * @param {Claims} claims
 * @param {string} channel
 * @param {"chat" | "moderate"} permission
 */
export function grants(claims, channel, permission) {
  const [kind, first = "", second = ""] = channel.split("~");
  const [room, name] =
    kind === "room" ? [first, second] : kind === "party" ? [first, "party"] : [kind ?? "", first];
  return claims.grants.some(
    (grant) =>
      namesRoom(grant.room, room) &&
      grant.channels.some((pattern) => matches(pattern, name)) &&
      grant.permissions.includes(permission),
  );
}

/**
 * Whether the claims let one sanction players of a room.
 *
 * @param {Claims} claims
 * @param {string} room
 */
export function moderatesRoom(claims, room) {
  return claims.grants.some(
    (grant) =>
      namesRoom(grant.room, room) &&
      grant.channels.includes("*") &&
      grant.permissions.includes("moderate"),
  );
}

/**
 * A pattern is a name, or a prefix and a star.
 *
 * @param {string} pattern
 * @param {string} name
 */
function matches(pattern, name) {
  if (pattern.endsWith("*")) return name.startsWith(pattern.slice(0, -1));
  return pattern === name;
}

/** Direct messages and world channels are granted by these names, never by a prefix. */
const RESERVED_ROOMS = new Set(["direct", "world"]);

/**
 * @param {string} pattern
 * @param {string} room
 */
function namesRoom(pattern, room) {
  return RESERVED_ROOMS.has(room) ? pattern === room : matches(pattern, room);
}
