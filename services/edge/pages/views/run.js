// One run: its steps as they stand, live, and a choice where somebody is asked for one.

import { call, fresh, get, post } from "/pages/api.js";
import { announce, h, icon, say } from "/pages/dom.js";
import { Drawing } from "/pages/markdown.js";
import { confirmation } from "/pages/views/keys.js";
import { problemBox } from "/pages/views/problem.js";
import { RUN_STATES } from "/pages/views/workflows.js";
import { ago, money, number, took } from "/pages/words.js";

const FACTS = [
  "RunStarted", "RunForked", "StepStarted", "StepAnswered", "GateAsked", "GateAnswered", "StepCompleted",
  "StepSkipped", "StepFailed", "RunCompleted", "RunFailed", "RunCancelled", "RunDeleted",
];
const STEP_STATES = {
  pending: "to come", running: "being discussed", choosing: "a judge reads", waiting: "waits for your choice",
  completed: "done", skipped: "skipped", failed: "failed", cancelled: "cancelled",
};
const ENDED = new Set(["completed", "failed", "cancelled"]);
/** Milliseconds between looks where no stream can be had. */
const LOOK_AGAIN = 10_000;

export class RunView {
  #source = null;
  #timer = 0;
  #drawn = new Map(); // step → what it was drawn from
  #cards = new Map();

  constructor(place, id, { told, forked, deleted }) {
    this.place = place;
    this.address = `/api/v1/runs/${encodeURIComponent(id)}`;
    this.told = told;
    this.forked = forked;
    this.deleted = deleted;
    this.state = "";
    this.heading = h("h1", { tabindex: "-1" }, "…");
    this.meta = h("p", { class: "meta" });
    this.stop = h("div", { class: "actions" });
    this.away = h("button", { class: "quiet", type: "button", onclick: () => this.#askDeletion() }, icon("close"), "Delete");
    this.answer = h("div", { "aria-live": "polite" });
    this.inputs = h("div", { class: "workflow" });
    this.steps = h("ol", { class: "steps", "aria-label": "Steps" });
    place.replaceChildren(h("section", { class: "centred stack" },
      h("header", { class: "stack" }, h("p", {}, h("a", { href: "#/workflows" }, "Workflows")), this.heading,
        h("div", { class: "discussion-bar" }, this.meta, h("div", { class: "actions" }, this.stop, this.away)), this.inputs),
      this.answer, this.steps));
    this.seen = () => (document.visibilityState === "visible" ? this.#follow() : this.#hush());
    document.addEventListener("visibilitychange", this.seen);
  }

  async open() {
    await this.#look();
    this.heading.focus({ preventScroll: true });
    this.#follow();
  }

  close() {
    document.removeEventListener("visibilitychange", this.seen);
    this.#hush();
    this.state = "closed";
  }

  // --- Following ----------------------------------------------------------------------------

  /** Only what somebody looks at is followed: a browser has few connections to give. */
  #follow() {
    if (this.#source || ENDED.has(this.state) || this.state === "closed") return;
    const source = new EventSource(`${this.address}/events`);
    this.#source = source;
    for (const name of [...FACTS, "end"]) source.addEventListener(name, () => this.#soon());
    source.onerror = () => {
      if (source.readyState !== EventSource.CLOSED) return;
      this.#hush();
      this.#timer = setTimeout(() => void this.#look().then(() => this.#follow()), LOOK_AGAIN * (.5 + Math.random()));
    };
  }

  #hush() {
    clearTimeout(this.#timer);
    this.#timer = 0;
    this.#source?.close();
    this.#source = null;
  }

  /** Facts come in bursts; one look is enough for all of them. */
  #soon() {
    this.#timer ||= setTimeout(() => {
      this.#timer = 0;
      void this.#look();
    }, 50);
  }

  async #look() {
    try {
      this.#draw(await get(this.address));
    } catch (problem) {
      if (this.state === "closed") return;
      this.told({ title: "Run", problem });
      this.answer.replaceChildren(problemBox(problem));
    }
  }

