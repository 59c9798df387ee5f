// Saying something into a discussion: while it runs, or to let it go on once it is over.

import { fresh, post } from "/pages/api.js";
import { h } from "/pages/dom.js";
import { addressOf } from "/pages/supervisor.js";
import { problemBox } from "/pages/views/problem.js";

export class SayBox {
  /** @param went  called with the discussion as it stands after something was said or ended */
  constructor(id, went) {
    this.address = addressOf(id);
    this.went = went;
    this.answer = h("div", {});
    this.label = h("label", { class: "unseen", for: "say" });
    this.area = h("textarea", {
      id: "say", rows: "1",
      oninput: () => this.#grow(),
      onkeydown: (event) => {
        if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
        event.preventDefault();
        this.form.requestSubmit();
      },
    });
    this.button = h("button", { class: "strong", type: "submit" }, "Send");
    this.end = h("button", { class: "quiet", type: "button", onclick: () => void this.#send("conclude", undefined) }, "End after this speaker");
    this.hint = h("p", { class: "hint" });
    this.form = h("form", { class: "say-form", novalidate: true, onsubmit: (event) => {
      event.preventDefault();
      const text = this.area.value.trim();
      if (text) void this.#send("messages", { text });
      else this.area.focus();
    } }, this.label, this.area, this.button);
    this.element = h("div", { class: "say", hidden: true }, this.answer, this.form, h("div", { class: "say-foot" }, this.hint, this.end));
  }

  draw(known) {
    const running = !known.terminal;
    const debates = known.mode === "debate" && running;
    const sealed = known.mode === "consensus" && running && !known.conclusion;
    this.element.hidden = !known.turns.size;
    this.element.classList.toggle("sticky", debates);
    this.form.hidden = sealed;
    const stopped = known.stops.at(-1)?.rule === "by hand";
    this.end.hidden = !debates || stopped;
    const words = !running ? "Go on with it" : known.mode === "single" ? "Say something more" : "Say something to them";
    if (this.label.textContent !== words) {
      this.label.textContent = words;
      this.area.placeholder = running ? `${words}…` : "Go on: ask further…";
    }
    this.hint.textContent = sealed ? SEALED
      : debates && stopped ? "It ends after this speaker; what you say opens one more round."
        : (running ? MEANWHILE : AFTERWARDS)[known.mode] ?? "";
  }

  async #send(what, body) {
    if (this.button.disabled) return;
    this.button.disabled = this.end.disabled = true;
    try {
      const view = await post(`${this.address}/${what}`, body, body ? { headers: { "Idempotency-Key": fresh() } } : {});
      this.answer.replaceChildren();
      if (body) {
        this.area.value = "";
        this.#grow();
      }
      this.went(view);
    } catch (problem) {
      this.answer.replaceChildren(problemBox(problem));
    } finally {
      this.button.disabled = this.end.disabled = false;
    }
  }

  #grow() {
    this.area.style.height = "auto";
    this.area.style.height = `${Math.min(this.area.scrollHeight + 2, innerHeight * 0.35)}px`;
  }
}

const SEALED = "The members work apart from each other until they have voted, so nothing can be said to them now. Once it has ended you can go on with it here.";

/** What becomes of a message while they speak. */
const MEANWHILE = {
  single: "It is answered after what is being said.",
  parallel: "Once everybody has answered, everybody answers this too.",
  compare: "Once all have answered, every model answers this too.",
  debate: "Whoever speaks next has heard it.",
};

/** What becomes of it once they have ended. */
const AFTERWARDS = {
  single: "It is answered by the same persona, which remembers what was said.",
  parallel: "Everybody answers once more, each on their own.",
  compare: "Every model answers once more, on the ground of its own answer.",
  debate: "It opens one more round.",
};
