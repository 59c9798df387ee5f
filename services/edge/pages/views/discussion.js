// One discussion: its turns as its mode lays them out, live while they are being written, and what
// can be done with it.

import { get, post } from "/pages/api.js";
import { announce, h, icon, say } from "/pages/dom.js";
import { history, Replay, toldBy } from "/pages/replay.js";
import { Follower } from "/pages/stream.js";
import { addressOf } from "/pages/supervisor.js";
import { Transcript } from "/pages/transcript.js";
import { ago, left, STATES, together } from "/pages/words.js";
import { SideBySide, Thread } from "/pages/views/boards.js";
import { prepare } from "/pages/views/compose.js";
import { afterwards } from "/pages/views/afterwards.js";
import { askFork } from "/pages/views/fork.js";
import { Panel } from "/pages/views/panel.js";
import { problemBox } from "/pages/views/problem.js";
import { SayBox } from "/pages/views/say.js";

const BOARDS = { debate: Thread, consensus: Panel };
const HOW = { debate: "debate", compare: "comparison", consensus: "consensus" };

export class DiscussionView {
  #transcript = new Transcript();
  #board = null;
  #replay = null;
  #asking = false;
  #follower = null;
  #frame = 0;
  #clock = 0;
  #closed = false;
  #line = "connecting";

