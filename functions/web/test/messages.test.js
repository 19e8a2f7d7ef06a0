import assert from "node:assert/strict";
import { test } from "node:test";
import { MESSAGE_CHARS_MAX, parseMessage } from "../sdk/messages.js";

const ANN = {
  id: 3,
  player: "p1",
  name: "Ann",
  channels: ["main"],
  muted: false,
  serverMuted: false,
  deafened: false,
  speaker: true,
};

/** The contract's own examples: each must be read as it is written. */
const GOOD = [
  { type: "welcome", participant: 3, room: "lobby", slots: 4, participants: [ANN], count: null },
  { type: "roster", joined: [ANN], left: [4], changed: [], count: 5000 },
  { type: "slots", slots: [{ slot: 0, participant: 4 }, { slot: 1, participant: null }] },
  { type: "speaking", started: [4], stopped: [5] },
  { type: "pong", id: 7 },
  { type: "migrate" },
  ...["kicked", "left", "replaced", "relay-stopping", "protocol", "timeout"].map((reason) => ({
    type: "ended",
    reason,
  })),
];

for (const message of GOOD) {
  test(`reads ${JSON.stringify(message).slice(0, 60)}`, () => {
    assert.deepEqual(parseMessage(JSON.stringify(message)), message);
  });
}

test("unknown fields are ignored and absent lists are empty", () => {
  const roster = parseMessage('{"type":"roster","left":[1],"future":{"x":1}}');
  assert.deepEqual(roster, { type: "roster", joined: [], left: [1], changed: [], count: null });
  const welcome = parseMessage(
    '{"type":"welcome","participant":1,"room":"r","slots":99,' +
      '"participants":[{"id":1,"player":"p"}]}',
  );
  assert.deepEqual(welcome, {
    type: "welcome",
    participant: 1,
    room: "r",
    slots: 16,
    participants: [{ ...ANN, id: 1, player: "p", name: "", channels: [] }],
    count: null,
  });
});

test("an end for a reason of a later version is still an end", () => {
  const ended = parseMessage('{"type":"ended","reason":"weather"}');
  assert.deepEqual(ended, { type: "ended", reason: "relay-stopping" });
});

const BAD = [
  "",
  "null",
  "7",
  "[]",
  "{}",
  '{"type":7}',
  '{"type":"future"}',
  '{"type":"pong"}',
  '{"type":"pong","id":-1}',
  '{"type":"pong","id":1.5}',
  '{"type":"pong","id":"1"}',
  '{"type":"welcome","participants":[]}',
  '{"type":"welcome","participant":1,"participants":{}}',
  '{"type":"welcome","participant":1,"participants":[{"id":1,"player":7}]}',
  '{"type":"roster","joined":[null]}',
  '{"type":"roster","left":["1"]}',
  '{"type":"slots","slots":[{"slot":16,"participant":1}]}',
  '{"type":"slots","slots":[{"slot":0,"participant":"x"}]}',
  '{"type":"speaking","started":4}',
  '{"type":"pong","id":7',
];

for (const text of BAD) {
  test(`drops ${text || "nothing"}`, () => assert.equal(parseMessage(text), null));
}

test("binary and oversized messages are dropped", () => {
  assert.equal(parseMessage(new ArrayBuffer(4)), null);
  assert.equal(parseMessage(undefined), null);
  const long = JSON.stringify({ type: "pong", id: 7, pad: "x".repeat(MESSAGE_CHARS_MAX) });
  assert.equal(parseMessage(long), null);
});
