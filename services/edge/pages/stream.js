// Following one discussion: the browser's own EventSource, and a supervisor for what it gives up on.
//
// An EventSource comes back by itself after a lost connection, but every answer that is not 200
// closes it for good. Then we look at the discussion: if it has ended there is nothing more to
// follow, otherwise we open a new stream, later and later (full jitter, 1 s doubling to 60 s). Only
// something new heard, or half a minute of an open line, sets the waiting back: merely being
// connected proves nothing.

import { get } from "/pages/api.js";
import { CHANGED, EVENT_NAMES, GAP, STALE } from "/pages/transcript.js";

const FIRST_WAIT = 1_000;
const LONGEST_WAIT = 60_000;
const STABLE_AFTER = 30_000;

/** How long to wait before the `count`-th try, in milliseconds: anything up to a growing bound. */
export function nextWait(count, dice = Math.random()) {
  return dice * Math.min(LONGEST_WAIT, FIRST_WAIT * 2 ** Math.min(count, 16));
}

export class Follower {
  #source = null;
  #failures = 0;
  #timer = 0;
  #stable = 0;
  #stopped = false;
  #wake = () => this.#hurry();

  /**
   * @param transcript  is kept up to date
   * @param changed     called after each change; draw at leisure
   * @param line        called with "live", "connecting", `{until}` (ms of the clock) or "ended"
   * @param refused     called with a Problem when there is no use in going on
   */
  constructor(id, transcript, { changed, line, refused }) {
    this.path = `/api/v1/discussions/${encodeURIComponent(id)}`;
    this.transcript = transcript;
    this.changed = changed;
    this.line = line;
    this.refused = refused;
    addEventListener("online", this.#wake);
    document.addEventListener("visibilitychange", this.#wake);
  }

  open() {
    if (this.#stopped) return;
    this.#drop();
    this.line("connecting");
    const source = new EventSource(`${this.path}/events`);
    this.#source = source;
    source.onopen = () => {
      this.line("live");
      clearTimeout(this.#stable);
      this.#stable = setTimeout(() => (this.#failures = 0), STABLE_AFTER);
    };
    source.onerror = () => {
      clearTimeout(this.#stable);
      if (source.readyState === EventSource.CLOSED) void this.#lookAndReopen();
      else this.line("connecting"); // the browser is at it
    };
    for (const name of EVENT_NAMES) {
      source.addEventListener(name, (event) => this.#hear(name, event));
    }
    source.addEventListener("end", () => void this.#end());
  }

  stop() {
    this.#stopped = true;
    this.#drop();
    removeEventListener("online", this.#wake);
    document.removeEventListener("visibilitychange", this.#wake);
  }

  #drop() {
    clearTimeout(this.#timer);
    clearTimeout(this.#stable);
    this.#timer = 0;
    this.#source?.close();
    this.#source = null;
  }

  #hear(name, event) {
    // Live text carries no id line, and the browser then repeats the last one it saw.
    const durable = name !== "StreamChunk" && name !== "TurnText" && name !== "resync";
    const id = durable ? Number.parseInt(event.lastEventId, 10) || 0 : 0;
    switch (this.transcript.apply(name, JSON.parse(event.data || "{}"), id)) {
      case CHANGED:
        this.#failures = 0;
        this.changed();
        break;
      case GAP:
        this.#later(); // a new stream begins with all that is missing
        break;
      case STALE:
        break;
    }
  }

  async #end() {
    this.stop();
    try {
      this.transcript.adopt(await get(this.path));
    } catch {
      // The stream has told everything already.
    }
    this.changed();
    this.line("ended");
  }

  async #lookAndReopen() {
    this.#drop();
    let view;
    try {
      view = await get(this.path);
    } catch (problem) {
      if (this.#stopped) return;
      if ([401, 403, 404].includes(problem.status)) {
        this.stop();
        this.refused(problem);
      } else {
        this.#later();
      }
      return;
    }
    if (this.#stopped) return;
    this.transcript.adopt(view);
    this.changed();
    if (this.transcript.terminal) {
      this.stop();
      this.line("ended");
    } else {
      this.#later();
    }
  }

  #later() {
    this.#drop();
    const wait = nextWait(this.#failures);
    this.#failures += 1;
    this.line({ until: Date.now() + wait });
    this.#timer = setTimeout(() => this.open(), wait);
  }

  /** The network, or the person, is back: no reason to sit out a long wait. */
  #hurry() {
    if (this.#timer && document.visibilityState === "visible" && this.#failures > 3) {
      this.#failures = 3;
      this.#later();
    }
  }
}
