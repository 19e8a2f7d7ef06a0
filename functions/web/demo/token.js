// Where this page's token comes from: the development endpoint, or what the person pasted. A real
// game asks its own login service here.

import { VoiceError } from "/sdk/index.js";

/**
 * A player per tab, so that two tabs are two people.
 *
 * @returns {string}
 */
export function playerId() {
  const key = "lifeverse.player";
  let player = sessionStorage.getItem(key);
  if (!player) {
    const bytes = crypto.getRandomValues(new Uint8Array(8));
    player = `p-${[...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("")}`;
    sessionStorage.setItem(key, player);
  }
  return player;
}

/**
 * Whether this server gives a token to whoever reaches it, from other machines too.
 *
 * @returns {Promise<boolean>}
 */
export async function isOpenToAnybody() {
  if (/^(localhost|127\.[\d.]+|\[::1\])$/.test(location.hostname)) return false;
  const asked = fetch("/dev/token", { method: "OPTIONS", cache: "no-store" });
  return asked.then(
    (response) => response.ok,
    () => false,
  );
}

/**
 * @param {{ room: string, name: string, token: string, moderator: boolean }} wish with a token that
 *   was pasted, or ""
 * @returns {Promise<string>}
 */
export async function fetchToken({ room, name, token: pasted, moderator }) {
  if (pasted) return pasted;
  let response;
  try {
    response = await fetch("/dev/token", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ player: playerId(), room, name, moderator }),
      cache: "no-store",
    });
  } catch (cause) {
    throw new VoiceError("network", "The voice service could not be reached.", { cause });
  }
  if (response.status === 404 || response.status === 405) {
    const detail = "This server does not hand out test tokens.";
    throw new VoiceError("token-needed", detail, { status: 401 });
  }
  if (!response.ok) throw await VoiceError.from(response);
  const { token } = await response.json();
  return token;
}