  // --- Drawing --------------------------------------------------------------------------------

  #draw(run) {
    if (this.state === "closed") return;
    if (this.state && this.state !== run.state) announce(`The run ${RUN_STATES[run.state] ?? run.state}.`);
    this.state = run.state;
    this.told({ title: run.title, state: run.state });
    say(this.heading, run.title);
    this.meta.replaceChildren(
      h("span", { class: `state ${run.state}` }, RUN_STATES[run.state] ?? run.state),
      h("span", {}, "begun ", h("time", { datetime: run.created_at }, ago(run.created_at))),
      run.tokens ? h("span", {}, `${number(run.tokens)} tokens`) : "",
      run.cost && run.tokens ? h("span", {}, money(run.cost)) : "",
      run.forked_from ? h("a", { href: `#/r/${run.forked_from}` }, `forked at ${run.forked_at.replaceAll("_", " ")}`) : "");
    this.stop.replaceChildren(...(ENDED.has(run.state) ? [] : [
      h("button", { class: "quiet", type: "button", onclick: () => void this.#do(() => post(`${this.address}/cancel`)) }, icon("stop"), "Stop the run"),
    ]));
    this.#tellInputs(run.inputs ?? {});
    for (const step of run.steps) this.#step(step, run);
    if (ENDED.has(run.state)) this.#hush();
  }

  #tellInputs(inputs) {
    if (this.inputs.firstChild || !Object.keys(inputs).length) return;
    this.inputs.append(h("details", {}, h("summary", {}, icon("chevron"), "What it was given"),
      h("dl", { class: "inputs-told" }, Object.entries(inputs).map(([name, value]) => [
        h("dt", {}, name.replaceAll("_", " ")), h("dd", { tabindex: "0" }, value),
      ]))));
  }

  #step(step, run) {
    const now = JSON.stringify([step, ENDED.has(run.state)]);
    if (this.#drawn.get(step.name) === now) return;
    this.#drawn.set(step.name, now);
    const before = this.#cards.get(step.name);
    const focused = before?.contains(document.activeElement) ? document.activeElement.dataset.key : "";
    const made = this.#card(step, run);
    this.#cards.set(step.name, made);
    if (before) before.replaceWith(made);
    else this.steps.append(made);
    if (focused) made.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus();
  }

