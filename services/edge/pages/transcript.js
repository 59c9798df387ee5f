// What is known of one discussion, from its view and its events. No network and no page in here:
// the same events in any of the orders that a lossy line can make of them give the same transcript.

const TERMINAL = new Set(["completed", "failed", "cancelled"]);

export const isTerminal = (state) => TERMINAL.has(state);

/** Length in Unicode code points, in which offsets count; a JavaScript string counts UTF-16 units. */
export function points(text) {
  let count = 0;
  for (const _ of text) count += 1;
  return count;
}

/** The first `count` code points of `text`. */
export const begin = (text, count) => [...text].slice(0, count).join("");

/** `text` without its first `count` code points. */
export function skip(text, count) {
  let at = 0;
  for (const point of text) {
    if (count === 0) break;
    at += point.length;
    count -= 1;
  }
  return text.slice(at);
}

/** "A" for the first, "B" for the second. */
export const letter = (place) => String.fromCharCode(65 + (place % 26));

/** Text that grows by pieces, each of which knows where it belongs. */
class Growing {
  constructor(text = "") {
    this.replace(text);
  }

  replace(text) {
    this.text = text;
    this.length = points(text);
  }

  /** Whether the piece added anything; null when something before it is missing. */
  add(offset, piece) {
    if (offset > this.length) return null;
    const rest = skip(piece, this.length - offset);
    if (!rest) return false;
    this.text += rest;
    this.length += points(rest);
    return true;
  }
}

function newTurn(id) {
  return {
    id, persona: "", name: "", color: "", model: "", state: "scheduled",
    body: new Growing(), thought: new Growing(),
    attempt: "", spoke: "", broken: null, over: new Set(), attempts: 0,
    reason: "", notBefore: null, failure: null,
    finishReason: "", usage: null, cost: null, firstTokenMs: null, durationMs: null, notes: [],
    participant: 0, purpose: "answer", round: 1, role: "", labels: {}, overdue: false, posts: 0,
  };
}

/** Outcomes of `apply`. */
export const STALE = "stale"; // known already, or of no interest
export const CHANGED = "changed";
export const GAP = "gap"; // something is missing: ask again

export class Transcript {
  constructor() {
    this.forget();
  }

  /** Begin anew; what comes next is the whole story from its first event. */
  forget() {
    this.version = 0;
    this.id = "";
    this.state = "running";
    this.mode = "";
    this.title = "";
    this.topic = "";
    this.createdAt = null;
    this.participants = [];
    this.turns = new Map();
    this.options = {};
    this.forkedFrom = null;
    this.posts = []; // what people said into it: {id, at, text, by, after}
    this.picked = "";
    this.stops = []; // {rule, round}
    this.dissents = [];
    this.conclusion = null;
    this.tallies = [];
    // What only the events tell, and no view: how a panel came to its result.
    this.whole = false; // every event since the first one has been heard
    this.seal = null;
    this.ballots = [];
    this.rejections = [];
    this.positions = []; // {kind: "changed" or "kept", …}
  }

  get terminal() {
    return isTerminal(this.state);
  }

  /** Nobody is to know who said what, until somebody has picked the best. */
  get blind() {
    // Where nobody has answered there is nothing to pick from, and nothing is hidden.
    return this.mode === "compare" && Boolean(this.options.blind) && !this.picked && this.state !== "failed";
  }

  /** How people call a participant; those who would be called alike are numbered. */
  nameOf(participant) {
    const who = this.participants[participant] ?? {};
    if (this.blind && !who.role) return `Model ${letter(participant)}`;
    const called = (one) => one.name || one.persona || one.model || "";
    const alike = this.participants.map((one, at) => (called(one) === called(who) && !one.role === !who.role ? at : -1)).filter((at) => at >= 0);
    return alike.length < 2 ? called(who) : `${called(who)} (${alike.indexOf(participant) + 1})`;
  }

