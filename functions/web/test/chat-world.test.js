// The world channel of a player, whose room moves from hall to hall.

import assert from "node:assert/strict";
import { test } from "node:test";
import { chatRig } from "./chat-rig.js";

/** @import { ChatChannel } from "../sdk/chat-channel.js" */

/** A chat that follows the world channel, beside a connected room. */
function followed() {
  const rig = chatRig();
  rig.room.become("connected");
  /** @type {ChatChannel[]} */
  const shown = [];
  const stop = rig.chat.followWorld((channel) => shown.push(channel));
  const names = () => shown.map(({ name }) => name);
  return { ...rig, shown, stop, names };
}

test("the world channel is the one that the room names, and live at once", async () => {
  const { clock, names, room, service, shown } = followed();
  await clock.pass(1000);
  assert.deepEqual([names(), service.requests], [[], []], "nothing is opened before");
  room.enter("world~eu~7");
  await clock.pass(500);
  assert.deepEqual(names(), ["world~eu~7"]);
  assert.equal(shown[0]?.state, "live");
  const before = service.requests.length;
  await clock.pass(20_000);
  assert.equal(service.requests.length, before, "nobody asks for what is pushed");
  room.push(
    { kind: "posted", message: { seq: 1, at_ms: 1, version: 1, author: "p-a", text: "hello" } },
    "world~eu~7",
  );
  await clock.pass(10);
  assert.deepEqual(shown[0]?.messages.map(({ text }) => text), ["hello"]);
});

test("whoever begins to follow in a room is shown its hall", async () => {
  const { chat, room } = chatRig();
  room.become("connected");
  room.enter("world~eu");
  /** @type {string[]} */
  const names = [];
  chat.followWorld(({ name }) => names.push(name));
  room.enter("world~eu");
  assert.deepEqual(names, ["world~eu"]);
});

test("a room that moves takes the player along, and nothing that he wrote is lost", async () => {
  const { clock, names, room, service, shown } = followed();
  room.enter("world~eu~7");
  await clock.pass(500);
  const [first] = shown;
  assert.ok(first);
  let heard = 0;
  first.on("messages", () => (heard += 1));
  service.online = false;
  first.send("on its way");
  await clock.pass(1000);
  const before = heard;
  room.enter("world~eu~3");
  service.online = true;
  await clock.pass(5000);
  assert.deepEqual(names(), ["world~eu~7", "world~eu~3"]);
  assert.equal(shown[1]?.state, "live");
  assert.ok(service.requests.includes("POST /v1/chat/channels/world~eu~7/messages"));
  assert.deepEqual(service.messages.map(({ text }) => text), ["on its way"]);
  assert.equal(heard, before, "the hall that was left says nothing more");
  assert.notEqual(first.state, "closed");
  await clock.pass(6000);
  assert.deepEqual([first.state, shown[1]?.state], ["closed", "live"]);
});

test("a hall to which the player comes back in time is not closed", async () => {
  const { clock, names, room, shown } = followed();
  for (const name of ["world~eu~7", "world~eu~3", "world~eu~7"]) {
    room.enter(name);
    await clock.pass(500);
  }
  await clock.pass(20_000);
  assert.deepEqual(names(), ["world~eu~7", "world~eu~3", "world~eu~7"]);
  assert.deepEqual(shown.map(({ state }) => state), ["live", "closed", "live"]);
  assert.equal(shown[0], shown[2]);
});

test("who follows no more is told nothing and has nothing open", async () => {
  const { clock, names, room, service, shown, stop } = followed();
  room.enter("world~eu~7");
  room.enter("world~eu~3");
  await clock.pass(500);
  stop();
  assert.deepEqual(shown.map(({ state }) => state), ["closed", "closed"]);
  room.enter("world~eu~9");
  const before = service.requests.length;
  await clock.pass(30_000);
  assert.deepEqual([names().length, service.requests.length], [2, before]);
});
