// What a panel came to, and the count behind it, in words that claim no more than the ballots do.

import { h, icon } from "/pages/dom.js";
import { Drawing } from "/pages/markdown.js";
import { money, number, plural, together } from "/pages/words.js";

const OUTCOMES = {
  consensus: ["Consensus", "The members rank the answers alike, by more than chance would, and no serious objection to this one is left open."],
  majority: ["Majority, not consensus", "Most put this answer first. Not everybody agrees, or an objection is left open."],
  split: ["Split", "The members do not agree. Their answers stand side by side, and are not blended."],
  insufficient: ["Not decided", "Too few drafts or ballots could be counted to say anything."],
};
const CLOSED = {
  consensus: "At least two thirds gave this answer, each on their own.",
  majority: "More than half gave this answer, each on their own.",
  split: "No answer was given by more than half.",
};
const RULES = {
  condorcet: "it beats every other draft one against one",
  borda: "it has the most points over all ballots",
  objections: "of the drafts with the most points it has the fewest serious objections",
  scores: "of the drafts with the most points its lowest score is the highest",
  seed: "the ballots leave it equal with another, and a lot decided",
  plurality: "most members gave it",
  none: "no draft won",
};
const STOPS = {
  S1: "the leader could not be caught up with any more",
  S2: "they agreed",
  S3: "nothing moved any more",
  S4: "no further revision was allowed for",
  S5: "the time or the budget was used up",
  S6: "too few were left to decide",
  "by hand": "somebody ended it",
};

/** Made anew only when what it says has changed. */
function once(place, key, make) {
  const text = JSON.stringify(key);
  if (place.dataset.key === text) return;
  place.dataset.key = text;
  place.replaceChildren(...make().filter(Boolean));
}

/** @param go  {known, to(turn)}: the transcript, and how a draft is gone to */
export function drawOutcome(place, go) {
  const { known } = go;
  const told = known.conclusion;
  place.hidden = !told;
  if (!told) return;
  const failed = absent(known);
  once(place, [told, known.dissents, failed, known.turns.size], () => {
    const [title, why] = OUTCOMES[told.outcome] ?? [told.outcome, ""];
    const two = known.participants.filter((who) => !who.role).length === 2;
    const agree = two && told.outcome === "majority" && known.options.closed;
    const even = two && told.outcome === "split" && !known.options.closed;
    const apart = told.outcome === "split" || (told.outcome === "insufficient" && told.leaders?.length);
    place.className = `outcome ${told.outcome}`;
    return [
      h("h2", { class: "outcome-title" }, agree ? "They agree" : title),
      h("p", { class: "outcome-why" }, agree ? "Both gave the same answer, each on their own." : even ? "Two members cannot outvote each other: their answers stand side by side." : (known.options.closed && CLOSED[told.outcome]) || why),
      failed.length ? h("div", { class: "note held" }, icon("warning"), h("div", {}, failed.map((line) => h("p", {}, line)))) : null,
      apart ? side(go, told.leaders ?? []) : words(known.options.closed ? readable(told.text) : told.text),
      !apart && told.winner ? h("p", { class: "hint" }, "Grounded in the draft of ", source(go, told.winner), ".") : null,
      points(go, "Agreed", "agreed", told.agreed),
      points(go, "Contested", "contested", told.contested),
      points(go, "Said by one alone, and worth knowing", "unique", told.unique),
      points(go, "Left out", "left", told.left_out),
      dissent(go),
      told.notes?.length ? h("div", { class: "remarks" }, told.notes.map((note) => h("p", {}, note))) : null,
    ];
  });
}

/** Who did not take part, or not to the end, by name and with the reason. */
function absent(known) {
  const lines = [];
  for (const [purpose, what] of [["draft", "wrote no draft"], ["review", "did not vote"]]) {
    for (const turn of known.turns.values()) {
      if (turn.purpose !== purpose || (turn.state === "completed" && !turn.overdue)) continue;
      if (!["failed", "cancelled"].includes(turn.state) && !turn.overdue) continue;
      const why = turn.failure?.title ?? (turn.overdue ? "it came too late to be counted" : "it was not needed any more");
      lines.push(`${known.nameOf(turn.participant)} ${what}: ${why}.`.replace("..", "."));
    }
  }
  for (const { member, abstains } of known.rejections) {
    if (abstains) lines.push(`${known.nameOf(member)} did not vote: the ballot could not be read, twice.`);
  }
  return [...new Set(lines)];
}

