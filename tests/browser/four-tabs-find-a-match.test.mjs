// Matchmaking through the real function, and voice through the real relay.

import assert from "node:assert/strict";
import { chatIs, say, shows } from "./support/chat.mjs";
import { allProposed, enterMatchmaking, panelIs, press } from "./support/match.mjs";
import { queueTogether, searchIs, teamsOf } from "./support/match.mjs";
import { hears, hearsNothingOf, inState, scenario, textOf, until } from "./support/scenario.mjs";

const TONES = { ann: 523, bob: 1237, cyd: 1811, dan: 2711 };

/** Four tabs at the door, each with a tone of its own. */
async function four(open) {
  const names = Object.entries(TONES);
  return Promise.all(names.map(([name, tone]) => enterMatchmaking(open, name, { tone })));
}

/** Two parties of two that have a match to accept. */
async function proposed(open) {
  const [ann, bob, cyd, dan] = await four(open);
  await Promise.all([queueTogether(ann, bob), queueTogether(cyd, dan)]);
  await allProposed(ann, bob, cyd, dan);
  return [ann, bob, cyd, dan];
}

scenario("two parties of two accept a match and hear their own team alone", async ({ open }) => {
  const pages = await proposed(open);
  const [ann, bob, cyd, dan] = pages;
  await Promise.all(pages.map((page) => press(page, "#accept")));
  await Promise.all(pages.map((page) => panelIs(page, "found")));

  // Their own tabs measured how far the region is.
  assert.match(await textOf(ann, "#found-detail"), /in region dev, \d+ ms at most/);

  const teams = await teamsOf(ann);
  const own = teams.find(({ title }) => title.endsWith("your team"));
  assert.equal(teams.length, 2);
  assert.ok(own.players.includes("You"));
  assert.ok(own.players.some((player) => bob.playerId.startsWith(player.replace("…", ""))));

  await Promise.all(pages.map((page) => press(page, "#join-match")));
  await Promise.all(pages.map((page) => inState(page, "connected")));
  const all = () => document.querySelector("#count").textContent === "4 people";
  await Promise.all(pages.map((page) => until(page, all, [], { what: "four are in the room" })));
  const opponents = (shown) => shown.filter((one) => one.textContent === "Other team").length;
  assert.equal(await ann.$$eval(".person .doing", opponents), 2);
  const { ann: a, bob: b, cyd: c, dan: d } = TONES;
  await Promise.all([hears(ann, b, a), hears(bob, a, b), hears(cyd, d, c), hears(dan, c, d)]);
  const others = [[ann, c, d], [bob, c, d], [cyd, a, b], [dan, a, b]];
  for (const [page, ...tones] of others) {
    for (const tone of tones) await hearsNothingOf(page, tone);
  }
  // It stays so, and their own are still heard.
  await Promise.all([hears(ann, b, c), hears(bob, a, d), hears(cyd, d, a), hears(dan, c, b)]);

  await Promise.all(pages.map((page) => chatIs(page, "live")));
  await say(ann, "to my team");
  await shows(bob, ["to my team"]);
  for (const page of [ann, cyd]) await choose(page, "Everybody");
  await say(ann, "good luck to all");
  await shows(cyd, ["good luck to all"]);
  await choose(cyd, "Your team");
  await shows(cyd, []);

  // Who leaves the voice can come back to the match.
  await press(ann, "#leave");
  await panelIs(ann, "found");
  await press(ann, "#join-match");
  await inState(ann, "connected");
  await hears(bob, a, c);
  for (const page of pages) assert.deepEqual(page.faults, []);
});

/** Shows a channel of the match's chat. @param {any} page @param {string} label */
async function choose(page, label) {
  await page.$eval("#chat-channel", (field, wanted) => {
    field.value = [...field.options].find(({ text }) => text === wanted).value;
    field.dispatchEvent(new Event("change"));
  }, label);
  await chatIs(page, "live");
}

scenario("one declines: his party is out, the others wait on and are told", async ({ open }) => {
  const [ann, bob, cyd, dan] = await proposed(open);
  // Not "20": what is left of them is counted when the page hears of the match.
  await announced(ann, /A match was found\. You have (1\d|20) seconds to accept it\./);
  assert.equal(await ann.evaluate(() => document.activeElement.id), "proposal-title");
  await press(ann, "#accept");
  await until(cyd, () => /^1 of 4/.test(document.querySelector("#proposal-accepted").textContent));
  await press(dan, "#decline");
  await Promise.all([searchIs(ann, "Looking for a match"), searchIs(bob, "Looking for a match")]);
  await announced(bob, /You are back in the queue and keep your place\./);
  for (const page of [ann, bob]) {
    assert.match(await textOf(page, "#search-detail"), /back in the queue/);
  }
  await Promise.all([panelIs(cyd, "join-form"), panelIs(dan, "join-form")]);
  assert.match(await textOf(dan, "#match-ended"), /You declined/);
  assert.match(await textOf(cyd, "#match-ended"), /somebody of your party did not accept/);

  // The other party comes back, and there is a match after all.
  await queueTogether(cyd, dan);
  await allProposed(ann, bob, cyd, dan);
  await Promise.all([ann, bob, cyd, dan].map((page) => press(page, "#accept")));
  await Promise.all([ann, bob, cyd, dan].map((page) => panelIs(page, "found")));
  for (const page of [ann, bob, cyd, dan]) {
    await press(page, "#leave-match");
    await panelIs(page, "join-form");
  }
});

/** @param {any} page @param {RegExp} sentence */
async function announced(page, { source }) {
  const isSaid = (wanted) => {
    return new RegExp(wanted).test(document.querySelector("#announcer").textContent);
  };
  await until(page, isSaid, [source], { what: `"${source}" is said` });
}

