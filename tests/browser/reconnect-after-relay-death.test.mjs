import assert from "node:assert/strict";
import { hears, inState, join, rig, scenario } from "./support/scenario.mjs";

const ANN = 523;
const BOB = 1237;
/** From the kill to hearing each other again. */
const BACK_WITHIN_MS = 5000;

scenario("after the relay's death both tabs talk again without a click", async ({ open, room }) => {
  const ann = await open({ tone: ANN });
  const bob = await open({ tone: BOB });
  await join(ann, { name: "Ann", room });
  await join(bob, { name: "Bob", room });
  await Promise.all([hears(ann, BOB, ANN), hears(bob, ANN, BOB)]);

  const killed = performance.now();
  await rig("kill-relay");
  await rig("start-relay");
  await Promise.all([inState(ann, "reconnecting"), inState(bob, "reconnecting")]);
  await Promise.all([hears(ann, BOB, ANN), hears(bob, ANN, BOB)]);
  const took = performance.now() - killed;
  console.log(`audible again ${Math.round(took)} ms after the kill`);
  assert.ok(took < BACK_WITHIN_MS, `took ${Math.round(took)} ms`);
  assert.deepEqual([...ann.faults, ...bob.faults], []);
});
