import assert from "node:assert/strict";
import { test } from "node:test";
import {
  beat,
  heard,
  newHeartbeat,
  PING_EVERY_MS,
  ponged,
  SILENCE_MAX_MS,
} from "../sdk/heartbeat.js";
import { problemFrom, VoiceError, verdict } from "../sdk/problem.js";
import {
  attemptAfterLoss,
  delayBefore,
  icePatience,
  STABLE_AFTER_MS,
} from "../sdk/schedule.js";

test("the first attempt is made at once, then the pause doubles to five seconds", () => {
  const longest = [0, 1, 2, 3, 4, 5, 6, 7, 1000].map((attempt) => delayBefore(attempt, 1));
  assert.deepEqual(longest, [0, 250, 500, 1000, 2000, 4000, 5000, 5000, 5000]);
});

test("chance takes at most half of a pause away", () => {
  for (let attempt = 1; attempt < 12; attempt += 1) {
    assert.equal(delayBefore(attempt, 0) * 2, delayBefore(attempt, 1));
  }
});

test("Retry-After is honoured up to the longest pause", () => {
  assert.equal(delayBefore(1, 1, 2000), 2000);
  assert.equal(delayBefore(1, 1, 60_000), 5000);
  assert.equal(delayBefore(6, 1, 1000), 5000);
  assert.equal(delayBefore(0, 1, 9000), 0);
});

test("patience with an unreachable relay grows", () => {
  assert.equal(icePatience(0), 1500);
  assert.equal(icePatience(1), 2250);
  assert.equal(icePatience(50), 6000);
});

test("a connection that hardly lived does not reset the pauses", () => {
  assert.equal(attemptAfterLoss(3, STABLE_AFTER_MS), 0);
  assert.equal(attemptAfterLoss(3, 10), 4);
});

/** @import { Heartbeat } from "../sdk/heartbeat.js" */

const TICK_MS = 250;

/**
 * @param {Heartbeat} heart
 * @param {number} from
 * @param {number} to
 * @param {boolean} answers
 */
function run(heart, from, to, answers) {
  const pings = [];
  for (let now = from; now <= to; now += TICK_MS) {
    const turned = beat(heart, now);
    heart = turned.heart;
    if (turned.dead) return { heart, pings, deadAt: now };
    if (turned.ping === null) continue;
    pings.push(now);
    if (answers) heart = ponged(heard(heart, now + 30), turned.ping, now + 30);
  }
  return { heart, pings, deadAt: null };
}

test("a ping each second, and nothing is dead while answers come", () => {
  const { heart, pings, deadAt } = run(newHeartbeat(0), 0, 10_000, true);
  assert.deepEqual(pings, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10].map((n) => n * PING_EVERY_MS));
  assert.equal(deadAt, null);
  assert.equal(heart.rtt, 30);
});

test("two seconds of silence are the end", () => {
  assert.equal(run(newHeartbeat(0), 0, 10_000, false).deadAt, SILENCE_MAX_MS);
});

test("a page that slept asks once more before it gives up", () => {
  const { heart } = run(newHeartbeat(0), 0, 1000, true);
  const woken = beat(heart, 60_000);
  assert.equal(woken.dead, false);
  assert.notEqual(woken.ping, null);
  const { deadAt } = run(woken.heart, 60_000 + TICK_MS, 70_000, false);
  assert.equal(deadAt, 60_000 + PING_EVERY_MS);
});

test("a page that slept goes on when the relay is still there", () => {
  const { heart } = run(newHeartbeat(0), 0, 1000, true);
  const woken = heard(beat(heart, 60_000).heart, 60_010);
  assert.equal(run(woken, 60_250, 66_000, true).deadAt, null);
});

test("a pong nobody asked for says nothing about the round trip", () => {
  assert.equal(ponged(newHeartbeat(0), 99, 5).rtt, null);
});

test("pings that nobody answers are not remembered for ever", () => {
  let heart = newHeartbeat(0);
  for (let now = 0; now < 60_000; now += PING_EVERY_MS) heart = beat(heard(heart, now), now).heart;
  assert.equal(heart.pending.length, 8);
});

test("problem+json is read with its name, sentence and Retry-After", () => {
  const type = "https://lifeverse.dev/problems/no-live-relay";
  const body = JSON.stringify({ type, title: "No relay", status: 503, detail: "Start one." });
  const error = problemFrom(503, body, "2");
  assert.deepEqual(
    [error.problem, error.title, error.message, error.status, error.retryAfterMs, error.type],
    ["no-live-relay", "No relay", "Start one.", 503, 2000, type],
  );
});

test("a reply that is no problem document still explains itself", () => {
  for (const body of ["", "<html>", "null", "7", '{"type":5,"detail":["x"]}']) {
    const error = problemFrom(502, body, "soon");
    assert.equal(error.problem, "http-502");
    assert.match(error.message, /502/);
    assert.equal(error.retryAfterMs, null);
  }
});

test("only what a repetition can heal is repeated", () => {
  /** @type {[VoiceError, "stop" | "retry"][]} */
  const cases = [
    [new VoiceError("token-expired", "", { status: 401 }), "stop"],
    [new VoiceError("room-not-granted", "", { status: 403 }), "stop"],
    [new VoiceError("malformed-sdp", "", { status: 400 }), "stop"],
    [new VoiceError("too-many", "", { status: 429 }), "retry"],
    [new VoiceError("conflict", "", { status: 409 }), "retry"],
    [new VoiceError("no-live-relay", "", { status: 503 }), "retry"],
    [new VoiceError("network", ""), "retry"],
    [new VoiceError("relay-unreachable", ""), "retry"],
    [new VoiceError("connection-lost", ""), "retry"],
    [new VoiceError("microphone-denied", ""), "stop"],
    [new VoiceError("kicked", ""), "stop"],
    [new VoiceError("left", ""), "stop"],
  ];
  for (const [error, expected] of cases) assert.equal(verdict(error), expected, error.problem);
  assert.equal(verdict(new TypeError("x")), "retry");
});