scenario("the leader cancels, and the other is told", async ({ open }) => {
  const ann = await enterMatchmaking(open, "Ann");
  const bob = await enterMatchmaking(open, "Bob");
  await queueTogether(ann, bob);
  await searchIs(ann, "Looking for a match");
  await press(ann, "#search-cancel");
  await Promise.all([panelIs(ann, "join-form"), panelIs(bob, "join-form")]);
  assert.equal(await textOf(ann, "#match-ended"), "");
  assert.match(await textOf(bob, "#match-ended"), /Somebody of your party ended the search/);
  // Nothing is left of it: the same two may queue again.
  await queueTogether(bob, ann);
  await searchIs(bob, "Looking for a match");
  await press(bob, "#search-cancel");
  await panelIs(ann, "join-form");
});

scenario("a page that is loaded again goes on waiting where it was", async ({ open }) => {
  const ann = await enterMatchmaking(open, "Ann");
  await press(ann, "#go");
  await searchIs(ann, "Looking for a match");
  await until(ann, () => document.querySelector("#search-clock").textContent >= "0:03");
  await ann.reload();
  await searchIs(ann, "Looking for a match");
  await until(ann, () => document.querySelector("#search-clock").textContent >= "0:03");
  await until(ann, () => document.querySelector("#search-why").textContent !== "");
  assert.match(await textOf(ann, "#search-why"), /Too few players/);
  await press(ann, "#search-cancel");
  await panelIs(ann, "join-form");
  await ann.reload();
  await panelIs(ann, "join-form");
});

scenario("two alone play at once where nobody is asked", async ({ open }) => {
  const [ann, bob] = await Promise.all([
    enterMatchmaking(open, "Ann", { queue: "duel", tone: TONES.ann }),
    enterMatchmaking(open, "Bob", { queue: "duel", tone: TONES.bob }),
  ]);
  await Promise.all([press(ann, "#go"), press(bob, "#go")]);
  await Promise.all([panelIs(ann, "found"), panelIs(bob, "found")]);
  // A page that is loaded again finds its match.
  await ann.reload();
  await panelIs(ann, "found");
  await Promise.all([press(ann, "#join-match"), press(bob, "#join-match")]);
  await Promise.all([inState(ann, "connected"), inState(bob, "connected")]);
  // Opponents do not hear each other.
  await hearsNothingOf(ann, TONES.bob);
  for (const page of [ann, bob]) {
    await press(page, "#leave");
    await press(page, "#leave-match");
    await panelIs(page, "join-form");
  }
});

/** A Matchmaker of the SDK, as a game has one. Runs in the page. */
async function startGame({ player, room }) {
  const { Matchmaker } = await import("/sdk/index.js");
  const token = async () => {
    const body = JSON.stringify({ player, room, name: player, moderator: false });
    const headers = { "content-type": "application/json" };
    const reply = await fetch("/dev/token", { method: "POST", headers, body });
    return (await reply.json()).token;
  };
  globalThis.matchmaker = new Matchmaker({ token });
}

/** Joins a match with one call. Runs in the page. */
async function joinMatch() {
  globalThis.joined = await match.join();
  const { voice, channels } = joined;
  return { state: voice.state, channels: channels.map(({ name }) => name.split("~")[2]) };
}

scenario("a game joins with one call, and a spectator hears both sides", async ({ open, room }) => {
  const [ann, bob, eve] = await Promise.all(
    [TONES.ann, TONES.bob, TONES.cyd].map((tone) => open({ tone })),
  );
  const play = async (page, player) => {
    await page.evaluate(startGame, { player, room });
    return page.evaluate(async () => {
      const ticket = await matchmaker.queue({ queue: "duel", languages: ["en"] });
      globalThis.ticket = ticket;
      if (ticket.state !== "matched") await new Promise((done) => ticket.on("matched", done));
      globalThis.match = ticket.match;
      return { id: match.id, room: match.room, team: match.team.players };
    });
  };
  const [one, two] = await Promise.all([play(ann, `${room}-ann`), play(bob, `${room}-bob`)]);
  assert.equal(one.id, two.id);
  assert.deepEqual(one.team, [`${room}-ann`]);
  const [first, second] = await Promise.all([ann.evaluate(joinMatch), bob.evaluate(joinMatch)]);
  assert.equal(first.state, "connected");
  assert.equal(first.channels[1], "all");
  assert.notEqual(first.channels[0], second.channels[0]);

  // Who may not watch is told so; the game's token decides.
  const refusal = (id) => matchmaker.spectate(id).catch(({ problem }) => problem);
  await eve.evaluate(startGame, { player: `${room}-eve`, room });
  assert.equal(await eve.evaluate(refusal, one.id), "channel-not-granted");
  await eve.evaluate(startGame, { player: `${room}-eve`, room: one.room });
  await eve.evaluate(async (id) => (globalThis.match = await matchmaker.spectate(id)), one.id);
  assert.equal((await eve.evaluate(joinMatch)).state, "connected");
  await Promise.all([hears(eve, TONES.ann, TONES.cyd), hears(eve, TONES.bob, TONES.cyd)]);
  await Promise.all([hearsNothingOf(ann, TONES.bob), hearsNothingOf(bob, TONES.cyd)]);

  await ann.evaluate(() => joined.channels[1].send("hello all"));
  const isThere = () => joined.channels[1].messages.some(({ text }) => text === "hello all");
  await until(bob, isThere, [], { what: "the other side reads it" });
  for (const page of [ann, bob]) await page.evaluate(() => ticket.leave());
});
