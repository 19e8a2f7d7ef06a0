import assert from "node:assert/strict";
import { test } from "node:test";
import { VoiceError } from "../sdk/index.js";
import {
  andMore,
  cleanRoom,
  costNote,
  costWords,
  countWords,
  doing,
  explain,
  hueOf,
  initials,
  inviteLink,
  progressWords,
  qualityNews,
  qualityTitle,
  qualityWords,
  roomOf,
  rosterNews,
} from "../demo/words.js";

/** @param {string} name */
function person(name, more = {}) {
  return {
    id: `p-${name}`,
    name,
    self: false,
    speaking: false,
    muted: false,
    serverMuted: false,
    deafened: false,
    speaker: true,
    channels: ["main"],
    slot: null,
    ...more,
  };
}

test("a room is what the edge accepts, whatever was typed", () => {
  assert.equal(cleanRoom("  Guild Hall "), "Guild-Hall");
  assert.equal(cleanRoom("#lobby"), "lobby");
  assert.equal(cleanRoom("a/b?c=<d>"), "abcd");
  assert.equal(cleanRoom("日本"), "");
  assert.equal(cleanRoom("x".repeat(200)).length, 64);
});

test("an invite link leads to its room", () => {
  const page = new URL("https://voice.example/?room=old#older");
  const link = inviteLink(page, "guild-7.b_c");
  assert.equal(link, "https://voice.example/#guild-7.b_c");
  assert.equal(roomOf(new URL(link)), "guild-7.b_c");
  assert.equal(roomOf(new URL("https://voice.example/?room=den")), "den");
  assert.equal(roomOf(new URL("https://voice.example/#%zz")), "zz");
  assert.equal(roomOf(new URL("https://voice.example/")), "");
});

test("initials come from any script", () => {
  assert.equal(initials("Ann Okafor"), "AO");
  assert.equal(initials("björn"), "B");
  assert.equal(initials("李小龙"), "李");
  assert.equal(initials("😀 face"), "😀F");
  assert.equal(initials("  "), "?");
});

test("a player keeps his colour, and neighbours differ", () => {
  assert.equal(hueOf("p-1"), hueOf("p-1"));
  const hues = new Set(Array.from({ length: 20 }, (_, n) => hueOf(`p-${n}`)));
  assert.ok(hues.size > 15);
  for (const hue of hues) assert.ok(hue >= 0 && hue <= 360);
});

test("who came and went is told in one sentence each", () => {
  const [me, ann, bob] = [person("Me", { self: true }), person("Ann"), person("Bob")];
  assert.equal(rosterNews([me], [me, ann]), "Ann joined.");
  assert.equal(rosterNews([me, ann], [me, bob]), "Bob joined. Ann left.");
  assert.equal(rosterNews([me], [me, ann, bob]), "Ann and Bob joined.");
  const crowd = ["a", "b", "c", "d"].map((name) => person(name));
  assert.equal(rosterNews([me], [me, ...crowd]), "4 people joined.");
  assert.equal(rosterNews([me, ann], [me, { ...ann, muted: true }]), null);
  assert.equal(rosterNews([], [me]), null);
});

test("what a person does, the strongest fact first", () => {
  assert.equal(doing(person("a", { speaking: true, muted: true, deafened: true })), "Deafened");
  assert.equal(doing(person("a", { speaking: true, muted: true })), "Muted");
  assert.equal(doing(person("a", { speaker: false })), "Listening");
  assert.equal(doing(person("a", { speaking: true })), "Speaking");
  assert.equal(doing(person("a")), "Quiet");
  assert.equal(countWords(1), "Only you so far");
  assert.equal(countWords(2), "2 people");
  assert.equal(andMore(1), "and one more");
  assert.equal(andMore(4900), "and 4,900 more");
});

