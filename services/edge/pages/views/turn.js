// One turn: who speaks, on which model, what was said so far and how it stands.

import { copied } from "/pages/clipboard.js";
import { announce, h, icon, initials, say, tint } from "/pages/dom.js";
import { Drawing } from "/pages/markdown.js";
import { left, money, number, plural, STATES, took, WAITS } from "/pages/words.js";

const ROLES = { moderator: "Moderator", judge: "Judge: analysis", chair: "Chair" };

/** The word with which a member of a debate says that it has nothing to add. */
const passes = (text) => !text.trim() || /^\W*pass\W*$/i.test(text);

export class Card {
  #said = "";
  #open = false;
  #state = "";

  /**
   * @param tools   personas, whether who looks only `reads`, and what can be done: retry(turn), fork(turn, name), pick(turn)
   * @param level   of its heading; below 2 the same speaker has many, and none is a landmark
   * @param folded  its words are for those who want to know exactly: a summary stands before them
   * @param read    makes of its whole answer what people are to read
   * @param measured  how fast, long and dear it was is what people look for
   */
  constructor(turn, known, tools, { level = 2, folded = "", measured = false, read = null } = {}) {
    this.tools = tools;
    this.read = read;
    const persona = tools.personas.find((one) => one.slug === turn.persona);
    this.persona = persona;
    this.retry = () => tools.retry(turn.id);
    this.name = "";
    this.color = known.blind && !turn.role ? "" : turn.color || persona?.color || "";
    this.model = h("span", { class: "model" });
    this.status = h("span", { class: "turn-state" });
    this.thoughts = h("details", { class: "thoughts", hidden: true },
      h("summary", {}, icon("chevron"), "Reasoning"), (this.thought = h("div", { class: "thought" })));
    this.text = h("div", { class: "answer" });
    this.drawing = new Drawing(this.text);
    this.note = h("div", { class: "turn-note" });
    this.countdown = h("span", { class: "countdown" });
    this.figures = h("p", { class: "figures" });
    this.copy = h("button", { class: "quiet square", type: "button", title: "Copy", onclick: () => void this.#copy() }, icon("copy"));
    this.fork = h("button", { class: "quiet square", type: "button", title: "Fork: ask somebody else from here", onclick: () => tools.fork(turn.id, this.name) }, icon("fork"));
    this.pick = measured ? h("button", { class: "quiet pick", type: "button", hidden: true, onclick: () => tools.pick(turn.id) }, icon("check"), h("span", {}, "Pick")) : null;
    this.measures = measured ? h("dl", { class: "measures", hidden: true }) : null;
    this.remarks = h("p", { class: "remarks", hidden: true });
    this.foot = h("footer", { hidden: true }, this.figures, h("div", { class: "foot-actions" }, this.pick, this.fork, this.copy));
    const id = `turn-${turn.id}`;
    this.face = h("span", { class: "face", "aria-hidden": "true" });
    this.heading = h(`h${level}`, { id });
    this.badge = h("span", { class: "role" }, ROLES[turn.role] ?? "");
    const words = folded
      ? h("details", { class: "thoughts words" }, h("summary", {}, icon("chevron"), folded), this.text)
      : this.text;
    this.element = tint(h(level === 2 ? "section" : "article", { class: `column ${turn.role}`, "aria-labelledby": id, "data-turn": turn.id, tabindex: "-1" },
      h("header", {},
        this.face,
        h("div", { class: "who" },
          h("div", { class: "who-name" }, this.heading, turn.role ? this.badge : null),
          h("p", {}, persona?.title && !known.blind ? h("span", {}, persona.title) : null, this.model)),
        this.status),
      this.thoughts, words, this.note, this.remarks, this.measures, this.foot), this.color);
  }

  draw(turn, known) {
    this.#drawName(turn, known);
    this.full = turn.body.text;
    const silent = known.mode === "debate" && turn.purpose === "answer" && turn.state === "completed" && passes(turn.body.text);
    this.element.classList.toggle("passes", silent);
    this.element.dataset.state = turn.state;
    this.element.setAttribute("aria-busy", String(turn.state === "running"));
    this.status.className = `turn-state ${turn.state}`;
    say(this.status, turn.state === "running" && !turn.body.text ? (turn.thought.text ? "thinking" : "about to answer") : silent ? "nothing to add" : turn.overdue ? `${STATES[turn.state] ?? turn.state}, too late` : STATES[turn.state] ?? turn.state);
    this.thoughts.hidden = !turn.thought.text;
    say(this.thought, turn.thought.text);
    const open = turn.state === "running";
    if (this.#said !== turn.body.text || this.#open !== open) {
      this.#said = turn.body.text;
      this.#open = open;
      this.drawing.show(this.read && !open ? this.read(turn.body.text) : turn.body.text, open);
    }
    this.text.classList.toggle("writing", open);
    this.#drawNote(turn);
    this.#drawFoot(turn, known);
    if (this.#state !== turn.state) {
      if (this.#state) this.#announce(turn);
      this.#state = turn.state;
    }
  }

  #drawName(turn, known) {
    const hidden = known.blind && !turn.role;
    const name = known.nameOf(turn.participant) || turn.name || this.persona?.name || turn.model;
    if (this.name !== name) {
      this.name = name;
      say(this.heading, name);
      say(this.face, hidden ? name.slice(-1) : initials(name.replace(/^.*\//, "").replace(/ \(\d+\)$/, "")));
      this.copy.setAttribute("aria-label", `Copy the answer of ${name}`);
      this.fork.setAttribute("aria-label", `Fork from the answer of ${name}`);
      this.pick?.setAttribute("aria-label", `Pick the answer of ${name}`);
    }
    say(this.model, hidden || name === turn.model ? "" : turn.model);
  }

  tick(turn) {
    if (turn.state === "waiting" && turn.notBefore) say(this.countdown, `Tries again ${left(turn.notBefore)}.`);
  }

  #drawNote(turn) {
    const failure = turn.failure;
    const shown = { waiting: "clock", parked: "parked", failed: "warning", cancelled: "stop" }[turn.state];
    const key = JSON.stringify([turn.state, turn.reason, failure]);
    if (this.note.dataset.key === key) return;
    this.note.dataset.key = key;
    if (!shown) {
      this.note.replaceChildren();
      return;
    }
    const [title, detail] = failure ? [failure.title, failure.detail]
      : turn.state === "cancelled" ? ["Cancelled", turn.body.text ? "What had been written until then is kept above." : ""]
        : WAITS[turn.reason] ?? ["Waiting", ""];
    const aboutKeys = ["auth", "billing"].includes(failure?.class);
    const again = { failed: failure?.retryable ? "Try again" : "", parked: "Look again now", cancelled: "Try again" }[turn.state];
    const partial = turn.state === "failed" && turn.body.text;
    this.note.replaceChildren(h("div", { class: `note ${turn.state === "failed" ? "bad" : turn.state === "parked" ? "held" : ""}` },
      icon(shown),
      h("div", {},
        h("p", { class: "note-title" }, title),
        detail ? h("p", {}, detail) : null,
        turn.state === "parked" ? h("p", {}, "Nothing is sent until this is mended; then it goes on by itself.") : null,
        partial ? h("p", {}, "What had been written until then is kept above.") : null,
        turn.state === "waiting" ? h("p", {}, this.countdown) : null,
        failure?.next_step ? h("p", { class: turn.state === "waiting" ? "hint" : "next" }, failure.next_step, aboutKeys ? [" ", h("a", { href: "#/keys" }, "Open Keys")] : null) : null,
        again || turn.state === "parked" ? h("p", { class: "note-actions" },
          again ? h("button", { class: "link", type: "button", "aria-label": `${again}: ${this.name}`, onclick: this.retry }, again) : null,
          turn.state === "parked" ? h("a", { href: "#/providers" }, "What is closed, and why") : null) : null)));
  }

  #drawFoot(turn, known) {
    const hidden = known.blind && !turn.role;
    const done = ["completed", "failed", "cancelled"].includes(turn.state);
    this.remarks.hidden = !done || hidden || !turn.notes.length;
    say(this.remarks, hidden ? "" : turn.notes.join(" "));
    this.foot.hidden = !done || !(turn.body.text || turn.usage);
    this.copy.hidden = !turn.body.text;
    if (this.pick) {
      const picked = known.picked === turn.id;
      this.element.classList.toggle("picked", picked);
      this.pick.hidden = turn.state !== "completed" || this.tools.reads;
      this.pick.setAttribute("aria-pressed", String(picked));
      say(this.pick.lastChild, picked ? "Picked" : "Pick");
      this.measures.hidden = hidden || turn.state !== "completed";
      if (!this.measures.hidden) measure(this.measures, turn);
    }
    this.fork.hidden = this.tools.reads || turn.purpose === "judgement" || hidden;
    if (!done) return;
    if (hidden) {
      say(this.figures, turn.finishReason === "length" ? "cut at its length limit" : "");
      return;
    }
    const usage = turn.usage ?? {};
    const counted = usage.status && usage.status !== "unknown";
    const about = usage.status === "estimated" ? "about " : "";
    say(this.figures, [
      counted ? `${about}${plural(usage.output_tokens ?? 0, "token")} out, ${about}${usage.input_tokens ?? 0} in` : "",
      turn.cost ? money(turn.cost) : "",
      turn.attempts ? plural(turn.attempts, "request") : "",
      turn.durationMs ? took(turn.durationMs) : "",
      turn.finishReason === "length" ? "cut at its length limit" : "",
    ].filter(Boolean).join(" · "));
  }

  #announce(turn) {
    const sentences = {
      running: `${this.name} is answering.`,
      waiting: `${this.name} is waiting.`,
      parked: `${this.name} is parked: ${turn.failure?.title ?? ""}`,
      completed: `${this.name} has answered.`,
      failed: `${this.name} could not answer: ${turn.failure?.title ?? ""}`,
      cancelled: `${this.name} was cancelled.`,
    };
    announce(sentences[turn.state] ?? "");
  }

  async #copy() {
    const done = await copied(this.full);
    this.copy.replaceChildren(icon(done ? "check" : "warning"));
    announce(done ? "Copied." : "The browser did not allow copying.");
    setTimeout(() => this.copy.replaceChildren(icon("copy")), 1_500);
  }
}

/** What is compared besides the words: each figure under its name. */
function measure(list, turn) {
  const usage = turn.usage ?? {};
  const span = (turn.durationMs ?? 0) - (turn.firstTokenMs ?? 0);
  const paced = turn.firstTokenMs !== null && span > 0 && usage.output_tokens > 1;
  const words = turn.body.text.split(/\s+/).filter(Boolean).length;
  const told = [
    ["First token", turn.firstTokenMs === null ? "–" : turn.firstTokenMs < 100 ? `${turn.firstTokenMs} ms` : took(turn.firstTokenMs)],
    ["Speed", paced ? `${number(Math.round(((usage.output_tokens - 1) * 1_000) / span))} tokens/s` : "–"],
    ["Length", plural(words, "word")],
    ["Cost", turn.cost ? money(turn.cost) : "not known"],
  ];
  const key = JSON.stringify(told);
  if (list.dataset.key === key) return;
  list.dataset.key = key;
  list.replaceChildren(...told.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));
}
