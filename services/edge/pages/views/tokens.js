// Access tokens: who may come in, as what, and until when. A token itself is shown once.

import { call, get, post } from "/pages/api.js";
import { copied } from "/pages/clipboard.js";
import { announce, h, icon } from "/pages/dom.js";
import { ago, plural } from "/pages/words.js";
import { confirmation } from "/pages/views/keys.js";
import { problemBox } from "/pages/views/problem.js";

const ROLES = {
  member: "Asks, and reads what everybody has asked.",
  viewer: "Reads what others have asked, and asks nothing.",
  integration: "For a program: asks and reads, as a member does.",
  admin: "As a member; also keys and tokens, save those of owners.",
  owner: "May do everything.",
};

/** Days until a token ends. */
const ENDS = [["In a month", 30], ["In a week", 7], ["In three months", 91], ["In a year", 365], ["Never", 0]];
const ON_A_DAY = "day";

export async function tokens(place, { manages, left }) {
  const list = h("div", { class: "stack" });
  const heading = h("h1", { tabindex: "-1" }, "Access tokens");
  if (!manages) {
    place.replaceChildren(h("section", { class: "centred stack-wide" }, h("header", {}, heading,
      h("p", { class: "lead" }, "Only owners and admins give access and take it away. Ask one of them for what you need."))));
    heading.focus({ preventScroll: true });
    return;
  }
  let me = {};
  const form = h("div", {});
  place.replaceChildren(h("section", { class: "centred stack-wide" },
    h("header", {}, heading,
      h("p", { class: "lead" }, "Whoever holds a token comes in, and may do what its role allows. Give each person and each program one of their own: then each can be taken back alone.")),
    form,
    h("section", { class: "stack", "aria-labelledby": "tokens" }, h("h2", { id: "tokens" }, "Who may come in"), list)));
  heading.focus({ preventScroll: true });
  try {
    me = (await get("/api/v1/session")) ?? {};
  } catch (problem) {
    list.replaceChildren(problemBox(problem));
    return;
  }
  form.replaceChildren(issuing(me.role, show));
  await show();

  async function show() {
    try {
      const found = (await get("/api/v1/tokens"))?.items ?? [];
      const names = new Map(found.map((token) => [token.id, token.label || token.role]));
      const card = (token) => tokenCard(token, { mine: token.id === me.token, by: names.get(token.issued_by) ?? "", reload: show, left });
      const [valid, ended] = [found.filter((token) => token.state === "valid"), found.filter((token) => token.state !== "valid")];
      const open = list.querySelector("details")?.open; // what somebody has opened stays open
      list.replaceChildren(...valid.map(card), ...(ended.length
        ? [h("details", { class: "ended-tokens", open }, h("summary", {}, `${plural(ended.length, "token")} that ended`), h("div", { class: "stack" }, ended.map(card)))]
        : []));
    } catch (problem) {
      list.replaceChildren(problemBox(problem));
    }
  }
}

// --- One that is there --------------------------------------------------------------------------

function tokenCard(token, { mine, by, reload, left }) {
  const answer = h("div", { class: "stack", "aria-live": "polite" });
  const name = token.label || `a token for ${withArticle(token.role)}`;
  const valid = token.state === "valid";
  const button = h("button", { class: "quiet", type: "button", "aria-label": `Revoke: ${name}`, onclick: ask }, icon("close"), "Revoke");

  function ask() {
    answer.replaceChildren(confirmation(
      mine
        ? "Revoke the token that you are signed in with? You are signed out at once."
        : "Revoke this token for ever? Whoever uses it is shut out at once.",
      "Revoke for ever", () => {
        answer.replaceChildren();
        button.focus();
      }, revoke));
  }

  async function revoke() {
    try {
      await call("DELETE", `/api/v1/tokens/${encodeURIComponent(token.id)}`);
      if (mine) return left();
      await reload();
      document.getElementById("issue-token")?.focus();
      announce(`${name} is revoked.`);
    } catch (problem) {
      answer.replaceChildren(problemBox(problem));
    }
  }

  const fact = (what, iso, words) => (iso ? [h("dt", {}, what), h("dd", {}, h("time", { datetime: iso }, words))] : null);
  return h("article", { class: `card key${valid ? "" : " ended"}`, "data-token": token.id },
    h("div", { class: "key-head" },
      h("strong", {}, name), mine ? h("span", { class: "hint" }, "yours, now") : null,
      h("span", { class: `badge ${valid ? "good" : ""}` }, valid ? token.role : `${token.role}, ${token.state}`)),
    h("dl", {},
      fact("Issued", token.issued_at, by && !mine ? `${ago(token.issued_at)}, by ${by}` : ago(token.issued_at)),
      token.state === "revoked" ? fact("Revoked", token.revoked_at, ago(token.revoked_at))
        : token.expires_at ? fact(valid ? "Ends" : "Ended", token.expires_at, onDay(token.expires_at))
          : [h("dt", {}, "Ends"), h("dd", {}, "never")]),
    answer,
    valid ? h("div", { class: "actions" }, button) : null);
}

