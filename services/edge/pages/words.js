// Times, amounts and states in the words that people use.

const relative = new Intl.RelativeTimeFormat("en", { numeric: "auto", style: "short" });

/** "now", "5 min. ago", "yesterday", "3 Mar". */
export function ago(iso, now = Date.now()) {
  const then = new Date(iso).getTime();
  if (Number.isNaN(then)) return "";
  const seconds = Math.max(0, (now - then) / 1000);
  if (seconds < 45) return "now";
  if (seconds < 3_600) return relative.format(-Math.max(1, Math.round(seconds / 60)), "minute");
  if (seconds < 86_400) return relative.format(-Math.round(seconds / 3_600), "hour");
  if (seconds < 604_800) return relative.format(-Math.round(seconds / 86_400), "day");
  return new Intl.DateTimeFormat("en", { day: "numeric", month: "short" }).format(then);
}

/** "12 s", "1:05 min", "2 h 10 min": what is left until a moment. */
export function left(iso, now = Date.now()) {
  const seconds = Math.ceil((new Date(iso).getTime() - now) / 1000);
  if (!(seconds > 0)) return "any moment";
  if (seconds < 60) return `in ${seconds} s`;
  if (seconds < 3_600) return `in ${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")} min`;
  return `in ${Math.floor(seconds / 3_600)} h ${Math.round((seconds % 3_600) / 60)} min`;
}

export function took(milliseconds) {
  const seconds = milliseconds / 1000;
  return seconds < 10 ? `${seconds.toFixed(1)} s` : seconds < 60 ? `${Math.round(seconds)} s` : `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`;
}

/** "$0.0042", with as many digits as it takes to say something. */
export function money({ amount, currency = "USD" }) {
  const value = Number(amount);
  if (value === 0) return "free";
  const digits = value >= 1 ? 2 : Math.min(8, Math.ceil(-Math.log10(value)) + 1);
  return new Intl.NumberFormat("en", { style: "currency", currency, minimumFractionDigits: 2, maximumFractionDigits: Math.max(2, digits) }).format(value);
}

export const number = (value) => new Intl.NumberFormat("en").format(value);

export const plural = (count, one, many = `${one}s`) => `${number(count)} ${count === 1 ? one : many}`;

/** "Riley, Morgan and Ines". */
export const together = (names) => new Intl.ListFormat("en", { type: "conjunction" }).format(names);

/** "128k" for a context window. */
export function thousands(tokens) {
  return tokens >= 1_000_000 ? `${+(tokens / 1_048_576).toFixed(1)}M` : `${Math.round(tokens / 1_024)}k`;
}

export const STATES = {
  scheduled: "in line",
  running: "answering",
  waiting: "waiting",
  parked: "parked",
  completed: "answered",
  failed: "failed",
  cancelled: "cancelled",
};

/** Why nothing is being sent just now, where no failure says it. */
export const WAITS = {
  rate: ["Within the provider's limits", "This account's requests for the minute are used up; the next one goes out as soon as there is room."],
  tokens: ["Within the provider's limits", "This account's tokens for the minute are used up; the next request goes out as soon as there is room."],
  daily: ["The day's tokens are used up", "What this account may use in a day is spent; it goes on when the provider's day begins."],
  concurrency: ["Others are being answered", "The account allows only so many answers at a time; this one is next in line."],
  line: ["In line", "Others wait for the same account and came first."],
  throttled: ["The provider asks for patience", "It limits how often this account may ask."],
  overloaded: ["The provider is overloaded", "It has no capacity at the moment."],
  breaker: ["The provider is left in peace", "It failed several times in a row; a single request goes first to see whether it is back."],
  retries: ["Not too many tries", "Much has failed lately, so this account's further tries are spread out."],
  transient: ["The connection failed", "That usually passes; it will be tried again."],
  ambiguous: ["No answer came back", "The request may have been counted, so it is tried again only once."],
  midstream: ["The answer broke off", "It will be asked for once more."],
  unknown: ["Something unexpected came back", "It is tried once more."],
  suspect: ["The key is being checked", "The provider has just refused it; one free look decides."],
  budget: ["Money is held for others", "What is being answered may cost what is left of the budget; this goes on as soon as it turns out to cost less."],
  adapter: ["No worker is free", "The part of Parley that speaks to providers is starting or busy."],
};

/** The limits that an account can have. */
export const LIMITS = {
  rpm: "Requests a minute",
  tpm: "Tokens a minute",
  tpd: "Tokens a day",
  concurrency: "Answers at once",
};

/** What opens a gate, by the first word of its name. */
export const OPENS = {
  key: "It opens by itself as soon as a key of this provider works.",
  model: "It opens by itself as soon as the provider lists the model again.",
  billing: "It opens by itself once the account has balance again: Parley looks now and then, without spending anything.",
};
