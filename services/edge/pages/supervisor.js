// One stream of events for all the discussions that this browser follows, and what to do when it
// breaks.
//
// An EventSource comes back by itself after a lost connection, at the pace that the server named,
// but every answer that is not 200 closes it for good. Then, and when coming back has failed a few
// times, we look at the discussions: those that have ended are told so and dropped, for the others
// a new stream is opened, later and later (full jitter, 1 s doubling to 60 s). Only something new
// heard, or half a minute of an open line, sets the waiting back: merely being connected proves
// nothing.

import { get } from "/pages/api.js";
import { CHANGED, EVENT_NAMES, GAP, Transcript } from "/pages/transcript.js";

const FIRST_WAIT = 1_000;
const LONGEST_WAIT = 60_000;
const STABLE_AFTER = 30_000;
/** Times that the browser may come back by itself before we take over. */
const BY_ITSELF = 3;
/** Tabs that are opened together are to cost one stream, not one each. */
const TOGETHER = 30;

const LIVE = new Set(["StreamChunk", "TurnText", "resync"]);
/** Answers that no patience changes. */
const FINAL = new Set([401, 403, 404]);

/** How long to wait before the `count`-th try, in milliseconds: anything up to a growing bound. */
export function nextWait(count, dice = Math.random()) {
  return dice * Math.min(LONGEST_WAIT, FIRST_WAIT * 2 ** Math.min(count, 16));
}

export const addressOf = (id) => `/api/v1/discussions/${encodeURIComponent(id)}`;

export class Supervisor {
  #wanted = new Map(); // id → what has been heard of it
  #tell;
  #source = null;
  #following = new Set();
  #failures = 0;
  #timer = 0;
  #stable = 0;
  #line = "connecting";

  /**
   * @param tell  called with (id, message), a message being of the kind
   *              `event` (name, data, version: 0 for live text), `end`, `view` (what GET says of it),
   *              `refused` (problem) or `line` ("live", "connecting" or `{until}`, ms of the clock)
   */
  constructor(tell) {
    this.#tell = tell;
  }

  /** Follow it; who asks has seen it up to `version`, and is told the rest. */
  want(id, version, tell = this.#tell) {
    const heard = this.#wanted.get(id);
    if (heard && version >= heard.version && this.#following.has(id)) {
      for (const snapshot of heard.snapshots()) tell(id, { kind: "event", name: "TurnText", data: snapshot, version: 0 });
      tell(id, { kind: "line", line: this.#line });
      return;
    }
    this.#wanted.set(id, beginningAt(Math.min(version, heard?.version ?? version)));
    tell(id, { kind: "line", line: this.#line });
    if (heard && this.#following.has(id)) this.#later(); // somebody has missed something
    else this.#timer ||= setTimeout(() => this.#open(), TOGETHER);
  }

  unwant(id) {
    this.#wanted.delete(id);
    if (!this.#wanted.size) this.stop();
  }

  /** The network, or the person, is back: no reason to sit out a long wait. */
  hurry() {
    if (!this.#waiting || this.#failures <= BY_ITSELF) return;
    this.#failures = BY_ITSELF;
    this.#later();
  }

  stop() {
    this.#wanted.clear();
    this.#drop();
    this.#failures = 0;
  }

  get #waiting() {
    return typeof this.#line === "object";
  }

  #open() {
    this.#drop();
    if (!this.#wanted.size) return;
    this.#say("connecting");
    const ids = [...this.#wanted.keys()];
    this.#following = new Set(ids);
    let current = ids[0];
    const source = new EventSource(ids.length === 1 ? `${addressOf(current)}/events` : this.#shared());
    this.#source = source;
    source.onopen = () => {
      this.#say("live");
      clearTimeout(this.#stable);
      this.#stable = setTimeout(() => (this.#failures = 0), STABLE_AFTER);
    };
    source.onerror = () => {
      clearTimeout(this.#stable);
      this.#failures += 1;
      if (source.readyState === EventSource.CLOSED || this.#failures > BY_ITSELF) void this.#lookAndReopen();
      else this.#say("connecting"); // the browser is at it
    };
    for (const name of EVENT_NAMES) {
      source.addEventListener(name, (event) => this.#hear(current, name, event));
    }
    source.addEventListener("discussion", (event) => (current = JSON.parse(event.data).discussion));
    source.addEventListener("missing", () => this.#refuse(current, { status: 404, title: "There is no such discussion" }));
    source.addEventListener("end", () => {
      if (this.#wanted.has(current)) this.#tell(current, { kind: "end" });
      this.unwant(current);
    });
  }

  #shared() {
    const cursors = [...this.#wanted].map(([id, heard]) => `${id}:${heard.version}`);
    return `/api/v1/discussions/events?follow=${cursors.join(",")}`;
  }

  #drop() {
    clearTimeout(this.#timer);
    clearTimeout(this.#stable);
    this.#timer = 0;
    this.#source?.close();
    this.#source = null;
    this.#following.clear();
    if (this.#waiting) this.#line = "connecting";
  }

  #hear(id, name, event) {
    const heard = this.#wanted.get(id);
    if (!heard) return;
    const data = JSON.parse(event.data || "{}");
    // Live text carries no id line, and the browser then repeats the last one it saw.
    const version = LIVE.has(name) ? 0 : Number.parseInt(event.lastEventId, 10) || 0;
    switch (heard.apply(name, data, version)) {
      case CHANGED:
        this.#failures = 0;
        this.#tell(id, { kind: "event", name, data, version });
        break;
      case GAP:
        this.#later(); // a new stream begins with all that is missing
        break;
    }
  }

  async #lookAndReopen() {
    const ids = [...this.#wanted.keys()];
    this.#drop();
    this.#say("connecting");
    const views = await Promise.allSettled(ids.map((id) => get(addressOf(id))));
    if (this.#source || this.#timer) return; // somebody was faster
    views.forEach(({ value, reason }, at) => {
      const id = ids[at];
      if (!this.#wanted.has(id)) return;
      if (value) {
        this.#tell(id, { kind: "view", view: value });
        const heard = new Transcript();
        heard.adopt(value);
        if (heard.terminal) this.#wanted.delete(id);
      } else if (FINAL.has(reason.status)) {
        this.#refuse(id, { ...reason, title: reason.title, next_step: reason.nextStep });
      }
    });
    if (this.#wanted.size) this.#later();
    else this.stop();
  }

  #refuse(id, problem) {
    if (!this.#wanted.has(id)) return;
    this.#tell(id, { kind: "refused", problem });
    this.unwant(id);
  }

  #later() {
    this.#drop();
    const wait = nextWait(this.#failures);
    this.#failures += 1;
    this.#say({ until: Date.now() + wait });
    this.#timer = setTimeout(() => this.#open(), wait);
  }

  #say(line) {
    this.#line = line;
    for (const id of this.#wanted.keys()) this.#tell(id, { kind: "line", line });
  }
}

function beginningAt(version) {
  const heard = new Transcript();
  heard.version = version;
  return heard;
}
