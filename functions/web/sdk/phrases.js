// Quick-chat phrases: an id on the wire, words on the screen, each reader in his own language. A
// game passes a table of its own in place of this one.

/**
 * @typedef {Record<string, Record<string, string>>} PhraseTable phrase id to language to words
 */

/** @type {PhraseTable} */
export const PHRASES = {
  hello: { en: "Hello!", de: "Hallo!", es: "¡Hola!", fr: "Salut !" },
  "well-played": {
    en: "Well played!",
    de: "Gut gespielt!",
    es: "¡Bien jugado!",
    fr: "Bien joué !",
  },
  thanks: { en: "Thanks!", de: "Danke!", es: "¡Gracias!", fr: "Merci !" },
  sorry: { en: "Sorry!", de: "Entschuldigung!", es: "¡Perdón!", fr: "Désolé !" },
  "need-help": {
    en: "I need help!",
    de: "Ich brauche Hilfe!",
    es: "¡Necesito ayuda!",
    fr: "À l'aide !",
  },
  "on-my-way": { en: "On my way.", de: "Bin unterwegs.", es: "Voy en camino.", fr: "J'arrive." },
  "follow-me": { en: "Follow me!", de: "Folgt mir!", es: "¡Síganme!", fr: "Suivez-moi !" },
  wait: {
    en: "Wait a moment.",
    de: "Warte kurz.",
    es: "Espera un momento.",
    fr: "Attendez un peu.",
  },
  ready: { en: "I am ready.", de: "Ich bin bereit.", es: "Estoy listo.", fr: "Je suis prêt." },
  "good-game": {
    en: "Good game!",
    de: "Gutes Spiel!",
    es: "¡Buena partida!",
    fr: "Bonne partie !",
  },
};

/**
 * The words of a phrase in the first of the languages that has them, else in English, else its id.
 *
 * @param {string} id
 * @param {readonly string[]} [languages] as in `navigator.languages`
 * @param {PhraseTable} [table]
 */
export function phraseText(id, languages = ["en"], table = PHRASES) {
  const words = Object.hasOwn(table, id) ? table[id] : undefined;
  if (!words) return id.replace(/[-_.]+/g, " ");
  for (const language of [...languages, "en"]) {
    const short = language.toLowerCase().split("-")[0] ?? "";
    const found = words[language.toLowerCase()] ?? words[short];
    if (found) return found;
  }
  return id;
}
