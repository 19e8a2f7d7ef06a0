import assert from "node:assert/strict";
import { join, scenario, until } from "./support/scenario.mjs";

scenario("a join is one request, and a call needs none", async ({ open, room }) => {
  const page = await open();
  await page.waitForNetworkIdle();
  const requests = [];
  page.on("request", (request) => {
    const { pathname } = new URL(request.url());
    requests.push(`${request.method()} ${pathname}`);
  });
  await join(page, { name: "Ann", room });
  // Until here and then for a few heartbeats: the measured quality comes from the data channel.
  await until(page, () => /\d+ ms/.test(document.querySelector("#quality-text").textContent));
  // The token is the game's business, the browser fetches the tab's icon when it likes, and the
  // chat beside the voice asks for itself.
  const others = / \/(dev\/token|demo\/.*|v1\/chat\/.*)$/;
  const voice = requests.filter((request) => !others.test(request));
  assert.deepEqual(voice, [`POST /v1/rooms/${room}/sessions`]);
});
