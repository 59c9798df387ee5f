// Questions to the edge, and its refusals in words (problem+json, RFC 9457).

/** Why something was not done, and what to do about it. */
export class Problem extends Error {
  constructor({ status = 0, title = "", detail = "", next_step = "", errors = [], nearest = [], successor = "" }) {
    super(title || "That did not work");
    this.status = status;
    this.title = this.message;
    this.detail = detail === this.title ? "" : detail;
    this.nextStep = next_step;
    this.errors = errors;
    this.nearest = nearest;
    this.successor = successor;
  }
}

const SILENT = {
  title: "Parley does not answer",
  detail: "The page could not reach the server it came from.",
  next_step: "Look whether it still runs, in the terminal where it was started. This page goes on by itself once it is back.",
};

/** One request; answers the decoded JSON, or throws a Problem. */
export async function call(method, path, { body, headers = {}, signal } = {}) {
  let response;
  try {
    response = await fetch(path, {
      method,
      signal,
      cache: "no-store",
      credentials: "same-origin",
      headers: body === undefined ? headers : { "Content-Type": "application/json", ...headers },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new Problem(SILENT);
  }
  const text = await response.text().catch(() => "");
  let document_ = null;
  try {
    document_ = text ? JSON.parse(text) : null;
  } catch {
    document_ = null; // a proxy's page, say
  }
  if (response.ok) return document_;
  throw new Problem({
    title: `The server answered ${response.status}`,
    ...(document_ && typeof document_ === "object" ? document_ : {}),
    status: response.status,
  });
}

export const get = (path, options) => call("GET", path, options);
export const post = (path, body, options) => call("POST", path, { body, ...options });

/** Exchange an access token for a session that this browser keeps and no script can read. */
export const openSession = (token) =>
  call("POST", "/api/v1/session", { headers: { Authorization: `Bearer ${token}` } });

/** A fresh value for Idempotency-Key; `crypto.randomUUID` exists only on https and loopback. */
export function fresh() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
