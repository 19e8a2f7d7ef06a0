// What a moderator asks for is one request that the interface knows, and is asked again while the
// service is away.

import assert from "node:assert/strict";
import { test } from "node:test";
import { RoomModeration } from "../sdk/room-moderation.js";
import { readPlayers } from "../sdk/room-players.js";
import { FakeService, problem, reply, tokenOf } from "./fake-service.js";
import { checkExchange } from "./interface.js";
import { passUntil, randomOf, runtimeOf, VirtualClock } from "./virtual.js";

class Moderated extends FakeService {
  /** @type {{ method: string, path: string, body: unknown }[]} */
  taken = [];
  refuses = "";
  /** The reply to a question. @type {Record<string, unknown>} */
  says = { players: [] };

  /** @param {URL} url @param {RequestInit} init */
  async answer(url, init) {
    const body = init.body ? JSON.parse(String(init.body)) : null;
    const done = init.method === "GET" ? reply(200, this.says) : reply(204);
    const response = this.refuses ? problem(403, this.refuses) : done;
    await checkExchange(String(init.method), url.pathname, body, response);
    const path = `${url.pathname}${url.search}`;
    this.taken.push({ method: String(init.method), path, body });
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

test("who is in the room is read page by page, and nothing else is", async () => {
  const { clock, service, moderation } = rig();
  const player = {
    id: 7,
    player: "p1",
    name: "Ann",
    channels: ["main"],
    muted: false,
    server_muted: true,
    deafened: false,
    speaker: true,
    session: "0707070707070707",
    talking: true,
    since_ms: 1_700_000_000_000,
  };
  const { player: _, ...nameless } = { ...player, id: 9, name: "", channels: [] };
  service.says = { players: [player, nameless], next: 9 };
  const { players, next } = await passUntil(clock, moderation.players());
  assert.equal(next, 9);
  assert.deepEqual(players[0], {
    id: 7,
    player: "p1",
    name: "Ann",
    channels: ["main"],
    muted: false,
    serverMuted: true,
    deafened: false,
    speaker: true,
    session: "0707070707070707",
    talking: true,
    sinceMs: 1_700_000_000_000,
  });
  assert.equal(players[1]?.player, "~9", "a session that sent no hello");
  service.says = { players: [] };
  assert.deepEqual(await passUntil(clock, moderation.players(9)), { players: [], next: null });
  const asked = service.taken.map(({ method, path }) => `${method} ${path}`);
  assert.deepEqual(asked, ["GET /v1/rooms/lobby/players", "GET /v1/rooms/lobby/players?after=9"]);
  service.refuses = "not-moderator";
  await assert.rejects(passUntil(clock, moderation.players()), { problem: "not-moderator" });
});

test("a reply that makes no sense is no list of players", () => {
  const { session: _, ...stranger } = { id: 1, player: "p", session: "s" };
  for (const value of [null, {}, { players: 7 }, { players: [7] }, { players: [stranger] }]) {
    assert.equal(readPlayers(value), null, JSON.stringify(value));
  }
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