  /** Take over what `GET /api/v1/discussions/{id}` says, unless the events have told more. */
  adopt(view) {
    if ((view.version ?? 0) < this.version) return;
    const before = this.turns;
    const missed = (view.version ?? 0) > this.version;
    this.version = view.version ?? 0;
    this.id = view.id;
    this.state = view.state;
    this.mode = view.mode;
    this.title = view.title ?? "";
    this.topic = view.topic || view.title || "";
    this.createdAt = view.created_at ?? null;
    this.participants = view.participants ?? [];
    this.turns = new Map((view.turns ?? []).map((told) => [told.id, fromView(told, before.get(told.id))]));
    this.options = view.options ?? {};
    this.forkedFrom = view.forked_from ?? null;
    this.posts = view.posts ?? [];
    this.picked = view.picked ?? "";
    this.dissents = view.dissents ?? [];
    this.conclusion = view.conclusion ?? null;
    this.#hearings();
    if (this.whole && !missed) return;
    this.whole = false;
    this.stops = view.stopped_by ? [{ rule: view.stopped_by, round: 0 }] : [];
    this.tallies = view.tally ? [view.tally] : [];
  }

  /** Forget what was told, but not what it is about: its events tell the rest anew. */
  restart() {
    const { id, state, mode, title, topic, createdAt } = this;
    this.forget();
    Object.assign(this, { id, state, mode, title, topic, createdAt });
  }

  /** Take over what no view tells from one who has heard every event. */
  learn({ seal, ballots, rejections, positions, tallies, stops, whole }) {
    Object.assign(this, { seal, ballots, rejections, positions, tallies, stops, whole });
  }

  /** A view does not say which messages a turn has heard: those that came before it. */
  #hearings() {
    const order = [...this.turns.keys()];
    for (const [at, id] of order.entries()) {
      this.turns.get(id).posts = this.posts.filter((post) => !post.after || order.indexOf(post.after) < at).length;
    }
  }

  /** One event of the stream; `id` is 0 for live text, which is in no log. */
  apply(name, data, id = 0) {
    if (id > 0) {
      if (id <= this.version) return STALE;
      if (id > this.version + 1) return GAP;
      this.version = id;
    }
    const happen = EVENTS[name];
    if (!happen) return id > 0 ? CHANGED : STALE;
    const outcome = happen.call(this, data) ?? CHANGED;
    if (id > 0 && !this.terminal) this.state = this.#underWay();
    return id > 0 && outcome === STALE ? CHANGED : outcome;
  }

  /** What runs and has spoken, as a `TurnText` would tell it. */
  snapshots() {
    return [...this.turns.values()].filter((turn) => turn.state === "running" && turn.spoke).map((turn) => ({
      turn: turn.id, attempt: turn.spoke, text: turn.body.text, reasoning: turn.thought.text,
    }));
  }

  turn(id) {
    let turn = this.turns.get(id);
    if (!turn) this.turns.set(id, (turn = newTurn(id)));
    return turn;
  }

  #underWay() {
    const states = new Set([...this.turns.values()].map((turn) => turn.state));
    if (states.has("running") || states.has("scheduled")) return "running";
    if (states.has("waiting")) return "waiting";
    return states.has("parked") ? "parked" : "running";
  }
}

function fromView(told, before) {
  const turn = newTurn(told.id);
  Object.assign(turn, {
    persona: told.persona ?? "", name: told.name ?? "", color: told.color ?? "",
    model: told.model ?? "", state: told.state, attempts: told.attempts ?? 0,
    attempt: told.attempt ?? "", spoke: told.attempt ?? "", failure: told.failure ?? null,
    reason: told.reason ?? "", notBefore: told.not_before ?? told.failure?.not_before ?? null, finishReason: told.finish_reason ?? "",
    usage: told.usage ?? null, cost: told.cost ?? null,
    firstTokenMs: told.first_token_ms ?? null, durationMs: told.duration_ms ?? null,
    notes: told.notes ?? [],
    participant: told.participant ?? 0, purpose: told.purpose ?? "answer", round: told.round ?? 1,
    role: told.role ?? "", labels: told.labels ?? {}, overdue: told.overdue ?? false,
  });
  turn.body.replace(told.text ?? "");
  turn.thought.replace(told.reasoning ?? "");
  const sameAttempt = before && before.spoke && before.spoke === turn.attempt;
  if (sameAttempt && !isTerminal(turn.state)) {
    // The view may know less of a running answer than the live text has already told.
    if (before.body.length > turn.body.length) turn.body = before.body;
    if (before.thought.length > turn.thought.length) turn.thought = before.thought;
  }
  return turn;
}

