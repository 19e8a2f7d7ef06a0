import assert from "node:assert/strict";
import { hears, hearsNothingOf, join, scenario, textOf, until } from "./support/scenario.mjs";

const ANN = 523;
const BOB = 1237;

scenario("two Chromium tabs hear each other and not themselves", async ({ open, room }) => {
  const ann = await open({ tone: ANN });
  await join(ann, { name: "Ann", room });
  assert.equal(await textOf(ann, "#count"), "Only you so far");

  const bob = await open({ tone: BOB });
  await join(bob, { name: "Bob", room });
  await Promise.all([hears(ann, BOB, ANN), hears(bob, ANN, BOB)]);

  for (const page of [ann, bob]) {
    await until(page, () => document.querySelector("#count").textContent === "2 people");
    await until(page, () => document.querySelectorAll(".person[data-speaking]").length === 2, [], {
      what: "both are shown as speaking",
    });
    await until(page, () => /^(Good|Fair|Poor), \d+ ms$/.test(
      document.querySelector("#quality-text").textContent,
    ));
    assert.deepEqual(page.faults, []);
  }

  await bob.click("#leave");
  await until(ann, () => document.querySelector("#count").textContent === "Only you so far");
  await hearsNothingOf(ann, BOB);
});

scenario("a tab that is closed is gone for the others", async ({ open, room }) => {
  const ann = await open({ tone: ANN });
  const bob = await open({ tone: BOB });
  await Promise.all([join(ann, { name: "Ann", room }), join(bob, { name: "Bob", room })]);
  await hears(ann, BOB, ANN);
  await bob.goto("about:blank");
  await until(ann, () => document.querySelector("#count").textContent === "Only you so far");
});

scenario("different rooms do not hear each other", async ({ open, room }) => {
  const ann = await open({ tone: ANN });
  const bob = await open({ tone: BOB });
  const eve = await open({ tone: 1811 });
  await join(ann, { name: "Ann", room });
  await join(bob, { name: "Bob", room });
  await join(eve, { name: "Eve", room: `${room}-other` });
  await Promise.all([hears(ann, BOB, 1811), hears(bob, ANN, 1811)]);
  assert.equal(await textOf(eve, "#count"), "Only you so far");
  await hearsNothingOf(eve, ANN);
});
