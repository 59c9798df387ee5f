// Endpoints of a team's own, beside the built-in providers: what there is, and adding one.

import { call, get, post } from "/pages/api.js";
import { announce, h, icon } from "/pages/dom.js";
import { problemBox } from "/pages/views/problem.js";

/** The section. `changed` is called once there is an endpoint more or less. */
export function ownEndpoints(changed) {
  const list = h("div", { class: "stack" });
  show(list, changed);
  return h("section", { class: "stack", "aria-labelledby": "own-endpoints" },
    h("h2", { id: "own-endpoints" }, "Endpoints of your own"),
    h("p", { class: "hint" }, "Anything that speaks as OpenAI does and has a public https address. Once it is here, add a key of it above."),
    list,
    addForm(changed));
}

async function show(list, changed) {
  try {
    const found = (await get("/api/v1/endpoints"))?.items ?? [];
    list.replaceChildren(...found.map((endpoint) => card(endpoint, changed)));
  } catch (problem) {
    list.replaceChildren(problemBox(problem));
  }
}

function card(endpoint, changed) {
  const answer = h("div", { class: "stack", "aria-live": "polite" });
  const title = endpoint.title || endpoint.name;

  async function remove() {
    try {
      await call("DELETE", `/api/v1/endpoints/${encodeURIComponent(endpoint.name)}`);
      announce(`${title} was removed.`);
      await changed();
    } catch (problem) {
      answer.replaceChildren(problemBox(problem));
    }
  }

  function ask() {
    const no = h("button", { class: "quiet", type: "button", onclick: () => answer.replaceChildren() }, "Keep it");
    answer.replaceChildren(h("div", { class: "note bad", role: "group", "aria-label": "Remove?" }, icon("warning"),
      h("div", { class: "stack" },
        h("p", {}, "Remove this endpoint? Its keys are used no more, and what needs it waits until it is added again."),
        h("div", { class: "actions" }, h("button", { class: "strong", type: "button", onclick: remove }, "Remove it"), no))));
    no.focus();
  }

  return h("article", { class: "card key" },
    h("div", { class: "key-head" },
      h("strong", {}, title), h("span", { class: "hint" }, `${endpoint.name}/…`),
      endpoint.configured ? h("span", { class: "badge" }, "by the operator") : null),
    h("p", { class: "hint" }, h("code", {}, endpoint.base_url)),
    answer,
    endpoint.configured ? null : h("div", { class: "actions" },
      h("button", { class: "quiet", type: "button", "aria-label": `Remove: ${title}`, onclick: ask }, icon("close"), "Remove")));
}

function addForm(changed) {
  const field = (id, label, hint, properties = {}) => {
    const input = h("input", { id, type: "text", autocomplete: "off", spellcheck: "false", "aria-describedby": `${id}-hint`, ...properties });
    return [input, h("div", { class: "field" }, h("label", { for: id }, label), input, h("p", { class: "hint", id: `${id}-hint` }, hint))];
  };
  const [name, nameField] = field("endpoint-name", "Name", "Small letters, digits and dashes: acme makes acme/<model>.", { required: true, maxlength: "31" });
  const [title, titleField] = field("endpoint-title", "Title (if you like)", "What people read.", { maxlength: "100" });
  const [address, addressField] = field("endpoint-address", "Address", "What stands before /chat/completions, for example https://llm.example.com/v1", { required: true, inputmode: "url", maxlength: "300" });
  const keyless = h("input", { id: "endpoint-keyless", type: "checkbox" });
  const answer = h("div", { "aria-live": "polite" });
  const button = h("button", { class: "strong" }, "Add the endpoint");
  return h("form", {
    class: "card stack",
    "aria-labelledby": "add-endpoint",
    onsubmit: async (event) => {
      event.preventDefault();
      button.disabled = true;
      const wanted = { name: name.value.trim(), base_url: address.value.trim() };
      if (title.value.trim()) wanted.title = title.value.trim();
      if (keyless.checked) wanted.needs_key = false;
      try {
        const endpoint = await post("/api/v1/endpoints", wanted);
        announce(`${endpoint.title || endpoint.name} was added.`);
        await changed();
      } catch (problem) {
        answer.replaceChildren(problemBox(problem));
      } finally {
        button.disabled = false;
      }
    },
  },
  h("h3", { id: "add-endpoint" }, "Add an endpoint"),
  h("div", { class: "fields" }, nameField, titleField),
  addressField,
  h("label", { for: "endpoint-keyless" }, keyless, " It takes no key"),
  answer,
  button);
}
