// The providers: what each may be asked, what is closed and why, what waits and until when.

import { call, get } from "/pages/api.js";
import { announce, h, icon } from "/pages/dom.js";
import { ago, left, LIMITS, number, OPENS, plural } from "/pages/words.js";
import { problemBox } from "/pages/views/problem.js";

/** Milliseconds between two looks: while something is under way, and otherwise. */
const BUSY = 5_000;
const IDLE = 30_000;

export class ProvidersView {
  #cards = new Map();
  #clock = 0;
  #timer = 0;
  #closed = false;

  constructor(place, { providers, manages }) {
    this.manages = manages;
    this.trouble = h("div", { "aria-live": "polite" });
    this.list = h("div", { class: "stack" });
    this.others = h("section", { class: "stack", "aria-labelledby": "not-set-up", hidden: true },
      h("h2", { id: "not-set-up" }, "Not set up"), (this.idle = h("ul", { class: "idle-providers" })));
    place.replaceChildren(h("section", { class: "centred stack-wide providers" },
      h("header", {},
        h("h1", { tabindex: "-1" }, "Providers"),
        h("p", { class: "lead" }, "What each may be asked, what stands in the way, and what waits until when.")),
      h("div", { class: "stack" }, this.list, this.trouble), this.others));
    place.querySelector("h1").focus({ preventScroll: true });
    this.#draw(providers);
    this.#clock = setInterval(() => this.#cards.forEach((card) => card.tick()), 1_000);
    document.addEventListener("visibilitychange", this.#seen);
    void this.#look();
  }

  close() {
    this.#closed = true;
    clearInterval(this.#clock);
    clearTimeout(this.#timer);
    document.removeEventListener("visibilitychange", this.#seen);
  }

  #seen = () => {
    if (document.visibilityState === "visible") void this.#look();
  };

  /** Look how they stand, and again after a while; nobody looks while the page is hidden. */
  async #look() {
    clearTimeout(this.#timer);
    let busy = false;
    try {
      const providers = (await get("/api/v1/providers"))?.items ?? [];
      if (this.#closed) return;
      this.trouble.replaceChildren();
      this.#draw(providers);
      busy = providers.some((one) => one.in_flight || one.waiting || one.not_before || rests(one).length);
    } catch (problem) {
      if (this.#closed) return;
      this.trouble.replaceChildren(problemBox(problem));
    }
    clearTimeout(this.#timer);
    if (document.visibilityState === "visible") {
      this.#timer = setTimeout(() => void this.#look(), (busy ? BUSY : IDLE) * (0.8 + 0.4 * Math.random()));
    }
  }

  #draw(providers) {
    const shown = providers.filter(isOfInterest);
    for (const provider of shown) {
      let card = this.#cards.get(provider.name);
      if (!card) {
        card = new Card(provider, { manages: this.manages, changed: () => void this.#look() });
        this.#cards.set(provider.name, card);
        this.list.append(card.element);
      }
      card.draw(provider);
    }
    for (const [name, card] of this.#cards) {
      if (shown.some((provider) => provider.name === name)) continue;
      card.element.remove();
      this.#cards.delete(name);
    }
    const others = providers.filter((provider) => !isOfInterest(provider));
    this.others.hidden = !others.length;
    this.idle.replaceChildren(...others.map((provider) => h("li", {},
      h("strong", {}, provider.title), " ", h("span", { class: "hint" }, provider.reason ?? ""))));
  }
}

function isOfInterest(provider) {
  return provider.available || provider.waiting || provider.parked || provider.in_flight || provider.set_here || (provider.gates ?? []).length > 0;
}

const rests = (provider) => (provider.accounts ?? []).flatMap((account) => account.breakers ?? []);

/** One provider; what a person types into it survives that it is drawn again. */
class Card {
  #timed = [];

  constructor(provider, { manages, changed }) {
    const id = `provider-${provider.name}`;
    this.badge = h("span", { class: "badge" });
    this.standing = h("div", { class: "stack" });
    this.form = manages ? new LimitsForm(provider, changed) : null;
    this.element = h("article", { class: "card key provider", "aria-labelledby": id, "data-provider": provider.name },
      h("div", { class: "key-head" }, h("h2", { id }, provider.title), (this.endpoint = h("code", { class: "hint" })), this.badge),
      this.standing, this.form?.element);
  }

  draw(provider) {
    const key = JSON.stringify(provider);
    if (this.key === key) return;
    this.key = key;
    this.#timed = [];
    const held = (provider.gates ?? []).length || provider.not_before || rests(provider).length;
    const [words, tone] = !provider.available ? ["not ready", ""] : held ? ["held back", "held"] : ["ready", "good"];
    this.badge.className = `badge ${tone}`;
    this.badge.textContent = words;
    this.endpoint.textContent = provider.endpoint ?? "";
    const accounts = provider.accounts ?? [];
    this.standing.replaceChildren(...[
      !provider.available && provider.reason ? h("p", {}, provider.reason) : null,
      ...(provider.gates ?? []).map((gate) => gateNote(gate)),
      ...this.#silences(provider, accounts),
      this.#queue(provider),
      ...(accounts.length ? accounts.map((account) => this.#budget(provider, account, accounts.length > 1))
        : [this.#budget(provider, { limits: provider.limits, in_flight: provider.in_flight }, false)]),
    ].filter(Boolean));
    this.form?.draw(provider);
    this.tick();
  }

  /** What changes by the clock alone. */
  tick() {
    for (const [element, words] of this.#timed) element.textContent = words();
  }

  #until(moment, words = (when) => when) {
    const element = h("span", { class: "countdown" });
    this.#timed.push([element, () => words(left(moment))]);
    return element;
  }

  #silences(provider, accounts) {
    const told = accounts.some((account) => account.not_before);
    const asked = accounts.filter((account) => account.not_before).map((account) =>
      held("clock", "The provider asked for patience", ["The next request to this account goes out ", this.#until(account.not_before), "."]));
    if (!told && provider.not_before) {
      asked.push(held("clock", "The provider asked for patience", ["The next request goes out ", this.#until(provider.not_before), "."]));
    }
    return [...asked, ...rests(provider).map((rest) => held("clock", "Left in peace after failures", rest.state === "half-open"
      ? "One request is out to see whether it is back; the others follow if it is."
      : ["One request goes to see whether it is back ", this.#until(rest.until), "; the others wait for what it finds."]))];
  }

  #queue(provider) {
    const parts = [
      provider.in_flight ? `${number(provider.in_flight)} being answered` : "",
      provider.waiting ? `${number(provider.waiting)} waiting` : "",
      provider.parked ? `${number(provider.parked)} parked` : "",
    ].filter(Boolean);
    return h("p", { class: "queue" }, parts.length ? parts.join(" · ") : "Nothing waits.",
      provider.available ? h("span", { class: "hint" }, ` ${plural(provider.models ?? 0, "model")}${provider.refreshed_at ? `, looked up ${ago(provider.refreshed_at)}` : ""}`) : null);
  }

  #budget(provider, account, named) {
    const limits = account.limits ?? {};
    const learnt = account.learnt ?? {};
    const used = {
      rpm: account.requests_in_minute ?? 0, tpm: account.tokens_in_minute ?? 0, tpd: account.tokens_in_day ?? 0,
      concurrency: account.in_flight ?? 0,
    };
    const rows = Object.keys(LIMITS).filter((kind) => limits[kind] !== undefined || learnt[kind] !== undefined || used[kind]);
    if (!rows.length) return h("p", { class: "hint" }, "No limits are declared.");
    const source = provider.set_here ? "set here" : "declared";
    return h("div", { class: "budget" },
      named ? h("p", { class: "hint" }, h("code", {}, account.endpoint), ` account ${account.account.slice(0, 8)}`) : null,
      h("table", {},
        h("caption", { class: "unseen" }, `What ${provider.title} may be asked`),
        h("thead", { class: "unseen" }, h("tr", {}, ["Limit", "Share in use", "In use"].map((head) => h("th", { scope: "col" }, head)))),
        h("tbody", {}, rows.map((kind) => {
          const limit = limits[kind];
          const from = limit === undefined ? "" : learnt[kind] === limit ? "learnt from its answers" : source;
          return h("tr", {},
            h("th", { scope: "row" }, LIMITS[kind], " ", h("span", { class: "hint" }, from)),
            h("td", { class: "meter" }, limit ? meter(used[kind] / limit) : null),
            h("td", {}, `${number(used[kind])} of `, limit === undefined ? "any number" : number(limit)));
        }))),
      account.retries_left === undefined || account.retries_left === null ? null
        : h("p", { class: "hint" }, `Much has failed lately: ${plural(Math.floor(account.retries_left), "further try", "further tries")} at once, then they are spread out.`));
  }
}

function held(picture, title, text) {
  return h("div", { class: "note held" }, icon(picture), h("div", {}, h("p", { class: "note-title" }, title), h("p", {}, text)));
}

function gateNote(gate) {
  const kind = gate.gate.split(":")[0];
  const { title = gate.gate, detail = "", next_step: next = "" } = gate.failure ?? {};
  return h("div", { class: "note held", "data-gate": gate.gate }, icon("parked"), h("div", {},
    h("p", { class: "note-title" }, title),
    h("p", {}, detail, " ", h("span", { class: "hint" }, "Closed ", h("time", { datetime: gate.closed_at }, ago(gate.closed_at)), ".")),
    h("p", {}, gate.opens ?? OPENS[kind] ?? ""),
    next ? h("p", { class: "next" }, next, ["key", "billing"].includes(kind) ? [" ", h("a", { href: "#/keys" }, "Open Keys")] : null) : null));
}

/** How much is used, as a bar; the numbers beside it say the same. */
function meter(share) {
  return h("progress", { class: share >= 0.9 ? "high" : null, max: "1", value: String(Math.min(1, share)), "aria-hidden": "true" });
}

/** Four numbers, each of which may be left empty: then what is declared holds. */
class LimitsForm {
  constructor(provider, changed) {
    this.name = provider.name;
    this.changed = changed;
    this.answer = h("div", { "aria-live": "polite" });
    this.inputs = new Map(Object.keys(LIMITS).map((kind) => [kind, h("input", {
      id: `${provider.name}-${kind}`, name: kind, type: "number", inputmode: "numeric", min: "1", step: "1", autocomplete: "off",
    })]));
    this.save = h("button", { class: "strong" }, "Save");
    this.reset = h("button", { class: "quiet", type: "button", onclick: () => this.#put(Object.fromEntries([...this.inputs.keys()].map((kind) => [kind, null]))) }, icon("again"), "Back to what is declared");
    this.element = h("details", { class: "limits" },
      h("summary", {}, icon("chevron"), "Change the limits", h("span", { class: "unseen" }, ` of ${provider.title}`)),
      h("form", {
        class: "stack",
        onsubmit: (event) => {
          event.preventDefault();
          this.#put(Object.fromEntries([...this.inputs].map(([kind, input]) => [kind, input.value === "" ? null : input.valueAsNumber])));
        },
      },
      h("p", { class: "hint" }, "What your account allows. It holds from the next request on; what was learnt is forgotten. Empty: as declared."),
      h("div", { class: "fields" }, [...this.inputs].map(([kind, input]) =>
        h("div", { class: "field" }, h("label", { for: input.id }, LIMITS[kind]), input))),
      this.answer,
      h("div", { class: "form-actions" }, this.save, this.reset)));
  }

  draw(provider) {
    const fallback = provider.fallback ?? (provider.set_here ? {} : provider.declared ?? provider.limits ?? {});
    this.reset.hidden = !provider.set_here;
    for (const [kind, input] of this.inputs) {
      input.placeholder = fallback[kind] === undefined ? "no limit" : String(fallback[kind]);
      const set = provider.set_here ? provider.declared?.[kind] : undefined;
      if (!this.element.open || !this.element.contains(document.activeElement)) {
        input.value = set === undefined || set === fallback[kind] ? "" : String(set);
      }
    }
  }

  async #put(limits) {
    this.save.disabled = this.reset.disabled = true;
    try {
      await call("PUT", `/api/v1/providers/${encodeURIComponent(this.name)}/limits`, { body: limits });
      this.answer.replaceChildren();
      this.element.open = false;
      this.element.querySelector("summary").focus();
      announce("The limits are in force.");
      this.changed();
    } catch (problem) {
      this.answer.replaceChildren(problemBox(problem));
    } finally {
      this.save.disabled = this.reset.disabled = false;
    }
  }
}
