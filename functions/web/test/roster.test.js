import assert from "node:assert/strict";
import { test } from "node:test";
import { everybody, leftBehind, playersOf, slotGains } from "../sdk/handover.js";
import { parseMessage } from "../sdk/messages.js";
import { emptyView, participantsOf, playersInSlots, reduce } from "../sdk/roster.js";

/** @import { RelayMessage } from "../sdk/messages.js" */

/**
 * @param {number} id
 * @param {string} player
 * @param {Partial<import("../sdk/messages.js").RelayParticipant>} [more]
 */
function peer(id, player, more = {}) {
  const base = { muted: false, serverMuted: false, deafened: false, speaker: true };
  return { id, player, name: player.toUpperCase(), channels: ["main"], ...base, ...more };
}

/** @param {RelayMessage[]} messages */
function viewAfter(...messages) {
  return messages.reduce((view, message) => reduce(view, message).view, emptyView(4));
}

/** @type {RelayMessage} */
const WELCOME = {
  type: "welcome",
  participant: 2,
  room: "lobby",
  slots: 4,
  participants: [peer(1, "zoe"), peer(2, "me"), peer(3, "ann")],
  count: null,
};

/** @param {Partial<import("../sdk/messages.js").RosterChange>} change @returns {RelayMessage} */
function roster(change) {
  return { type: "roster", joined: [], left: [], changed: [], count: null, ...change };
}

test("self comes first, the others by name", () => {
  const people = participantsOf(viewAfter(WELCOME));
  assert.deepEqual(people.map((person) => person.id), ["me", "ann", "zoe"]);
  assert.deepEqual(people.map((person) => person.self), [true, false, false]);
});

test("a welcome replaces everything from before", () => {
  const view = viewAfter(WELCOME, { type: "speaking", started: [3], stopped: [] }, {
    ...WELCOME,
    participant: 9,
    participants: [peer(9, "me")],
  });
  assert.deepEqual(participantsOf(view).map((person) => person.id), ["me"]);
  assert.equal(view.speaking.size, 0);
});

test("a large room is counted, and oneself stays although it names one no more", () => {
  const view = viewAfter(
    { ...WELCOME, count: 5000 },
    roster({ left: [2, 3] }),
    roster({ joined: [peer(7, "tim")], count: 5001 }),
    roster({ left: [1] }),
  );
  assert.deepEqual(participantsOf(view).map((person) => person.id), ["me", "tim"]);
  assert.equal(view.count, 5001);
  const parsed = parseMessage('{"type":"roster","count":12}');
  assert.deepEqual(parsed, { type: "roster", joined: [], left: [], changed: [], count: 12 });
  const odd = parseMessage('{"type":"roster","count":-1}');
  assert.deepEqual(odd, { type: "roster", joined: [], left: [], changed: [], count: null });
});

test("who leaves is gone from the roster, the speakers and his slot", () => {
  const view = viewAfter(
    WELCOME,
    { type: "slots", slots: [{ slot: 1, participant: 3 }] },
    { type: "speaking", started: [3], stopped: [] },
    roster({ left: [3] }),
  );
  assert.deepEqual(playersInSlots(view), [null, null, null, null]);
  assert.equal(view.speaking.size, 0);
  assert.equal(participantsOf(view).length, 2);
});

test("a slot may name someone whose roster entry comes later", () => {
  const slots = viewAfter(WELCOME, { type: "slots", slots: [{ slot: 0, participant: 7 }] });
  assert.deepEqual(playersInSlots(slots), [null, null, null, null]);
  const { view } = reduce(slots, roster({ joined: [peer(7, "late")] }));
  assert.deepEqual(playersInSlots(view), ["late", null, null, null]);
});

test("a slot beyond the offered ones is ignored", () => {
  const view = viewAfter(WELCOME, { type: "slots", slots: [{ slot: 9, participant: 1 }] });
  assert.equal(view.slots.length, 4);
});

test("muting ends speaking", () => {
  const { view, changed } = reduce(
    viewAfter(WELCOME, { type: "speaking", started: [1], stopped: [] }),
    roster({ changed: [peer(1, "zoe", { muted: true })] }),
  );
  assert.equal(view.speaking.size, 0);
  assert.deepEqual(changed, { roster: true, speaking: true, slots: false });
});

test("the same news twice changes nothing", () => {
  const view = viewAfter(WELCOME, { type: "speaking", started: [1], stopped: [] });
  const again = reduce(view, { type: "speaking", started: [1], stopped: [3] });
  assert.equal(again.changed.speaking, false);
  const stranger = reduce(view, { type: "speaking", started: [77], stopped: [] });
  assert.equal(stranger.changed.speaking, false);
});

test("swapping one speaker for another is a change", () => {
  const view = viewAfter(WELCOME, { type: "speaking", started: [1], stopped: [] });
  const { changed } = reduce(view, { type: "speaking", started: [3], stopped: [1] });
  assert.equal(changed.speaking, true);
});

