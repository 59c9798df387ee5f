// How they are to discuss: one quiet row to choose from, and what a mode can be told behind "More".

import { h, icon } from "/pages/dom.js";
import { together } from "/pages/words.js";

const MOST = 8;
const ROUNDS = 3;

const MODES = [
  { mode: "", name: "Answer", about: "Each answers on their own, side by side." },
  { mode: "debate", name: "Debate", about: "In turn, hearing each other, for some rounds. You can say something at any time." },
  { mode: "compare", name: "Compare models", about: "The same question to several models, side by side with their speed and cost. You pick the best." },
  { mode: "consensus", name: "Consensus", about: "Everybody drafts alone, reviews the others’ drafts without names, and votes. The result says truthfully whether they agree." },
];

/** What is to be chosen besides the people and the question. */
export class Modes {
  /**
   * @param kept     what was chosen last: {mode, models, rounds, …}
   * @param changed  called with that after each change
   * @param options  makes the <option>s of all models, with the words for none as the first
   */
  constructor({ kept, personas, models, options, changed }) {
    this.personas = personas;
    this.available = models;
    this.options = options;
    this.changed = changed;
    this.chosen = { mode: "", models: [], rounds: ROUNDS, moderator: "", blind: false, judge: "", chair: "", closed: false, ...kept };
    if (!MODES.some(({ mode }) => mode === this.chosen.mode)) this.chosen.mode = "";
    this.about = h("p", { class: "hint", id: "mode-about" });
    this.row = h("fieldset", { class: "modes", "aria-describedby": "mode-about" },
      h("legend", { class: "unseen" }, "How they discuss"),
      h("div", { class: "mode-row" }, MODES.map(({ mode, name }) => h("label", { class: "mode" },
        h("input", { type: "radio", name: "mode", value: mode, checked: mode === this.chosen.mode, onchange: () => this.#choose({ mode }) }),
        h("span", {}, name)))),
      this.about);
    this.list = h("ol", { class: "rivals" });
    this.adder = h("button", { class: "quiet", type: "button", onclick: () => this.#add() }, icon("plus"), "Add a model");
    this.rivals = h("fieldset", { class: "stack", hidden: true }, h("legend", {}, "Models to compare"),
      h("p", { class: "hint" }, `Two to ${MOST}; the same one twice shows how much its answers vary.`), this.list, this.adder);
    this.wishes = h("div", { class: "fields" });
    this.more = h("details", { class: "limits more", hidden: true }, h("summary", {}, icon("chevron"), "More"), this.wishes);
    const { chosen } = this;
    chosen.models = chosen.models.filter((id) => models.some((one) => one.id === id));
    while (chosen.models.length < 2) chosen.models.push(this.#another());
    this.#listRivals();
    this.#show();
  }

  get mode() {
    return this.chosen.mode;
  }

  /** Models are compared without personas. */
  get takesPersonas() {
    return this.mode !== "compare";
  }

  /** What is missing before it can be asked, as a problem; null: nothing. */
  missing(slugs) {
    if (this.mode === "compare") {
      return this.chosen.models.every(Boolean) ? null
        : { title: "There is no model to compare yet", nextStep: "Add a key under Keys and providers: then its models can be chosen." };
    }
    if (!slugs.length) return { title: "Nobody is picked to answer", nextStep: "Pick one persona or more." };
    if (this.mode && this.#members(slugs).length < 2) {
      return { title: `A ${this.mode === "debate" ? "debate" : "consensus"} takes two or more`, nextStep: "Pick another persona." };
    }
    return null;
  }

  /** Who takes part in which way, as `POST /api/v1/discussions` takes it. */
  wish(slugs, model) {
    const of = (persona) => (model ? { persona, model } : { persona });
    const { mode, rounds, moderator, blind, judge, chair, closed, models } = this.chosen;
    const participants = slugs.map(of);
    switch (mode) {
      case "debate":
        return { mode, participants: this.#members(slugs).map(of), ...(moderator ? { moderator: of(moderator) } : {}), options: { rounds } };
      case "compare":
        return { mode, models, ...(judge ? { judge: { model: judge } } : {}), ...(blind ? { options: { blind } } : {}) };
      case "consensus":
        return { mode, participants: this.#members(slugs).map(of), ...(chair ? { chair: of(chair) } : {}), ...(closed ? { options: { closed } } : {}) };
      default:
        return { mode: slugs.length === 1 ? "single" : "parallel", participants };
    }
  }

  /** Who will do what, in one sentence. */
  summary(slugs) {
    const first = (slug) => this.personas.find((persona) => persona.slug === slug)?.name.split(" ")[0] ?? slug;
    const { mode, rounds, moderator, blind, judge, chair, models } = this.chosen;
    if (mode === "compare") {
      return `${models.length} models answer the same question${blind ? ", without their names until you pick" : ""}${judge ? "; a judge compares them" : ""}.`;
    }
    const names = this.#members(slugs).map(first);
    if (!names.length) return "Pick at least one persona.";
    if (mode && names.length < 2) return "Pick one more: this takes two or more.";
    if (mode === "debate") return `${together(names)} debate for up to ${rounds} ${rounds === 1 ? "round" : "rounds"}${moderator ? `; ${first(moderator)} moderates` : ""}.`;
    if (mode === "consensus" && names.length === 2 && !this.chosen.closed) return `${together(names)} can only agree or differ: from three on there is something to count.`;
    if (mode === "consensus") return `${together(names)} look for an answer that they agree on${chair ? `; ${first(chair)} writes it up` : ""}.`;
    return names.length === 1 ? `${names[0]} answers.` : `${together(names)} answer side by side, each on their own.`;
  }

  /** Those who speak for themselves: who has another role does not. */
  #members(slugs) {
    const other = { debate: this.chosen.moderator, consensus: this.chosen.chair }[this.mode];
    return slugs.filter((slug) => slug !== other);
  }

  #choose(values) {
    Object.assign(this.chosen, values);
    this.#show();
    this.changed(this.chosen);
  }

  #show() {
    this.about.textContent = MODES.find(({ mode }) => mode === this.mode).about;
    this.rivals.hidden = this.mode !== "compare";
    const wishes = this.#wishes();
    this.more.hidden = !wishes.length;
    if (this.wishes.dataset.mode !== this.mode) this.wishes.replaceChildren(...wishes);
    this.wishes.dataset.mode = this.mode;
  }

  #wishes() {
    switch (this.mode) {
      case "debate":
        return [
          field("rounds", "Rounds at most", select(this, "rounds", [1, 2, 3, 4, 5, 6, 8, 10].map((count) => [count, String(count)]), Number), "It ends earlier when nobody has anything new to say."),
          field("moderator", "Moderator", select(this, "moderator", [["", "Nobody"], ...this.#people()]), "Sums up after each round, and takes no side."),
        ];
      case "compare":
        return [
          field("judge", "Judge", h("select", { id: "judge", onchange: (event) => this.#choose({ judge: event.target.value }) }, ...this.options("Nobody", this.chosen.judge)), "A model that says what the answers agree on and where they differ."),
          tick("blind", "Hide the names until I pick", this.chosen.blind, (blind) => this.#choose({ blind })),
        ];
      case "consensus":
        return [
          field("chair", "Chair", select(this, "chair", [["", "The author of the winner"], ...this.#people()]), "Writes the result, and has no vote."),
          tick("closed", "The question has one short answer", this.chosen.closed, (closed) => this.#choose({ closed })),
        ];
      default:
        return [];
    }
  }

  #people() {
    return this.personas.map(({ slug, name }) => [slug, name]);
  }

  /** One that is not compared yet: the usual one, then the others; once all are, the usual one again. */
  #another() {
    const usual = this.available.find((model) => model.default) ?? this.available[0];
    const { models } = this.chosen;
    return [usual, ...this.available].find((model) => model && !models.includes(model.id))?.id ?? usual?.id ?? "";
  }

  #add() {
    const { models } = this.chosen;
    models.push(this.#another());
    this.#listRivals();
    this.list.lastElementChild.querySelector("select").focus();
    this.changed(this.chosen);
  }

  #listRivals() {
    const { models } = this.chosen;
    this.list.replaceChildren(...models.map((id, at) => h("li", {},
      h("div", { class: "select" },
        h("select", { "aria-label": `Model ${at + 1}`, onchange: (event) => {
          models[at] = event.target.value;
          this.changed(this.chosen);
        } }, ...this.options(null, id)), icon("chevron")),
      models.length > 2 ? h("button", { class: "quiet square", type: "button", "aria-label": `Remove model ${at + 1}`, onclick: () => {
        models.splice(at, 1);
        this.#listRivals();
        this.adder.focus();
        this.changed(this.chosen);
      } }, icon("close")) : null)));
    this.adder.hidden = models.length >= MOST;
  }
}

function field(id, name, control, hint) {
  control.setAttribute("aria-describedby", `${id}-hint`);
  return h("div", { class: "field" }, h("label", { for: id }, name), h("div", { class: "select" }, control, icon("chevron")), h("p", { class: "hint", id: `${id}-hint` }, hint));
}

function select(modes, name, choices, read = String) {
  return h("select", { id: name, onchange: (event) => {
    Object.assign(modes.chosen, { [name]: read(event.target.value) });
    modes.changed(modes.chosen);
  } }, choices.map(([value, words]) => h("option", { value, selected: String(value) === String(modes.chosen[name]) }, words)));
}

function tick(id, words, checked, change) {
  return h("label", { class: "tick" }, h("input", { type: "checkbox", id, checked, onchange: (event) => change(event.target.checked) }), words);
}
