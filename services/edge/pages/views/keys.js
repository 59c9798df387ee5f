// The keys to the providers: what state they are in, what to do about it, and adding one.

import { call, fresh, get, post } from "/pages/api.js";
import { announce, h, icon } from "/pages/dom.js";
import { ago, left, plural } from "/pages/words.js";
import { ownEndpoints } from "/pages/views/endpoints.js";
import { problemBox } from "/pages/views/problem.js";

const MEANING = {
  pending: "being checked",
  active: "in use",
  suspect: "being checked again",
  quarantined: "refused by the provider",
  disabled: "not in use",
  revoked: "revoked",
};

export async function keys(place, { providers, manages, changed }) {
  const list = h("div", { class: "stack" });
  const standing = h("div", { class: "stack" });
  place.replaceChildren(h("section", { class: "centred stack-wide" },
    h("header", {},
      h("h1", { tabindex: "-1" }, manages ? "Keys and providers" : "Providers"),
      manages ? h("p", { class: "lead" }, "A key is sealed on its way into the vault, encrypted there, and shown to nobody again.") : null),
    manages ? h("section", { class: "stack", "aria-labelledby": "your-keys" }, h("h2", { id: "your-keys" }, "Your keys"), list) : null,
    manages ? addForm(providers, async () => {
      await Promise.all([showKeys(list), showProviders()]);
    }) : null,
    manages ? ownEndpoints(async () => keys(place, { providers: await changed(), manages, changed })) : null,
    h("section", { class: "stack", "aria-labelledby": "providers" }, h("h2", { id: "providers" }, "Providers"), standing)));
  place.querySelector("h1").focus({ preventScroll: true });
  standing.replaceChildren(...providers.map(providerCard));
  await Promise.all([manages ? showKeys(list) : null, showProviders().catch(() => undefined)]);

  async function showProviders() {
    standing.replaceChildren(...(await changed()).map(providerCard));
  }
}

async function showKeys(list) {
  try {
    const found = (await get("/api/v1/keys"))?.items ?? [];
    const dead = found.some((key) => ["quarantined", "revoked"].includes(key.state) || (key.state === "disabled" && /^Replaced/.test(key.reason ?? "")));
    list.replaceChildren(...(found.length
      ? found.map((key) => keyCard(key, found, () => showKeys(list)))
      : [h("p", { class: "hint" }, "None yet. Until there is one, the tiny local model answers.")]),
    ...(dead ? [pruning(list)] : []));
  } catch (problem) {
    list.replaceChildren(problemBox(problem));
  }
}

/** Away with the keys that are of no more use. */
function pruning(list) {
  const answer = h("div", { "aria-live": "polite" });
  const prune = async () => {
    try {
      const removed = (await post("/api/v1/keys/prune", {}))?.items ?? [];
      await showKeys(list);
      announce(`${plural(removed.length, "key")} removed.`);
    } catch (problem) {
      answer.replaceChildren(problemBox(problem));
    }
  };
  const ask = () => answer.replaceChildren(confirmation(
    "Remove every key that was refused, replaced or revoked? Their secrets are destroyed here.",
    "Remove them", () => answer.replaceChildren(), prune));
  return h("div", { class: "stack" }, answer,
    h("div", { class: "actions" }, h("button", { class: "quiet", type: "button", onclick: ask }, icon("close"), "Remove dead keys")));
}