  #card(step, run) {
    const last = !run.steps.some((other) => (other.after ?? []).includes(step.name));
    const title = step.title || step.name.replaceAll("_", " ");
    const several = Boolean(step.compare_providers) && !step.kept;
    return h("li", { class: `card step ${step.state}`, "aria-label": title },
      h("header", {}, h("h2", {}, title),
        h("span", { class: "step-state" }, h("span", { class: `dot ${step.state}`, "aria-hidden": "true" }), STEP_STATES[step.state] ?? step.state)),
      h("p", { class: "meta" },
        h("span", {}, several ? "providers compared" : step.mode),
        step.after?.length ? h("span", {}, `after ${step.after.map((name) => name.replaceAll("_", " ")).join(", ")}`) : "",
        step.kept ? h("span", {}, "kept from the run before") : "",
        step.outcome && step.outcome !== "completed" ? h("span", {}, step.outcome) : "",
        step.discussion ? h("a", { href: `#/d/${step.discussion}`, "data-key": "discussion" }, "the whole discussion") : ""),
      step.problem ? h("div", { class: "note bad" }, icon("warning"), h("div", {}, h("p", {}, step.problem), step.next_step ? h("p", { class: "next" }, step.next_step) : null)) : null,
      step.gate?.reason && step.state === "waiting" ? h("div", { class: "note held" }, icon("clock"), h("p", {}, step.gate.reason)) : null,
      several ? this.#candidates(step) : step.text ? told(step.text, title, last) : null,
      step.state === "pending" || !ENDED.has(run.state) && step.state !== "completed" ? null : h("div", { class: "actions" },
        h("button", { class: "quiet", type: "button", "data-key": "fork", "aria-label": `Do it again from here: ${title}`, onclick: () => void this.#fork(step) }, icon("again"), "Again from here")));
  }

  #candidates(step) {
    if (!step.candidates?.length) return null;
    const criteria = step.compare_providers.criteria;
    const open = step.state === "waiting";
    return h("div", { class: "stack" },
      open && criteria ? h("p", {}, criteria) : null,
      step.gate?.how ? h("p", { class: "hint" }, HOW[step.gate.how] ?? `Chosen by the rule: ${step.gate.how}.`) : null,
      h("div", { class: "columns", "data-count": String(step.candidates.length) }, step.candidates.map((one) => this.#candidate(step, one, open))));
  }

  #candidate(step, one, open) {
    const name = `${one.model || "candidate"} (${one.candidate + 1})`;
    const facts = [one.seconds ? took(one.seconds * 1_000) : "", one.tokens ? `${number(one.tokens)} tokens` : "", one.cost && one.tokens ? money(one.cost) : ""].filter(Boolean);
    const offered = open && (step.gate?.candidates ?? []).includes(one.candidate);
    return h("article", { class: `column ${one.chosen ? "chosen" : ""}`, "aria-label": name },
      h("header", {}, h("div", { class: "who" }, h("h3", { class: "model" }, `${one.candidate + 1}. ${one.model}`),
        h("p", {}, one.chosen ? h("strong", {}, "chosen") : null, facts.length ? h("span", {}, facts.join(" · ")) : h("span", {}, one.state)))),
      one.problem ? h("div", { class: "note bad" }, icon("warning"), h("p", {}, one.problem)) : null,
      one.text ? drawn(one.text) : null,
      offered ? h("footer", {}, h("button", {
        class: "strong", type: "button", "data-key": `choose-${one.candidate}`, "aria-label": `Choose ${name}`,
        onclick: () => void this.#do(() => post(`${this.address}/gates/${encodeURIComponent(step.name)}`, { choose: one.candidate })),
      }, "Choose this one")) : null);
  }

  // --- Doing ----------------------------------------------------------------------------------

  async #do(work) {
    try {
      this.answer.replaceChildren();
      this.#draw(await work());
    } catch (problem) {
      this.answer.replaceChildren(problemBox(problem));
      this.answer.scrollIntoView({ block: "nearest" });
    }
  }

  #askDeletion() {
    this.answer.replaceChildren(confirmation(
      "Delete this run for good? What it was given and what its discussions said cannot be brought back; what it cost stays in the accounts. If it still runs, it is stopped.",
      "Delete for good",
      () => {
        this.answer.replaceChildren();
        this.away.focus();
      },
      async () => {
        this.#hush(); // that it is deleted would be told here too
        try {
          await call("DELETE", this.address);
          announce("The run is deleted.");
          this.deleted();
        } catch (problem) {
          this.answer.replaceChildren(problemBox(problem));
          this.#follow();
        }
      }));
  }

  async #fork(step) {
    try {
      const run = await post(`${this.address}/fork`, { step: step.name }, { headers: { "Idempotency-Key": fresh() } });
      this.forked(run.id);
    } catch (problem) {
      this.answer.replaceChildren(problemBox(problem));
    }
  }
}

const HOW = {
  person: "A person has chosen.",
  judge: "A judge has chosen, without seeing whose is which.",
  only: "Only one has answered, so there was nothing to choose.",
};

function drawn(text) {
  const place = h("div", { class: "answer" });
  new Drawing(place).show(text);
  return place;
}

/** What the run came to is open; what led to it can be opened. */
function told(text, title, open) {
  return h("details", { open }, h("summary", { "data-key": "text" }, icon("chevron"), "What it came to", h("span", { class: "unseen" }, `: ${title}`)), drawn(text));
}
