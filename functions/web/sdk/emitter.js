// A typed event emitter: the event map gives each name its detail type.

/**
 * @template {Record<string, unknown>} Events
 */
export class Emitter {
  /** @type {Map<keyof Events, Set<(detail: any) => void>>} */
  #handlers = new Map();

  /**
   * Calls `handler` at every `name` event. Returns a function that stops it.
   *
   * @template {keyof Events} K
   * @param {K} name
   * @param {(detail: Events[K]) => void} handler
   * @returns {() => void}
   */
  on(name, handler) {
    let set = this.#handlers.get(name);
    if (!set) {
      set = new Set();
      this.#handlers.set(name, set);
    }
    set.add(handler);
    return () => this.off(name, handler);
  }

  /**
   * @template {keyof Events} K
   * @param {K} name
   * @param {(detail: Events[K]) => void} handler
   */
  off(name, handler) {
    this.#handlers.get(name)?.delete(handler);
  }

  /**
   * A handler that throws is reported as an uncaught error and stops nobody else.
   *
   * @protected
   * @template {keyof Events} K
   * @param {K} name
   * @param {Events[K]} detail
   */
  emit(name, detail) {
    for (const handler of [...(this.#handlers.get(name) ?? [])]) {
      try {
        handler(detail);
      } catch (error) {
        queueMicrotask(() => {
          throw error;
        });
      }
    }
  }

  /** @protected */
  forgetHandlers() {
    this.#handlers.clear();
  }
}
