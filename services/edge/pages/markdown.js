// A model's Markdown as elements. It is read into a tree and drawn node by node: no markup string
// is ever built, so the worst that an answer can do is look odd. Links lead to http(s) only.

import { h } from "/pages/dom.js";

const DEEPEST = 8; // nesting past this is drawn as text
const LONGEST_MARK = 1_000; // no fence, heading, rule or table head is longer; bounds the patterns' work
const FARTHEST = 5_000; // where the end of an emphasis or of code is looked for

// --- Blocks -----------------------------------------------------------------------------------

const FENCE = /^ {0,3}(`{3,}|~{3,})\s*([^\s`]*)[^`]*$/;
const HEADING = /^ {0,3}(#{1,6})(?:\s+(.*?))?(?:\s+#+)?\s*$/;
const RULE = /^ {0,3}(?:(?:\*[ \t]*){3,}|(?:-[ \t]*){3,}|(?:_[ \t]*){3,})$/;
const QUOTE = /^ {0,3}> ?/;
const ITEM = /^(\s*)([-*+]|\d{1,9}[.)])(?:\s+(.*)|\s*)$/;
const TABLE_RULE = /^\s*\|?\s*:?-+:?\s*(?:\|\s*:?-+:?\s*)*\|?\s*$/;

/** The blocks of `text`, each with the lines it was made from, so that drawn ones can be kept. */
export function blocks(text, depth = 0) {
  const lines = text.replace(/\r\n?/g, "\n").split("\n");
  const found = [];
  let at = 0;
  const take = (kind, from, more) => found.push({ kind, source: lines.slice(from, at).join("\n"), ...more });
  while (at < lines.length) {
    const line = lines[at];
    const from = at;
    const mark = line.length <= LONGEST_MARK ? line : "";
    let match;
    if (!line.trim()) {
      at += 1;
    } else if ((match = FENCE.exec(mark))) {
      const [, fence, language] = match;
      const closing = new RegExp(`^ {0,3}\\${fence[0]}{${fence.length},}\\s*$`);
      at += 1;
      while (at < lines.length && !closing.test(lines[at])) at += 1;
      const code = lines.slice(from + 1, at).join("\n");
      at = Math.min(at + 1, lines.length);
      take("code", from, { code, language });
    } else if ((match = HEADING.exec(mark))) {
      at += 1;
      take("heading", from, { level: match[1].length, text: match[2] ?? "" });
    } else if (RULE.test(mark)) {
      at += 1;
      take("rule", from);
    } else if (QUOTE.test(line) && depth < DEEPEST) {
      while (at < lines.length && lines[at].trim() && (QUOTE.test(lines[at]) || !opens(lines[at]))) at += 1;
      const inner = lines.slice(from, at).map((quoted) => quoted.replace(QUOTE, "")).join("\n");
      take("quote", from, { inner });
    } else if (ITEM.test(line) && depth < DEEPEST) {
      const list = readList(lines, at);
      at = list.end;
      take("list", from, list);
    } else if (mark.includes("|") && isTableRule(lines[at + 1])) {
      at += 2;
      while (at < lines.length && lines[at].trim() && lines[at].includes("|")) at += 1;
      take("table", from, { head: cells(line), aligned: cells(lines[from + 1]), rows: lines.slice(from + 2, at).map(cells) });
    } else {
      at += 1;
      while (at < lines.length && lines[at].trim() && !opens(lines[at])) at += 1;
      take("paragraph", from, { text: lines.slice(from, at).map((part) => part.trim()).join("\n") });
    }
  }
  return found;
}

/** Whether a line begins something other than a paragraph, and so ends the one before it. */
function opens(line) {
  if (ITEM.test(line) || QUOTE.test(line)) return true;
  return line.length <= LONGEST_MARK && (FENCE.test(line) || HEADING.test(line) || RULE.test(line));
}

function isTableRule(line = "") {
  return line.includes("-") && line.length <= LONGEST_MARK && TABLE_RULE.test(line);
}

function readList(lines, start) {
  const [, , first] = ITEM.exec(lines[start]);
  const ordered = /\d/.test(first);
  const margin = indent(lines[start]);
  const items = [];
  let loose = false;
  let at = start;
  while (at < lines.length) {
    const line = lines[at];
    const match = ITEM.exec(line);
    const depth = indent(line);
    if (!line.trim()) {
      const next = lines.slice(at + 1).find((later) => later.trim());
      const goesOn = next !== undefined
        && (indent(next) > margin + 1 || (sameList(next, ordered) && Math.abs(indent(next) - margin) < 2));
      if (!goesOn) break;
      loose = true;
      items.at(-1).push("");
    } else if (match && depth < margin + 2) {
      const another = depth + 1 < margin || /\d/.test(match[2]) !== ordered || RULE.test(line);
      if (another && items.length) break;
      items.push([match[3] ?? ""]);
    } else if (depth > margin + 1) {
      items.at(-1).push(line.slice(Math.min(depth, margin + (ordered ? 3 : 2))));
    } else if (opens(line)) {
      break;
    } else {
      items.at(-1).push(line.trim()); // a lazy line goes on with the item
    }
    at += 1;
  }
  return { end: at, ordered, first: ordered ? Number.parseInt(first, 10) : 1, loose, items: items.map((item) => item.join("\n")) };
}

const indent = (line) => /^\s*/.exec(line)[0].replaceAll("\t", "    ").length;

function sameList(line, ordered) {
  const match = ITEM.exec(line);
  return match !== null && /\d/.test(match[2]) === ordered;
}

function cells(line) {
  return line.trim().replace(/^\||\|$/g, "").split(/(?<!\\)\|/).map((cell) => cell.trim().replaceAll("\\|", "|"));
}

// --- Inline -----------------------------------------------------------------------------------

const LINK = /\[([^\[\]]{1,500})\]\(\s*<?([^\s<>()]*(?:\([^\s<>()]*\)[^\s<>()]*)*)>?(?:\s+"[^"]*")?\s*\)/y;
const BARE = /https?:\/\/[^\s<>"'`]+/iy;
const ANGLE = /<(https?:\/\/[^\s<>]+)>/iy;
const MARKS = [
  { mark: "***", tags: ["strong", "em"] },
  { mark: "**", tags: ["strong"] },
  { mark: "__", tags: ["strong"] },
  { mark: "~~", tags: ["s"] },
  { mark: "*", tags: ["em"] },
  { mark: "_", tags: ["em"] },
];

