import assert from "node:assert/strict";
import { test } from "node:test";
import { Emitter } from "../sdk/emitter.js";
import { levelOf, smooth } from "../sdk/level.js";
import { microphoneError } from "../sdk/microphone.js";
import { grade, measure, settle } from "../sdk/quality.js";

/** @import { Grade } from "../sdk/quality.js" */

/**
 * @param {number} packetsReceived
 * @param {number} packetsLost
 * @param {number} [jitter]
 */
function inbound(packetsReceived, packetsLost, jitter = 0.005) {
  return { type: "inbound-rtp", kind: "audio", packetsReceived, packetsLost, jitter };
}

test("loss is counted over all slots since the last measurement", () => {
  const first = measure([inbound(100, 10), inbound(0, 0, 0)], null, 40);
  assert.deepEqual(first.measures, { rtt: 40, loss: null, jitter: 5 });
  const second = measure([inbound(190, 20), inbound(0, 0, 0)], first.counters, 40);
  assert.equal(second.measures.loss, 0.1);
});

test("a few packets say nothing about loss", () => {
  const { measures } = measure([inbound(5, 5)], { received: 0, lost: 0, bytes: 0 }, null);
  assert.equal(measures.loss, null);
});

test("what the relay reports of our own packets counts too", () => {
  const upstream = { type: "remote-inbound-rtp", fractionLost: 0.2 };
  assert.equal(measure([upstream], null, 10).measures.loss, 0.2);
  const { measures } = measure([upstream, inbound(100, 0)], { received: 0, lost: 0, bytes: 0 }, 10);
  assert.equal(measures.loss, 0.2);
});

test("what was heard is counted with its headers, over all slots", () => {
  const slots = [inbound(100, 0), inbound(20, 0)].map((slot) => ({ ...slot, bytesReceived: 8000 }));
  const { counters } = measure(slots, null, 10);
  assert.equal(counters.bytes, 16_000 + 120 * 56);
  assert.equal(measure([inbound(0, 0)], counters, 10).counters.bytes, 0);
});

test("counters that go back after a reconnect are no loss", () => {
  const { measures } = measure([inbound(60, 0)], { received: 900, lost: 40, bytes: 90_000 }, 10);
  assert.equal(measures.loss, null);
});

test("each measure alone can lower the grade", () => {
  /** @type {[Parameters<typeof grade>[0], Grade][]} */
  const cases = [
    [{ rtt: null, loss: null, jitter: null }, "good"],
    [{ rtt: 180, loss: 0.02, jitter: 30 }, "good"],
    [{ rtt: 181, loss: 0, jitter: 0 }, "fair"],
    [{ rtt: 20, loss: 0.03, jitter: 0 }, "fair"],
    [{ rtt: 20, loss: 0, jitter: 31 }, "fair"],
    [{ rtt: 401, loss: 0, jitter: 0 }, "poor"],
    [{ rtt: 20, loss: 0.09, jitter: 0 }, "poor"],
    [{ rtt: 20, loss: 0, jitter: 81 }, "poor"],
  ];
  for (const [measures, expected] of cases) assert.equal(grade(measures), expected);
});

test("the shown grade falls at once and rises after two better measurements", () => {
  /** @type {Grade[]} */
  const measured = ["good", "poor", "good", "poor", "good", "fair", "good", "good"];
  /** @type {ReturnType<typeof settle> | null} */
  let state = null;
  const shown = measured.map((one) => (state = settle(state, one)).shown);
  assert.deepEqual(shown, ["good", "poor", "poor", "poor", "poor", "fair", "fair", "good"]);
});

test("after a loss the first measurement counts", () => {
  assert.equal(settle({ shown: "lost", better: 0 }, "good").shown, "good");
});

test("silence is 0, a loud voice is 1, in between it grows", () => {
  const tone = (/** @type {number} */ peak) =>
    levelOf(Float32Array.from({ length: 480 }, (_, n) => peak * Math.sin(n / 7)));
  assert.equal(levelOf(new Float32Array(0)), 0);
  assert.equal(tone(0), 0);
  assert.equal(tone(1), 1);
  assert.ok(tone(0.01) > 0 && tone(0.01) < tone(0.05) && tone(0.05) < 1);
});

test("the meter rises at once, falls gently and reaches zero", () => {
  assert.equal(smooth(0.1, 0.9), 0.9);
  let level = smooth(0.9, 0);
  assert.ok(level > 0.6 && level < 0.9);
  for (let n = 0; n < 30; n += 1) level = smooth(level, 0);
  assert.equal(level, 0);
});

test("a microphone that is not there says why", () => {
  const named = (/** @type {string} */ name) => Object.assign(new Error(name), { name });
  assert.equal(microphoneError(named("NotAllowedError")).problem, "microphone-denied");
  assert.equal(microphoneError(named("NotFoundError")).problem, "microphone-absent");
  assert.equal(microphoneError(named("OverconstrainedError")).problem, "microphone-absent");
  assert.equal(microphoneError(named("NotReadableError")).problem, "microphone-busy");
  assert.equal(microphoneError("odd").problem, "microphone-busy");
});

test("a handler can be taken off, also by the function that on() returned", () => {
  /** @extends {Emitter<{ ring: number }>} */
  class Bell extends Emitter {
    ring() {
      this.emit("ring", 1);
    }
  }
  const bell = new Bell();
  let heard = 0;
  const handler = () => (heard += 1);
  const stop = bell.on("ring", handler);
  bell.ring();
  stop();
  bell.ring();
  bell.on("ring", handler);
  bell.off("ring", handler);
  bell.ring();
  assert.equal(heard, 1);
});
