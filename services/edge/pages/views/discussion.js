// One discussion: a column for each turn, live while it is being written.

import { get, post } from "/pages/api.js";
import { announce, h, icon, initials, say, tint } from "/pages/dom.js";
import { Drawing } from "/pages/markdown.js";
import { Follower } from "/pages/stream.js";
import { Transcript } from "/pages/transcript.js";
import { ago, left, money, plural, STATES, took, WAITS } from "/pages/words.js";
import { prepare } from "/pages/views/compose.js";
import { afterwards } from "/pages/views/afterwards.js";
import { problemBox } from "/pages/views/problem.js";
import { copied } from "/pages/clipboard.js";

export class DiscussionView {
  #transcript = new Transcript();
  #columns = new Map();
  #follower = null;
  #frame = 0;
  #clock = 0;
  #closed = false;
  #line = "connecting";

  constructor(place, id, { personas, told, writes = true, renamed = () => {}, deleted = () => {} }) {
    this.id = id;
    this.personas = personas;
    this.told = told;
    this.title = h("h1", { tabindex: "-1", class: "topic" });
    this.meta = h("p", { class: "meta" });
    this.state = h("span", { class: "state" });
    this.when = h("time");
    this.connection = h("span", { class: "line" });
    this.cancel = h("button", { class: "quiet", type: "button", hidden: true, onclick: () => void this.#cancel() }, icon("stop"), "Cancel");
    this.again = h("a", { class: "quiet", href: "#/", hidden: true, onclick: () => this.#prepare() }, icon("again"), "Ask again");
    const raw = h("a", { class: "quiet", href: `/api/v1/discussions/${encodeURIComponent(id)}`, target: "_blank", rel: "noopener" }, icon("json"), "JSON");
    this.answer = h("div", {});
    const after = afterwards({
      id, writes, deleted,
      answer: this.answer,
      title: () => this.#transcript.title,
      renamed: (view) => {
        this.#transcript.title = view.title;
        this.#draw();
        renamed();
      },
    });
    this.tabs = h("nav", { class: "tabs", "aria-label": "Answers", hidden: true });
    this.columns = h("div", { class: "columns" });
    this.meta.append(this.state, this.when, this.connection);
    place.replaceChildren(h("article", { class: "discussion" },
      h("header", { class: "discussion-head" },
        this.title,
        h("div", { class: "discussion-bar" }, this.meta, h("div", { class: "actions" }, this.cancel, this.again, ...after, raw))),
      this.answer, this.tabs, this.columns));
  }

  async open() {
    try {
      this.#transcript.adopt(await get(`/api/v1/discussions/${encodeURIComponent(this.id)}`));
    } catch (problem) {
      if (!this.#closed) this.#refuse(problem);
      return;
    }
    if (this.#closed) return;
    this.#draw();
    this.title.focus({ preventScroll: true });
    this.#clock = setInterval(() => this.#tick(), 1_000);
    this.#follow();
  }

  /** Hear of what comes, if there is more to come. */
  #follow() {
    this.#follower?.stop();
    if (this.#transcript.terminal) {
      this.#line = "ended";
      this.#tick();
      return;
    }
    this.#follower = new Follower(this.id, this.#transcript, {
      changed: () => this.#soon(),
      line: (line) => {
        this.#line = line;
        this.#tick();
      },
      refused: (problem) => this.#refuse(problem),
    });
    this.#follower.open();
  }

  close() {
    this.#closed = true;
    this.#follower?.stop();
    clearInterval(this.#clock);
    cancelAnimationFrame(this.#frame);
  }

  /** However many pieces arrive, the page is drawn once a frame. */
  #soon() {
    if (this.#frame || this.#closed) return;
    this.#frame = requestAnimationFrame(() => {
      this.#frame = 0;
      this.#draw();
    });
  }

  #draw() {
    const known = this.#transcript;
    say(this.title, known.topic);
    this.title.classList.toggle("long", known.topic.length > 180);
    this.state.className = `state ${known.state}`;
    say(this.state, known.terminal ? ended(known) : STATES[known.state] ?? known.state);
    if (known.createdAt) {
      this.when.dateTime = known.createdAt;
      say(this.when, ago(known.createdAt));
    }
    this.cancel.hidden = known.terminal;
    this.again.hidden = !known.terminal;
    for (const turn of known.turns.values()) this.#column(turn).draw(turn);
    this.columns.dataset.count = String(known.turns.size);
    this.tabs.hidden = known.turns.size < 2;
    this.told({ title: known.title || known.topic, state: known.state });
    this.#tick();
  }

  #column(turn) {
    let column = this.#columns.get(turn.id);
    if (!column) {
      const persona = this.personas.find((one) => one.slug === turn.persona);
      column = new Column(turn, persona, () => void this.#retry(turn.id));
      this.#columns.set(turn.id, column);
      this.columns.append(column.element);
      this.tabs.append(tint(h("button", {
        type: "button",
        onclick: () => column.element.scrollIntoView({ behavior: "smooth", inline: "start", block: "nearest" }),
      }, h("span", { class: "swatch", "aria-hidden": "true" }), column.name), column.color));
    }
    return column;
  }

  /** What changes by the clock alone. */
  #tick() {
    if (this.#closed) return;
    for (const turn of this.#transcript.turns.values()) this.#columns.get(turn.id)?.tick(turn);
    say(this.connection, lineWords(this.#line));
    this.connection.classList.toggle("broken", this.#line !== "live" && this.#line !== "ended");
  }

  async #cancel() {
    this.cancel.disabled = true;
    try {
      await post(`/api/v1/discussions/${encodeURIComponent(this.id)}/cancel`);
      this.answer.replaceChildren();
    } catch (problem) {
      this.answer.replaceChildren(problemBox(problem));
    } finally {
      this.cancel.disabled = false;
    }
  }

  /** Try a turn again that failed; look at once whether one that is parked can go on. */
  async #retry(turn) {
    try {
      const view = await post(`/api/v1/discussions/${encodeURIComponent(this.id)}/turns/${encodeURIComponent(turn)}/retry`);
      if (this.#closed) return;
      const over = this.#transcript.terminal;
      this.#transcript.adopt(view);
      this.answer.replaceChildren();
      if (over) this.#follow();
      this.#draw();
    } catch (problem) {
      this.answer.replaceChildren(problemBox(problem));
    }
  }

  #prepare() {
    prepare(this.#transcript.topic, [...this.#transcript.turns.values()].map((turn) => turn.persona).filter(Boolean));
  }

  #refuse(problem) {
    this.answer.replaceChildren(problemBox(problem));
    if (!this.title.textContent) say(this.title, problem.status === 410 ? "Deleted" : problem.status === 404 ? "No such discussion" : "Not to be shown");
    this.told({ title: this.title.textContent, state: "", problem });
  }
}

function ended(known) {
  const failed = [...known.turns.values()].filter((turn) => turn.state === "failed").length;
  if (known.state === "completed" && failed) return `answered, ${failed} of ${known.turns.size} failed`;
  return STATES[known.state] ?? known.state;
}

function lineWords(line) {
  if (line === "live") return "live";
  if (line === "ended") return "";
  if (line === "connecting") return "connecting…";
  return `lost the line; again ${left(line.until)}`;
}

/** One turn: who speaks, on which model, what was said so far and how it stands. */
class Column {
  #said = "";
  #open = false;
  #state = "";

  constructor(turn, persona, retry) {
    this.retry = retry;
    this.name = turn.name || persona?.name || turn.persona || turn.model;
    this.color = turn.color || persona?.color || "";
    this.model = h("span", { class: "model" });
    this.status = h("span", { class: "turn-state" });
    this.thoughts = h("details", { class: "thoughts", hidden: true },
      h("summary", {}, icon("chevron"), "Reasoning"), (this.thought = h("div", { class: "thought" })));
    this.text = h("div", { class: "answer" });
    this.drawing = new Drawing(this.text);
    this.note = h("div", { class: "turn-note" });
    this.countdown = h("span", { class: "countdown" });
    this.figures = h("p", { class: "figures" });
    this.copy = h("button", { class: "quiet square", type: "button", "aria-label": `Copy the answer of ${this.name}`, title: "Copy", onclick: () => void this.#copy() }, icon("copy"));
    this.remarks = h("p", { class: "remarks", hidden: true });
    this.foot = h("footer", { hidden: true }, this.figures, this.copy);
    const id = `turn-${turn.id}`;
    this.element = tint(h("section", { class: "column", "aria-labelledby": id, "data-turn": turn.id },
      h("header", {},
        h("span", { class: "face", "aria-hidden": "true" }, initials(this.name)),
        h("div", { class: "who" },
          h("h2", { id }, this.name),
          h("p", {}, persona?.title ? h("span", {}, persona.title) : null, this.model)),
        this.status),
      this.thoughts, this.text, this.note, this.remarks, this.foot), this.color);
  }

  draw(turn) {
    this.full = turn.body.text;
    this.element.dataset.state = turn.state;
    this.element.setAttribute("aria-busy", String(turn.state === "running"));
    say(this.model, turn.model);
    this.status.className = `turn-state ${turn.state}`;
    say(this.status, turn.state === "running" && !turn.body.text ? (turn.thought.text ? "thinking" : "about to answer") : STATES[turn.state] ?? turn.state);
    this.thoughts.hidden = !turn.thought.text;
    say(this.thought, turn.thought.text);
    const open = turn.state === "running";
    if (this.#said !== turn.body.text || this.#open !== open) {
      this.#said = turn.body.text;
      this.#open = open;
      this.drawing.show(turn.body.text, open);
    }
    this.text.classList.toggle("writing", open);
    this.#drawNote(turn);
    this.#drawFoot(turn);
    if (this.#state !== turn.state) {
      if (this.#state) this.#announce(turn);
      this.#state = turn.state;
    }
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

  #drawFoot(turn) {
    const done = ["completed", "failed", "cancelled"].includes(turn.state);
    this.remarks.hidden = !done || !turn.notes.length;
    say(this.remarks, turn.notes.join(" "));
    this.foot.hidden = !done || !(turn.body.text || turn.usage);
    this.copy.hidden = !turn.body.text;
    if (!done) return;
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
