// What a page loads: the SDK's code without comments and indentation, in one gzip stream. A
// minifier and a bundler make about a quarter less of it. Raise a limit when what is added is worth
// it.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { gzipSync } from "node:zlib";

/**
 * Bytes, 3 % above what was measured on 2026-11-30. 1.5 kB of it is for what the relay says of
 * quality and for sending accordingly, since voice that survives 10 % of loss is worth it.
 */
const LIMITS = { "index.js": 40_300, "room.js": 17_900 };

/**
 * The code of a module and of all that it imports.
 *
 * @param {string} file
 * @param {Map<string, string>} found
 */
function collect(file, found) {
  if (found.has(file)) return;
  const text = readFileSync(new URL(`../sdk/${file}`, import.meta.url), "utf8");
  const code = text.replace(/\/\*[^]*?\*\//g, "").replace(/^\s*\/\/.*$/gm, "");
  found.set(file, code.replace(/^\s+/gm, ""));
  for (const [, next] of code.matchAll(/^(?:import|export|\}) ?[^;]*?from "\.\/([^"]+)";/gm)) {
    if (next) collect(next, found);
  }
}

for (const [file, limit] of Object.entries(LIMITS)) {
  test(`${file} and what it imports stay within ${limit} bytes`, (t) => {
    const found = new Map();
    collect(file, found);
    assert.ok(found.size > 20, "the imports are not found any more");
    const { length } = gzipSync([...found.values()].join(""), { level: 9 });
    t.diagnostic(`${found.size} modules, ${length} bytes`);
    assert.ok(length <= limit, `${length} bytes`);
  });
}
