// A fork: what a turn was asked is asked again, of somebody else or on another model, in a
// discussion of its own. Or it goes on from the turn's answer with other words.

import { fresh, post } from "/pages/api.js";
import { h, icon } from "/pages/dom.js";
import { addressOf } from "/pages/supervisor.js";
import { problemBox } from "/pages/views/problem.js";

/**
 * Ask how, and begin it.
 * @param turn    {id, name, complete}
 * @param opened  called with the id of the new discussion
 */
export function askFork(place, discussion, turn, { personas, models, opened }) {
  const persona = h("select", { id: "fork-persona" }, h("option", { value: "" }, `${turn.name}, as before`),
    personas.map(({ slug, name }) => h("option", { value: slug }, name)));
  const model = h("select", { id: "fork-model" }, h("option", { value: "" }, "As before, or the persona’s own"),
    models.filter((one) => !one.retired).map(({ id }) => h("option", { value: id }, id)));
  const words = h("textarea", { id: "fork-text", rows: "2", "aria-describedby": "fork-text-hint" });
  const answer = h("div", {});
  const button = h("button", { class: "strong", type: "submit" }, "Fork");
  const dialog = h("dialog", { class: "card fork", "aria-labelledby": "fork-title", onclose: () => dialog.remove() },
    h("form", { class: "stack", novalidate: true, onsubmit: (event) => {
      event.preventDefault();
      void go();
    } },
    h("h2", { id: "fork-title" }, "Fork from here"),
    h("p", { class: "hint" }, "The same is asked once more, in a discussion of its own. This one stays as it is."),
    field("fork-persona", "Who answers", persona),
    field("fork-model", "Model", model),
    turn.complete ? h("div", { class: "field" }, h("label", { for: "fork-text" }, "Go on with other words"), words,
      h("p", { class: "hint", id: "fork-text-hint" }, "Left empty, the turn is asked anew. Otherwise its answer stays, and this is said to it.")) : null,
    answer,
    h("div", { class: "form-actions" }, button,
      h("button", { class: "quiet", type: "button", onclick: () => dialog.close() }, "Not now"))));

  async function go() {
    if (button.disabled) return;
    button.disabled = true;
    try {
      const made = await post(`${addressOf(discussion)}/fork`, {
        turn: turn.id,
        ...(persona.value ? { persona: persona.value } : {}),
        ...(model.value ? { model: model.value } : {}),
        ...(words.value.trim() ? { text: words.value.trim() } : {}),
      }, { headers: { "Idempotency-Key": fresh() } });
      dialog.close();
      opened(made.id);
    } catch (problem) {
      answer.replaceChildren(problemBox(problem));
    } finally {
      button.disabled = false;
    }
  }

  place.append(dialog);
  dialog.showModal();
}

function field(id, name, control) {
  return h("div", { class: "field" }, h("label", { for: id }, name), h("div", { class: "select" }, control, icon("chevron")));
}
