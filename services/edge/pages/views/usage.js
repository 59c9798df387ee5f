// What was used, what it cost, and what may still be spent. A guess never stands among the counts.

import { call, get } from "/pages/api.js";
import { announce, h, icon } from "/pages/dom.js";
import { money, number, plural } from "/pages/words.js";
import { problemBox } from "/pages/views/problem.js";

const GROUPS = { day: "Day", model: "Model", persona: "Persona", token: "Access token" };
const SPANS = [["7 days", 7], ["30 days", 30], ["90 days", 90], ["A year", 365]];
const PERIODS = { day: "a day", month: "a month", total: "once, for ever" };

export async function usage(place, { personas, manages }) {
  const table = h("div", { class: "stack", "aria-live": "polite" });
  const by = choice("by", Object.entries(GROUPS).filter(([group]) => manages || group !== "token").map(([group, name]) => [name, group]), "day");
  const span = choice("span", SPANS, 30);
  const heading = h("h1", { tabindex: "-1" }, "Usage");
  const budgets = manages ? new Budgets() : null;
  place.replaceChildren(h("section", { class: "centred stack-wide usage" },
    h("header", {}, heading,
      h("p", { class: "lead" }, "Every request that was sent, answered or not. What the provider counted, what we had to estimate, and what nobody knows stand apart.")),
    h("section", { class: "stack", "aria-labelledby": "used" }, h("h2", { id: "used" }, "What was used"),
      h("div", { class: "fields" }, field("by", "By", by), field("span", "In the last", span)), table),
    budgets?.element));
  heading.focus({ preventScroll: true });
  let asked = 0;
  by.addEventListener("change", () => void show());
  span.addEventListener("change", () => void show());
  await Promise.all([show(), budgets?.show()]);

  /** An older answer that comes late must not take the place of a newer one. */
  async function show() {
    const mine = (asked += 1);
    const from = new Date(Date.now() - (Number(span.value) - 1) * 86_400_000).toISOString().slice(0, 10);
    try {
      const report = await get(`/api/v1/usage?${new URLSearchParams({ from, by: by.value })}`);
      if (mine !== asked) return;
      table.replaceChildren(drawn(report, personas));
    } catch (problem) {
      table.replaceChildren(problemBox(problem));
    }
  }
}

function choice(id, options, chosen) {
  return h("select", { id }, options.map(([name, value]) => h("option", { value, selected: value === chosen }, name)));
}

function field(id, label, control) {
  return h("div", { class: "field" }, h("label", { for: id }, label),
    control.tagName === "SELECT" ? h("div", { class: "select" }, control, icon("chevron")) : control);
}

// --- The table ----------------------------------------------------------------------------------

function drawn(report, personas) {
  if (!report.items.length) return h("p", { class: "hint" }, "Nothing was asked in this time.");
  const names = new Map(personas.map(({ slug, name }) => [slug, name]));
  const named = (line) => (report.by === "persona" ? names.get(line.key) ?? (line.key || "No persona") : line.name);
  const row = (line, name, head = "row") => h("tr", {},
    h("th", { scope: head }, name),
    h("td", {}, number(line.measured.requests)),
    h("td", {}, number(line.measured.input_tokens), line.measured.cached_tokens ? h("span", { class: "hint" }, ` ${number(line.measured.cached_tokens)} cached`) : null),
    h("td", {}, number(line.measured.output_tokens)),
    h("td", {}, paid(line.measured)),
    h("td", { class: "guess" }, guessed(line.estimated)),
    h("td", { class: "guess" }, line.unknown.requests ? plural(line.unknown.requests, "request") : "–"));
  return h("div", { class: "card budget wide", tabindex: "0", role: "group", "aria-label": "Usage, a table" }, h("table", {},
    h("caption", { class: "unseen" }, `Usage from ${report.from} to ${report.to}, days in UTC`),
    h("thead", {}, h("tr", {}, [GROUPS[report.by], "Requests", "Tokens in", "Tokens out", "Cost", "Estimated", "Not known"].map((head) => h("th", { scope: "col" }, head)))),
    h("tbody", {}, report.items.map((line) => row(line, named(line)))),
    h("tfoot", {}, row(report.total, "Total"))));
}

/** A sum for each currency; what has no price is in none of them, and said. */
function paid(sum) {
  const parts = sum.costs.map(money);
  if (sum.unpriced) parts.push(`${number(sum.unpriced)} without a price`);
  return parts.join(", ") || "–";
}

function guessed(sum) {
  if (!sum.requests) return "–";
  return `${plural(sum.requests, "request")}, ${number(sum.input_tokens + sum.output_tokens)} tokens, ${paid(sum)}`;
}

// --- Budgets ------------------------------------------------------------------------------------

