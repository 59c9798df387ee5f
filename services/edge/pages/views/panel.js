// A consensus: the outcome first, told as it is; then, folded away, how it came about. While it runs
// the drafts, reviews and revisions are shown as they are written.

import { h, icon, say } from "/pages/dom.js";
import { isTerminal } from "/pages/transcript.js";
import { Cards, legendOf, Row, SideBySide } from "/pages/views/boards.js";
import { drawOutcome, drawProcess, readable } from "/pages/views/outcome.js";

const STAGES = {
  draft: ["Drafts", "Written apart: nobody has seen another’s."],
  review: ["Reviews", "Everybody reads all drafts without names, each in another order, and ranks them."],
  revision: ["Revisions", "Authors may answer objections; a change counts only if it names the objection it answers."],
  synthesis: ["Write-up", "It may say nothing that no draft says."],
};
const SAME = { repair: "review" };
const FOLDED = { review: "The review, word by word", repair: "The review, once more", synthesis: "Word by word" };

export class Panel {
  #touched = false;
  #ended = null;

  constructor(tools) {
    this.tools = tools;
    this.outcome = h("section", { class: "outcome", "aria-label": "Outcome", hidden: true });
    this.now = h("p", { class: "panel-now", role: "status" });
    this.count = h("div", { class: "stack-wide" });
    this.stages = h("div", { class: "rows" });
    this.summary = h("span", {}, "How it came about");
    this.process = h("details", { class: "process", open: true, ontoggle: () => this.#toggled() },
      h("summary", { onclick: () => (this.#touched = true) }, icon("chevron"), this.summary), this.count, this.stages);
    this.after = new SideBySide(tools);
    this.element = h("div", { class: "panel" }, this.outcome, this.now, this.process, this.after.element);
    this.#begin();
  }

  #begin() {
    this.cards = new Cards(this.tools);
    this.rows = new Map();
    this.stages.replaceChildren();
  }

  draw(known) {
    if (this.cards.stale(known)) this.#begin();
    const later = [];
    for (const turn of known.turns.values()) {
      if (!STAGES[SAME[turn.purpose] ?? turn.purpose]) {
        later.push(turn);
        continue;
      }
      if (!this.cards.cards.has(turn.id)) this.#place(turn, known);
      this.cards.draw(turn, known);
    }
    for (const row of this.rows.values()) row.legend?.(known);
    this.after.draw(known, later);
    this.#fold(known);
    const go = { to: (turn) => this.#goTo(turn), known };
    drawOutcome(this.outcome, go);
    drawProcess(this.count, go);
    this.now.hidden = known.terminal;
    say(this.now, known.terminal ? "" : stageOf(known));
  }

  tick(known) {
    this.cards.tick(known);
    this.after.tick(known);
  }

  /** Folded away once there is an outcome, unless somebody has it open on purpose. */
  #fold(known) {
    const ended = Boolean(known.conclusion) && known.conclusion.outcome !== "insufficient";
    if (ended === this.#ended) return;
    this.#ended = ended;
    if (!this.#touched) this.process.open = !ended;
  }

  #toggled() {
    if (this.process.open) this.tools.wholeStory();
  }

  #place(turn, known) {
    const kind = SAME[turn.purpose] ?? turn.purpose;
    const key = `${kind} ${turn.round}`;
    let row = this.rows.get(key);
    if (!row) {
      const [name, about] = STAGES[kind];
      const title = turn.round > 1 ? `${name}, round ${turn.round}` : name;
      row = new Row(title);
      this.rows.set(key, row);
      this.stages.append(h("section", { class: "stage", "aria-label": title },
        h("h2", {}, title), h("p", { class: "hint" }, about), row.element));
    }
    const folded = FOLDED[turn.purpose] ?? "";
    this.cards.make(turn, known, { level: 3, folded, read: known.options.closed && turn.purpose === "draft" ? readable : null }, row);
    if (Object.keys(turn.labels).length) {
      const legend = h("p", { class: "hint legend" });
      this.cards.cards.get(turn.id).element.querySelector(".words")?.append(legend);
      const before = row.legend;
      row.legend = (now) => {
        before?.(now);
        say(legend, `As it saw them: ${legendOf(now.turns.get(turn.id), now)}`);
      };
    }
  }

  #goTo(turn) {
    const element = this.cards.cards.get(turn)?.element;
    if (!element) return;
    this.#touched = true;
    this.process.open = true;
    element.scrollIntoView({ behavior: "smooth", block: "start", inline: "start" });
    element.focus({ preventScroll: true });
  }
}

/** Where a running panel stands, in one sentence. */
function stageOf(known) {
  const turns = [...known.turns.values()].filter((turn) => STAGES[SAME[turn.purpose] ?? turn.purpose]);
  const last = turns.at(-1);
  if (!last) return "";
  const kind = SAME[last.purpose] ?? last.purpose;
  const here = turns.filter((turn) => (SAME[turn.purpose] ?? turn.purpose) === kind && turn.round === last.round);
  const done = here.filter((turn) => isTerminal(turn.state)).length;
  const words = {
    draft: "Everybody drafts alone", review: "Everybody reviews the drafts without names",
    revision: "Authors answer objections", synthesis: "The result is being written up",
  }[kind];
  const round = last.round > 1 ? `, round ${last.round}` : "";
  return here.length > 1 ? `${words}${round}: ${done} of ${here.length} done.` : `${words}${round}.`;
}


