// Who are you? Asked only when the link with the token was not used.

import { openSession } from "/pages/api.js";
import { h, icon } from "/pages/dom.js";
import { problemBox } from "/pages/views/problem.js";

export function signIn(place, { signedIn, problem = null }) {
  const token = h("input", {
    id: "token", type: "password", autocomplete: "off", spellcheck: "false", required: true,
    "aria-describedby": "token-hint",
  });
  const answer = h("div", {}, problem ? problemBox(problem) : null);
  const form = h("form", {
    class: "card stack",
    onsubmit: async (event) => {
      event.preventDefault();
      try {
        await openSession(token.value.trim());
        token.value = "";
        signedIn();
      } catch (refusal) {
        answer.replaceChildren(problemBox(refusal));
        token.select();
      }
    },
  },
  h("label", { for: "token" }, "Access token"),
  token,
  h("p", { id: "token-hint", class: "hint" },
    "Where Parley was started, its terminal shows a link that signs you in. The token is also in the file ",
    h("code", {}, "owner-token"), " of its home: ", h("code", {}, "cat .parley/owner-token")),
  answer,
  h("button", { class: "strong" }, "Sign in"));

  place.replaceChildren(h("section", { class: "centred narrow" },
    h("p", { class: "mark" }, icon("parley")),
    h("h1", { tabindex: "-1" }, "Welcome to Parley"),
    h("p", { class: "lead" }, "A place where personas discuss your question, on the models that you bring."),
    form));
  token.focus();
}
