// Anybody blocks anybody: neither hears the other and others hear both. What a moderator or a
// player ordered outlives the relay that was told of it.

import assert from "node:assert/strict";
import { hears, hearsNothingOf, inState, rig, scenario, submit } from "./support/scenario.mjs";
import { menuOf, pick, tileSays } from "./support/people.mjs";

const ANN = 523;
const BOB = 1237;
const CEM = 2093;

/** Ann, who moderates, Bob and Cem, each of whom hears the two others. */
async function three({ open, room }) {
  const people = [["Ann", ANN], ["Bob", BOB], ["Cem", CEM]];
  const pages = [];
  for (const [name, tone] of people) {
    const page = await open({ tone });
    if (name === "Ann") await page.$eval("#moderator", (box) => box.click());
    await submit(page, { name, room });
    await inState(page, "connected");
    pages.push(page);
  }
  const [ann, bob, cem] = pages;
  await Promise.all([
    hears(ann, BOB, ANN), hears(ann, CEM, ANN), hears(bob, ANN, BOB), hears(bob, CEM, BOB),
    hears(cem, ANN, CEM), hears(cem, BOB, CEM),
  ]);
  return pages;
}

/** Another relay takes the place of this one, and everybody is back. */
async function relayDies(pages) {
  await rig("kill-relay");
  await rig("start-relay");
  await Promise.all(pages.map((page) => inState(page, "reconnecting")));
  await Promise.all(pages.map((page) => inState(page, "connected")));
}

scenario("a block silences both ways, for nobody else, and outlives its relay", async (stage) => {
  const pages = await three(stage);
  const [ann, bob, cem] = pages;
  await pick(bob, "Ann", "Block Ann");
  const apart = async () => {
    // They hear Cem, and so would hear each other.
    await Promise.all([hears(ann, CEM, ANN), hears(bob, CEM, BOB)]);
    await Promise.all([hearsNothingOf(ann, BOB), hearsNothingOf(bob, ANN)]);
    await Promise.all([hears(cem, ANN, CEM), hears(cem, BOB, CEM)]);
  };
  await apart();
  await tileSays(bob, "Ann", "Blocked");
  assert.deepEqual(await menuOf(bob, "Ann"), ["Unblock Ann"]);
  await relayDies(pages);
  await apart();

  await pick(bob, "Ann", "Unblock Ann");
  await Promise.all([hears(ann, BOB, ANN), hears(bob, ANN, BOB)]);
  for (const page of pages) assert.deepEqual(page.faults, []);
});

scenario("whom a moderator silenced is silent on the next relay too", async (stage) => {
  const pages = await three(stage);
  const [ann, bob, cem] = pages;
  await pick(ann, "Bob", "Silence for 10 minutes");
  const silent = async () => {
    await Promise.all([hears(ann, CEM, ANN), hears(cem, ANN, CEM), hears(bob, ANN, BOB)]);
    await Promise.all([hearsNothingOf(ann, BOB), hearsNothingOf(cem, BOB)]);
    await tileSays(cem, "Bob", "Silenced by a moderator");
  };
  await silent();
  await relayDies(pages);
  await silent();
});
