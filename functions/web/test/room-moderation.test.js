// What a moderator asks for is one request that the interface knows, and is asked again while the
// service is away.

import assert from "node:assert/strict";
import { test } from "node:test";
import { RoomModeration } from "../sdk/room-moderation.js";
import { FakeService, problem, reply, tokenOf } from "./fake-service.js";
import { checkExchange } from "./interface.js";
import { passUntil, randomOf, runtimeOf, VirtualClock } from "./virtual.js";

class Moderated extends FakeService {
  /** @type {{ method: string, path: string, body: unknown }[]} */
  taken = [];
  refuses = "";

  /** @param {URL} url @param {RequestInit} init */
  async answer(url, init) {
    const body = init.body ? JSON.parse(String(init.body)) : null;
    const response = this.refuses ? problem(403, this.refuses) : reply(204);
    await checkExchange(String(init.method), url.pathname, body, response);
    this.taken.push({ method: String(init.method), path: url.pathname, body });
    return response;
  }
}

/** @param {{ channels?: string[], permissions?: string[] }} [grant] */
function rig({ channels = ["*"], permissions = ["moderate"] } = {}) {
  const [clock, random] = [new VirtualClock(), randomOf(1)];
  const service = new Moderated(clock, random);
  const claims = { sub: "mod", grants: [{ room: "lob*", channels, permissions }] };
  const moderation = new RoomModeration({
    room: "lobby",
    token: () => tokenOf(claims),
    runtime: runtimeOf(clock, random, service.fetch),
  });
  return { clock, service, moderation };
}

test("each act is a request of the interface", async () => {
  const { clock, service, moderation } = rig();
  const done = (/** @type {Promise<void>} */ act) => passUntil(clock, act);
  await done(moderation.mute("p:1", 600));
  await done(moderation.unmute("p:1"));
  await done(moderation.ban("p:1", 86_400));
  await done(moderation.unban("p:1"));
  await done(moderation.kick("p:1"));
  const asked = service.taken.map(({ method, path }) => `${method} ${path}`);
  assert.deepEqual(asked, [
    "PUT /v1/rooms/lobby/mutes/p%3A1",
    "DELETE /v1/rooms/lobby/mutes/p%3A1",
    "PUT /v1/rooms/lobby/bans/p%3A1",
    "DELETE /v1/rooms/lobby/bans/p%3A1",
    "DELETE /v1/rooms/lobby/players/p%3A1",
  ]);
  assert.deepEqual(service.taken[0]?.body, { seconds: 600 });
});

test("a service that is away is asked again, one that refuses is not", async () => {
  const { clock, service, moderation } = rig();
  service.online = false;
  clock.later(300, () => (service.online = true));
  await passUntil(clock, moderation.mute("p1", 60));
  assert.equal(service.taken.length, 1);
  service.refuses = "not-moderator";
  await assert.rejects(passUntil(clock, moderation.kick("p1")), { problem: "not-moderator" });
  assert.equal(service.taken.length, 2);
});

test("only who moderates all channels of the room may", async () => {
  const may = async (/** @type {Parameters<typeof rig>[0]} */ grant) => {
    const { clock, moderation } = rig(grant);
    return passUntil(clock, moderation.allowed());
  };
  assert.equal(await may({}), true);
  assert.equal(await may({ channels: ["main"] }), false);
  assert.equal(await may({ permissions: ["speak"] }), false);
});
