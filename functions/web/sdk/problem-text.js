// Every problem of the API in a sentence for the player. The service's own `detail` speaks to
// developers and in English; what matters in it, a time to wait, is added here.

/** @import { VoiceError } from "./problem.js" */

/**
 * Problem name to sentences: English, German.
 *
 * @type {Record<string, readonly [string, string]>}
 */
const SENTENCES = {
  "token-invalid": [
    "Your access token was not accepted. Sign in to the game again.",
    "Dein Zugang wurde nicht angenommen. Melde dich im Spiel neu an.",
  ],
  "token-expired": [
    "Your access token has expired. Sign in to the game again.",
    "Dein Zugang ist abgelaufen. Melde dich im Spiel neu an.",
  ],
  "token-revoked": [
    "Your access token was taken back. Sign in to the game again.",
    "Dein Zugang wurde zurückgenommen. Melde dich im Spiel neu an.",
  ],
  "token-audience": [
    "Your access token is for another service.",
    "Dein Zugang gilt für einen anderen Dienst.",
  ],
  "token-source": [
    "The game gave no access token. Trying again.",
    "Das Spiel hat keinen Zugang erteilt. Es wird neu versucht.",
  ],
  "token-needed": [
    "An access token is needed.",
    "Ein Zugang wird gebraucht.",
  ],
  "shard-unregistered": [
    "This relay is not registered.",
    "Dieses Relay ist nicht eingetragen.",
  ],
  "shard-revoked": [
    "This relay's key was revoked.",
    "Der Schlüssel dieses Relays wurde zurückgenommen.",
  ],
  "registration-exceeded": [
    "This relay is registered otherwise.",
    "Dieses Relay ist anders eingetragen.",
  ],
  "usage-old": [
    "This usage is too old to be counted.",
    "Diese Nutzung ist zu alt, um gezählt zu werden.",
  ],
  "usage-early": [
    "This usage is of a time to come.",
    "Diese Nutzung ist von einer Zeit, die noch kommt.",
  ],
  "usage-overlap": [
    "Some of this usage came before.",
    "Ein Teil dieser Nutzung kam schon.",
  ],
  "signature-invalid": [
    "The signature is not valid.",
    "Die Unterschrift ist nicht gültig.",
  ],
  "command-unknown": [
    "The voice server cannot do this yet.",
    "Der Sprachserver kann das noch nicht.",
  ],
  "room-not-granted": [
    "This room is not open to you.",
    "Dieser Raum ist für dich nicht offen.",
  ],
  "channel-not-granted": [
    "You may not do this in this channel.",
    "Das darfst du in diesem Kanal nicht.",
  ],
  "operator-only": [
    "Only operators may do this.",
    "Das dürfen nur Betreiber.",
  ],
  "proof-invalid": [
    "What this relay shows to join is not valid.",
    "Was dieses Relay zum Beitreten vorzeigt, ist nicht gültig.",
  ],
  "proof-expired": [
    "What this relay shows to join has expired.",
    "Was dieses Relay zum Beitreten vorzeigt, ist abgelaufen.",
  ],
  "proof-used": [
    "Another relay has joined with this proof.",
    "Mit diesem Nachweis ist schon ein anderes Relay beigetreten.",
  ],
  "enrolment-refused": [
    "This proof is for another relay, region or size.",
    "Dieser Nachweis gilt für ein anderes Relay, eine andere Region oder Größe.",
  ],
  "relay-enrolled": [
    "A relay of this name is in the fleet already.",
    "Ein Relay dieses Namens gehört schon zur Flotte.",
  ],
  "unknown-enrolment": [
    "There is no such enrolment.",
    "Diese Anmeldung gibt es nicht.",
  ],
  "identity-unavailable": [
    "Nobody can say at the moment who is asking. Try again soon.",
    "Im Augenblick lässt sich nicht klären, wer anfragt. Versuche es gleich noch einmal.",
  ],
  "privacy-only": [
    "Only those who handle privacy requests may do this.",
    "Das darf nur, wer Datenschutzanfragen bearbeitet.",
  ],
  "not-moderator": [
    "Only a moderator may do this.",
    "Das darf nur, wer moderiert.",
  ],
  "policy-refused": [
    "The rules of the game do not allow you to do this.",
    "Die Regeln des Spiels erlauben dir das nicht.",
  ],
  muted: [
    "A moderator has muted you.",
    "Du wurdest von der Moderation stumm geschaltet.",
  ],
  banned: [
    "You are kept out of this room.",
    "Du bist aus diesem Raum ausgeschlossen.",
  ],
  blocked: [
    "One of you has blocked the other.",
    "Einer von euch hat den anderen blockiert.",
  ],
  "channel-locked": [
    "The channel is locked: only moderators write now.",
    "Der Kanal ist gesperrt: Nur die Moderation schreibt.",
  ],
  "link-refused": [
    "Links are not allowed here.",
    "Links sind hier nicht erlaubt.",
  ],
  "word-refused": [
    "This has a word that is not allowed. Say it differently.",
    "Darin ist ein Wort, das nicht erlaubt ist. Sag es anders.",
  ],
  "text-too-long": [
    "This is too long.",
    "Das ist zu lang.",
  ],
  "text-invalid": [
    "This text cannot be sent.",
    "Dieser Text lässt sich nicht senden.",
  ],
  "cursor-invalid": [
    "There is nothing at this place of the history.",
    "An dieser Stelle des Verlaufs ist nichts.",
  ],
  "too-fast": [
    "That was too often. Wait a moment.",
    "Das war zu oft. Warte einen Moment.",
  ],
  "unknown-message": [
    "This message is gone.",
    "Diese Nachricht gibt es nicht mehr.",
  ],
  "version-conflict": [
    "The message changed meanwhile. Look at it again.",
    "Die Nachricht wurde inzwischen geändert. Sieh sie dir neu an.",
  ],
  "limit-reached": [
    "There are too many of these already.",
    "Davon gibt es schon zu viele.",
  ],
  "game-server-only": [
    "Only a game server may do this.",
    "Das darf nur ein Spielserver.",
  ],
  "unknown-queue": [
    "This queue does not exist.",
    "Diese Warteschlange gibt es nicht.",
  ],
  "unknown-mode": [
    "This queue does not have this mode.",
    "Diese Warteschlange hat diesen Modus nicht.",
  ],
  "rules-invalid": [
    "The rules of this queue are not valid.",
    "Die Regeln dieser Warteschlange sind nicht gültig.",
  ],
  "rules-outdated": [
    "The queue has newer rules already.",
    "Die Warteschlange hat schon neuere Regeln.",
  ],
  "party-too-large": [
    "Your party is too large for this mode.",
    "Deine Gruppe ist zu groß für diesen Modus.",
  ],
  "ticket-invalid": [
    "No match is possible for your party in this mode.",
    "Für deine Gruppe ist in diesem Modus kein Spiel möglich.",
  ],
  "already-queued": [
    "Somebody of your party is looking for a match already.",
    "Jemand aus deiner Gruppe sucht schon ein Spiel.",
  ],
  "unknown-ticket": [
    "This search is over.",
    "Diese Suche ist vorbei.",
  ],
  "ticket-expired": [
    "You were away too long and lost your place. Search again.",
    "Du warst zu lange weg und hast deinen Platz verloren. Suche noch einmal.",
  ],
  "not-in-party": [
    "You are not in this party.",
    "Du bist nicht in dieser Gruppe.",
  ],
  "not-leader": [
    "Only the leader of the party may do this.",
    "Das darf nur, wer die Gruppe leitet.",
  ],
  "unknown-match": [
    "This match is over.",
    "Dieses Spiel ist vorbei.",
  ],
  "not-accepted": [
    "Not everybody accepted this match.",
    "Nicht alle haben dieses Spiel angenommen.",
  ],
  "not-in-match": [
    "You do not play in this match.",
    "Du spielst in diesem Spiel nicht mit.",
  ],
  "match-not-running": [
    "This match is not running.",
    "Dieses Spiel läuft gerade nicht.",
  ],
  "body-invalid": [
    "The service did not understand the request. Update the game.",
    "Der Dienst hat die Anfrage nicht verstanden. Aktualisiere das Spiel.",
  ],
  "name-invalid": [
    "This name is not valid.",
    "Dieser Name ist nicht gültig.",
  ],
  "offer-invalid": [
    "The service did not understand the browser's call. Update the browser.",
    "Der Dienst hat den Anruf des Browsers nicht verstanden. Aktualisiere den Browser.",
  ],
  "offer-no-audio": [
    "The browser offers no sound.",
    "Der Browser bietet keinen Ton an.",
  ],
  "offer-no-opus": [
    "The browser does not have the codec Opus.",
    "Der Browser hat den Codec Opus nicht.",
  ],
  "offer-too-many-slots": [
    "Too many speakers were asked for.",
    "Es wurden zu viele Sprecher verlangt.",
  ],
  "media-type-unsupported": [
    "The service does not take this kind of data.",
    "Der Dienst nimmt diese Art von Daten nicht an.",
  ],
  "body-too-large": [
    "This is too large.",
    "Das ist zu groß.",
  ],
  "unknown-route": [
    "The service does not know this. Update the game.",
    "Der Dienst kennt das nicht. Aktualisiere das Spiel.",
  ],
  "method-not-allowed": [
    "The service does not take this. Update the game.",
    "Der Dienst nimmt das nicht an. Aktualisiere das Spiel.",
  ],
  "unknown-relay": [
    "This voice relay is not known.",
    "Dieser Sprachserver ist nicht bekannt.",
  ],
  "unknown-room": [
    "Nobody is in this room.",
    "In diesem Raum ist niemand.",
  ],
  "no-live-relay": [
    "No voice relay is running right now.",
    "Gerade läuft kein Sprachserver.",
  ],
  conflict: [
    "Many people did this at once. Try again.",
    "Viele haben das gleichzeitig getan. Versuche es noch einmal.",
  ],
  overloaded: [
    "The service is very busy. Try again in a moment.",
    "Der Dienst ist sehr beschäftigt. Versuche es gleich noch einmal.",
  ],
  "store-unavailable": [
    "The service does not answer right now. Try again in a moment.",
    "Der Dienst antwortet gerade nicht. Versuche es gleich noch einmal.",
  ],
  deadline: [
    "The service took too long. Try again.",
    "Der Dienst hat zu lange gebraucht. Versuche es noch einmal.",
  ],
  internal: [
    "Something went wrong on our side. Try again.",
    "Bei uns ist etwas schiefgegangen. Versuche es noch einmal.",
  ],
  misconfigured: [
    "The service is not set up correctly. We have to mend this.",
    "Der Dienst ist falsch eingerichtet. Das müssen wir beheben.",
  ],
  network: [
    "The service cannot be reached. Are you online?",
    "Der Dienst ist nicht erreichbar. Bist du online?",
  ],
  "bad-reply": [
    "The service sent a reply that makes no sense.",
    "Der Dienst hat etwas Unverständliches geantwortet.",
  ],
  "outbox-full": [
    "Too many messages wait to be sent. Wait until you are online again.",
    "Zu viele Nachrichten warten. Warte, bis du wieder online bist.",
  ],
  "maybe-sent": [
    "This message may have arrived already. Look before you write it again.",
    "Diese Nachricht ist vielleicht schon angekommen. Sieh nach, bevor du sie neu schreibst.",
  ],
};

