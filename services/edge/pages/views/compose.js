// Asking: a question, the personas that shall answer it, and the model they speak with.

import { fresh, post } from "/pages/api.js";
import { h, icon, initials, tint } from "/pages/dom.js";
import { money, thousands } from "/pages/words.js";
import { Forecast } from "/pages/views/forecast.js";
import { Modes } from "/pages/views/modes.js";
import { problemBox } from "/pages/views/problem.js";

const DRAFT = "parley.draft";
const FIRST = ["riley-engstrom", "morgan-castellano"];

const draft = {
  read() {
    try {
      return JSON.parse(sessionStorage.getItem(DRAFT) ?? "{}") ?? {};
    } catch {
      return {};
    }
  },
  keep(values) {
    sessionStorage.setItem(DRAFT, JSON.stringify({ ...draft.read(), ...values }));
  },
};

const rank = ({ slug }) => (FIRST.includes(slug) ? FIRST.indexOf(slug) : FIRST.length);

/** Ask the same of the same people in the same way: the composer opens with it. */
export function prepare(topic, slugs, how = {}) {
  draft.keep({ topic, ...(slugs.length ? { personas: slugs } : {}), how });
}

export function compose(place, { personas: everyone, models: all, asked }) {
  const kept = draft.read();
  const models = all.filter((model) => !model.retired);
  const personas = [...everyone].sort((one, other) => rank(one) - rank(other));
  const known = personas.map((persona) => persona.slug);
  const wanted = (kept.personas ?? FIRST).filter((slug) => known.includes(slug));
  const picked = new Set(wanted.length ? wanted : known.slice(0, 1));

  const topic = h("textarea", {
    id: "topic", rows: "3", required: true, "aria-describedby": "how", autocomplete: "off",
    placeholder: "How should a small team announce its first product?",
    oninput: () => {
      draft.keep({ topic: topic.value });
      grow(topic);
      forecast.about(models.length ? wish() : null);
    },
    onkeydown: (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
        event.preventDefault();
        form.requestSubmit();
      }
    },
  });
  topic.value = kept.topic ?? "";

  const chips = personas.map((persona) => tint(h("label", { class: "chip", title: persona.title },
    h("input", {
      type: "checkbox", name: "persona", value: persona.slug, checked: picked.has(persona.slug),
      onchange: (event) => {
        if (event.target.checked) picked.add(persona.slug);
        else picked.delete(persona.slug);
        draft.keep({ personas: [...picked] });
        summarise();
      },
    }),
    h("span", { class: "face", "aria-hidden": "true" }, initials(persona.name)),
    h("span", { class: "chip-words" },
      h("span", { class: "chip-name" }, persona.name),
      h("span", { class: "chip-title" }, persona.title)),
    icon("check")), persona.color));

  const model = h("select", { id: "model", onchange: summarise }, modelOptions(models));
  const modelHint = h("p", { class: "hint", id: "model-hint" });
  const summary = h("p", { class: "hint", id: "how" });
  const forecast = new Forecast();
  const answer = h("div", {});
  const button = h("button", { class: "strong ask" }, "Ask", h("kbd", { "aria-hidden": "true" }, /Mac|iPhone|iPad/.test(navigator.platform) ? "⌘↵" : "Ctrl ↵"));

  function chosen() {
    return known.filter((slug) => picked.has(slug));
  }

  const modes = new Modes({
    kept: kept.how, personas, models,
    options: (none, id) => modelOptions(models, none, id),
    changed: (how) => {
      draft.keep({ how });
      summarise();
    },
  });

  /** What is asked of whom; null while there is nothing to ask, or nobody. */
  function wish() {
    const text = topic.value.trim();
    if (!text || modes.missing(chosen())) return null;
    return { topic: text, ...modes.wish(chosen(), model.value) };
  }

  function summarise() {
    forecast.about(models.length ? wish() : null);
    summary.textContent = modes.summary(chosen());
    people.hidden = !modes.takesPersonas;
    one.hidden = !modes.takesPersonas;
    modelHint.textContent = [passedOver(), describe(models, model.value)].filter(Boolean).join(" · ");
    forecast.about(models.length ? wish() : null);
  }

  /** Who would have liked another model than can be had. */
  function passedOver() {
    const stands = ({ default_model_status: status }) => !status || status.state === "available";
    const others = model.value ? [] : personas.filter((persona) => picked.has(persona.slug) && !stands(persona));
    return others.map(({ name, model: preferred, default_model_status: { state, instead } }) =>
      `${preferred}, which ${name.split(" ")[0]} prefers, ${state === "retired" ? "has retired" : "cannot be had"}${instead ? `: ${instead} answers` : ""}`).join(" · ");
  }

  const people = h("fieldset", {}, h("legend", {}, "Who answers"), h("div", { class: "chips" }, chips));
  const one = h("div", { class: "field" }, h("label", { for: "model" }, "Model"), h("div", { class: "select" }, model, icon("chevron")), modelHint);
  const form = h("form", {
    class: "composer",
    novalidate: true,
    onsubmit: async (event) => {
      event.preventDefault();
      const text = topic.value.trim();
      const missing = text ? modes.missing(chosen()) : { title: "There is no question yet", nextStep: "Write what you would like to have discussed." };
      if (missing) {
        answer.replaceChildren(problemBox(missing));
        (text ? form.querySelector("input[name=persona]") : topic)?.focus();
        return;
      }
      if (button.disabled) return;
      button.disabled = true;
      answer.replaceChildren();
      try {
        const opened = await post("/api/v1/discussions", wish(), { headers: { "Idempotency-Key": fresh() } });
        draft.keep({ topic: "" });
        asked(opened.id);
      } catch (refusal) {
        answer.replaceChildren(problemBox(refusal));
        topic.focus();
      } finally {
        button.disabled = false;
      }
    },
  },
  h("div", { class: "question" },
    h("label", { class: "unseen", for: "topic" }, "Your question"),
    topic,
    h("div", { class: "question-foot" }, summary, button)),
  forecast.element,
  answer, modes.row, people, modes.rivals, one, modes.more);

  place.replaceChildren(h("section", { class: "centred" },
    h("h1", { tabindex: "-1", class: "ask-title" }, "What shall they discuss?"), form));
  summarise();
  grow(topic);
  if (matchMedia("(hover: hover)").matches) topic.focus({ preventScroll: true }); // no keyboard over a phone's screen
}

