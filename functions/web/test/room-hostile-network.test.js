// Search for what breaks a stay in a room: relays that die, drain, fall silent or drop, an edge
// that is slow or refuses, networks that go and come, tabs that sleep, from a seed. ROOM_SEEDS sets
// how many seeds, ROOM_FROM the first, ROOM_SEED tries one alone.

import assert from "node:assert/strict";
import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath, pathToFileURL } from "node:url";
import { play } from "./room-storm.js";

const SEEDS = Number(process.env.ROOM_SEEDS ?? 1000);
const FROM = Number(process.env.ROOM_FROM ?? 0);
const ONLY = process.env.ROOM_SEED;
/** So many seeds find each sabotage. */
const SABOTAGE_SEEDS = 300;
const TIMEOUT = { timeout: 600_000 };

test("whatever happens, a room is held, come back to, and left clean", TIMEOUT, async (t) => {
  const seeds = ONLY ? [Number(ONLY)] : Array.from({ length: SEEDS }, (_, n) => FROM + n);
  const back = /** @type {number[]} */ ([]);
  let attempts = 0;
  for (const seed of seeds) {
    const result = await play(seed);
    if (result.backMs !== null) back.push(result.backMs);
    attempts += result.attempts;
  }
  back.sort((a, b) => a - b);
  const at = (/** @type {number} */ share) => back[Math.floor((back.length - 1) * share)];
  t.diagnostic(`${seeds.length} seeds, ${attempts} attempts; ${back.length} were left in trouble`);
  t.diagnostic(`back after its end: half within ${at(0.5)} ms, all within ${at(1)} ms`);
});

/**
 * The SDK broken on purpose: what is searched for is found. A file, what stands there, what
 * instead, and the words of what does not hold then.
 *
 * @type {Record<string, [string, string, string, RegExp]>}
 */
const SABOTAGES = {
  "a relay that always says migrate is left for the next at once": [
    "room-machine.js",
    "    this.#countLoss(link);\n    this.#begin();",
    "    this.room.attempt = 0;\n    this.#begin();",
    /attempt \d+ after/,
  ],
  "pauses do not grow": [
    "room-machine.js",
    "room.attempt += 1;",
    "room.attempt = 1;",
    /attempt \d+ after/,
  ],
  "a passing refusal is final": [
    "problem.js",
    "refused && !PASSING_STATUS.has(status)",
    "refused || PASSING_STATUS.has(status)",
    /it ended as "refused too-many"/,
  ],
  "silence is not noticed": [
    "heartbeat.js",
    "SILENCE_MAX_MS = 2000",
    "SILENCE_MAX_MS = 120_000",
    /no relay knows|attempts without need|not back/,
  ],
  "a relay that never welcomes is waited for": [
    "link.js",
    "until: now + WELCOME_MAX_MS, iceUntil, hello",
    "until: null, iceUntil: null, hello",
    /not back within/,
  ],
  "the old relay is kept": [
    "handover.js",
    "HANDOVER_MAX_MS = 20000",
    "HANDOVER_MAX_MS = 20000000",
    /a move that does not end|connections are in the room/,
  ],
  "the new relay is not told who is muted": [
    "room-machine.js",
    "if (isSilent(room) || room.deafened) this.#sendOwnState();",
    "",
    /told something else/,
  ],
  "a connection sends the microphone of when it began": [
    "room-links.js",
    "({ peer }) => peer?.setTrack(track)",
    "() => undefined",
    /another microphone/,
  ],
  "a connection on its way is forgotten when one leaves": [
    "room-machine.js",
    "    this.#close(room.joining);\n    for (const link of",
    "    for (const link of",
    /connections are open|leave is not over/,
  ],
  "a token that comes late opens a connection": [
    "room-links.js",
    "      if (signal.aborted) return;\n      const peer =",
    "      const peer =",
    /something is open|connections are open/,
  ],
  "the meters go on": ["room.js", "    this.#meters.stop();\n", "", /timers run|told after/],
  "a player who arrives is not shown": [
    "roster.js",
    "[...message.joined, ...message.changed]",
    "message.changed",
    /people are others/,
  ],
};

for (const [what, [file, from, to, expected]] of Object.entries(SABOTAGES)) {
  test(`it would be found if ${what}`, TIMEOUT, async () => {
    const sdk = await mkdtemp(join(tmpdir(), "sabotaged-sdk-"));
    try {
      await cp(fileURLToPath(new URL("../sdk", import.meta.url)), sdk, { recursive: true });
      await writeFile(join(sdk, "package.json"), '{ "type": "module" }');
      const text = await readFile(join(sdk, file), "utf8");
      assert.equal(text.split(from).length, 2, `${file} does not have once: ${from}`);
      await writeFile(join(sdk, file), text.replace(from, () => to));
      const sabotaged = await import(pathToFileURL(join(sdk, "index.js")).href);
      const search = async () => {
        for (let seed = 0; seed < SABOTAGE_SEEDS; seed += 1) await play(seed, sabotaged);
      };
      await assert.rejects(search, expected);
    } finally {
      await rm(sdk, { recursive: true });
    }
  });
}
