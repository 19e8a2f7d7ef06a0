// Readers of values that came over the network: each returns null for what is not of its kind.

/** @param {unknown} value */
export function readId(value) {
  return isId(value) ? value : null;
}

/**
 * A list in which every item is good; an absent one is empty.
 *
 * @template T
 * @param {unknown} value
 * @param {(item: unknown) => T | null} read
 * @returns {T[] | null}
 */
export function listOf(value, read) {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value)) return null;
  const items = [];
  for (const raw of value) {
    const item = read(raw);
    if (item === null) return null;
    items.push(item);
  }
  return items;
}

/**
 * The list of this name in an object; empty when there is none.
 *
 * @param {unknown} value
 * @param {string} name
 * @returns {unknown[]}
 */
export function listIn(value, name) {
  const list = isObject(value) ? value[name] : null;
  return Array.isArray(list) ? list : [];
}

/**
 * A text of at most `max` UTF-16 units; null for anything else.
 *
 * @param {unknown} value
 * @param {number} max
 * @returns {string | null}
 */
export function readText(value, max) {
  return typeof value === "string" && value.length <= max ? value : null;
}

/**
 * @param {unknown} value
 * @returns {value is number}
 */
export function isId(value) {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}

/**
 * @param {unknown} value
 * @returns {value is Record<string, unknown>}
 */
export function isObject(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