function grow(area) {
  area.style.height = "auto";
  area.style.height = `${Math.min(area.scrollHeight + 2, innerHeight * 0.5)}px`;
}

const isLocal = (model) => model.provider === "local";

/** All models to choose from; before them `none`, if there is a choice of none; `id` is chosen. */
function modelOptions(models, none = ownModel(models), id = "") {
  const providers = [...new Set(models.map((model) => model.provider))];
  return [
    ...(none === null ? [] : [h("option", { value: "" }, none)]),
    ...providers.map((provider) => h("optgroup", { label: provider === "local" ? "This machine" : provider },
      models.filter((model) => model.provider === provider)
        .map((model) => h("option", { value: model.id, selected: model.id === id }, isLocal(model) ? `${short(model)} · tiny demonstration model` : short(model))))),
  ];
}

function ownModel(models) {
  const best = models.find((model) => model.default);
  return `Persona’s own, else the best available${best ? ` (now ${short(best)})` : ""}`;
}

const short = (model) => model.id.slice(model.id.indexOf("/") + 1);

function describe(models, id) {
  const model = models.find((one) => (id ? one.id === id : one.default));
  if (!models.length) return "No model is available yet: add a key under Keys and providers.";
  if (!model) return "";
  if (isLocal(model)) {
    return id || models.every(isLocal)
      ? "The local model is a tiny demonstration: it shows Parley at work, its answers are not worth reading. A key brings better ones."
      : "";
  }
  const facts = [
    model.context_window ? `${thousands(model.context_window)} tokens of context` : "",
    model.price ? `${money({ amount: model.price.input })} in, ${money({ amount: model.price.output })} out per million tokens${model.price.read ? `, as of ${model.price.read}` : ""}` : "",
    model.thinks ? "thinks before it answers" : "",
    model.note ?? "",
  ].filter(Boolean);
  return facts.join(" · ");
}
