// What a moderator does to a person in the room, through the real function and the real relay.

import assert from "node:assert/strict";
import { hears, hearsNothingOf, inState, scenario } from "./support/scenario.mjs";
import { submit, until } from "./support/scenario.mjs";
import { menuOf, pick, tileSays } from "./support/people.mjs";

const ANN = 523;
const BOB = 1237;

/** Ann, who moderates, and Bob, who hear each other. */
async function pair({ open, room }) {
  const [ann, bob] = await Promise.all([open({ tone: ANN }), open({ tone: BOB })]);
  await ann.$eval("#moderator", (box) => box.click());
  for (const [page, name] of [[ann, "Ann"], [bob, "Bob"]]) {
    await submit(page, { name, room });
    await inState(page, "connected");
  }
  await Promise.all([hears(ann, BOB, ANN), hears(bob, ANN, BOB)]);
  return [ann, bob];
}

scenario("a moderator silences somebody for all, and lets him be heard again", async (stage) => {
  const [ann, bob] = await pair(stage);
  assert.deepEqual(await menuOf(bob, "Ann"), ["Block Ann"], "he does not moderate");
  await pick(ann, "Bob", "Silence for 10 minutes");
  for (const page of [ann, bob]) await tileSays(page, "Bob", "Silenced by a moderator");
  await hearsNothingOf(ann, BOB);
  await hears(bob, ANN, BOB);

  // Whatever he does: his next join says so too.
  await bob.reload();
  await bob.waitForSelector("#join-form");
  await submit(bob, { name: "Bob", room: stage.room });
  await inState(bob, "connected");
  await tileSays(ann, "Bob", "Silenced by a moderator");
  await hears(bob, ANN, BOB);
  await hearsNothingOf(ann, BOB);

  await pick(ann, "Bob", "Let everybody hear again");
  await hears(ann, BOB, ANN);
  for (const page of [ann, bob]) assert.deepEqual(page.faults, []);
});

scenario("a moderator removes somebody, and keeps him out", async (stage) => {
  const [ann, bob] = await pair(stage);
  await pick(ann, "Bob", "Remove from the room");
  const isOut = (words) => document.querySelector("main").innerText.includes(words);
  await until(bob, isOut, ["You were removed from the room"], { what: "the reason" });
  await bob.reload();
  await bob.waitForSelector("#join-form");
  await submit(bob, { name: "Bob", room: stage.room });
  await inState(bob, "connected");
  await hears(ann, BOB, ANN);

  await pick(ann, "Bob", "Keep out for a day");
  await until(bob, isOut, ["You were removed from the room"], { what: "the reason" });
  await bob.reload();
  await bob.waitForSelector("#join-form");
  await submit(bob, { name: "Bob", room: stage.room });
  for (const words of ["You are kept out of this room", "open to you again in 24 hours"]) {
    await until(bob, isOut, [words], { what: words });
  }
  await hearsNothingOf(ann, BOB);
  const isAlone = () => document.querySelector("#count").textContent === "Only you so far";
  await until(ann, isAlone, [], { what: "nobody else is here" });
});