// --- A new one ----------------------------------------------------------------------------------

function issuing(own, issued) {
  const roles = Object.entries(ROLES).filter(([role]) => role !== "owner" || own === "owner");
  const label = h("input", { id: "token-label", type: "text", autocomplete: "off", maxlength: "100", required: true });
  const role = h("select", { id: "token-role", "aria-describedby": "token-may", onchange: explain }, roles.map(([value]) => h("option", { value }, value)));
  const may = h("p", { id: "token-may", class: "hint" });
  const ends = h("select", { id: "token-ends", onchange: chosen },
    ENDS.map(([words, days]) => h("option", { value: days }, words)), h("option", { value: ON_A_DAY }, "On a day…"));
  const day = h("input", { id: "token-day", type: "date", min: dateOf(after(1)), required: true, disabled: true });
  const dayField = h("div", { class: "field", hidden: true }, h("label", { for: "token-day" }, "Last day"), day);
  const answer = h("div", { "aria-live": "polite" });
  const button = h("button", { class: "strong" }, "Issue the token");

  function chosen() {
    dayField.hidden = day.disabled = ends.value !== ON_A_DAY;
  }

  function explain() {
    may.textContent = ROLES[role.value];
  }
  explain();

  function end() {
    if (ends.value === ON_A_DAY) return new Date(`${day.value}T23:59:59`).toISOString();
    return Number(ends.value) ? after(Number(ends.value)).toISOString() : null;
  }

  return h("form", {
    class: "card stack",
    "aria-labelledby": "issue-token",
    onsubmit: async (event) => {
      event.preventDefault();
      button.disabled = true;
      try {
        const wanted = { label: label.value.trim(), role: role.value };
        const until = end();
        if (until) wanted.expires_at = until;
        const made = await post("/api/v1/tokens", wanted);
        answer.replaceChildren(once(made, () => {
          answer.replaceChildren();
          label.focus();
        }));
        label.value = "";
        await issued();
        answer.querySelector("button")?.focus();
        announce("The token is issued. Copy it now: it is not shown again.");
      } catch (problem) {
        answer.replaceChildren(problemBox(problem));
      } finally {
        button.disabled = false;
      }
    },
  },
  h("h2", { id: "issue-token", tabindex: "-1" }, "Issue a token"),
  h("div", { class: "fields" },
    h("div", { class: "field" }, h("label", { for: "token-label" }, "Who is it for?"), label),
    h("div", { class: "field" }, h("label", { for: "token-ends" }, "Ends"), h("div", { class: "select" }, ends, icon("chevron"))),
    dayField),
  h("div", { class: "field" }, h("label", { for: "token-role" }, "Role"), h("div", { class: "select" }, role, icon("chevron")), may),
  button,
  answer);
}

/** The new token, in the only moment in which it can be seen. */
function once(made, done) {
  const field = h("input", { id: "new-token", type: "text", readonly: true, spellcheck: "false", value: made.token, onfocus: () => field.select() });
  const said = h("p", { class: "hint" });
  const copying = (words, text, then) => h("button", {
    class: "quiet", type: "button",
    onclick: async () => {
      const there = await copied(text);
      said.textContent = there ? then : "This browser does not let the page copy: mark it above and copy it yourself.";
      announce(said.textContent);
      if (!there) field.focus();
    },
  }, icon("copy"), words);
  return h("div", { class: "note good" },
    icon("check"),
    h("div", { class: "token-once" },
      h("p", { class: "note-title" }, "Copy it now: it is not shown again"),
      h("label", { for: "new-token", class: "unseen" }, "The new token"),
      field,
      h("div", { class: "actions" },
        copying("Copy the token", made.token, "The token is copied."),
        made.role === "integration" ? null : copying("Copy a sign-in link", `${location.origin}/#token=${made.token}`, "The link is copied: whoever opens it is signed in."),
        h("button", { class: "quiet", type: "button", onclick: done }, icon("close"), "I have it")),
      said));
}

// --- Words --------------------------------------------------------------------------------------

const withArticle = (role) => `${/^[aeio]/.test(role) ? "an" : "a"} ${role}`;

const onDay = (iso) => new Intl.DateTimeFormat("en", { day: "numeric", month: "long", year: "numeric" }).format(new Date(iso));

function after(days) {
  return new Date(Date.now() + days * 86_400_000);
}

/** As a date field has it, in the reader's own zone. */
function dateOf(moment) {
  const two = (part) => String(part).padStart(2, "0");
  return `${moment.getFullYear()}-${two(moment.getMonth() + 1)}-${two(moment.getDate())}`;
}