test("a player who is there twice is shown once, as his newer session", () => {
  const view = viewAfter(WELCOME, roster({ joined: [peer(8, "ann", { muted: true })] }));
  const ann = participantsOf(view).filter((person) => person.id === "ann");
  assert.deepEqual(ann.map((person) => person.muted), [true]);
});

test("views are never changed in place", () => {
  const before = viewAfter(WELCOME);
  const copy = structuredClone(before);
  reduce(before, roster({ joined: [peer(5, "eve")], left: [1] }));
  reduce(before, { type: "slots", slots: [{ slot: 0, participant: 1 }] });
  assert.deepEqual(before, copy);
});

test("behind is everybody but oneself who has not arrived", () => {
  const before = viewAfter(WELCOME);
  const alone = viewAfter({ ...WELCOME, participant: 1, participants: [peer(1, "me")] });
  assert.deepEqual([...leftBehind(before, playersOf(alone))].sort(), ["ann", "zoe"]);
  const complete = reduce(alone, roster({ joined: [peer(2, "zoe"), peer(3, "ann")] })).view;
  assert.equal(leftBehind(before, playersOf(complete)).size, 0);
  const left = reduce(before, roster({ left: [1, 3] })).view;
  assert.equal(leftBehind(left, playersOf(alone)).size, 0);
});

test("during a handover everybody is shown once and heard from one side", () => {
  /** @type {RelayMessage} */
  const slots = {
    type: "slots",
    slots: [{ slot: 0, participant: 1 }, { slot: 1, participant: 3 }],
  };
  const before = viewAfter(WELCOME, slots);
  const participants = [peer(1, "me"), peer(2, "zoe")];
  const after = viewAfter({ ...WELCOME, participant: 1, participants }, {
    type: "slots",
    slots: [{ slot: 3, participant: 2 }],
  });
  assert.deepEqual(everybody(after, before).map((person) => person.id), ["me", "zoe", "ann"]);
  const behind = leftBehind(before, playersOf(after));
  assert.deepEqual(slotGains(before, new Map(), (id) => behind.has(id)), [0, 1, 1, 1]);
  assert.deepEqual(slotGains(after, new Map(), (id) => !behind.has(id)), [1, 1, 1, 1]);
  // Zoe has just arrived: until her audio is here too, she is heard from the old side.
  const early = leftBehind(before, new Set(["me"]));
  assert.deepEqual(slotGains(before, new Map(), (id) => early.has(id)), [1, 1, 1, 1]);
  assert.deepEqual(slotGains(after, new Map(), (id) => !early.has(id)), [1, 1, 1, 0]);
});

test("volume follows the player through the slots", () => {
  const volumes = new Map([["zoe", 0.25]]);
  const first = viewAfter(WELCOME, { type: "slots", slots: [{ slot: 0, participant: 1 }] });
  assert.deepEqual(slotGains(first, volumes), [0.25, 1, 1, 1]);
  const moved = { slot: 2, participant: 1 };
  const { view } = reduce(first, { type: "slots", slots: [{ slot: 0, participant: null }, moved] });
  assert.deepEqual(slotGains(view, volumes), [1, 1, 0.25, 1]);
});

test("one who has not said who he is does not hide the others, and shows when heard", () => {
  const participants = '{"id":1,"player":"me"},{"id":2},{"id":3,"player":"ann"}';
  const text = `{"type":"welcome","participant":1,"participants":[${participants}]}`;
  const welcome = parseMessage(text);
  assert.ok(welcome);
  const { view } = reduce(emptyView(4), welcome);
  const ids = (/** @type {import("../sdk/roster.js").RoomView} */ of) =>
    participantsOf(of).map(({ id }) => id);
  assert.deepEqual(ids(view), ["me", "ann"]);
  const heard = reduce(view, { type: "slots", slots: [{ slot: 0, participant: 2 }] }).view;
  assert.deepEqual(ids(heard), ["me", "ann", "~2"]);
  const joined = parseMessage('{"type":"roster","joined":[{"id":4},{"id":5,"player":"bob"}]}');
  assert.ok(joined);
  const late = parseMessage('{"type":"roster","changed":[{"id":4,"player":"cyd"}]}');
  assert.ok(late);
  const both = reduce(reduce(view, joined).view, late).view;
  assert.deepEqual(ids(both), ["me", "ann", "bob", "cyd"]);
  assert.equal(parseMessage('{"type":"roster","joined":[{"id":4,"player":7}]}'), null);
});

test("who was silenced by a moderator does not talk, whatever was said a moment ago", () => {
  const talking = viewAfter(WELCOME, { type: "speaking", started: [3], stopped: [] });
  assert.deepEqual([...talking.speaking], [3]);
  const silenced = { ...peer(3, "ann"), serverMuted: true };
  const { view, changed } = reduce(talking, roster({ changed: [silenced] }));
  assert.ok(changed.speaking && view.speaking.size === 0);
  assert.ok(participantsOf(view).find(({ id }) => id === "ann")?.serverMuted);
});
