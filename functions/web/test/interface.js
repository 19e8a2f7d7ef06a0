// Holds a fake service to the interface's OpenAPI document, which is made from the service's code.

import { readFileSync } from "node:fs";
import { isObject } from "../sdk/check.js";

const DOCUMENT = JSON.parse(
  readFileSync(new URL("../../wire/openapi.json", import.meta.url), "utf8"),
);

/**
 * Complains, as an uncaught error, when a request or its reply is not as the document says. A fault
 * that were thrown here would look like one of the network.
 *
 * @param {string} method
 * @param {string} pathname
 * @param {unknown} body
 * @param {Response} response
 */
export async function checkExchange(method, pathname, body, response) {
  const faults = await faultsOf(method, pathname, body, response.clone());
  if (faults.length === 0) return;
  queueMicrotask(() => {
    throw new Error(`${method} ${pathname} ${response.status}: ${faults.join("; ")}`);
  });
}

/**
 * @param {string} method
 * @param {string} pathname
 * @param {unknown} body
 * @param {Response} response
 */
async function faultsOf(method, pathname, body, response) {
  const route = routeOf(pathname)?.[method.toLowerCase()];
  if (!route) return ["no such route"];
  const sent = route.requestBody?.content["application/json"].schema;
  const faults = sent ? faultsIn(sent, body, "request") : body === null ? [] : ["a body"];
  // A gateway in front of the service answers on its own account.
  if (response.status === 429) return faults;
  const reply = route.responses[response.status];
  if (!reply) return [...faults, "no such status"];
  const text = await response.text();
  const schema = Object.values(reply.content ?? {})[0]?.schema;
  if (!schema) return text === "" ? faults : [...faults, "a reply"];
  return [...faults, ...faultsIn(schema, JSON.parse(text), "reply")];
}

/** @param {string} pathname */
function routeOf(pathname) {
  const parts = pathname.split("/");
  const isLike = (/** @type {string} */ path) => {
    const wanted = path.split("/");
    if (wanted.length !== parts.length) return false;
    return wanted.every((part, n) => part.startsWith("{") || part === parts[n]);
  };
  const path = Object.keys(DOCUMENT.paths).find(isLike);
  return path ? DOCUMENT.paths[path] : null;
}

/**
 * The part of JSON Schema that the document uses; a property that it does not name is a fault.
 *
 * @param {any} schema
 * @param {any} value
 * @param {string} at
 * @returns {string[]}
 */
export function faultsIn(schema, value, at) {
  if (schema.$ref) {
    return faultsIn(DOCUMENT.components.schemas[schema.$ref.split("/").at(-1)], value, at);
  }
  const ways = schema.anyOf ?? schema.oneOf;
  if (ways) {
    const isGood = ways.some((/** @type {any} */ way) => faultsIn(way, value, at).length === 0);
    return isGood ? [] : [`${at} is ${JSON.stringify(value)}`];
  }
  if (schema.allOf) {
    return schema.allOf.flatMap((/** @type {any} */ part) => faultsIn(part, value, at));
  }
  if ("const" in schema) return value === schema.const ? [] : [`${at} is not ${schema.const}`];
  const kinds = [schema.type ?? []].flat();
  if (kinds.length > 0 && !kinds.some((kind) => isOf(kind, value))) {
    return [`${at} is ${JSON.stringify(value)} and not ${kinds.join(" or ")}`];
  }
  if (typeof value === "string" && schema.pattern && !new RegExp(schema.pattern).test(value)) {
    return [`${at} is "${value}"`];
  }
  if (typeof value === "number" && value < (schema.minimum ?? -Infinity)) {
    return [`${at} is ${value}`];
  }
  if (Array.isArray(value)) {
    return value.flatMap((item, n) => faultsIn(schema.items ?? {}, item, `${at}[${n}]`));
  }
  return isObject(value) ? faultsInObject(schema, value, at) : [];
}

/** @param {any} schema @param {Record<string, unknown>} value @param {string} at */
function faultsInObject(schema, value, at) {
  const { properties = {}, patternProperties = {}, required = [] } = schema;
  const missing = required.filter((/** @type {string} */ name) => !(name in value));
  const faults = missing.map((/** @type {string} */ name) => `${at}.${name} is missing`);
  // An object of which nothing is said may hold anything.
  const rest = schema.additionalProperties ?? !schema.properties;
  for (const [name, item] of Object.entries(value)) {
    const pattern = Object.keys(patternProperties).find((one) => new RegExp(one).test(name));
    const part = properties[name] ?? patternProperties[pattern ?? ""] ?? rest;
    if (part === true) continue;
    faults.push(...(part ? faultsIn(part, item, `${at}.${name}`) : [`${at}.${name} is unknown`]));
  }
  return faults;
}

/** @param {string} kind @param {unknown} value */
function isOf(kind, value) {
  if (kind === "null") return value === null;
  if (kind === "array") return Array.isArray(value);
  if (kind === "object") return isObject(value);
  if (kind === "integer") return Number.isInteger(value);
  return typeof value === kind;
}
