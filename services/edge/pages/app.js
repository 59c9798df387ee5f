// The page: who is signed in, what the address asks for, and what every view needs to know.

import { call, get, openSession } from "/pages/api.js";
import { DiscussionView } from "/pages/views/discussion.js";
import { compose } from "/pages/views/compose.js";
import { keys } from "/pages/views/keys.js";
import { personas } from "/pages/views/personas.js";
import { problemBox } from "/pages/views/problem.js";
import { ProvidersView } from "/pages/views/providers.js";
import { Sidebar } from "/pages/views/sidebar.js";
import { signIn } from "/pages/views/signin.js";
import { RunView } from "/pages/views/run.js";
import { tokens } from "/pages/views/tokens.js";
import { usage } from "/pages/views/usage.js";
import { workflows } from "/pages/views/workflows.js";

const main = document.getElementById("main");
const sidebar = new Sidebar();
const known = { personas: [], models: [], providers: [], manages: false, writes: false };
let view = null;

/** A link with `#token=…` signs in; the token leaves the address, and the history, at once. */
async function arrive() {
  const token = /^#token=(.+)$/.exec(location.hash)?.[1];
  if (token) {
    history.replaceState(null, "", "#/");
    try {
      await openSession(decodeURIComponent(token));
    } catch (problem) {
      askWho(problem);
      return;
    }
  }
  await enter();
}

async function enter() {
  try {
    await Promise.all([learn(), sidebar.refresh()]);
  } catch (problem) {
    if (problem.status === 401) askWho();
    else lookLater(problem);
    return;
  }
  document.body.classList.add("inside");
  await show();
}

function askWho(problem = null) {
  document.body.classList.remove("inside");
  document.title = "Parley";
  leave();
  signIn(main, { signedIn: () => void enter(), problem });
}

/** The server is starting or gone: say so, and look again by ourselves, ever more slowly. */
function lookLater(problem, count = 0) {
  main.replaceChildren(Object.assign(document.createElement("section"), { className: "centred narrow" }));
  main.firstChild.append(problemBox(problem));
  setTimeout(() => {
    get("/api/v1/personas").then(() => enter(), (again) => (again.status === 401 ? askWho() : lookLater(again, count + 1)));
  }, Math.random() * Math.min(60_000, 2_000 * 2 ** count) + 500);
}

async function learn() {
  const [everyone, models, providers, session] = await Promise.all([
    get("/api/v1/personas"), get("/api/v1/models"), get("/api/v1/providers"), get("/api/v1/session"),
  ]);
  known.personas = everyone?.items ?? [];
  known.models = models?.items ?? [];
  known.providers = providers?.items ?? [];
  known.manages = ["owner", "admin"].includes(session?.role);
  known.writes = session?.role !== "viewer";
  foot();
  return known.providers;
}

function foot() {
  sidebar.readiness(known.providers, {
    manages: known.manages,
    signOut: () => void call("DELETE", "/api/v1/session").catch(() => undefined).finally(() => askWho()),
  });
}

function leave() {
  view?.close?.();
  view = null;
}

async function show() {
  leave();
  if (document.getElementById("side").classList.contains("open")) sidebar.toggle(false);
  const discussion = /^#\/d\/([\w-]+)$/.exec(location.hash)?.[1] ?? "";
  const run = /^#\/r\/([\w-]+)$/.exec(location.hash)?.[1] ?? "";
  sidebar.mark(discussion);
  foot();
  scrollTo(0, 0);
  if (discussion) {
    const opened = new DiscussionView(main, discussion, {
      personas: known.personas,
      writes: known.writes,
      renamed: refresh,
      deleted: () => {
        sidebar.forget(discussion);
        location.hash = "#/";
        refresh();
      },
      models: known.models,
      opened: (id) => {
        location.hash = `#/d/${id}`;
        refresh();
      },
      told: ({ title, state, problem }) => {
        if (problem?.status === 401) return askWho();
        document.title = `${title.slice(0, 80)} · Parley`;
        const before = opened.lastState;
        opened.lastState = state;
        sidebar.mark(discussion, { state });
        if (before !== undefined && before !== state) refresh();
      },
    });
    view = opened;
    await opened.open();
  } else if (location.hash === "#/providers") {
    document.title = "Providers · Parley";
    view = new ProvidersView(main, known);
  } else if (location.hash === "#/workflows") {
    document.title = "Workflows · Parley";
    await workflows(main, { started: (id) => (location.hash = `#/r/${id}`) });
  } else if (run) {
    const opened = new RunView(main, run, {
      told: ({ title, problem }) => {
        if (problem?.status === 401) return askWho();
        document.title = `${title.slice(0, 80)} · Parley`;
      },
      forked: (id) => (location.hash = `#/r/${id}`),
      deleted: () => (location.hash = "#/workflows"),
    });
    view = opened;
    await opened.open();
  } else if (location.hash === "#/keys") {
    document.title = "Keys and providers · Parley";
    await keys(main, { ...known, changed: learn });
  } else if (location.hash === "#/usage") {
    document.title = "Usage · Parley";
    await usage(main, known);
  } else if (location.hash === "#/personas") {
    document.title = "Personas · Parley";
    await personas(main, { ...known, changed: learn });
  } else if (location.hash === "#/tokens") {
    document.title = "Access tokens · Parley";
    await tokens(main, { manages: known.manages, left: () => askWho() });
  } else {
    document.title = "Parley";
    compose(main, {
      ...known,
      asked: (id) => {
        location.hash = `#/d/${id}`;
        refresh();
      },
    });
  }
}

/** What may have changed meanwhile; if nobody answers, what is shown stays. */
function refresh() {
  void Promise.all([sidebar.refresh(), learn()]).catch(() => undefined);
}

document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault(); // the address is the view's
  main.focus();
});

addEventListener("hashchange", () => {
  if (location.hash.startsWith("#token=")) void arrive();
  else if (document.body.classList.contains("inside")) void show();
});

document.addEventListener("visibilitychange", () => {
  if (document.visibilityState === "visible" && document.body.classList.contains("inside")) {
    refresh();
  }
});

void arrive();
