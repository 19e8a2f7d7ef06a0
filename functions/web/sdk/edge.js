// The one HTTP request of a join.

import { VoiceError } from "./problem.js";

/** @import { Runtime } from "./runtime.js" */

/**
 * `world` is the world channel that the relay pushes; an edge of an earlier release names none.
 *
 * @typedef {{ session: string, answer: string, hello: string, region: string, relay: string,
 *   world?: unknown }} JoinReply
 *
 * @typedef {{ edge: string, room: string, token: string, offer: string, channels?: string[],
 *   region?: string, lost?: string | null, signal: AbortSignal }} JoinRequest
 */

/**
 * @param {Runtime} runtime
 * @param {JoinRequest} request
 * @returns {Promise<JoinReply>}
 */
export async function requestJoin(runtime, request) {
  const { edge, room, token, offer, channels, region, lost, signal } = request;
  const url = `${edge.replace(/\/+$/, "")}/v1/rooms/${encodeURIComponent(room)}/sessions`;
  let response;
  try {
    response = await runtime.fetch(url, {
      method: "POST",
      headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
      body: JSON.stringify({ offer, channels, region, lost: lost ?? undefined }),
      cache: "no-store",
      credentials: "omit",
      signal,
    });
  } catch (cause) {
    throw new VoiceError("network", "The voice service could not be reached.", { cause });
  }
  if (response.status !== 201) throw await VoiceError.from(response);
  const reply = await response.json().catch(() => null);
  for (const field of ["session", "answer", "hello"]) {
    if (typeof reply?.[field] !== "string") {
      throw new VoiceError("bad-reply", "The voice service sent a reply that makes no sense.");
    }
  }
  return reply;
}
