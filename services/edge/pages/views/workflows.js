// Workflows: what there is, starting one with its inputs, changing one, and how runs stand.

import { call, fresh, get, post } from "/pages/api.js";
import { announce, h, icon } from "/pages/dom.js";
import { problemBox } from "/pages/views/problem.js";
import { ago } from "/pages/words.js";

export const RUN_STATES = {
  running: "running", waiting: "waits for a choice", completed: "done", failed: "failed", cancelled: "cancelled",
};

const BEGINNING = `slug: my-workflow
title: My workflow
inputs:
  - name: subject
    description: What it is about.
steps:
  - name: ideas
    mode: parallel
    personas: [riley-engstrom, morgan-castellano]
    prompt: |
      What comes to your mind about {{ inputs.subject }}?
  - name: review
    personas: [ines-duarte]
    after: [ideas]
    prompt: |
      What of this holds?

      {{ steps.ideas.text }}
`;

/** The page. `started` is called with the id of a run that was begun. */
export async function workflows(place, { started }) {
  const heading = h("h1", { tabindex: "-1" }, "Workflows");
  const list = h("div", { class: "stack" });
  const runs = h("div", {}, h("p", { class: "hint" }, "Looking…"));
  const again = () => show(list, { started, again });
  place.replaceChildren(h("section", { class: "centred stack-wide" },
    h("header", {}, heading,
      h("p", { class: "lead" }, "Named steps, each a discussion that sees what came before it. A run belongs to the server: close this page, and it goes on.")),
    list,
    adding(again),
    h("section", { class: "stack", "aria-labelledby": "runs" }, h("h2", { id: "runs" }, "Runs"), runs)));
  heading.focus({ preventScroll: true });
  await Promise.all([again(), showRuns(runs)]);
}

async function show(list, actions) {
  try {
    const found = (await get("/api/v1/workflows"))?.items ?? [];
    list.replaceChildren(...(found.length ? found.map((one) => card(one, actions))
      : [h("p", { class: "hint" }, "There are none yet: add one below.")]));
  } catch (problem) {
    list.replaceChildren(problemBox(problem));
  }
}

async function showRuns(place) {
  try {
    const found = (await get("/api/v1/runs?limit=20"))?.items ?? [];
    place.replaceChildren(found.length ? h("ul", { class: "runs" }, found.map((run) => h("li", {},
      h("a", { href: `#/r/${run.id}` },
        h("span", { class: `dot ${run.state}`, "aria-hidden": "true" }),
        h("span", {}, run.title), h("span", { class: "hint" }, RUN_STATES[run.state] ?? run.state),
        h("time", { class: "hint", datetime: run.created_at }, ago(run.created_at))))))
      : h("p", { class: "hint" }, "Nothing has been started yet."));
  } catch (problem) {
    place.replaceChildren(problemBox(problem));
  }
}

function fold(title, about, content, opened = () => undefined) {
  const details = h("details", {},
    h("summary", {}, icon("chevron"), title, h("span", { class: "unseen" }, ` ${about}`)), content);
  details.addEventListener("toggle", () => details.open && opened());
  return details;
}

function card(workflow, actions) {
  const editor = h("div", {});
  return h("article", { class: "card stack workflow", "aria-label": workflow.title },
    h("div", { class: "workflow-head" },
      h("h2", {}, workflow.title),
      h("span", { class: "hint" }, `${workflow.slug}, version ${workflow.version}`)),
    workflow.description ? h("p", {}, workflow.description) : null,
    h("ol", { class: "way", "aria-label": "Steps" }, (workflow.steps ?? []).map((step) => h("li", {}, step.replaceAll("_", " ")))),
    fold("Start it", workflow.title, starting(workflow, actions)),
    fold("Its definition", `of ${workflow.title}`, editor, () => void edit(editor, workflow, actions)));
}

// --- Starting ---------------------------------------------------------------------------------

