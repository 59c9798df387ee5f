// Following one discussion on this page: its transcript is kept up to date from the one stream that
// all tabs of this browser share.

import { get, Problem } from "/pages/api.js";
import { share } from "/pages/share.js";
import { addressOf } from "/pages/supervisor.js";
import { CHANGED, GAP } from "/pages/transcript.js";

export class Follower {
  #leave = null;
  #stopped = false;

  /**
   * @param transcript  is kept up to date
   * @param changed     called after each change; draw at leisure
   * @param line        called with "live", "connecting", `{until}` (ms of the clock) or "ended"
   * @param refused     called with a Problem when there is no use in going on
   */
  constructor(id, transcript, { changed, line, refused }) {
    this.id = id;
    this.transcript = transcript;
    this.changed = changed;
    this.line = line;
    this.refused = refused;
  }

  /** Up to which of its facts the discussion is known here. */
  get version() {
    return this.transcript.version;
  }

  open() {
    if (!this.#stopped) this.#leave ??= share.follow(this);
  }

  stop() {
    this.#stopped = true;
    this.#leave?.();
    this.#leave = null;
  }

  /** What the stream tells of it; see Supervisor. */
  hear(message) {
    if (this.#stopped) return;
    switch (message.kind) {
      case "event":
        this.#take(this.transcript.apply(message.name, message.data, message.version));
        break;
      case "line":
        this.line(message.line);
        break;
      case "view":
        this.transcript.adopt(message.view);
        this.changed();
        if (this.transcript.terminal) this.#over();
        break;
      case "end":
        void this.#end();
        break;
      case "refused":
        this.stop();
        this.refused(new Problem(message.problem));
        break;
    }
  }

  #take(outcome) {
    if (outcome === CHANGED) this.changed();
    else if (outcome === GAP) share.again(this);
  }

  async #end() {
    this.stop();
    try {
      this.transcript.adopt(await get(addressOf(this.id)));
    } catch {
      // The stream has told everything already.
    }
    this.changed();
    this.#over();
  }

  #over() {
    this.stop();
    this.line("ended");
  }
}
