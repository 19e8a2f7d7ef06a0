import assert from "node:assert/strict";
import { fill, inState, rig, scenario, submit, textOf, until } from "./support/scenario.mjs";

/** Answers the page's request for a token instead of the edge. */
async function answerTokens(page, reply) {
  await page.setRequestInterception(true);
  page.on("request", (request) => {
    const { pathname } = new URL(request.url());
    if (pathname === "/dev/token") request.respond(reply);
    else request.continue();
  });
}

async function refused(page) {
  await until(page, () => !document.querySelector("#refusal").hidden, [], { what: "a refusal" });
  return {
    title: await textOf(page, "#refusal-title"),
    detail: await textOf(page, "#refusal-detail"),
    advice: await textOf(page, "#refusal-advice"),
    focus: await page.evaluate(() => document.activeElement.id),
  };
}

scenario("a wrong token: what is wrong and what to do", async ({ open, room }) => {
  const body = JSON.stringify({ token: "not.a.token" });
  const page = await open({
    before: (fresh) => answerTokens(fresh, { status: 200, contentType: "application/json", body }),
  });
  await submit(page, { name: "Ann", room });
  const { title, detail, advice, focus } = await refused(page);
  assert.match(title, /token/i);
  assert.ok(detail.length > 10, detail);
  assert.match(advice, /new access token/);
  assert.equal(focus, "refusal-title");

  await page.click("#back");
  assert.equal(await page.$eval("#room-name", (field) => field.value), room);
});

scenario("no test tokens here: a field for one's own, and a bad one is refused", async (stage) => {
  const page = await stage.open({ before: (fresh) => answerTokens(fresh, { status: 404 }) });
  await submit(page, { name: "Ann", room: stage.room });
  await until(page, () => document.activeElement.id === "token", [], { what: "the token field" });
  await fill(page, "#token", "rubbish");
  await page.click("#join-form button[type=submit]");
  const { advice } = await refused(page);
  assert.match(advice, /new access token/);
});

scenario("no relay: says so, keeps trying, and joins when there is one", async ({ open, room }) => {
  const page = await open();
  await rig("kill-relay");
  try {
    await submit(page, { name: "Ann", room });
    await until(page, () => /relay.*Trying again/i.test(
      document.querySelector("#progress-detail").textContent,
    ), [], { what: "an explanation that names the relay" });
    assert.equal(await page.$eval("#cancel", (button) => button.checkVisibility()), true);
  } finally {
    await rig("start-relay");
  }
  await inState(page, "connected");
});
