// Replies of matchmaking that are not as they should be are not believed, and nothing throws.

import assert from "node:assert/strict";
import { test } from "node:test";
import * as read from "../sdk/match-messages.js";
import { faultsIn } from "./interface.js";
import { randomOf } from "./virtual.js";

const MATCH = {
  id: "m1",
  queue: "squads",
  mode: "squads-2v2",
  rules_version: 3,
  region: "dev",
  room: "match-m1",
  status: "ready",
  formed_at_ms: 5,
  teams: [{ name: "team-1", channel: "team-1", players: ["p-a"] }],
  quality: { rating_spread: 1.5, favourite: 0.5, language: "de" },
  seat: { token: "a.b.c", expires_at: 60, channels: ["team-1", "all"] },
};
const TICKET = {
  ticket: "t1",
  queue: "squads",
  modes: ["squads-2v2"],
  status: "matched",
  players: [{ player: "p-a", joined: true }],
  now_ms: 9,
  since_ms: 4,
  match: MATCH,
};

test("a ticket is read with its match", () => {
  const ticket = read.readTicket(TICKET);
  assert.equal(ticket?.status, "matched");
  assert.equal(ticket?.pollAfterMs, null);
  assert.equal(ticket?.match?.seat?.expiresAtMs, 60_000);
  assert.equal(ticket?.match?.quality.language, "de");
  assert.equal(read.readTicket({ ...TICKET, more: 1, ended: "somehow" })?.ended, null);
});

test("a ticket is not read without what its status needs", () => {
  assert.equal(read.readTicket({ ...TICKET, match: undefined }), null);
  assert.equal(read.readTicket({ ...TICKET, status: "thinking" }), null);
  assert.equal(read.readMatch({ ...MATCH, seat: { ...MATCH.seat, channels: [] } }), null);
  assert.equal(read.readOwnSeat({ queue: "squads" })?.own, null);
  assert.equal(read.readOwnSeat({ invitations: [{ queue: "squads" }] }), null);
  assert.equal(read.readExplanation({}), null);
});

test("rules name regions with addresses that a page may ask, or none", () => {
  const bare = { version: 1, modes: [{ mode: "duel" }] };
  assert.deepEqual(read.readRules(bare)?.regions, {});
  const regions = { eu: { probe: "https://eu.example/" }, here: { probe: "/ping" } };
  assert.deepEqual(read.readRules({ ...bare, regions })?.regions, regions);
  for (const probe of ["http://eu.example/", "//eu.example/", "javascript:x", "", 7, undefined]) {
    assert.equal(read.readRules({ ...bare, regions: { eu: { probe } } }), null, String(probe));
  }
});

test("a reply with anything replaced by anything is read or not, and never throws", () => {
  const random = randomOf(7);
  const odd = [null, -1, 1e99, "", "x".repeat(20_000), [], {}, [null], true, { token: 1 }];
  const spoilt = (/** @type {unknown} */ value) => {
    /** @type {any} */
    const copy = JSON.parse(JSON.stringify(value));
    let at = copy;
    for (;;) {
      const keys = Object.keys(at);
      const key = keys[Math.floor(random() * keys.length)] ?? "";
      if (typeof at[key] !== "object" || at[key] === null || random() < 0.4) {
        at[key] = odd[Math.floor(random() * odd.length)];
        return copy;
      }
      at = at[key];
    }
  };
  let refused = 0;
  for (let turn = 0; turn < 3000; turn += 1) {
    if (read.readTicket(spoilt(TICKET)) === null) refused += 1;
    for (const one of Object.values(read)) one(odd[turn % odd.length]);
  }
  assert.ok(refused > 500);
});

test("the fakes are held to the interface", () => {
  const reply = { $ref: "#/components/schemas/TicketReply" };
  assert.deepEqual(faultsIn(reply, TICKET, "reply"), []);
  const { status: _, ...bare } = TICKET;
  assert.deepEqual(faultsIn(reply, bare, "reply"), ["reply.status is missing"]);
  assert.equal(faultsIn(reply, { ...TICKET, status: "thinking" }, "reply").length, 1);
  assert.equal(faultsIn(reply, { ...TICKET, queue: "a b" }, "reply").length, 1);
  assert.deepEqual(faultsIn(reply, { ...TICKET, more: 1 }, "reply"), ["reply.more is unknown"]);
});