function keyCard(key, all, reload) {
  const answer = h("div", { class: "stack", "aria-live": "polite" });
  const address = `/api/v1/keys/${encodeURIComponent(key.id)}`;
  const name = key.label || key.provider;

  /** Do it with every button asleep; then show how the keys stand, or why it was not done. */
  async function act(doing, work) {
    for (const button of card.querySelectorAll("button")) button.disabled = true;
    answer.replaceChildren(h("p", { class: "hint" }, doing));
    try {
      const told = await work();
      await reload();
      document.querySelector(`[data-key="${CSS.escape(key.id)}"] .actions button`)?.focus();
      announce(`The key is ${told.state}.`);
    } catch (problem) {
      answer.replaceChildren(problemBox(problem));
    } finally {
      for (const button of card.querySelectorAll("button")) button.disabled = false;
    }
  }

  const action = (words, listener, picture = null) =>
    h("button", { class: "quiet", type: "button", "aria-label": `${words}: ${name}`, onclick: listener }, picture && icon(picture), words);
  const checking = "Asking the provider…";
  const inUse = !["disabled", "revoked"].includes(key.state);
  const actions = [
    inUse ? action("Check again", () => act(checking, () => post(`${address}/verify`)), "again") : null,
    inUse ? action("Rotate", () => answer.replaceChildren(rotation(key, close, (secret) => act(checking, () => post(`${address}/rotate`, { secret })))), "key") : null,
    inUse ? action("Disable", () => act("", () => post(`${address}/disable`)), "parked") : null,
    key.state === "disabled" ? action("Enable", () => act(checking, () => post(`${address}/enable`)), "check") : null,
    key.state === "revoked" ? null : action("Revoke", () => answer.replaceChildren(confirmation(
      "Revoke this key for ever? Its secret is destroyed here. At the provider it stays valid until you delete it there.",
      "Revoke for ever", close, () => act("", () => call("DELETE", address)))), "close"),
  ];

  function close() {
    answer.replaceChildren();
    card.querySelector(".actions button")?.focus();
  }

  const tone = { active: "good", quarantined: "bad", suspect: "held", pending: "held" }[key.state] ?? "";
  const card = h("article", { class: "card key", "data-key": key.id },
    h("div", { class: "key-head" },
      h("strong", {}, name), key.label ? h("span", { class: "hint" }, key.provider) : null,
      h("span", { class: `badge ${tone}` }, `${key.state}: ${MEANING[key.state] ?? ""}`)),
    h("dl", {},
      h("dt", {}, "Endpoint"), h("dd", {}, h("code", {}, key.endpoint)),
      h("dt", {}, "Fingerprint"), h("dd", {}, h("code", {}, key.fingerprint)),
      key.since ? [h("dt", {}, "Since"), h("dd", {}, h("time", { datetime: key.since }, ago(key.since)))] : null),
    key.pool ? h("p", { class: "hint" }, "Shares the work with the other keys in use.") : null,
    key.shares_limits_with?.length ? h("p", {}, `Shares the limits of ${sharing(key.shares_limits_with, all)}: the provider counts them as one account.`) : null,
    key.reason ? h("p", {}, key.reason) : null,
    key.next_step ? h("p", { class: "next" }, key.next_step) : null,
    answer,
    actions.some(Boolean) ? h("div", { class: "actions" }, actions) : null);
  return card;
}

/** The keys of the same account, by the names they have on this page. */
function sharing(ids, all) {
  const names = ids.map((id) => {
    const other = all.find((one) => one.id === id);
    return other?.label || other?.fingerprint || id;
  });
  return `the key${ids.length > 1 ? "s" : ""} ${names.join(", ")}`;
}

/** A question before something that cannot be undone; the safe answer has the focus. */
export function confirmation(question, words, close, done) {
  const no = h("button", { class: "quiet", type: "button", onclick: close }, "Keep it");
  const box = h("div", { class: "note bad", role: "group", "aria-label": question },
    icon("warning"),
    h("div", { class: "stack" }, h("p", {}, question),
      h("div", { class: "actions" }, h("button", { class: "strong", type: "button", onclick: done }, words), no)));
  queueMicrotask(() => no.focus());
  return box;
}

/** Where the new secret goes. The old one stays in use unless the provider takes this one. */
function rotation(key, close, done) {
  const id = `secret-${key.id}`;
  const secret = h("input", { id, type: "password", autocomplete: "off", spellcheck: "false", required: true });
  queueMicrotask(() => secret.focus());
  return h("form", {
    class: "stack",
    onsubmit: (event) => {
      event.preventDefault();
      done(secret.value);
    },
  },
  h("div", { class: "field" }, h("label", { for: id }, "New secret"), secret,
    h("p", { class: "hint" }, "It is tried first; the old one stays in use unless the provider takes this one.")),
  h("div", { class: "actions" }, h("button", { class: "strong" }, "Rotate the key"), h("button", { class: "quiet", type: "button", onclick: close }, "Never mind")));
}

