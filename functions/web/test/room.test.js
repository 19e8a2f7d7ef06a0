// A voice room as an application sees it, on relays in memory: what is told when, what a handler
// may do, and what comes of errors. Bad networks are in `room-hostile-network.test.js`.

import assert from "node:assert/strict";
import { test } from "node:test";
import { VoiceError } from "../sdk/problem.js";
import { VoiceRoom } from "../sdk/room.js";
import { roomRig } from "./room-rig.js";
import { passUntil, settled } from "./virtual.js";

/** @param {import("./room-rig.js").Rig} rig */
function states({ told }) {
  return told.filter(({ name }) => name === "state").map(({ detail }) => detail.state);
}

/** @param {Parameters<typeof roomRig>[0]} [options] */
async function joined(options) {
  const rig = roomRig(options);
  rig.world.home?.others.add("p-a");
  await passUntil(rig.clock, rig.room.join());
  return rig;
}

test("a join: the states on the way, then who is there", async () => {
  const rig = await joined();
  const { room, told, world } = rig;
  assert.deepEqual(states(rig), ["microphone", "connecting", "connected"]);
  assert.deepEqual(told.slice(2, 7).map(({ name }) => name), [
    "state",
    "roster",
    "speaking",
    "slots",
    "playback",
  ]);
  assert.deepEqual(room.participants.map(({ id }) => id), ["p-me", "p-a"]);
  assert.deepEqual([room.self?.id, room.participantCount, room.state], ["p-me", 2, "connected"]);
  await rig.clock.pass(100);
  assert.deepEqual(room.slots, ["p-a", ...Array(7).fill(null)]);
  assert.notEqual(room.remoteStream(0), null);
  assert.deepEqual(world.requests, ["POST /v1/rooms/lobby/sessions"]);
});

test("a room is joined once, and slots are 1 to 16", async () => {
  const { room } = await joined();
  await assert.rejects(room.join(), /joined once/);
  for (const slots of [0, 17, 1.5]) {
    const options = { room: "lobby", token: () => "token", slots };
    assert.throws(() => new VoiceRoom(options), RangeError);
  }
});

test("a refusal rejects the join with the error that the state tells", async () => {
  const rig = roomRig();
  rig.world.refusals.push({ status: 403, name: "room-not-granted" });
  const error = await passUntil(rig.clock, rig.room.join()).catch((reason) => reason);
  assert.ok(error instanceof VoiceError);
  assert.deepEqual([error.problem, error.status], ["room-not-granted", 403]);
  assert.equal(rig.room.detail.problem, error);
  assert.deepEqual(states(rig), ["microphone", "connecting", "refused"]);
  assert.deepEqual([rig.world.open.size, rig.tab.timers, rig.device.playbacks], [0, 0, 0]);
});

test("an application's own refusal ends the join, its other errors do not", async () => {
  const cause = new VoiceError("banned", "Not you.", { status: 403 });
  let asked = 0;
  const token = () => {
    asked += 1;
    throw asked === 1 ? new TypeError("no login service") : cause;
  };
  const rig = roomRig({ token });
  const error = await passUntil(rig.clock, rig.room.join()).catch((reason) => reason);
  assert.equal(error, cause);
  const problems = rig.told.filter(({ name }) => name === "error");
  assert.equal(problems.length, 1);
  assert.ok(problems[0]?.detail.cause instanceof TypeError);
});

test("a denied microphone is no way in", async () => {
  const rig = roomRig();
  rig.device.refusals.push("microphone-denied");
  const failed = passUntil(rig.clock, rig.room.join());
  await assert.rejects(failed, { problem: "microphone-denied" });
  assert.deepEqual(states(rig), ["microphone", "refused"]);
  assert.deepEqual([rig.token.asked.length, rig.device.playbacks], [0, 0]);
});

test("who only listens is not asked, and counts as muted", async () => {
  const rig = await joined({ microphone: null });
  assert.deepEqual(states(rig), ["connecting", "connected"]);
  assert.deepEqual([rig.room.muted, rig.room.hasMicrophone, rig.device.tracks], [true, false, []]);
  await rig.clock.pass(100);
  assert.equal(rig.world.session?.state.muted, true);
});

test("a signal that has fired, or fires later, leaves", async () => {
  const fired = roomRig({ signal: AbortSignal.abort() });
  await assert.rejects(fired.room.join(), { problem: "left" });
  assert.deepEqual([states(fired), fired.room.detail.reason], [["left"], "left"]);
  const control = new AbortController();
  const later = roomRig({ signal: control.signal });
  const joining = later.room.join();
  await later.clock.pass(31);
  control.abort();
  await assert.rejects(joining, { problem: "left" });
  await later.clock.pass(1000);
  assert.deepEqual([later.world.open.size, later.tab.timers, later.device.playbacks], [0, 0, 0]);
  assert.ok(later.device.tracks.every(({ stopped }) => stopped));
});

test("a handler may leave, and what is told after that is nothing", async () => {
  const rig = roomRig();
  const { room } = rig;
  const names = /** @type {string[]} */ ([]);
  room.on("state", ({ state }) => {
    names.push(state);
    if (state !== "connected") return;
    room.leave();
    // It is so at once.
    assert.equal(room.state, "left");
  });
  room.on("roster", () => names.push("roster"));
  await passUntil(rig.clock, room.join());
  await rig.clock.pass(1000);
  assert.deepEqual(names, ["microphone", "connecting", "connected", "roster", "left"]);
  assert.deepEqual([rig.world.open.size, rig.tab.timers], [0, 0]);
});

