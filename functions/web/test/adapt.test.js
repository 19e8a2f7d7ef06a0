import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { adapt, AT_REST, settingsOf, tuned } from "../sdk/adapt.js";
import { parseMessage } from "../sdk/messages.js";
import { measuredOf, scoreOf } from "../sdk/quality.js";
import { roomRig } from "./room-rig.js";

/** @import { QualityTold } from "../sdk/messages.js" */

const GOLDEN = new URL("../../../media-core/quality/tests/golden/adapt.json", import.meta.url);
const WIRE = new URL("../../wire/tests/golden/relay-quality.json", import.meta.url);

test("each step is the one that the relay's crate takes", () => {
  const steps = JSON.parse(readFileSync(GOLDEN, "utf8"));
  assert.ok(steps.length > 20);
  for (const { measured, from, to, settings } of steps) {
    assert.deepEqual(adapt(measured, from), to, JSON.stringify(measured));
    assert.deepEqual(settingsOf(to), settings);
  }
});

const SDP = [
  "v=0",
  "m=audio 9 UDP/TLS/RTP/SAVPF 111 63",
  "a=rtpmap:111 opus/48000/2",
  "a=rtpmap:63 RED/48000/2",
  "a=ptime:20",
  "m=audio 9 UDP/TLS/RTP/SAVPF 111 63",
  "a=rtpmap:63 RED/48000/2",
  "a=ptime:20",
  "",
].join("\r\n");

test("the answer is changed where the microphone is, and nowhere else", () => {
  const rest = settingsOf(AT_REST);
  assert.equal(tuned(SDP, rest), SDP);
  const changed = tuned(SDP, { ...rest, copies: 2, packetMs: 40 }).split("\r\n");
  const lines = SDP.split("\r\n");
  const differs = changed.filter((line, n) => line !== lines[n]);
  assert.deepEqual(differs, ["m=audio 9 UDP/TLS/RTP/SAVPF 63 111", "a=ptime:40"]);
  const without = SDP.replaceAll("RED", "PCMU");
  assert.equal(tuned(without, { ...rest, copies: 1 }), without, "a browser without RED");
});

test("what the relay says of quality is read, as far as it says it", () => {
  const told = /** @type {QualityTold} */ (parseMessage(readFileSync(WIRE, "utf8")));
  const up = { loss: 0.052, concealed: 0.003, jitter: 12, score: 4.06 };
  const expected = { type: "quality", up, down: null, rttMs: 43, listenersLost: 0.01 };
  assert.deepEqual(told, expected);
  assert.deepEqual(measuredOf(told), { lostPermille: 52, rttMs: 43, jitterMs: 12 });
  assert.equal(measuredOf({ ...told, listenersLost: 0.3 })?.lostPermille, 300);
  assert.equal(scoreOf(told), 4.06);
  assert.equal(scoreOf({ ...told, down: { ...up, score: 3 } }), 3);
  assert.deepEqual([measuredOf(null), scoreOf(null)], [null, null]);
  const odd = parseMessage('{"type":"quality","up":{"lost_permille":-1},"down":7,"rtt_ms":"x"}');
  const nothing = { type: "quality", up: null, down: null, rttMs: null, listenersLost: null };
  assert.deepEqual(odd, nothing);
});

/** @param {number} lost per mille */
function lossOf(lost) {
  const way = { lost_permille: lost, concealed_permille: lost, jitter_ms: 5, rating: 50 };
  return { type: "quality", up: { ...way, mos_centi: lost > 100 ? 240 : 420 }, rtt_ms: 40 };
}

test("a room repeats more while its relay misses packets, and then sends as before", async () => {
  const { clock, room, told, world } = roomRig();
  void room.join();
  await clock.pass(3000);
  const peer = /** @type {any} */ (world.session);
  world.home?.say(lossOf(0));
  await clock.pass(3000);
  assert.equal(peer.settings, undefined, "nothing to do");
  world.home?.say(lossOf(150));
  await clock.pass(1500);
  assert.deepEqual(peer.settings, settingsOf({ ...AT_REST, level: 3 }));
  assert.equal(room.quality?.quality, "poor");
  assert.equal(room.quality?.uplink?.loss, 0.15);
  // It is said once that all is well, and holds.
  world.home?.say(lossOf(0));
  await clock.pass(60_000);
  assert.deepEqual(peer.settings, settingsOf(AT_REST));
  assert.equal(room.quality?.quality, "good");
  const grades = told.filter(({ name }) => name === "quality").map(({ detail }) => detail.quality);
  assert.ok(grades.includes("poor"));
  await Promise.all([room.leave(), clock.pass(1000)]);
});

test("a room that is not to adapt does not", async () => {
  const { clock, room, world } = roomRig(/** @type {any} */ ({ adaptive: false }));
  void room.join();
  await clock.pass(3000);
  world.home?.say(lossOf(300));
  await clock.pass(3000);
  assert.equal(/** @type {any} */ (world.session).settings, undefined);
  await Promise.all([room.leave(), clock.pass(1000)]);
});