function words(text) {
  const place = h("div", { class: "answer" });
  new Drawing(place).show(text ?? "");
  return place;
}

/** A sealed answer to a closed question as people write one; anything else stays as it is. */
export function readable(text) {
  const found = /\{[^]*\}/.exec(text)?.[0];
  try {
    const { answer, reasons, confidence } = JSON.parse(found);
    if (typeof answer !== "string") return text;
    const sure = typeof confidence === "number" ? ` (${Math.round(confidence * 100)} % sure)` : "";
    return [`**${answer.replaceAll("*", "\\*")}**${sure}`, typeof reasons === "string" ? reasons : ""].filter(Boolean).join("\n\n");
  } catch {
    return text;
  }
}

/** The text that a draft has by now. */
function standing(known, draft) {
  const changed = known.positions.filter((one) => one.kind === "changed" && one.draft === draft).at(-1);
  const text = known.turns.get(changed?.turn ?? draft)?.body.text ?? "";
  return known.options.closed ? readable(text) : text;
}

const own = (go, draft) => source(go, draft, "the own draft");

function side(go, leaders) {
  return h("div", { class: "columns sides" }, leaders.map((draft) => h("div", { class: "column" },
    h("p", { class: "side-by" }, source(go, draft)), words(standing(go.known, draft)))));
}

/** The author of a draft, as a way to it. */
function source({ known, to }, draft, name = known.nameOf(known.turns.get(draft)?.participant) || "a draft") {
  return h("button", { class: "link source", type: "button", title: "Show the draft", onclick: () => to(draft) }, name);
}

function points(go, title, kind, list) {
  if (!list?.length) return null;
  return h("section", { class: `points ${kind}` }, h("h3", {}, title),
    h("ul", {}, list.map(({ text, drafts = [] }) => h("li", {}, h("span", {}, text), " ",
      h("span", { class: "sources" }, drafts.map((draft) => source(go, draft)))))));
}

function dissent(go) {
  const { known } = go;
  if (!known.dissents.length) return null;
  return h("section", { class: "points dissent" }, h("h3", {}, "Dissent"),
    h("ul", {}, known.dissents.map((one) => {
      const who = h("strong", {}, known.nameOf(one.member));
      const draft = source(go, one.draft);
      const opening = one.kind === "minority" ? [who, ...(known.turns.get(one.draft)?.participant === one.member ? [" holds up ", own(go, one.draft)] : [" holds up the draft of ", draft]), " instead: "]
        : one.kind === "flip" ? [who, ": the revision turned the result away from the draft of ", draft, " without an objection to it; that was not counted. "]
          : [who, " objects to the draft of ", draft, ": "];
      const answer = known.options.closed ? known.tallies.at(-1)?.answers?.[one.draft] : "";
      return h("li", {}, ...opening, answer || one.claim, one.evidence ? h("span", { class: "evidence" }, one.evidence) : null,
        one.answered_by ? h("span", { class: "evidence" }, "A revision has tried to answer it.") : null);
    })));
}

// --- The count --------------------------------------------------------------------------------

/** Tallies, ballots and what it all took, where they are known. */
export function drawProcess(place, go) {
  const { known } = go;
  place.hidden = !known.tallies.length && !known.conclusion;
  const told = [known.tallies, known.ballots, known.rejections, known.positions, known.stops, known.conclusion?.metrics, known.whole];
  once(place, told, () => [
    ...known.tallies.map((tally) => count(go, tally)),
    moves(go),
    known.conclusion?.metrics ? took(known.conclusion.metrics) : null,
  ]);
}

function count(go, tally) {
  const { known } = go;
  const title = known.tallies.length > 1 || tally.round > 1 ? `The count, round ${tally.round}` : "The count";
  const name = (draft) => known.nameOf(known.turns.get(draft)?.participant);
  const drafts = Object.keys(tally.borda ?? {}).sort((one, other) => tally.borda[other] - tally.borda[one]);
  const answers = Object.entries(tally.answers ?? {});
  const stop = known.stops.find((one) => one.round === tally.round || one.round === 0);
  return h("section", { class: "count", "aria-label": title }, h("h2", {}, title),
    h("p", {}, verdict(tally, name, Boolean(known.options.closed)),
      stop && STOPS[stop.rule] ? ` It ended because ${STOPS[stop.rule]}.` : ""),
    answers.length ? table(["Member", "Answer"], answers.map(([draft, answer]) => [source(go, draft), answer])) : null,
    drafts.length ? table(["Draft of", "Points", "Beats one against one", "Serious objections"], drafts.map((draft) => [
      [draft === tally.winner ? h("span", { class: "won" }, icon("check"), h("span", { class: "unseen" }, "won: ")) : null, source(go, draft)],
      tally.borda[draft].toFixed(2),
      together(beaten(tally, draft).map(name)) || "nobody",
      number((tally.blocking?.[draft] ?? []).length),
    ])) : null,
    tally.agreement === null || tally.agreement === undefined ? null : h("p", { class: "hint" }, agreement(tally)),
    ballots(go, tally.round));
}