test("leaving resolves when the relay has heard it, or soon after", async () => {
  const near = await joined();
  const leftNear = near.room.leave();
  assert.deepEqual([near.room.state, near.device.outputs, near.device.playbacks], ["left", 0, 0]);
  await near.clock.pass(60);
  await leftNear;
  const far = await joined();
  far.world.connected = false;
  let isLeft = false;
  far.room.leave().then(() => (isLeft = true));
  await far.clock.pass(299);
  assert.equal(isLeft, false);
  await far.clock.pass(2);
  assert.equal(isLeft, true);
  // Again is no mistake.
  await far.room.leave();
});

test("muted or deafened before the join, muted and deafened in it", async () => {
  const rig = roomRig();
  rig.room.mute();
  rig.room.deafen();
  await passUntil(rig.clock, rig.room.join());
  await rig.clock.pass(100);
  assert.deepEqual(rig.world.session?.state, { muted: true, deafened: true });
  assert.deepEqual([rig.device.silent, rig.device.tracks[0]?.enabled], [true, false]);
  rig.room.unmute();
  rig.room.undeafen();
  await rig.clock.pass(100);
  assert.deepEqual(rig.world.session?.state, { muted: false, deafened: false });
  assert.deepEqual([rig.device.silent, rig.device.tracks[0]?.enabled], [false, true]);
});

test("an unplugged microphone is replaced by the next, or by none", async () => {
  const { clock, device, room, told, world } = await joined();
  device.tracks[0]?.onended?.();
  await clock.pass(100);
  assert.deepEqual(device.tracks.map(({ stopped }) => stopped), [true, false]);
  assert.equal(world.session?.track, device.tracks[1]);
  device.refusals.push("microphone-absent");
  device.tracks[1]?.onended?.();
  await clock.pass(100);
  assert.deepEqual([room.hasMicrophone, room.muted, world.session?.track], [false, true, null]);
  assert.equal(told.findLast(({ name }) => name === "error")?.detail.problem, "microphone-absent");
  assert.equal(world.session?.state.muted, true);
});

test("another microphone that cannot be opened leaves the present one", async () => {
  const { clock, device, room, world } = await joined();
  device.refusals.push("microphone-busy");
  const failed = passUntil(clock, room.setMicrophone("m2"));
  await assert.rejects(failed, { problem: "microphone-busy" });
  assert.deepEqual([room.microphone, device.tracks[0]?.stopped], ["default", false]);
  await passUntil(clock, room.setMicrophone("m3"));
  assert.deepEqual([room.microphone, device.tracks[0]?.stopped], ["m3", true]);
  assert.equal(world.session?.track, device.tracks[1]);
});

test("a browser without sound refuses the join instead of joining in silence", async () => {
  for (const microphone of [null, undefined]) {
    const rig = roomRig({ microphone });
    rig.device.isBroken = true;
    await assert.rejects(passUntil(rig.clock, rig.room.join()), /no sound card/);
    assert.equal(rig.room.state, "refused");
    await settled();
    assert.deepEqual([rig.world.open.size, rig.tab.timers], [0, 0]);
  }
});

test("after a relay's death: reconnecting, then connected, with the people kept", async () => {
  const rig = await joined();
  const { clock, room, told, world } = rig;
  await clock.pass(6000);
  const home = world.home;
  assert.ok(home);
  world.kill(home, 0);
  world.home?.others.add("p-a");
  told.length = 0;
  await clock.pass(3000);
  assert.deepEqual(states(rig), ["reconnecting", "connected"]);
  assert.ok(told.some(({ name, detail }) => name === "quality" && detail.quality === "lost"));
  assert.deepEqual(room.participants.map(({ id }) => id), ["p-me", "p-a"]);
});

test("a room says which world channel comes with it, and when that becomes another", async () => {
  const rig = roomRig();
  const { clock, room, world } = rig;
  const [one, two, three] = world.relays;
  assert.ok(one && two && three);
  Object.assign(one, { world: "world~eu~7" });
  Object.assign(two, { world: "world~eu" });
  Object.assign(three, { world: "world~eu" });
  /** @type {(string | null)[]} */
  const told = [];
  room.on("world", (name) => {
    assert.equal(room.world, name);
    told.push(name);
  });
  assert.equal(room.world, null);
  await passUntil(clock, room.join());
  assert.deepEqual([room.world, told], ["world~eu~7", ["world~eu~7"]]);
  await clock.pass(6000);
  one.draining = true;
  one.say({ type: "migrate" });
  await clock.pass(3000);
  assert.deepEqual(told, ["world~eu~7", "world~eu"]);
  world.kill(two, 0);
  await clock.pass(6000);
  assert.equal(room.state, "connected");
  assert.deepEqual([room.world, told.length], ["world~eu", 2], "another relay of the same hall");
});

test("a volume is kept within bounds and over a reconnect", async () => {
  const { clock, room, world } = await joined();
  room.setVolume("p-a", 7);
  assert.deepEqual([room.volume("p-a"), room.volume("p-b")], [2, 1]);
  room.setVolume("p-a", 0.5);
  await clock.pass(100);
  for (const relay of world.relays) relay.others.add("p-a");
  world.session?.end("relay-stopping");
  await clock.pass(2000);
  assert.equal(room.state, "connected");
  const output = /** @type {any} */ (room.remoteStream(0));
  assert.equal(output.gain, 0.5);
});