test("a cost is told with what it is of", () => {
  assert.equal(costWords(1_400_000, 0.09), "1.4 MB heard, about 0.000126 $");
  assert.match(costNote("2026-05-15", 0.09), /0\.09 \$ a gigabyte \(AWS, read 2026-05-15\)/);
});

test("every refusal has a heading and says what to do", () => {
  const refusals = [
    new VoiceError("microphone-denied", "Denied."),
    new VoiceError("microphone-absent", "None."),
    new VoiceError("microphone-busy", "Busy."),
    new VoiceError("not-supported", "Old."),
    new VoiceError("kicked", "Out."),
    new VoiceError("replaced", "Twice."),
    new VoiceError("token-expired", "It expired.", { status: 401, title: "Token expired" }),
    new VoiceError("unknown", "No.", { status: 401 }),
    new VoiceError("unknown", "No.", { status: 403 }),
    new VoiceError("unknown", "No.", { status: 400 }),
  ];
  for (const refusal of refusals) {
    const { title, detail, advice } = explain(refusal);
    assert.ok(title && advice, refusal.problem);
    assert.equal(detail, refusal.message);
  }
  const expired = explain(/** @type {VoiceError} */ (refusals[6]));
  assert.equal(expired.title, "Token expired");
  assert.match(expired.advice, /new access token/);
});

test("waiting says what for and how long", () => {
  const blank = { reason: null, problem: null, retryInMs: null };
  assert.match(progressWords({ ...blank, state: "microphone" }).title, /microphone/);
  assert.equal(progressWords({ ...blank, state: "connecting" }).title, "Connecting");
  const problem = new VoiceError("no-live-relay", "x", { status: 503 });
  const waiting = { ...blank, problem, retryInMs: 3400 };
  const words = progressWords({ ...waiting, state: "reconnecting" });
  assert.match(words.detail, /No voice relay is running.*in 3 seconds/);
});

test("that a connection becomes poor is news, and that it is better again", () => {
  assert.equal(qualityNews("good", "poor"), "Your connection is poor.");
  assert.equal(qualityNews("poor", "good"), "Your connection is good again.");
  assert.equal(qualityNews("poor", "fair"), "Your connection is better.");
  for (const [before, now] of [["good", "fair"], ["poor", "poor"], ["poor", "lost"]]) {
    assert.equal(qualityNews(before, /** @type {any} */ (now)), null);
  }
});

test("behind the word are the figures that there are", () => {
  const uplink = { loss: 0.05, concealed: 0.003, jitter: 4, score: 4.1 };
  assert.equal(
    qualityTitle({ jitter: 12.4, loss: 0.02, uplink, score: 4.06 }),
    "Jitter 12 ms, 2.0 % lost, your voice: 5.0 % lost, 0.3 % for good, score 4.1 of 4.5",
  );
  assert.equal(qualityTitle({ jitter: null, loss: null, uplink: null, score: null }), "");
});

test("quality is a word with a number when there is one", () => {
  const none = { loss: null, jitter: null };
  assert.equal(qualityWords({ quality: "good", rtt: 23.6, ...none }), "Good, 24 ms");
  assert.equal(qualityWords({ quality: "fair", rtt: null, ...none }), "Fair");
  assert.equal(qualityWords({ quality: "lost", rtt: 5, ...none }), "No connection");
});

test("who is kept out is told for how long", () => {
  const MINUTE = 60_000;
  const rows = /** @type {[number, string][]} */ ([
    [1, "1 minute"],
    [90 * 1000, "2 minutes"],
    [90 * MINUTE, "90 minutes"],
    [24 * 60 * MINUTE, "24 hours"],
    [7 * 24 * 60 * MINUTE, "7 days"],
  ]);
  for (const [retryAfterMs, words] of rows) {
    const refusal = new VoiceError("banned", "Join another.", { status: 403, retryAfterMs });
    const { title, detail } = explain(refusal);
    assert.equal(title, "You are kept out of this room");
    assert.equal(detail, `It is open to you again in ${words}.`);
  }
});