function verdict(tally, name, closed) {
  const votes = plural(tally.ballots, closed ? "answer" : "ballot");
  if (!tally.winner) return `${votes} counted; no draft won.`;
  return `${votes} counted. First is ${closed ? "the answer" : "the draft"} of ${name(tally.winner)}: ${RULES[tally.rule] ?? tally.rule}.`;
}

function agreement(tally) {
  const w = `How alike the ballots rank (Kendall’s W, from 0 to 1): ${tally.agreement.toFixed(2)}.`;
  return tally.needed === null || tally.needed === undefined
    ? `${w} A panel of this size is too small for that to mean more than chance.`
    : `${w} More than chance, with this many members, is ${tally.needed.toFixed(2)} or above.`;
}

function beaten(tally, draft) {
  const wins = tally.wins ?? {};
  return Object.keys(wins[draft] ?? {}).filter((other) => (wins[draft][other] ?? 0) > (wins[other]?.[draft] ?? 0));
}

function ballots(go, round) {
  const { known } = go;
  const cast = known.ballots.filter((ballot) => ballot.round === round);
  const spoilt = known.rejections.filter((one) => one.round === round && one.abstains);
  if (!cast.length && !spoilt.length) return null;
  return h("div", { class: "stack" }, h("h3", {}, "Ballots"), table(["Reviewer", "Ranking, best first (score)", "Objections"], [
    ...cast.map((ballot) => [known.nameOf(ballot.member), ranking(go, ballot), objections(go, ballot)]),
    ...spoilt.map((one) => [known.nameOf(one.member), `abstains: ${one.reason || "the ballot could not be read"}`, ""]),
  ]), h("p", { class: "hint" }, "What members say of their own draft is not counted."));
}

function ranking(go, ballot) {
  return h("ol", { class: "ranking" }, ballot.ranking.map((draft) => {
    const score = ballot.scores[draft];
    return h("li", {}, source(go, draft), score === undefined ? "" : ` (${score})`);
  }));
}

function objections(go, ballot) {
  if (!ballot.objections.length) return "none";
  return h("ul", {}, ballot.objections.map((one) => h("li", {},
    one.severity === "blocking" ? h("strong", {}, "Serious, ") : "", "to ", source(go, one.draft), `: ${one.claim}`)));
}

function moves(go) {
  const { known } = go;
  if (!known.positions.length) return null;
  return h("section", { class: "count", "aria-label": "Who moved" }, h("h2", {}, "Who moved"), h("ul", {}, known.positions.map((one) => h("li", {},
    h("strong", {}, known.nameOf(one.member)), one.kind === "changed"
      ? ` changed the draft for ${plural(one.cites.length, "objection")}.`
      : ` stayed with the draft${one.reason ? `: ${one.reason}` : "."}`))));
}

function took(metrics) {
  const told = [
    ["Ideas kept", number(metrics.kept ?? 0)],
    ["Ideas dropped", number(metrics.dropped ?? 0)],
    ["Result turned by revision", metrics.flips ? plural(metrics.flips, "time") : "never"],
    ["Requests", number(metrics.requests ?? 0)],
    ["Tokens", number(metrics.tokens ?? 0)],
    ["Cost", metrics.cost ? money({ amount: metrics.cost }) : "not known"],
    ["The best draft alone", metrics.cost_of_best ? money({ amount: metrics.cost_of_best }) : "not known"],
  ];
  return h("section", { class: "count", "aria-label": "What it took" }, h("h2", {}, "What it took"),
    h("dl", { class: "measures wide-measures" }, told.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value)))));
}

function table(heads, rows) {
  return h("div", { class: "table", tabindex: "0", role: "group", "aria-label": heads.join(", ") }, h("table", {},
    h("thead", {}, h("tr", {}, heads.map((head) => h("th", { scope: "col" }, head)))),
    h("tbody", {}, rows.map(([first, ...cells]) => h("tr", {}, h("th", { scope: "row" }, ...[first].flat()),
      cells.map((cell) => h("td", {}, cell)))))));
}