const UNKNOWN = /** @type {const} */ ([
  "This did not work. Try again.",
  "Das hat nicht geklappt. Versuche es noch einmal.",
]);

/** Problems whose end the service names. */
const TIMED = new Set(["too-fast", "muted", "banned"]);

/**
 * What a player is told.
 *
 * @param {Pick<VoiceError, "problem"> & { retryAfterMs?: number | null }} error
 * @param {readonly string[]} [languages] as in `navigator.languages`; English and German are here
 */
export function problemText({ problem, retryAfterMs = null }, languages = ["en"]) {
  const known = languages.map((one) => one.toLowerCase().split("-")[0]);
  const german = known.find((one) => one === "en" || one === "de") === "de";
  const pair = Object.hasOwn(SENTENCES, problem) ? SENTENCES[problem] : undefined;
  const sentence = (pair ?? UNKNOWN)[german ? 1 : 0];
  if (!TIMED.has(problem) || !retryAfterMs) return sentence;
  const time = duration(retryAfterMs, german);
  return german ? `${sentence} Noch ${time}.` : `${sentence} ${time} to go.`;
}

/**
 * @param {number} ms
 * @param {boolean} german
 */
function duration(ms, german) {
  const steps = /** @type {const} */ ([
    [86_400_000, "day", "Tag", "Tage"],
    [3_600_000, "hour", "Stunde", "Stunden"],
    [60_000, "minute", "Minute", "Minuten"],
    [1000, "second", "Sekunde", "Sekunden"],
  ]);
  const [size, name, one, many] = steps.find(([size]) => ms >= size) ?? steps[3];
  const count = Math.max(1, Math.ceil(ms / size));
  if (german) return `${count} ${count === 1 ? one : many}`;
  return `${count} ${name}${count === 1 ? "" : "s"}`;
}
