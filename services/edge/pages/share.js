// One stream a browser, however many tabs it has: HTTP/1.1 gives a browser six connections to a
// server, and seven tabs with a stream each would leave none to ask anything.
//
// The tabs agree on one that holds the stream (a Web Lock); it passes everything on (a
// BroadcastChannel). When it is closed the lock is free and the next tab takes over; when it does
// not answer, because the browser has put it to sleep, its lock is taken from it. Where the browser
// has no locks (a page over plain HTTP from another machine) each tab holds a stream of its own.

import { fresh } from "/pages/api.js";
import { Supervisor } from "/pages/supervisor.js";

const NAME = "parley.line";
/** Milliseconds for the tab that holds the stream to answer another one. */
const ANSWER = 5_000;

class Share {
  #followers = new Set();
  #supervisor = null; // in the tab that holds the stream
  #wants = new Map(); // there: id → the tabs that follow it
  #known = new Set(); // there: the tabs whose end it will hear of
  #tab = fresh();
  #channel = null;
  #alive = null;
  #silence = 0;

  constructor() {
    const back = () => this.#cameBack();
    addEventListener("online", back);
    document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && back());
  }

  /** Be told of `follower.id` what comes after `follower.version`; returns how to stop. */
  follow(follower) {
    this.#begin();
    this.#followers.add(follower);
    this.again(follower);
    return () => {
      if (!this.#followers.delete(follower)) return;
      if ([...this.#followers].some((other) => other.id === follower.id)) return;
      if (this.#supervisor) this.#leave(this.#tab, follower.id);
      else this.#post({ kind: "leave", tab: this.#tab, id: follower.id });
      if (!this.#followers.size) this.#hush();
    };
  }

  /** It misses something: what comes after its version is to be told once more. */
  again(follower) {
    if (this.#supervisor) {
      this.#join(this.#tab, follower.id, follower.version);
      return;
    }
    void this.#alive.then(() => {
      if (this.#supervisor || !this.#followers.has(follower)) return;
      this.#post({ kind: "join", tab: this.#tab, id: follower.id, version: follower.version });
      this.#silence ||= setTimeout(() => this.#stand(true), ANSWER);
    });
  }

  #begin() {
    if (this.#alive) return;
    if (!navigator.locks || !globalThis.BroadcastChannel) {
      this.#alive = Promise.resolve();
      this.#lead();
      return;
    }
    this.#channel = new BroadcastChannel(NAME);
    this.#channel.onmessage = ({ data }) => this.#heard(data);
    // Held for as long as this tab lives: that is how the others learn of its end.
    this.#alive = new Promise((held) => {
      void navigator.locks.request(`${NAME}.${this.#tab}`, () => {
        held();
        return new Promise(() => {});
      });
    });
    this.#stand(false);
  }

  /** Hold the stream as soon as nobody else does; `steal` it from one who is asleep. */
  #stand(steal) {
    this.#hush();
    const held = () => {
      this.#lead();
      return new Promise(() => {});
    };
    navigator.locks.request(NAME, steal ? { steal } : {}, held).catch(() => {
      // It was taken from us: we slept, or so it seemed.
      this.#supervisor?.stop();
      this.#supervisor = null;
      this.#stand(false);
      for (const follower of this.#followers) this.again(follower);
    });
  }

  #lead() {
    this.#hush();
    this.#wants.clear();
    this.#known.clear();
    this.#supervisor = new Supervisor((id, message) => this.#spread(id, message));
    this.#post({ kind: "leader" });
    for (const follower of this.#followers) this.#join(this.#tab, follower.id, follower.version);
  }

  // --- In the tab that holds the stream ------------------------------------------------------

  #join(tab, id, version) {
    if (!this.#wants.has(id)) this.#wants.set(id, new Set());
    this.#wants.get(id).add(tab);
    if (tab !== this.#tab && !this.#known.has(tab)) {
      this.#known.add(tab);
      void navigator.locks.request(`${NAME}.${tab}`, () => this.#gone(tab));
    }
    this.#supervisor.hurry();
    this.#supervisor.want(id, version, (_, message) => this.#spread(id, message, tab));
  }

  #leave(tab, id) {
    const tabs = this.#wants.get(id);
    if (!tabs?.delete(tab) || tabs.size) return;
    this.#wants.delete(id);
    this.#supervisor?.unwant(id);
  }

  #gone(tab) {
    this.#known.delete(tab);
    for (const id of [...this.#wants.keys()]) this.#leave(tab, id);
  }

  #spread(id, message, tab = "") {
    if (tab !== this.#tab) this.#post({ id, message, tab });
    if (!tab || tab === this.#tab) this.#deliver(id, message);
  }

  // --- In every tab --------------------------------------------------------------------------

  #heard(data) {
    if (data.message) {
      this.#hush();
      if (!data.tab || data.tab === this.#tab) this.#deliver(data.id, data.message);
    } else if (data.kind === "leader") {
      for (const follower of this.#followers) this.again(follower);
    } else if (this.#supervisor) {
      if (data.kind === "join") this.#join(data.tab, data.id, data.version);
      else if (data.kind === "leave") this.#leave(data.tab, data.id);
    }
  }

  #deliver(id, message) {
    for (const follower of [...this.#followers]) if (follower.id === id) follower.hear(message);
  }

  #cameBack() {
    if (this.#supervisor) this.#supervisor.hurry();
    else if (this.#alive) for (const follower of this.#followers) this.again(follower); // is anybody there?
  }

  #hush() {
    clearTimeout(this.#silence);
    this.#silence = 0;
  }

  #post(data) {
    this.#channel?.postMessage(data);
  }
}

/** This tab's part in it. */
export const share = new Share();
