// Elements without markup strings: nothing that a person or a model wrote is ever read as HTML.

/**
 * An element. Properties that begin with `on` are listeners; `class`, `for`, `aria-*` and the like
 * are attributes; true is an empty attribute; false, null and undefined are left out.
 */
export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** A picture from icons/, drawn in the colour of the text around it; invisible to screen readers. */
export function icon(name) {
  return h("span", { class: `icon icon-${name}`, "aria-hidden": "true" });
}

/** Replace what is inside `element`, but only when it differs, so that focus and selection stay. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** The persona's colour for what is inside `element`; anything but `#rrggbb` is left out. */
export function tint(element, color) {
  if (/^#[0-9a-f]{6}$/i.test(color ?? "")) element.style.setProperty("--persona", color);
  return element;
}

/** "RE" for "Riley Engstrom". */
export function initials(name) {
  return name.split(/\s+/).filter(Boolean).map((word) => [...word][0].toUpperCase()).slice(0, 2).join("");
}

/** Put a sentence where screen readers hear it, without moving anybody's focus. */
export function announce(sentence) {
  const region = document.getElementById("said");
  if (region) region.textContent = sentence;
}
