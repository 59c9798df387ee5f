// Personas: who can take part, with which instructions and on which model. Each change is a version.

import { call, fresh, get, post } from "/pages/api.js";
import { announce, h, icon, initials, tint } from "/pages/dom.js";
import { ago, plural } from "/pages/words.js";
import { confirmation } from "/pages/views/keys.js";
import { problemBox } from "/pages/views/problem.js";

const COLORS = ["#c2410c", "#0f766e", "#6d28d9", "#b45309", "#1d4ed8", "#be185d", "#4d7c0f", "#0e7490"];
const GREY = "#6a665f";
const LONGEST = 20_000;

const addressOf = ({ slug }) => `/api/v1/personas/${encodeURIComponent(slug)}`;

/** The page. `changed` is called when there is another persona to be asked, or one less. */
export async function personas(place, { models, writes, changed }) {
  const list = h("div", { class: "stack" });
  const heading = h("h1", { tabindex: "-1" }, "Personas");
  place.replaceChildren(h("section", { class: "centred stack-wide" },
    h("header", {}, heading,
      h("p", { class: "lead" }, "Who can take part: what they are, the instructions they follow, and the model they speak with. Every change is a new version; a discussion keeps to the one it began with.")),
    h("section", { class: "stack", "aria-label": "Those there are" }, list),
    writes ? newPersona(models, reload) : null,
    carrying(writes, reload)));
  heading.focus({ preventScroll: true });
  await show();

  async function reload(slug = "") {
    await Promise.all([show(), changed()]);
    if (slug) list.querySelector(`[data-persona="${CSS.escape(slug)}"] .actions :is(a, button)`)?.focus();
  }

  async function show() {
    try {
      const [there, away] = await Promise.all([get("/api/v1/personas"), get("/api/v1/personas?archived=true")]);
      const archived = away?.items ?? [];
      const open = list.querySelector("details")?.open; // what somebody has opened stays open
      list.replaceChildren(
        ...(there?.items ?? []).map((persona) => card(persona, { models, writes, reload })),
        ...(archived.length ? [h("details", { class: "ended-tokens", open },
          h("summary", {}, `${plural(archived.length, "persona")} in the archive`),
          h("div", { class: "stack" }, archived.map((persona) => archivedCard(persona, { writes, reload }))))] : []));
    } catch (problem) {
      list.replaceChildren(problemBox(problem));
    }
  }
}

// --- One that is there --------------------------------------------------------------------------

function card(persona, { models, writes, reload }) {
  const answer = h("div", { class: "stack", "aria-live": "polite" });
  const address = addressOf(persona);

  /** Do it; then show how things stand, or why it was not done. */
  async function act(work, done, slug = "") {
    try {
      await work();
      await reload(slug);
      announce(done);
    } catch (problem) {
      answer.replaceChildren(problemBox(problem));
    }
  }

  function close() {
    answer.replaceChildren();
    made.querySelector(".actions button")?.focus();
  }

  function revise() {
    const form = fields(persona, models, {
      words: "Keep as the next version",
      cancel: close,
      send: (told) => call("PUT", address, { body: { ...told, version: persona.version } }),
      done: async (kept) => {
        await reload(persona.slug);
        announce(`${kept.name} is at version ${kept.version}.`);
      },
    });
    answer.replaceChildren(form);
    form.querySelector("input")?.focus();
  }

  function archive() {
    answer.replaceChildren(confirmation(
      `Archive ${persona.name}? What was discussed stays as it is. You can bring ${persona.name} back at any time.`,
      "Archive", close, () => act(() => call("DELETE", address), `${persona.name} is archived.`)));
  }

  const withModel = (model) => act(
    () => call("PUT", address, { body: { ...settings(persona), model, version: persona.version } }),
    model ? `${persona.name} now speaks with ${model}.` : `${persona.name} now speaks with the best available model.`,
    persona.slug);

  const button = (words, drawing, onclick) => h("button", { class: "quiet", type: "button", "aria-label": `${words}: ${persona.name}`, onclick }, icon(drawing), words);
  const made = tint(h("article", { class: "card key", "data-persona": persona.slug },
    h("div", { class: "persona-head" },
      h("span", { class: "face", "aria-hidden": "true" }, initials(persona.name)),
      h("div", { class: "chip-words" }, h("h2", {}, persona.name), h("span", { class: "hint" }, persona.title)),
      h("span", { class: "badge" }, `version ${persona.version}`)),
    h("dl", {},
      h("dt", {}, "Slug"), h("dd", {}, h("code", {}, persona.slug)),
      h("dt", {}, "Default model"), h("dd", {}, persona.model ? h("code", {}, persona.model) : "the best available"),
      persona.updated_at ? [h("dt", {}, "Changed"), h("dd", {}, h("time", { datetime: persona.updated_at }, ago(persona.updated_at)))] : null),
    standing(persona.default_model_status, writes ? withModel : null),
    h("details", { class: "instructions" }, h("summary", {}, "Instructions"), h("p", { class: "prompt" }, persona.prompt)),
    answer,
    h("div", { class: "actions" },
      writes ? button("Revise", "pen", revise) : null,
      h("a", { class: "quiet", href: `${address}/export`, download: `${persona.slug}.parley.json`, "aria-label": `Export: ${persona.name}` }, icon("download"), "Export"),
      writes ? button("Archive", "close", archive) : null)), persona.color);
  return made;
}