  /**
   * @param told      called with what the frame of the page shows of it
   * @param writes    whether who looks may change anything
   * @param opened    called with the id of a discussion that was begun from this one
   */
  constructor(place, id, { personas, models, told, opened, writes = true, renamed = () => {}, deleted = () => {} }) {
    this.id = id;
    this.told = told;
    this.tools = {
      personas,
      reads: !writes,
      retry: (turn) => void this.#change(`turns/${encodeURIComponent(turn)}/retry`),
      pick: (turn) => void this.#change("pick", { turn }),
      fork: (turn, name) => askFork(this.article, id, {
        id: turn, name, complete: this.#transcript.turns.get(turn)?.state === "completed",
      }, { personas, models, opened }),
      wholeStory: () => void this.#learnAll(),
    };
    this.title = h("h1", { tabindex: "-1", class: "topic" });
    this.meta = h("p", { class: "meta" });
    this.state = h("span", { class: "state" });
    this.when = h("time");
    this.how = h("span", { class: "how" });
    this.lineage = h("a", { hidden: true }, "Forked from another discussion");
    this.connection = h("span", { class: "line" });
    this.cancel = h("button", { class: "quiet", type: "button", hidden: true, onclick: () => void this.#cancel() }, icon("stop"), "Cancel");
    this.again = h("a", { class: "quiet", href: "#/", hidden: true, onclick: () => this.#prepare() }, icon("again"), "Ask again");
    this.play = h("button", { class: "quiet", type: "button", hidden: true, onclick: () => void this.#play() }, icon("play"), h("span", {}, "Replay"));
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
    this.body = h("div", { class: "body" });
    this.say = new SayBox(id, (view) => this.#take(view));
    this.meta.append(this.state, this.how, this.when, this.lineage, this.connection);
    place.replaceChildren(this.article = h("article", { class: "discussion" },
      h("header", { class: "discussion-head" },
        this.title,
        h("div", { class: "discussion-bar" }, this.meta, h("div", { class: "actions" }, this.cancel, this.play, this.again, ...after, raw))),
      this.answer, this.body, this.say.element));
  }

  async open() {
    try {
      const view = await get(addressOf(this.id));
      this.#transcript.adopt(view);
      // How a panel gets to its result is told by its events alone: all of them are asked for.
      if (view.mode === "consensus" && !this.#transcript.terminal) this.#transcript.restart();
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
    this.#replay?.stop();
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
    this.play.hidden = !known.terminal;
    say(this.how, HOW[known.mode] ?? "");
    this.lineage.hidden = !known.forkedFrom;
    if (known.forkedFrom) this.lineage.href = `#/d/${encodeURIComponent(known.forkedFrom.discussion)}`;
    if (!this.#replay) {
      if (!this.#board || this.#board.mode !== known.mode) this.#lay(known.mode);
      this.#board.draw(known);
      if (!this.tools.reads) this.say.draw(known);
    }
    if (!known.blind && known.participants.some((who) => who.model === "hidden")) void this.#reveal();
    this.told({ title: known.title || known.topic, state: known.state });
    this.#tick();
  }

  /** An empty board, as the mode has it. */
  #lay(mode) {
    this.#board = new (BOARDS[mode] ?? SideBySide)(this.tools);
    this.#board.mode = mode;
    this.body.replaceChildren(this.#board.element);
  }

  /** What changes by the clock alone. */
  #tick() {
    if (this.#closed) return;
    if (!this.#replay) this.#board?.tick(this.#transcript);
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

  /** Something is wished of the discussion, which answers as it stands then. */
  async #change(what, body) {
    try {
      this.#take(await post(`${addressOf(this.id)}/${what}`, body));
    } catch (problem) {
      this.answer.replaceChildren(problemBox(problem));
    }
  }

  #take(view) {
    if (this.#closed) return;
    const over = this.#transcript.terminal;
    this.#transcript.adopt(view);
    this.answer.replaceChildren();
    if (over) this.#follow();
    this.#draw();
  }

  /** Nothing is hidden any more: who they all were can be known now. */
  async #reveal() {
    if (this.#asking) return;
    this.#asking = true;
    try {
      this.#transcript.adopt(await get(addressOf(this.id)));
      this.#soon();
    } catch {
      // The names stay hidden until the page is opened again.
    } finally {
      this.#asking = this.#transcript.participants.some((who) => who.model === "hidden");
    }
  }

  /** A view tells how a panel ended; how it got there stands in its events. */
  async #learnAll() {
    if (this.#asking || this.#transcript.whole || !this.#transcript.terminal || this.#replay) return;
    this.#asking = true;
    try {
      this.#transcript.learn(toldBy(await history(this.id)));
      this.#soon();
    } catch {
      // What the view tells stays; opening it again tries again.
    } finally {
      this.#asking = false;
    }
  }

  /** Play it once more from its log, or stop that. */
  async #play() {
    if (this.#replay) {
      this.#stopReplay();
      return;
    }
    let facts;
    try {
      facts = await history(this.id);
    } catch {
      this.answer.replaceChildren(problemBox({ title: "The discussion could not be read", nextStep: "Try again." }));
      return;
    }
    if (this.#closed || this.#replay) return;
    const known = new Transcript();
    const board = new (BOARDS[this.#transcript.mode] ?? SideBySide)({ ...this.tools, reads: true });
    this.body.replaceChildren(board.element);
    this.say.element.hidden = true;
    say(this.play.lastChild, "Stop the replay");
    announce("The discussion is played once more.");
    this.#replay = new Replay(facts, known, {
      changed: () => board.draw(known),
      over: () => this.#stopReplay(),
    });
    this.#replay.start();
  }

  #stopReplay() {
    this.#replay.stop();
    this.#replay = null;
    say(this.play.lastChild, "Replay");
    this.#lay(this.#transcript.mode);
    this.#draw();
  }

  #prepare() {
    const { topic, participants, mode, options } = this.#transcript;
    const other = participants.find((who) => who.role);
    prepare(topic, participants.filter((who) => !who.role).map((who) => who.persona).filter(Boolean), {
      mode: HOW[mode] ? mode : "",
      ...(mode === "compare" ? { models: participants.filter((who) => !who.role).map((who) => who.model), judge: other?.model ?? "", blind: Boolean(options.blind) } : {}),
      ...(mode === "debate" ? { rounds: options.rounds || 3, moderator: other?.persona ?? "" } : {}),
      ...(mode === "consensus" ? { chair: other?.persona ?? "", closed: Boolean(options.closed) } : {}),
    });
  }

  #refuse(problem) {
    this.answer.replaceChildren(problemBox(problem));
    if (!this.title.textContent) say(this.title, problem.status === 410 ? "Deleted" : problem.status === 404 ? "No such discussion" : "Not to be shown");
    this.told({ title: this.title.textContent, state: "", problem });
  }
}

function ended(known) {
  const failed = new Set([...known.turns.values()].filter((turn) => turn.state === "failed").map((turn) => known.nameOf(turn.participant)));
  if (known.state === "completed" && failed.size) return `answered; ${together([...failed])} failed`;
  return STATES[known.state] ?? known.state;
}

function lineWords(line) {
  if (line === "live") return "live";
  if (line === "ended") return "";
  if (line === "connecting") return "connecting…";
  return `lost the line; again ${left(line.until)}`;
}
