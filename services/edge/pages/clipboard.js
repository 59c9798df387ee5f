// Putting a text where other programs can take it from.

import { h } from "/pages/dom.js";

/** Whether it is there now. The clipboard's own interface exists only on https and loopback. */
export async function copied(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = h("textarea", { class: "unseen", readonly: true, "aria-hidden": "true" });
    area.value = text;
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    return done;
  }
}
