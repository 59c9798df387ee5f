// At the side: what was asked lately, and whether there is anybody to answer.

import { get } from "/pages/api.js";
import { announce, h, icon } from "/pages/dom.js";
import { ago, STATES } from "/pages/words.js";

export class Sidebar {
  #items = [];
  #next = "";
  #here = "";
  #q = "";
  #asked = 0;
  #soon = 0;

  constructor() {
    this.list = document.getElementById("recent");
    this.foot = document.getElementById("foot");
    this.side = document.getElementById("side");
    this.scrim = document.getElementById("scrim");
    this.menu = document.getElementById("menu");
    this.menu.addEventListener("click", () => this.toggle(true));
    document.getElementById("close").addEventListener("click", () => this.toggle(false));
    this.scrim.addEventListener("click", () => this.toggle(false));
    this.search = h("input", {
      id: "search", type: "text", inputmode: "search", autocomplete: "off", maxlength: "200", placeholder: "Search what was said",
      "aria-label": "Search discussions", "aria-controls": "recent",
      oninput: () => {
        clearTimeout(this.#soon);
        this.#soon = setTimeout(() => void this.#find(), 250);
      },
    });
    this.list.before(h("div", { class: "search", role: "search" }, this.search));
    document.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && this.side.classList.contains("open")) this.toggle(false);
    });
  }

  /** On a phone the list is a drawer. */
  toggle(open) {
    const was = this.side.classList.contains("open");
    this.side.classList.toggle("open", open);
    this.scrim.hidden = !open;
    this.menu.setAttribute("aria-expanded", String(open));
    if (open) document.getElementById("close").focus();
    else if (was) this.menu.focus();
  }

  /** Those in which every word was said; without a word, the newest. */
  async #find() {
    this.#q = this.search.value.trim();
    const asked = (this.#asked += 1);
    try {
      const page = await get(this.#address());
      if (asked !== this.#asked) return; // another letter was typed meanwhile
      this.#items = page?.items ?? [];
      this.#next = page?.next_cursor ?? "";
      this.#draw();
      if (this.#q) announce(this.#items.length ? `${this.#items.length}${this.#next ? " or more" : ""} found.` : "Nothing found.");
    } catch {
      // what is shown stays
    }
  }

  #address(cursor = "") {
    const wish = new URLSearchParams({ ...(this.#q ? { q: this.#q } : {}), ...(cursor ? { cursor } : {}) });
    return `/api/v1/discussions${wish.size ? `?${wish}` : ""}`;
  }

  /** It is not there any more. */
  forget(id) {
    this.#items = this.#items.filter((item) => item.id !== id);
    this.#draw();
  }

  /** The newest discussions anew; older ones that were asked for stay. */
  async refresh() {
    if (this.#q) return this.#find();
    const page = await get("/api/v1/discussions");
    const fresh = page?.items ?? [];
    const known = new Set(fresh.map((item) => item.id));
    const older = this.#items.filter((item) => !known.has(item.id) && fresh.length && item.id < fresh.at(-1).id);
    if (!older.length) this.#next = page?.next_cursor ?? "";
    this.#items = [...fresh, ...older];
    this.#draw();
  }

  async #older() {
    const page = await get(this.#address(this.#next));
    const known = new Set(this.#items.map((item) => item.id));
    this.#items.push(...(page?.items ?? []).filter((item) => !known.has(item.id)));
    this.#next = page?.next_cursor ?? "";
    this.#draw();
  }

  /** Which discussion is open, and what is known of it here before the list is. */
  mark(id, known = null) {
    const before = this.#here;
    this.#here = id;
    const item = this.#items.find((one) => one.id === id);
    const stale = item && known && item.state !== known.state;
    if (stale) item.state = known.state;
    if (before !== id || stale) this.#draw();
  }

  #draw() {
    if (!this.#items.length) {
      this.list.replaceChildren(h("p", { class: "hint" }, this.#q ? "Nothing was said with all of these words." : "What you ask will be listed here."));
      return;
    }
    const focused = document.activeElement?.closest?.("#recent a")?.getAttribute("href");
    this.list.replaceChildren(
      h("ul", {}, this.#items.map((item) => h("li", {},
        h("a", { href: `#/d/${item.id}`, "aria-current": item.id === this.#here ? "page" : null },
          h("span", { class: "recent-title" }, item.title || "Untitled"),
          h("span", { class: "recent-meta" },
            h("span", { class: `dot ${item.state}`, "aria-hidden": "true" }),
            h("span", {}, STATES[item.state] ?? item.state), h("span", { "aria-hidden": "true" }, "·"),
            h("time", { datetime: item.created_at }, ago(item.created_at))))))),
      ...(this.#next ? [h("button", { class: "quiet", type: "button", onclick: () => void this.#older().catch(() => undefined) }, "Older")] : []));
    if (focused) this.list.querySelector(`a[href="${CSS.escape(focused)}"]`)?.focus();
  }

  /** One line a provider: can it answer? Those that nobody has set up are only counted. */
  readiness(providers, { manages, signOut }) {
    const shown = providers.filter((provider, place) =>
      place === 0 || provider.available || provider.parked || (provider.gates ?? []).length > 0);
    const more = providers.length - shown.length;
    this.foot.replaceChildren(
      h("ul", { class: "readiness", "aria-label": "Who can answer" }, shown.map((provider) => {
        const waits = (provider.gates ?? []).length > 0;
        const state = provider.available ? (waits ? "waiting" : "completed") : "idle";
        return h("li", {},
          h("span", { class: `dot ${state}`, "aria-hidden": "true" }),
          h("span", { title: provider.title }, provider.title),
          h("span", { class: "hint" }, provider.available
            ? [String(provider.models ?? 0), h("span", { class: "unseen" }, " models")]
            : provider.needs_key === false ? "off" : "no key"));
      }), more ? [h("li", {}, h("span", { class: "dot idle", "aria-hidden": "true" }), h("span", {}, `${more} more, not set up`))] : []),
      h("a", { class: "foot-link", href: "#/personas", "aria-current": location.hash === "#/personas" ? "page" : null },
        icon("persona"), "Personas"),
      h("a", { class: "foot-link", href: "#/workflows", "aria-current": location.hash === "#/workflows" ? "page" : null },
        icon("steps"), "Workflows"),
      h("a", { class: "foot-link", href: "#/providers", "aria-current": location.hash === "#/providers" ? "page" : null },
        icon("clock"), manages ? "Limits and queues" : "Providers"),
      h("a", { class: "foot-link", href: "#/usage", "aria-current": location.hash === "#/usage" ? "page" : null },
        icon("coins"), manages ? "Usage and budgets" : "Usage"),
      h("div", { class: "side-links" },
        manages ? h("a", { class: "foot-link", href: "#/keys", "aria-current": location.hash === "#/keys" ? "page" : null },
          icon("key"), "Keys and providers") : h("span"),
        h("button", { class: "quiet square", type: "button", "aria-label": "Sign out", title: "Sign out", onclick: signOut }, icon("leave"))));
    if (manages) {
      this.foot.querySelector(".side-links").before(
        h("a", { class: "foot-link", href: "#/tokens", "aria-current": location.hash === "#/tokens" ? "page" : null },
          icon("people"), "Access tokens"));
    }
  }
}