/** What is wrong with a default model, and what can be done with one press. */
function standing(status, choose) {
  if (!status || status.state === "available") return null;
  const title = {
    retired: "Its default model has retired",
    unavailable: "Its default model cannot be had just now",
    unknown: "Its default model is on no list",
  }[status.state] ?? "Its default model cannot be had";
  const press = (words, model) => h("button", { class: "link", type: "button", onclick: () => choose(model) }, words);
  return h("div", { class: "note held" }, icon("warning"),
    h("div", {},
      h("p", { class: "note-title" }, title),
      h("p", {}, status.detail),
      h("p", {}, status.instead ? `Until then ${status.instead} answers.` : "Until then nothing can answer."),
      choose ? h("div", { class: "note-actions" },
        status.successor_available ? press(`Use ${status.successor}`, status.successor) : null,
        press("Use the best available", "")) : null));
}

function archivedCard(persona, { writes, reload }) {
  const answer = h("div", { "aria-live": "polite" });
  const back = h("button", {
    class: "quiet", type: "button", "aria-label": `Bring back: ${persona.name}`,
    onclick: async () => {
      back.disabled = true;
      try {
        await call("PUT", addressOf(persona), { body: settings(persona) });
        await reload(persona.slug);
        announce(`${persona.name} is back.`);
      } catch (problem) {
        answer.replaceChildren(problemBox(problem));
        back.disabled = false;
      }
    },
  }, icon("again"), "Bring back");
  return h("article", { class: "card key ended", "data-archived": persona.slug },
    h("div", { class: "key-head" }, h("strong", {}, persona.name), h("span", { class: "hint" }, persona.title)),
    answer,
    writes ? h("div", { class: "actions" }, back) : null);
}

/** What a persona is, as it is sent. */
function settings({ name, title, prompt, model, color }) {
  return { name, title, prompt, ...(model ? { model } : {}), ...(color ? { color } : {}) };
}

// --- The form -----------------------------------------------------------------------------------

let forms = 0;

/** Everything there is to say of a persona. `send` answers the persona as it is then. */
function fields(persona, models, { words, send, done, cancel = null, slug = null }) {
  const id = (part) => `persona-${part}-${number}`;
  const number = (forms += 1);
  const name = h("input", { id: id("name"), type: "text", autocomplete: "off", maxlength: "100", required: true, value: persona.name ?? "" });
  const title = h("input", { id: id("title"), type: "text", autocomplete: "off", maxlength: "200", required: true, value: persona.title ?? "", placeholder: "Social media strategist" });
  const count = h("p", { class: "hint", id: id("count") });
  const prompt = h("textarea", {
    id: id("prompt"), rows: "10", required: true, "aria-describedby": id("count"),
    oninput: () => counted(),
  });
  prompt.value = persona.prompt ?? "";
  const model = h("select", { id: id("model") }, modelOptions(models, persona.model ?? ""));
  model.value = persona.model ?? "";
  const color = h("input", { id: id("color"), type: "color", value: persona.color || GREY });
  const answer = h("div", { "aria-live": "polite" });
  const button = h("button", { class: "strong" }, words);

  function counted() {
    const length = [...prompt.value].length;
    count.textContent = length > LONGEST
      ? `${length - LONGEST} characters too many: ${LONGEST} go out with every question at most.`
      : "Who they are, how they work, what they refuse, and how they answer.";
  }
  counted();

  return h("form", {
    class: "stack persona-form",
    onsubmit: async (event) => {
      event.preventDefault();
      button.disabled = true;
      try {
        const told = settings({ name: name.value.trim(), title: title.value.trim(), prompt: prompt.value.trim(), model: model.value, color: color.value });
        if (slug?.value.trim()) told.slug = slug.value.trim();
        await done(await send(told));
      } catch (problem) {
        answer.replaceChildren(problemBox(problem));
        answer.scrollIntoView({ block: "nearest" });
      } finally {
        button.disabled = false;
      }
    },
  },
  h("div", { class: "fields" },
    h("div", { class: "field" }, h("label", { for: id("name") }, "Name"), name),
    h("div", { class: "field" }, h("label", { for: id("title") }, "What they do"), title)),
  h("div", { class: "field" }, h("label", { for: id("prompt") }, "Instructions"), prompt, count),
  h("div", { class: "fields" },
    h("div", { class: "field" }, h("label", { for: id("model") }, "Default model"), h("div", { class: "select" }, model, icon("chevron"))),
    h("div", { class: "field" }, h("label", { for: id("color") }, "Colour"), color),
    slug ? h("div", { class: "field" }, h("label", { for: slug.id }, "Slug (if you like)"), slug) : null),
  answer,
  h("div", { class: "form-actions" }, button, cancel ? h("button", { class: "quiet", type: "button", onclick: cancel }, "Leave it") : null));
}

