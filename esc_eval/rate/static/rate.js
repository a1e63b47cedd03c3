"use strict";
// Rating one dialogue or pair. Every click is put into localStorage, sent, and taken out when the server has it on disk.
(() => {
  const root = document.querySelector("[data-rating]");
  if (!root) return;
  const words = JSON.parse(root.dataset.words);
  const fill = (key, values = {}) => words[key].replace(/\{(\w+)\}/g, (all, name) => (name in values ? values[name] : all));
  const item = root.dataset.item;
  const prefix = `esc-eval-rate:${root.dataset.rater}:`;
  const status = root.querySelector("[data-status]");

  // ---- storage that may be missing (private windows)
  const attempt = (work, otherwise) => { try { return work(); } catch { return otherwise; } };
  const keep = (click) => attempt(() => localStorage.setItem(prefix + click.id, JSON.stringify(click)));
  const drop = (click) => attempt(() => localStorage.removeItem(prefix + click.id));
  const kept = () => attempt(() => Object.keys(localStorage).filter((key) => key.startsWith(prefix))
    .map((key) => JSON.parse(localStorage.getItem(key))).sort((a, b) => a.made - b.made || a.n - b.n), []);
  const makeId = () => [...crypto.getRandomValues(new Uint8Array(12))].map((byte) => byte.toString(16).padStart(2, "0")).join("");

  // ---- seconds of activity: the page is in view, and somebody moved in the last minute
  let active = 0, touched = Date.now(), looked = Date.now();
  const look = () => {
    const now = Date.now();
    if (document.visibilityState === "visible" && now - touched < 60000) {
      const spent = Math.min(now - looked, 5000) / 1000;
      active += spent;
      attempt(() => sessionStorage.setItem("esc-eval-active", String(Number(sessionStorage.getItem("esc-eval-active") || 0) + spent)));
    }
    looked = now;
  };
  for (const name of ["pointerdown", "pointermove", "keydown", "scroll", "touchstart"]) {
    addEventListener(name, () => { look(); touched = Date.now(); }, { passive: true });
  }
  document.addEventListener("visibilitychange", look);
  const breakNotice = root.querySelector("[data-break-notice]");
  setInterval(() => {
    look();
    const since = Number(attempt(() => sessionStorage.getItem("esc-eval-active"), 0) || 0);
    if (since >= 60 * Number(root.dataset.break) && breakNotice.hidden) breakNotice.hidden = false;
  }, 1000);
  root.querySelector("[data-break-close]").addEventListener("click", () => {
    attempt(() => sessionStorage.setItem("esc-eval-active", "0"));
    breakNotice.hidden = true;
    questions.resume();
  });

  // ---- what waits to be saved
  const waiting = kept();
  const versions = { [item]: Number(root.dataset.version) };
  let sending = false, wait = 500, timer = null, leavingTo = null, refused = false, count = 0;

  function say(state, text) {
    if (status.textContent !== text) status.textContent = text;
    status.dataset.state = state;
  }
  function record(kind, dimension, value, text) {
    look();
    const click = { id: makeId(), item, base: versions[item], kind, dimension, value, text, seconds: Math.round(active * 10) / 10, made: Date.now(), n: count++ };
    active = 0;
    waiting.push(click);
    keep(click);
    if (!sending && timer === null) say("busy", words.saving);
    send();
  }
  async function send() {
    if (sending || refused || !waiting.length) return;
    clearTimeout(timer);
    timer = null;
    sending = true;
    const of = waiting[0].item;
    const batch = [];
    let length = 0;
    for (const click of waiting) {  // as much as a request can be long
      if (click.item !== of) continue;
      length += 300 + (click.text || "").length;
      if (batch.length && length > 60000) break;
      batch.push(click);
    }
    const body = JSON.stringify({
      item: of,
      base: batch[0].base,
      clicks: batch.map(({ id, kind, dimension, value, text, seconds, made }) => ({ id, kind, dimension, value, text, seconds, age: Math.max(0, (Date.now() - made) / 1000) })),
    });
    const abort = new AbortController();
    const limit = setTimeout(() => abort.abort(), 10000);
    let answer = null;
    try {
      answer = await fetch(root.dataset.save, {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body,
        signal: abort.signal,
        keepalive: body.length < 20000,  // browsers refuse what is longer than 64 KiB
      });
      if (answer.ok) {
        const version = (await answer.json()).version;
        versions[of] = version;
        for (const click of batch) { waiting.splice(waiting.indexOf(click), 1); drop(click); }
        for (const click of waiting) if (click.item === of) { click.base = version; keep(click); }
        wait = 500;
      }
    } catch { answer = null; }
    clearTimeout(limit);
    sending = false;
    if (answer && answer.ok) {
      if (waiting.length) return send();
      say("saved", words.saved);
      if (leavingTo !== null) location.assign(leavingTo);
      return;
    }
    if (answer && answer.status === 409) {
      for (const click of batch) { waiting.splice(waiting.indexOf(click), 1); drop(click); }
      attempt(() => sessionStorage.setItem("esc-eval-conflict", String(batch.length)));
      location.reload();
      return;
    }
    if (answer && [400, 401, 403, 404, 413, 415, 422].includes(answer.status)) {
      refused = true;
      say("unsaved", fill("refused", { why: String(answer.status) }));
      return;
    }
    say("unsaved", fill("unsaved", { n: waiting.length }));
    timer = setTimeout(() => { timer = null; send(); }, wait);
    wait = Math.min(wait * 2, 5000);
  }
  addEventListener("online", () => { wait = 500; clearTimeout(timer); timer = null; send(); });
  addEventListener("beforeunload", (event) => { if (waiting.length && !refused) event.preventDefault(); });
  addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });

  function leave(place) {
    questions.saveNote();
    if (!waiting.length || refused) return location.assign(place);
    leavingTo = place;
    if (status.dataset.state !== "unsaved") say("busy", words.leaving);
    send();
  }
  for (const link of document.querySelectorAll("a[data-leave]")) {
    link.addEventListener("click", (event) => { event.preventDefault(); leave(link.getAttribute("href")); });
  }

  const questions = askQuestions(root, words, {
    record,
    leave: (where) => leave(where === "next" ? root.dataset.next : root.dataset.back),
    back: () => root.dataset.back !== "",
    tell: (sentence) => { if (status.dataset.state !== "unsaved") say("busy", sentence); },
  });

  // ---- begin: what an earlier window left unsent is shown and sent
  for (const click of waiting.filter((one) => one.item === item)) {
    questions.show(click.kind, click.dimension, click.kind === "level" ? click.value : click.text);
  }
  const conflict = attempt(() => sessionStorage.getItem("esc-eval-conflict"), null);
  if (conflict) {
    attempt(() => sessionStorage.removeItem("esc-eval-conflict"));
    const notice = root.querySelector("[data-conflict]");
    notice.textContent = fill("conflict", { n: conflict });
    notice.hidden = false;
  }
  questions.begin();
  if (waiting.length) { say("busy", words.saving); send(); }
  root.dataset.ready = "";
})();
