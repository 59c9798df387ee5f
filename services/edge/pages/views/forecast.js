// What a question would take, told quietly under it before it is sent.

import { post } from "/pages/api.js";
import { h, say } from "/pages/dom.js";
import { money, number } from "/pages/words.js";

/** Milliseconds without a change before anybody is asked: a word is being typed until then. */
const STILL = 700;

export class Forecast {
  #timer = 0;
  #asked = "";
  #asking = null;

  constructor() {
    this.element = h("p", { class: "hint forecast", "aria-live": "polite" });
  }

  /** The wish as it stands, in the form that opens a discussion; null: there is none yet. */
  about(wish) {
    clearTimeout(this.#timer);
    const text = wish ? JSON.stringify(wish) : "";
    if (text === this.#asked) return;
    this.#asking?.abort();
    if (!text) {
      this.#asked = "";
      say(this.element, "");
      return;
    }
    this.#timer = setTimeout(() => void this.#ask(wish, text), STILL);
  }

  async #ask(wish, text) {
    if (!this.element.isConnected) return;
    this.#asked = text;
    this.#asking = new AbortController();
    const { signal } = this.#asking;
    try {
      const told = await post("/api/v1/estimates", wish, { signal });
      if (!signal.aborted) this.#tell(told);
    } catch (problem) {
      if (signal.aborted) return;
      // What is wrong with the question is told when it is asked; that it is too dear, before.
      this.element.classList.toggle("dear", problem.status === 402);
      say(this.element, problem.status === 402 ? `${problem.title}. ${problem.detail} ${problem.nextStep}` : "");
    }
  }

  #tell({ tokens, cost, seconds }) {
    this.element.classList.remove("dear");
    say(this.element, [
      `Up to ${number(tokens)} tokens`,
      cost ? (Number(cost.amount) === 0 ? "free" : `at most ${money(cost)}`) : "a price is not known",
      seconds === undefined ? "" : `about ${span(seconds)}`,
    ].filter(Boolean).join(" · "));
  }
}

function span(seconds) {
  if (seconds < 90) return `${number(seconds)} s`;
  if (seconds < 5_400) return `${Math.round(seconds / 60)} min`;
  return `${Math.round(seconds / 3_600)} h`;
}