function modelOptions(models, present) {
  const there = models.filter((model) => !model.retired);
  const providers = [...new Set(there.map((model) => model.provider))];
  return [
    h("option", { value: "" }, "The best available"),
    present && !there.some((model) => model.id === present) ? h("option", { value: present }, `${present} (cannot be had)`) : null,
    ...providers.map((provider) => h("optgroup", { label: provider === "local" ? "This machine" : provider },
      there.filter((model) => model.provider === provider).map((model) => h("option", { value: model.id }, model.id)))),
  ].filter(Boolean);
}

function newPersona(models, reload) {
  const place = h("div", {});
  const section = h("section", { class: "card stack", "aria-labelledby": "new-persona" }, h("h2", { id: "new-persona" }, "A persona of your own"), place);
  begin();
  return section;

  function begin() {
    const slug = h("input", { id: "persona-slug", type: "text", autocomplete: "off", spellcheck: "false", maxlength: "64", placeholder: "made of the name" });
    const key = fresh();
    place.replaceChildren(fields({ color: COLORS[Math.floor(Math.random() * COLORS.length)] }, models, {
      words: "Create the persona",
      slug,
      send: (told) => post("/api/v1/personas", told, { headers: { "Idempotency-Key": `${key}-${hash(JSON.stringify(told))}` } }),
      done: async (made) => {
        begin();
        await reload(made.slug);
        announce(`${made.name} can be asked from now on.`);
      },
    }));
  }
}

/** The same words under the same key are one wish; corrected ones are another. */
function hash(text) {
  let sum = 0;
  for (const char of text) sum = (Math.imul(sum, 31) + char.codePointAt(0)) >>> 0;
  return sum.toString(36);
}

// --- From and to elsewhere ----------------------------------------------------------------------

function carrying(writes, reload) {
  const answer = h("div", { "aria-live": "polite" });
  const keep = h("input", { id: "personas-keep", type: "checkbox" });
  const file = h("input", {
    id: "personas-file", type: "file", accept: ".json,application/json",
    onchange: async () => {
      if (!file.files.length) return;
      try {
        const told = await read(file.files[0]);
        const done = await post("/api/v1/personas/import", keep.checked ? { ...told, existing: "keep" } : told);
        answer.replaceChildren(h("div", { class: "note good" }, icon("check"),
          h("ul", {}, (done.items ?? []).map((item) => h("li", {}, `${item.slug}: ${item.outcome}, version ${item.version}`)))));
        await reload();
        announce(`${plural(done.items.length, "persona")} imported.`);
      } catch (problem) {
        answer.replaceChildren(problemBox(problem));
      } finally {
        file.value = "";
      }
    },
  });
  return h("section", { class: "card stack", "aria-labelledby": "carrying" },
    h("h2", { id: "carrying" }, "From and to elsewhere"),
    writes ? h("div", { class: "field" }, h("label", { for: "personas-file" }, "Import a document of personas"), file) : null,
    writes ? h("label", { for: "personas-keep" }, keep, " Leave those that are there as they are") : null,
    answer,
    h("div", { class: "actions" },
      h("a", { class: "quiet", href: "/api/v1/personas/export", download: "personas.parley.json" }, icon("download"), "Export all")));
}

async function read(file) {
  try {
    const told = JSON.parse(await file.text());
    if (told && typeof told === "object" && !Array.isArray(told)) return told;
  } catch {
    // told below
  }
  throw { title: "This is no document of personas", nextStep: "Choose a file that an export has written." };
}