/** A live piece may overtake the fact that its attempt began: it announces the attempt itself. */
function speaks(turn, attempt) {
  if (isTerminal(turn.state) || turn.over.has(attempt)) return false;
  turn.state = "running";
  turn.attempt = attempt;
  return true;
}

const EVENTS = {
  DiscussionOpened(data) {
    this.id = data.discussion;
    this.mode = data.mode;
    this.title = data.title ?? "";
    this.topic = data.topic || data.title || "";
    this.createdAt = data.at ?? null;
    this.participants = data.participants ?? [];
    this.options = data.options ?? {};
    this.forkedFrom = data.forked_from ?? null;
    this.whole = true;
  },

  TurnScheduled(data) {
    const turn = this.turn(data.turn);
    const who = this.participants[data.participant] ?? {};
    turn.persona = data.persona ?? who.persona ?? "";
    turn.name = who.name ?? "";
    turn.color = who.color ?? "";
    turn.model = data.model ?? who.model ?? "";
    Object.assign(turn, {
      participant: data.participant ?? 0, purpose: data.purpose ?? "answer", round: data.round ?? 1,
      role: who.role ?? "", labels: data.labels ?? {}, posts: data.posts ?? 0,
    });
  },

  TurnWaiting(data) {
    const turn = this.turn(data.turn);
    Object.assign(turn, {
      state: "waiting", reason: data.reason ?? "", notBefore: data.not_before ?? null,
      failure: data.failure ?? null,
    });
  },

  TurnParked(data) {
    const turn = this.turn(data.turn);
    Object.assign(turn, { state: "parked", reason: "", notBefore: null, failure: data.failure ?? null });
  },

  AttemptStarted(data) {
    const turn = this.turn(data.turn);
    Object.assign(turn, {
      state: "running", attempt: data.attempt, model: `${data.provider}/${data.model}`,
      reason: "", notBefore: null, failure: null,
    });
    turn.attempts += 1;
    if (data.from_char && turn.broken !== null && turn.spoke !== data.attempt) {
      // It goes on where the former attempt broke off; more than that may have been heard of it.
      turn.body.replace(begin(turn.broken, data.from_char));
      turn.spoke = data.attempt;
    }
  },

  AttemptFailed(data) {
    const turn = this.turn(data.turn);
    turn.over.add(data.attempt);
    turn.broken = data.text ?? "";
    if (data.sent === false) turn.attempts = Math.max(0, turn.attempts - 1);
  },

  AttemptCut(data) {
    const turn = this.turn(data.turn);
    turn.over.add(data.attempt);
    turn.broken = data.text ?? "";
  },

  TurnRestarted(data) {
    const turn = this.turn(data.turn);
    turn.over.add(data.attempt);
    if (turn.spoke && turn.spoke !== data.attempt) return; // the next attempt speaks already
    turn.body.replace("");
    turn.thought.replace("");
    turn.spoke = "";
  },

  TurnCompleted(data) {
    const turn = this.turn(data.turn);
    Object.assign(turn, {
      state: "completed", model: data.model, finishReason: data.finish_reason ?? "",
      usage: data.usage ?? null, cost: data.cost ?? null, failure: null, reason: "", notBefore: null,
      firstTokenMs: data.first_token_ms ?? null, durationMs: data.duration_ms ?? null,
      notes: data.notes ?? [],
    });
    turn.body.replace(data.text ?? "");
    turn.thought.replace(data.reasoning ?? "");
  },

  TurnFailed(data) {
    const turn = this.turn(data.turn);
    Object.assign(turn, { state: "failed", failure: data.failure ?? null, reason: "", notBefore: null });
    turn.body.replace(data.text ?? "");
    turn.thought.replace(data.reasoning ?? "");
  },

  TurnCancelled(data) {
    const turn = this.turn(data.turn);
    Object.assign(turn, { state: "cancelled", reason: "", notBefore: null, failure: null });
    if (data.text) turn.body.replace(data.text);
    if (data.reasoning) turn.thought.replace(data.reasoning);
  },

  /** Somebody wants it tried again. */
  TurnReopened(data) {
    const turn = this.turn(data.turn);
    Object.assign(turn, { state: "scheduled", reason: "", notBefore: null, failure: null, spoke: "", overdue: false });
    turn.body.replace("");
    turn.thought.replace("");
  },

  /** The others go on without it. */
  TurnOverdue(data) {
    this.turn(data.turn).overdue = true;
  },

  MessagePosted(data) {
    const after = [...this.turns.keys()].at(-1) ?? "";
    this.posts.push({ id: data.message, at: data.at ?? null, text: data.text ?? "", by: data.posted_by ?? "", after });
  },

  StopDecided(data) {
    this.stops.push({ rule: data.rule, round: data.round });
  },

  WinnerPicked(data) {
    this.picked = data.turn;
  },

  PanelSealed(data) {
    this.seal = { drafts: Object.keys(data.drafts ?? {}), absent: data.absent ?? [] };
  },

  BallotSubmitted(data) {
    this.ballots.push({
      turn: data.turn, member: data.member, round: data.round, ranking: data.ranking ?? [],
      scores: data.scores ?? {}, objections: data.objections ?? [],
    });
  },

  BallotRejected(data) {
    this.rejections.push({ turn: data.turn, member: data.member, round: data.round, reason: data.reason ?? "", abstains: data.abstains ?? false });
  },

  RoundTallied(data) {
    this.tallies.push(data);
  },

  PositionChanged(data) {
    this.positions.push({ kind: "changed", turn: data.turn, draft: data.draft, member: data.member, round: data.round, cites: data.cites ?? [] });
  },

  PositionKept(data) {
    this.positions.push({ kind: "kept", turn: data.turn, draft: data.draft, member: data.member, round: data.round, reason: data.reason ?? "" });
  },

  DissentRecorded(data) {
    this.dissents.push(data);
  },

  ConsensusConcluded(data) {
    this.conclusion = data;
  },

  DiscussionRenamed(data) {
    this.title = data.title ?? this.title;
  },

  /** Its words are gone; whoever looks anew finds nothing. */
  DiscussionDeleted() {
    return STALE;
  },

  /** It was over, and goes on. */
  DiscussionReopened() {
    this.state = "running";
  },

  DiscussionCompleted() {
    this.state = "completed";
  },

  DiscussionFailed() {
    this.state = "failed";
  },

  DiscussionCancelled() {
    this.state = "cancelled";
  },

  /** All the text so far of a running turn, told on every (re)connection. */
  TurnText(data) {
    const turn = this.turn(data.turn);
    if (!speaks(turn, data.attempt)) return STALE;
    turn.spoke = data.attempt;
    const same = turn.body.text === data.text && turn.thought.text === (data.reasoning ?? "");
    turn.body.replace(data.text ?? "");
    turn.thought.replace(data.reasoning ?? "");
    return same ? STALE : CHANGED;
  },

  /** Live text: appended where it fits, skipped where it is known, asked for again after a hole. */
  StreamChunk(data) {
    const turn = this.turn(data.turn);
    if (data.kind === "tool_call" || !speaks(turn, data.attempt)) return STALE;
    if (turn.spoke && turn.spoke !== data.attempt && data.offset === 0) {
      turn.body.replace("");
      turn.thought.replace("");
    }
    turn.spoke = data.attempt;
    const added = (data.kind === "reasoning" ? turn.thought : turn.body).add(data.offset, data.text);
    if (added === null) return GAP;
    return added ? CHANGED : STALE;
  },

  resync() {
    this.forget();
  },
};

/** Every name that a discussion's stream can carry, but for its `end`. */
export const EVENT_NAMES = Object.keys(EVENTS);