function starting(workflow, { started }) {
  const key = fresh(); // pressed twice, it is one run
  const answer = h("div", { "aria-live": "polite" });
  const button = h("button", { class: "strong" }, "Start the run");
  const inputs = (workflow.inputs ?? []).map((input) => {
    const id = `${workflow.slug}-${input.name}`;
    const required = input.required ?? true;
    const field = h("textarea", {
      id, name: input.name, rows: "2", required, placeholder: input.default ?? "",
      "aria-describedby": input.description ? `${id}-hint` : null,
    });
    return h("div", { class: "field" },
      h("label", { for: id }, input.name.replaceAll("_", " "), required ? null : h("span", { class: "hint" }, " (if you like)")),
      field, input.description ? h("p", { class: "hint", id: `${id}-hint` }, input.description) : null);
  });
  return h("form", {
    class: "stack",
    onsubmit: async (event) => {
      event.preventDefault();
      button.disabled = true;
      const given = [...event.target.elements].filter((field) => field.name && field.value.trim());
      try {
        const run = await post(`/api/v1/workflows/${encodeURIComponent(workflow.slug)}/runs`,
          { inputs: Object.fromEntries(given.map((field) => [field.name, field.value])) },
          { headers: { "Idempotency-Key": `${key}-${given.map((field) => field.value.length).join("-")}` } });
        announce("The run has begun.");
        started(run.id);
      } catch (problem) {
        answer.replaceChildren(problemBox(problem));
        button.disabled = false;
      }
    },
  }, inputs, answer, h("div", {}, button));
}

// --- Definitions --------------------------------------------------------------------------------

async function edit(place, workflow, actions) {
  if (place.firstChild) return;
  const address = `/api/v1/workflows/${encodeURIComponent(workflow.slug)}`;
  try {
    const { source } = await get(address);
    place.replaceChildren(writing(`definition-${workflow.slug}`, `Definition of ${workflow.title}`, source, "Save as a new version", async (text) => {
      const saved = await call("PUT", address, { body: { source: text } });
      announce(`Saved as version ${saved.version}.`);
      await actions.again();
    }));
  } catch (problem) {
    place.replaceChildren(problemBox(problem));
  }
}

function adding(again) {
  const place = h("div", {});
  const draw = () => place.replaceChildren(writing("new-definition", "Definition (YAML or JSON)", BEGINNING, "Add it", async (text) => {
    const made = await post("/api/v1/workflows", { source: text });
    announce(`${made.definition.title} was added.`);
    draw();
    await again();
  }));
  draw();
  return h("div", { class: "card workflow" }, fold("Add a workflow", "", place));
}

function writing(id, label, source, action, done) {
  const text = h("textarea", { id, spellcheck: "false", autocapitalize: "off", autocomplete: "off" });
  text.value = source;
  const answer = h("div", { "aria-live": "polite" });
  const button = h("button", { class: "strong" }, action);
  return h("form", {
    class: "stack source",
    onsubmit: async (event) => {
      event.preventDefault();
      button.disabled = true;
      try {
        await done(text.value);
        answer.replaceChildren();
      } catch (problem) {
        answer.replaceChildren(faults(problem, text));
      } finally {
        button.disabled = false;
      }
    },
  }, h("div", { class: "field" }, h("label", { for: id }, label), text), answer, h("div", {}, button));
}

/** Each fault leads to its place in the text. */
function faults(problem, text) {
  const placed = (problem.errors ?? []).filter((error) => error.line);
  if (!placed.length) return problemBox(problem);
  return h("div", { class: "note bad", role: "alert" }, icon("warning"), h("div", {},
    h("p", { class: "note-title" }, problem.title),
    h("ul", {}, placed.map((error) => h("li", {},
      h("button", { class: "quiet", type: "button", onclick: () => lead(text, Number(error.line), Number(error.column)) }, error.message)))),
    problem.nextStep ? h("p", { class: "next" }, problem.nextStep) : null));
}

function lead(text, line, column) {
  const lines = text.value.split("\n");
  const at = lines.slice(0, line - 1).reduce((sum, one) => sum + one.length + 1, 0) + column - 1;
  text.focus();
  text.setSelectionRange(at, Math.max(at, at - column + 1 + (lines[line - 1] ?? "").length));
  text.scrollTop = Math.max(0, (line - 4) * text.scrollHeight / lines.length);
}
