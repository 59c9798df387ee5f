// The whole story of a discussion from its log, and how it is played once more: with the times
// between its facts, but faster, and without asking any provider for anything.

import { addressOf } from "/pages/supervisor.js";
import { EVENT_NAMES, points, Transcript } from "/pages/transcript.js";

const ENDS_TURN = ["TurnCompleted", "TurnFailed", "TurnCancelled"];
const ENDS_SPEECH = [...ENDS_TURN, "AttemptFailed", "AttemptCut"];
const LIVE = new Set(["StreamChunk", "TurnText", "resync"]);
/** Milliseconds that a replay takes at most, about; and one pause in it. */
const LONGEST = 40_000;
const PAUSE = 1_500;
/** Between two pieces of an answer. */
const BEAT = 60;

/** Every fact so far, each `{name, data, version}`: of a discussion that is over, all there is. */
export function history(id) {
  return new Promise((resolve, reject) => {
    const facts = [];
    const source = new EventSource(`${addressOf(id)}/events`);
    for (const name of EVENT_NAMES.filter((one) => !LIVE.has(one))) {
      source.addEventListener(name, (event) => {
        facts.push({ name, data: JSON.parse(event.data || "{}"), version: Number.parseInt(event.lastEventId, 10) || 0 });
      });
    }
    source.addEventListener("end", () => {
      source.close();
      resolve(facts);
    });
    source.onerror = () => {
      source.close();
      reject(new Error("the line broke"));
    };
  });
}

/** The transcript after all of them. */
export function toldBy(facts) {
  const known = new Transcript();
  for (const { name, data, version } of facts) known.apply(name, data, version);
  return known;
}

/** What is to be heard when: `{after, name, data, version}`, `after` in milliseconds from the one before. */
export function score(facts) {
  const steps = [];
  let before = null;
  for (const fact of facts) {
    const at = Date.parse(fact.data.at);
    const gap = before === null || Number.isNaN(at) ? 0 : Math.max(0, at - before);
    if (!Number.isNaN(at)) before = at;
    steps.push({ after: Math.min(gap, PAUSE * 4), ...fact });
  }
  const all = steps.reduce((sum, step) => sum + step.after, 0);
  const pace = Math.min(1, LONGEST / Math.max(all, 1));
  return steps.map((step) => ({ ...step, after: Math.min(step.after * pace, PAUSE) }));
}

export class Replay {
  #timer = 0;
  #stopped = false;

  /** @param transcript  an empty one, which is told everything; @param changed  called after each step */
  constructor(facts, transcript, { changed, over }) {
    this.steps = score(facts);
    this.transcript = transcript;
    this.changed = changed;
    this.over = over;
    this.begun = new Set();
  }

  start() {
    this.#next(0);
  }

  stop() {
    this.#stopped = true;
    clearTimeout(this.#timer);
  }

  #next(at) {
    if (this.#stopped) return;
    const step = this.steps[at];
    if (!step) {
      this.over();
      return;
    }
    // What is being said is heard while the next fact is waited for.
    this.#speak(at, step.after, () => {
      this.transcript.apply(step.name, step.data, step.version);
      if (step.name === "AttemptStarted") this.begun.add(step.data.turn);
      else if (ENDS_TURN.includes(step.name)) this.begun.delete(step.data.turn);
      this.changed();
      this.#next(at + 1);
    });
  }

  #speak(at, span, then) {
    const until = performance.now() + span;
    const beat = () => {
      if (this.#stopped) return;
      const left = until - performance.now();
      if (left <= 0) {
        then();
        return;
      }
      for (const turn of this.begun) this.#say(turn, at, left);
      this.changed();
      this.#timer = setTimeout(beat, Math.min(BEAT, left));
    };
    beat();
  }

  /** As much more of a turn's answer as there is time for until it has ended. */
  #say(turn, at, left) {
    let time = left;
    let end = null;
    for (let place = at; place < this.steps.length; place += 1) {
      if (place > at) time += this.steps[place].after;
      const { name, data } = this.steps[place];
      if (data.turn === turn && ENDS_SPEECH.includes(name)) {
        end = data;
        break;
      }
    }
    const known = this.transcript.turn(turn);
    if (!end?.text || known.state !== "running") return;
    const rest = [...end.text].slice(known.body.length);
    const piece = rest.slice(0, Math.max(1, Math.ceil((rest.length * BEAT) / Math.max(time, BEAT)))).join("");
    if (!piece || known.body.length + points(piece) >= points(end.text)) return;
    this.transcript.apply("StreamChunk", { turn, attempt: end.attempt ?? known.attempt, kind: "text", offset: known.body.length, text: piece });
  }
}
