"use strict";
// Rating one dialogue or pair. Every click is put into localStorage, sent, and taken out when the server has it on disk.
(() => {
  const root = document.querySelector("[data-rating]");
  if (!root) return;
  const words = JSON.parse(root.dataset.words);
  const fill = (key, values = {}) => words[key].replace(/\{(\w+)\}/g, (all, name) => (name in values ? values[name] : all));
  const item = root.dataset.item;
  const prefix = `esc-eval-rate:${root.dataset.rater}:`;
  const panel = root.querySelector("[data-panel]");
  const status = root.querySelector("[data-status]");
  const dimensions = [...root.querySelectorAll("[data-dimension]")];
  const note = root.querySelector("[data-note]");
  const go = root.querySelector("[data-go]");

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
    focusOn(current());
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
    const batch = waiting.filter((click) => click.item === of).slice(0, 200);
    const abort = new AbortController();
    const limit = setTimeout(() => abort.abort(), 10000);
    let answer = null;
    try {
      answer = await fetch(root.dataset.save, {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify({
          item: of,
          base: batch[0].base,
          clicks: batch.map(({ id, kind, dimension, value, text, seconds, made }) => ({ id, kind, dimension, value, text, seconds, age: Math.max(0, (Date.now() - made) / 1000) })),
        }),
        signal: abort.signal,
        keepalive: true,
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
    saveNote();
    if (!waiting.length || refused) return location.assign(place);
    leavingTo = place;
    if (status.dataset.state !== "unsaved") say("busy", words.leaving);
    send();
  }
  for (const link of document.querySelectorAll("a[data-leave]")) {
    link.addEventListener("click", (event) => { event.preventDefault(); leave(link.getAttribute("href")); });
  }

  // ---- questions
  const radios = (box) => [...box.querySelectorAll("input[type=radio]")];
  const isAnswered = (box) => "cannot" in box.dataset || radios(box).some((radio) => radio.checked);
  const firstOpen = () => dimensions.find((box) => !isAnswered(box));
  const current = () => root.querySelector(".dimension.current") || dimensions[0];

  function makeCurrent(box) {
    for (const other of dimensions) other.classList.toggle("current", other === box);
  }
  function focusOn(box) {
    makeCurrent(box);
    const radio = radios(box).find((one) => one.checked) || radios(box)[0];
    radio.focus({ preventScroll: true });
    box.scrollIntoView({ block: "nearest" });
  }
  function goOn(box) {
    const after = dimensions.slice(dimensions.indexOf(box) + 1).find((one) => !isAnswered(one)) || firstOpen();
    if (after) focusOn(after);
    else go.focus();
  }
  function choose(box, radio) {
    radio.checked = true;
    takeLevel(box, radio);
    goOn(box);
  }
  function takeLevel(box, radio) {
    delete box.dataset.cannot;
    box.querySelector("[data-verdict]").hidden = true;
    record("level", box.dataset.dimension, Number(radio.value), null);
  }
  function showCannot(box, words_) {
    box.dataset.cannot = "";
    for (const radio of radios(box)) radio.checked = false;
    const verdict = box.querySelector("[data-verdict]");
    verdict.textContent = verdict.dataset.text.replace("{reason}", words_);
    verdict.hidden = false;
  }
  const wordsOf = (box, reason) => {
    const option = [...box.querySelector("[data-reason]:is(select)").options].find((one) => one.value === reason);
    return reason && option ? option.textContent : reason;
  };
  function takeCannot(box, reason) {
    showCannot(box, wordsOf(box, reason));
    record("cannot", box.dataset.dimension, null, reason);
  }
  function openWhy(box, open) {
    const button = box.querySelector("[data-cannot-open]"), why = box.querySelector("[data-why]");
    why.hidden = !open;
    button.setAttribute("aria-expanded", String(open));
    if (open) why.querySelector("select").focus();
    else focusOn(box);
  }

  let byArrow = false;
  addEventListener("keydown", (event) => { byArrow = event.key.startsWith("Arrow"); }, true);
  addEventListener("pointerdown", () => { byArrow = false; }, true);

  for (const box of dimensions) {
    box.addEventListener("focusin", () => makeCurrent(box));
    box.querySelector("legend").addEventListener("click", () => focusOn(box));
    for (const radio of radios(box)) {
      radio.addEventListener("change", () => {
        takeLevel(box, radio);
        if (!byArrow) goOn(box);
      });
    }
    const select = box.querySelector("select"), other = box.querySelector("[data-other]"), typed = box.querySelector("[data-other-text]");
    box.querySelector("[data-cannot-open]").addEventListener("click", () => openWhy(box, box.querySelector("[data-why]").hidden));
    box.querySelector("[data-cannot-cancel]").addEventListener("click", () => openWhy(box, false));
    select.addEventListener("change", () => { other.hidden = select.value !== ""; });
    box.querySelector("[data-cannot-save]").addEventListener("click", () => {
      const reason = select.value || typed.value.trim();
      if (!reason) { typed.focus(); return; }
      takeCannot(box, reason);
      openWhy(box, false);
      goOn(box);
    });
    for (const button of box.querySelectorAll("[data-confirm]")) {
      button.addEventListener("click", () => confirmFirst(box, button.closest("[data-first]")));
    }
  }
  function confirmFirst(box, first) {
    if (first.dataset.value === "") { takeCannot(box, first.dataset.reason); goOn(box); return; }
    choose(box, radios(box).find((radio) => radio.value === first.dataset.value));
  }

  // ---- note
  let noted = note.value, noteTimer = null;
  function saveNote() {
    clearTimeout(noteTimer);
    if (note.value === noted) return;
    noted = note.value;
    record("note", null, null, noted);
  }
  note.addEventListener("input", () => { clearTimeout(noteTimer); noteTimer = setTimeout(saveNote, 800); });
  note.addEventListener("change", saveNote);

  // ---- next
  function next() {
    const open = dimensions.filter((box) => !isAnswered(box));
    if (open.length) {
      if (status.dataset.state !== "unsaved") say("busy", fill("open", { n: open.length }));
      focusOn(open[0]);
      return;
    }
    leave(root.dataset.next);
  }
  go.addEventListener("click", next);
  panel.addEventListener("submit", (event) => event.preventDefault());

  // ---- keys
  const keysOn = root.querySelector("[data-keys]");
  keysOn.checked = attempt(() => localStorage.getItem("esc-eval-keys") !== "off", true);
  keysOn.addEventListener("change", () => attempt(() => localStorage.setItem("esc-eval-keys", keysOn.checked ? "on" : "off")));
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || event.isComposing) return;
    const at = event.target;
    const isText = at.matches("textarea, select, input:not([type=radio]):not([type=checkbox])");
    if (event.key === "Escape") {
      const why = at.closest ? at.closest("[data-why]") : null;
      if (why) openWhy(why.closest("[data-dimension]"), false);
      else if (isText) { saveNote(); focusOn(current()); }
      return;
    }
    if (isText) {
      if (event.key === "Enter" && at.matches("[data-other-text]")) { event.preventDefault(); at.closest("[data-why]").querySelector("[data-cannot-save]").click(); }
      return;
    }
    if (event.key === "Enter" && !at.matches("button, a, summary")) { event.preventDefault(); next(); return; }
    if (!keysOn.checked || event.repeat) return;
    const box = current();
    const radio = radios(box).find((one) => one.dataset.key === event.key);
    const key = event.key.toLowerCase();
    if (radio) { event.preventDefault(); choose(box, radio); }
    else if (key === "x") { event.preventDefault(); openWhy(box, true); }
    else if (key === "n") { event.preventDefault(); note.focus(); }
    else if (key === "b" && root.dataset.back) { event.preventDefault(); leave(root.dataset.back); }
    else if (key === "c") {
      const first = box.querySelector("[data-first]");
      if (first) { event.preventDefault(); confirmFirst(box, first); }
    }
  });

  // ---- begin: what an earlier window left unsent is shown and sent
  for (const click of waiting.filter((one) => one.item === item)) {
    const box = dimensions.find((one) => one.dataset.dimension === click.dimension);
    if (click.kind === "note") { note.value = click.text || ""; noted = note.value; }
    else if (click.kind === "cannot") showCannot(box, wordsOf(box, click.text));
    else {
      delete box.dataset.cannot;
      box.querySelector("[data-verdict]").hidden = true;
      radios(box).find((radio) => Number(radio.value) === click.value).checked = true;
    }
  }
  const conflict = attempt(() => sessionStorage.getItem("esc-eval-conflict"), null);
  if (conflict) {
    attempt(() => sessionStorage.removeItem("esc-eval-conflict"));
    const notice = root.querySelector("[data-conflict]");
    notice.textContent = fill("conflict", { n: conflict });
    notice.hidden = false;
  }
  if (matchMedia("(max-width: 63.99rem)").matches) root.querySelector(".rolecard-box").open = false;
  makeCurrent(firstOpen() || dimensions[0]);
  if (matchMedia("(min-width: 64rem)").matches) focusOn(current());
  if (waiting.length) { say("busy", words.saving); send(); }
  root.dataset.ready = "";
})();