function addForm(providers, added) {
  const keyed = providers.filter((provider) => provider.needs_key !== false);
  const provider = h("select", { id: "provider", onchange: () => showRegions() },
    keyed.map((row) => h("option", { value: row.name }, row.title)));
  const region = h("select", { id: "region" });
  const regionField = h("div", { class: "field" }, h("label", { for: "region" }, "Endpoint"), h("div", { class: "select" }, region, icon("chevron")),
    h("p", { class: "hint" }, "Accounts of one endpoint are unknown to the others: take the one that your key was made for."));
  const secret = h("input", { id: "secret", type: "password", autocomplete: "off", spellcheck: "false", required: true });
  const label = h("input", { id: "label", type: "text", autocomplete: "off", maxlength: "100" });
  const pool = h("input", { id: "pool", type: "checkbox" });
  const answer = h("div", { "aria-live": "polite" });
  const button = h("button", { class: "strong" }, "Add the key");

  function showRegions() {
    const regions = keyed.find((row) => row.name === provider.value)?.regions ?? [];
    regionField.hidden = regions.length < 2;
    region.replaceChildren(...regions.map((one) => h("option", { value: one.name }, one.endpoint ? `${one.endpoint} (${one.name})` : one.name)),
      h("option", { value: "auto" }, "Find out: the key may be shown to the other one too"));
  }
  showRegions();

  return h("form", {
    class: "card stack",
    "aria-labelledby": "add-key",
    onsubmit: async (event) => {
      event.preventDefault();
      button.disabled = true;
      answer.replaceChildren(h("p", { class: "hint" }, "Asking the provider…"));
      const wanted = { provider: provider.value, secret: secret.value };
      if (label.value.trim()) wanted.label = label.value.trim();
      if (!regionField.hidden && region.value) wanted.region = region.value;
      if (pool.checked) wanted.pool = true;
      try {
        const key = await post("/api/v1/keys", wanted, { headers: { "Idempotency-Key": fresh() } });
        secret.value = label.value = "";
        pool.checked = false;
        answer.replaceChildren(verdict(key));
        announce(`The key is ${key.state}.`);
        await added();
      } catch (problem) {
        answer.replaceChildren(problemBox(problem));
      } finally {
        button.disabled = false;
      }
    },
  },
  h("h2", { id: "add-key" }, "Add a key"),
  h("div", { class: "fields" },
    h("div", { class: "field" }, h("label", { for: "provider" }, "Provider"), h("div", { class: "select" }, provider, icon("chevron"))),
    h("div", { class: "field" }, h("label", { for: "label" }, "Label ", h("span", { class: "hint" }, "(if you like)")), label)),
  regionField,
  h("div", { class: "field" }, h("label", { for: "secret" }, "Key"), secret),
  h("div", { class: "field" },
    h("label", { for: "pool" }, pool, " Share the work with the keys in use"),
    h("p", { class: "hint" }, "Otherwise this key takes the place of the one before it. Worth it for keys of different accounts: those of one account share its limits.")),
  answer,
  button);
}

function verdict(key) {
  const good = key.state === "active";
  return h("div", { class: `note ${good ? "good" : key.state === "quarantined" ? "bad" : "held"}` },
    icon(good ? "check" : "warning"),
    h("div", {},
      h("p", { class: "note-title" }, good ? "The provider accepted the key: it is in use" : `The key is kept, and it is ${key.state}`),
      key.reason ? h("p", {}, key.reason) : null,
      key.next_step ? h("p", { class: "next" }, key.next_step) : null));
}

function providerCard(provider) {
  const limits = Object.entries(provider.limits ?? {}).map(([name, value]) => `${name} ${value}`).join(", ");
  const facts = [
    provider.available ? plural(provider.models ?? 0, "model") : "",
    limits ? `limits: ${limits}` : "",
    provider.in_flight ? `${provider.in_flight} being answered` : "",
    provider.waiting ? `${provider.waiting} waiting${provider.not_before ? `, next ${left(provider.not_before)}` : ""}` : "",
    provider.parked ? `${provider.parked} parked` : "",
  ].filter(Boolean).join(" · ");
  return h("article", { class: "card key" },
    h("div", { class: "key-head" },
      h("strong", {}, provider.title),
      h("span", { class: `badge ${provider.available ? "good" : ""}` }, provider.available ? "ready" : "not ready")),
    provider.endpoint ? h("p", { class: "hint" }, h("code", {}, provider.endpoint)) : null,
    provider.reason && !provider.available ? h("p", {}, provider.reason) : null,
    facts ? h("p", { class: "hint" }, facts) : null,
    (provider.gates ?? []).map((gate) => h("div", { class: "note held" }, icon("parked"), h("div", {},
      h("p", { class: "note-title" }, gate.failure?.title ?? gate.gate),
      gate.failure?.detail ? h("p", {}, gate.failure.detail) : null,
      gate.failure?.next_step ? h("p", { class: "next" }, gate.failure.next_step) : null))));
}