/**
 * The pieces of one stretch of text: strings and elements. `open` text is still being written:
 * an emphasis that has not ended yet is taken to end with it.
 */
export function inline(text, depth = 0, open = false) {
  const pieces = [];
  let plain = "";
  const put = (element) => {
    if (plain) pieces.push(plain);
    plain = "";
    pieces.push(element);
  };
  let at = 0;
  const match = (pattern) => {
    pattern.lastIndex = at;
    return pattern.exec(text);
  };
  while (at < text.length) {
    const sign = text[at];
    let found;
    if (sign === "\\" && /[!-/:-@[-`{-~]/.test(text[at + 1] ?? "")) {
      plain += text[at + 1];
      at += 2;
    } else if (sign === "`" && (found = code(text, at))) {
      put(h("code", {}, found.inner.replace(/^ (.+) $/s, "$1")));
      at = found.end;
    } else if (sign === "[" && depth < DEEPEST && (found = match(LINK))) {
      const address = safe(found[2]);
      if (address) put(link(address, inline(found[1], DEEPEST)));
      else plain += found[1];
      at += found[0].length;
    } else if (sign === "<" && (found = match(ANGLE)) && safe(found[1])) {
      put(link(safe(found[1]), [found[1]]));
      at += found[0].length;
    } else if ((sign === "h" || sign === "H") && !/\w/.test(text[at - 1] ?? "") && depth < DEEPEST && (found = match(BARE))) {
      const address = balanced(found[0]);
      if (safe(address)) put(link(safe(address), [address]));
      else plain += address;
      at += address.length;
    } else if ("*_~".includes(sign) && depth < DEEPEST && (found = emphasis(text, at, open))) {
      const inner = inline(found.inner, depth + 1, open && found.end === text.length);
      put(found.tags.reduceRight((content, tag) => [h(tag, {}, content)], inner)[0]);
      at = found.end;
    } else if ("*_~`".includes(sign)) {
      // A run that closes nothing stays as it is, whole: its parts must not be read anew.
      const end = runEnd(text, at);
      plain += text.slice(at, end);
      at = end;
    } else {
      plain += sign;
      at += 1;
    }
  }
  if (plain) pieces.push(plain);
  return pieces;
}

/** Where the run of equal signs that begins at `at` is over. */
function runEnd(text, at) {
  let end = at + 1;
  while (text[end] === text[at]) end += 1;
  return end;
}

/** Code between two runs of as many backticks. */
function code(text, at) {
  const from = runEnd(text, at);
  for (let to = text.indexOf("`", from); to !== -1 && to - from < FARTHEST; to = text.indexOf("`", to)) {
    const end = runEnd(text, to);
    if (end - to === from - at) return { inner: text.slice(from, to), end };
    to = end;
  }
  return null;
}

function emphasis(text, at, open) {
  for (const { mark, tags } of MARKS) {
    if (!text.startsWith(mark, at)) continue;
    const from = at + mark.length;
    if (!/\S/.test(text[from] ?? "") || (mark !== "***" && text[from] === mark[0])) continue;
    if (mark[0] === "_" && /\w/.test(text[at - 1] ?? "")) continue; // snake_case is a word
    const to = closing(text, from, mark);
    if (to > from) return { inner: text.slice(from, to), tags, end: to + mark.length };
    if (open) return { inner: text.slice(from), tags, end: text.length };
  }
  return null;
}

function closing(text, from, mark) {
  let at = from;
  while ((at = text.indexOf(mark, at)) !== -1 && at - from < FARTHEST) {
    const before = text[at - 1];
    const after = text[at + mark.length] ?? "";
    const fits = /\S/.test(before) && before !== "\\" && after !== mark[0] && (mark.length > 1 || before !== mark[0])
      && !(mark[0] === "_" && /\w/.test(after));
    if (fits) return at;
    at += 1;
  }
  return -1;
}

/** The address without what the sentence around it has added: a full stop, an unopened bracket. */
function balanced(address) {
  let unopened = 0;
  for (const sign of address) unopened += sign === ")" ? 1 : sign === "(" ? -1 : 0;
  let end = address.length;
  for (; end > 0; end -= 1) {
    const last = address[end - 1];
    if (last === ")" && unopened > 0) unopened -= 1;
    else if (!".,;:!?*_~]}".includes(last)) break;
  }
  return address.slice(0, end);
}

function safe(address) {
  try {
    const url = new URL(address);
    return url.protocol === "https:" || url.protocol === "http:" ? url.href : null;
  } catch {
    return null;
  }
}

function link(address, content) {
  return h("a", { href: address, rel: "noopener noreferrer nofollow ugc", target: "_blank" }, content);
}

// --- Drawing ----------------------------------------------------------------------------------

function draw(block, depth, open) {
  switch (block.kind) {
    case "heading": // the first two levels are the question and the speaker
      return h(`h${Math.min(6, block.level + 2)}`, { class: `level-${block.level}` }, inline(block.text, 0, open));
    case "code":
      return h("pre", { tabindex: "0" }, h("code", {}, block.code)); // it scrolls, so a keyboard must reach it
    case "rule":
      return h("hr");
    case "quote":
      return h("blockquote", {}, drawAll(block.inner, depth + 1, open));
    case "list":
      return h(block.ordered ? "ol" : "ul", { class: block.loose ? "loose" : null, start: block.ordered && block.first !== 1 ? block.first : null },
        block.items.map((item, n) => h("li", {}, drawItem(item, block.loose, depth + 1, open && n === block.items.length - 1))));
    case "table":
      return h("div", { class: "table", tabindex: "0" }, h("table", {},
        h("thead", {}, h("tr", {}, block.head.map((cell, n) => h("th", { class: align(block.aligned[n]), scope: "col" }, inline(cell))))),
        h("tbody", {}, block.rows.map((row) => h("tr", {}, block.head.map((_, n) => h("td", { class: align(block.aligned[n]) }, inline(row[n] ?? ""))))))));
    default:
      return h("p", {}, inline(block.text, 0, open));
  }
}

function align(rule = "") {
  if (/^:-+:$/.test(rule)) return "centre";
  return /-:$/.test(rule) ? "right" : null;
}

function drawAll(text, depth, open) {
  return blocks(text, depth).map((block, n, all) => draw(block, depth, open && n === all.length - 1));
}

/** An item of a tight list shows its first paragraph without the room of one. */
function drawItem(text, loose, depth, open) {
  return blocks(text, depth).flatMap((block, n, all) => {
    const last = open && n === all.length - 1;
    return block.kind === "paragraph" && !loose ? inline(block.text, 0, last) : [draw(block, depth, last)];
  });
}

/** Draws growing text into `place`; only what has changed since the last time is drawn again. */
export class Drawing {
  #drawn = [];

  constructor(place) {
    this.place = place;
  }

  /** `open`: more is coming. */
  show(text, open = false) {
    const wanted = blocks(text);
    const last = wanted.length - 1;
    const keys = wanted.map((block, n) => `${block.kind} ${open && n === last}\n${block.source}`);
    let same = 0;
    while (same < keys.length && same < this.#drawn.length && this.#drawn[same] === keys[same]) same += 1;
    while (this.place.children.length > same) this.place.lastElementChild.remove();
    this.place.append(...wanted.slice(same).map((block, n) => draw(block, 0, open && same + n === last)));
    this.#drawn = keys;
  }
}
