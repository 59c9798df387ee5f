// What can be done with a discussion afterwards: another title, a copy to take along, deletion.

import { call } from "/pages/api.js";
import { announce, h, icon } from "/pages/dom.js";
import { confirmation } from "/pages/views/keys.js";
import { problemBox } from "/pages/views/problem.js";

/**
 * The buttons. `answer` is where questions and refusals go; `title` tells the present title;
 * `renamed` and `deleted` are called when it is so.
 */
export function afterwards({ id, answer, title, renamed, deleted, writes }) {
  const address = `/api/v1/discussions/${encodeURIComponent(id)}`;
  const rename = h("button", { class: "quiet", type: "button", onclick: askTitle }, icon("pen"), "Rename");
  const away = h("button", { class: "quiet", type: "button", onclick: askDeletion }, icon("close"), "Delete");

  function close(button) {
    answer.replaceChildren();
    button.focus();
  }

  function askTitle() {
    const field = h("input", { id: "new-title", type: "text", maxlength: "200", required: true, autocomplete: "off", value: title() });
    const refused = h("div", { "aria-live": "polite" });
    answer.replaceChildren(h("form", {
      class: "card stack",
      onsubmit: async (event) => {
        event.preventDefault();
        try {
          const view = await call("PATCH", address, { body: { title: field.value.trim() } });
          close(rename);
          renamed(view);
          announce(`It is now called ${view.title}.`);
        } catch (problem) {
          refused.replaceChildren(problemBox(problem));
        }
      },
    },
    h("div", { class: "field" }, h("label", { for: "new-title" }, "Title"), field),
    refused,
    h("div", { class: "form-actions" }, h("button", { class: "strong" }, "Rename it"),
      h("button", { class: "quiet", type: "button", onclick: () => close(rename) }, "Leave it"))));
    field.focus();
    field.select();
  }

  function askDeletion() {
    answer.replaceChildren(confirmation(
      "Delete this discussion for good? What was asked and answered cannot be brought back; what it cost stays in the accounts. If it still runs, it is cancelled.",
      "Delete for good", () => close(away), async () => {
        try {
          await call("DELETE", address);
          announce("The discussion is deleted.");
          deleted();
        } catch (problem) {
          answer.replaceChildren(problemBox(problem));
        }
      }));
  }

  return [
    writes ? rename : null,
    h("a", { class: "quiet", href: `${address}/export?format=markdown`, download: true }, icon("download"), "Export"),
    writes ? away : null,
  ].filter(Boolean);
}
