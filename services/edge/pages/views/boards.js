// How the turns of a discussion lie on the page: side by side, or one below the other as a thread.

import { h, icon, say, tint } from "/pages/dom.js";

import { ago } from "/pages/words.js";
import { Card } from "/pages/views/turn.js";

const STOPS = {
  rounds: "The rounds are over.",
  "nothing new": "Nobody had anything new to say.",
  posted: "The last message has been answered.",
  "by hand": "Ended by hand after the last speaker.",
};

/** What a person said, in its place. */
export function said(post) {
  return h("div", { class: "post" },
    h("p", { class: "post-by" }, icon("people"), "From the room", post.at ? h("time", { datetime: post.at }, ago(post.at)) : null),
    h("p", { class: "post-text" }, post.text));
}

/** Cards side by side; on a phone to be swiped through, with a way to each of them above. */
export class Row {
  constructor(label) {
    this.tabs = h("nav", { class: "tabs", "aria-label": label, hidden: true });
    this.columns = h("div", { class: "columns" });
    this.element = h("div", { class: "row" }, this.tabs, this.columns);
    this.count = 0;
  }

  add(card, name) {
    this.count += 1;
    this.columns.append(card.element);
    this.columns.dataset.count = String(this.count);
    const tab = h("span", {}, name);
    this.tabs.append(tint(h("button", {
      type: "button",
      onclick: () => card.element.scrollIntoView({ behavior: "smooth", inline: "start", block: "nearest" }),
    }, h("span", { class: "swatch", "aria-hidden": "true" }), tab), card.color));
    this.tabs.hidden = this.count < 2;
    return tab;
  }
}

/** Cards that are kept for as long as their turns are known; what a board has in common. */
export class Cards {
  constructor(tools) {
    this.tools = tools;
    this.cards = new Map();
    this.names = new Map(); // turn → what is to be called as its card is
  }

  /** Whether what is shown was forgotten: then the board begins anew. */
  stale(known) {
    return [...this.cards.keys()].some((id) => !known.turns.has(id));
  }

  make(turn, known, shape, place) {
    const card = new Card(turn, known, this.tools, shape);
    this.cards.set(turn.id, card);
    const tab = place.add?.(card, "");
    if (tab) this.names.set(turn.id, tab);
    else if (!place.add) place.append(card.element);
    return card;
  }

  draw(turn, known) {
    const card = this.cards.get(turn.id);
    card.draw(turn, known);
    const tab = this.names.get(turn.id);
    if (tab) say(tab, card.name);
  }

  tick(known) {
    for (const [id, card] of this.cards) {
      const turn = known.turns.get(id);
      if (turn) card.tick(turn);
    }
  }
}

/** Everybody at once: one row for the question, and one for each message that followed. */
export class SideBySide {
  constructor(tools) {
    this.tools = tools;
    this.element = h("div", { class: "rows" });
    this.#begin();
  }

  #begin() {
    this.cards = new Cards(this.tools);
    this.groups = [];
    this.posts = 0;
    this.element.replaceChildren();
  }

  draw(known, turns = [...known.turns.values()], from = 0) {
    if (this.cards.stale(known)) this.#begin();
    for (; this.posts < known.posts.length; this.posts += 1) {
      if (this.posts >= from) this.#group(this.posts + 1).before.append(h("h2", { class: "unseen" }, `Message ${this.posts + 1}`), said(known.posts[this.posts]));
    }
    for (const turn of turns) {
      if (!this.cards.cards.has(turn.id)) this.#place(turn, known);
      this.cards.draw(turn, known);
    }
    for (const group of this.groups) group?.legend?.(known);
  }

  tick(known) {
    this.cards.tick(known);
  }

  /** What belongs to the question (0) or to a message (from 1). */
  #group(at) {
    const found = this.groups[at];
    if (found) return found;
    const before = h("div", { class: "posts" });
    const row = new Row(at ? `Answers to message ${at}` : "Answers");
    const after = h("div", { class: "after" });
    const group = { before, row, after, legend: null };
    this.groups[at] = group;
    this.element.append(h("div", { class: "group" }, before, row.element, after));
    return group;
  }

  #place(turn, known) {
    const group = this.#group(turn.posts);
    if (turn.purpose !== "judgement") {
      this.cards.make(turn, known, { level: turn.posts ? 3 : 2, measured: known.mode === "compare" }, group.row);
      return;
    }
    const legend = h("p", { class: "hint legend" });
    group.legend = (now) => say(legend, legendOf(turn, now));
    const place = h("section", { class: "analysis", "aria-label": turn.posts ? `Analysis after message ${turn.posts}` : "Analysis" },
      h("h2", { class: "unseen" }, "Analysis"),
      h("p", { class: "hint" }, "A model’s analysis of the answers, not an answer of its own. It has read them without names."), legend);
    group.after.append(place);
    this.cards.make(turn, known, { level: 3 }, place);
  }
}

/** Under which letters a turn has read the others. */
export function legendOf(turn, known) {
  return Object.entries(turn.labels)
    .map(([label, id]) => `${label} is ${known.nameOf(known.turns.get(id)?.participant)}`).join(" · ");
}

/** A debate: one below the other, round by round, with what people said in its place. */
export class Thread {
  constructor(tools) {
    this.tools = tools;
    this.list = h("div", { class: "thread" });
    this.end = h("p", { class: "thread-end", hidden: true });
    this.element = h("div", {}, this.list, this.end);
    this.#begin();
  }

  #begin() {
    this.cards = new Cards(this.tools);
    this.posts = new Set();
    this.round = 0;
    this.list.replaceChildren();
  }

  draw(known) {
    if (this.cards.stale(known)) this.#begin();
    this.#tell(known, "");
    for (const turn of known.turns.values()) {
      if (!this.cards.cards.has(turn.id)) {
        if (turn.round !== this.round) {
          this.round = turn.round;
          this.list.append(h("h2", { class: "round" }, `Round ${turn.round}`));
        }
        this.cards.make(turn, known, { level: 3 }, this.list);
      }
      this.cards.draw(turn, known);
      this.#tell(known, turn.id);
    }
    const stop = known.stops.at(-1);
    this.end.hidden = !known.terminal || !stop;
    say(this.end, stop ? STOPS[stop.rule] ?? "" : "");
  }

  tick(known) {
    this.cards.tick(known);
  }

  /** The messages that came after a turn. */
  #tell(known, after) {
    for (const post of known.posts) {
      if (post.after !== after || this.posts.has(post.id)) continue;
      this.posts.add(post.id);
      this.list.append(said(post));
    }
  }
}


