// What went wrong, in words, with what to do about it.

import { h, icon } from "/pages/dom.js";

export function problemBox(problem) {
  return h("div", { class: "note bad", role: "alert" },
    icon("warning"),
    h("div", {},
      h("p", { class: "note-title" }, problem.title ?? problem.message ?? "That did not work"),
      problem.detail ? h("p", {}, problem.detail) : null,
      problem.errors?.length ? h("ul", {}, problem.errors.map((error) => h("li", {}, error.field ? `${error.field}: ` : "", error.message ?? ""))) : null,
      problem.nearest?.length ? h("p", {}, `Close to it: ${problem.nearest.join(", ")}`) : null,
      problem.successor ? h("p", {}, `Its successor: ${problem.successor}`) : null,
      problem.nextStep ? h("p", { class: "next" }, problem.nextStep) : null));
}