class Budgets {
  constructor() {
    this.list = h("div", { class: "stack" });
    this.answer = h("div", { "aria-live": "polite" });
    this.whose = choice("budget-of", [["The workspace", "workspace"]], "workspace");
    this.amount = h("input", { id: "budget-amount", type: "number", min: "0", step: "any", inputmode: "decimal", required: true, autocomplete: "off" });
    this.period = choice("budget-period", Object.entries(PERIODS).map(([period, name]) => [name, period]), "month");
    this.strict = h("input", { id: "budget-strict", type: "checkbox" });
    this.element = h("section", { class: "stack", "aria-labelledby": "budgets" },
      h("h2", { id: "budgets" }, "What may be spent"),
      h("p", { class: "hint" }, "Before a request is sent, what it may cost at most is held; what it did cost is taken. Nothing is sent that does not fit."),
      this.list,
      h("form", { class: "card stack", novalidate: true, onsubmit: (event) => {
        event.preventDefault();
        void this.#set();
      } },
      h("div", { class: "fields" }, field("budget-of", "Whose", this.whose), field("budget-amount", "US dollars", this.amount), field("budget-period", "For", this.period)),
      h("label", { class: "tick" }, this.strict, " Refuse models whose price is not known, too"),
      this.answer,
      (this.save = h("button", { class: "strong" }, "Set this budget"))));
  }

  /** An older answer that comes late must not take the place of a newer one. */
  async show() {
    const asked = (this.asked = (this.asked ?? 0) + 1);
    try {
      const [budgets, tokens] = await Promise.all([get("/api/v1/budgets"), get("/api/v1/tokens")]);
      if (asked !== this.asked) return;
      const chosen = this.whose.value;
      const valid = (tokens?.items ?? []).filter((token) => token.state === "valid");
      this.whose.replaceChildren(h("option", { value: "workspace" }, "The workspace"),
        ...valid.map((token) => h("option", { value: `token:${token.id}` }, `Token: ${token.label || token.role}`)));
      this.whose.value = chosen;
      const items = budgets?.items ?? [];
      this.list.replaceChildren(...(items.length ? items.map((budget) => this.#card(budget)) : [h("p", { class: "hint" }, "Nothing is bounded.")]));
    } catch (problem) {
      this.list.replaceChildren(problemBox(problem));
    }
  }

  #card(budget) {
    const share = Number(budget.amount) > 0 ? 1 - Math.max(0, Number(budget.left)) / Number(budget.amount) : 1;
    const facts = [
      `${dollars(budget.spent)} spent`,
      Number(budget.held) ? `${dollars(budget.held)} held for what is being answered` : "",
      budget.unpriced ? `${plural(budget.unpriced, "request")} without a price` : "",
      budget.until ? `begins anew ${new Date(budget.until).toLocaleDateString("en", { day: "numeric", month: "short", timeZone: "UTC" })}` : "",
      budget.strict ? "takes only what has a price" : "",
    ].filter(Boolean);
    return h("article", { class: "card key", "data-budget": budget.id },
      h("div", { class: "key-head" }, h("h3", {}, budget.id === "workspace" ? "The workspace" : budget.name),
        h("span", { class: "badge" }, `${dollars(budget.amount)} ${PERIODS[budget.period] ?? budget.period}`)),
      h("progress", { class: share >= 0.9 ? "high" : null, max: "1", value: String(Math.min(1, share)), "aria-hidden": "true" }),
      h("p", { class: "queue" }, `${dollars(budget.left)} left`, h("span", { class: "hint" }, facts.join(" · "))),
      h("div", { class: "form-actions" }, h("button", { class: "quiet", type: "button", onclick: () => void this.#remove(budget) }, icon("close"), "Remove", h("span", { class: "unseen" }, ` the budget of ${budget.name}`))));
  }

  async #set() {
    if (!this.amount.value) {
      this.answer.replaceChildren(problemBox({ title: "There is no amount yet", nextStep: "Write how many dollars may be spent." }));
      this.amount.focus();
      return;
    }
    await this.#change("PUT", this.whose.value, { amount: this.amount.value, period: this.period.value, strict: this.strict.checked }, "The budget is in force.");
  }

  #remove(budget) {
    return this.#change("DELETE", budget.id, undefined, "The budget is removed.");
  }

  async #change(method, id, body, said) {
    this.save.disabled = true;
    try {
      await call(method, `/api/v1/budgets/${encodeURIComponent(id)}`, { body });
      this.answer.replaceChildren();
      announce(said);
      await this.show();
    } catch (problem) {
      this.answer.replaceChildren(problemBox(problem));
    } finally {
      this.save.disabled = false;
    }
  }
}

/** Of a budget nothing is "free": zero is zero. */
function dollars(amount) {
  return Number(amount) > 0 ? money({ amount }) : Number(amount) === 0 ? "$0" : `−${money({ amount: -Number(amount) })}`;
}
