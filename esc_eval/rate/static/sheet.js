// A sheet: one file in which one rater rates. What is clicked stands in the browser's storage at once, on the disk before
// it is said to be saved, and in the file that is exported.
(() => {
  const sheet = JSON.parse(document.getElementById("data").textContent);
  const { words, items, dimensions } = sheet;
  const KEY = `esc-eval-sheet:${sheet.id}`, IDLE = 60000, BREAK = 60 * sheet.break_after;
  const root = document.querySelector("[data-rating]");
  const one = (name, within = document) => within.querySelector(`[data-${name}]`);
  const all = (name) => document.querySelectorAll(`[data-${name}]`);
  const fill = (key, values = {}) => words[key].replace(/\{(\w+)\}/g, (whole, name) => (name in values ? String(values[name]) : whole));
  const now = () => new Date().toISOString();
  const make = (tag, attributes, ...inside) => {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    made.append(...inside);
    return made;
  };

  // ---- what was said: by dialogue what stands, and every click in its order
  let state = { at: 0, begun: false, answers: {}, history: [] };
  let missing = false, active = 0, since = 0, touched = Date.now();
  const read = () => { try { return JSON.parse(localStorage.getItem(KEY)); } catch { return null; } };
  const isState = (found) => Boolean(found) && Array.isArray(found.history) && Boolean(found.answers) && typeof found.answers === "object";
  const answer = (id) => (state.answers[id] ??= { clicks: {}, note: null });
  const isDone = ({ id }) => dimensions.every((key) => state.answers[id]?.clicks[key]);

  // The browser's storage of texts is shared with other windows at once, and on the disk some seconds later; its database
  // says when it is on the disk. What stands in either is there again after a crash.
  let database = null, stores = 0;
  const opened = new Promise((resolve) => {
    try {
      const asked = indexedDB.open("esc-eval-sheets", 1);
      asked.onupgradeneeded = () => asked.result.createObjectStore("states");
      asked.onsuccess = () => resolve(asked.result);
      asked.onerror = asked.onblocked = () => resolve(null);
    } catch { resolve(null); }
  });
  const attend = (asked, done) => new Promise((resolve) => {
    asked[done] = () => resolve(asked);
    asked.onerror = asked.onabort = () => resolve(null);
  });
  async function readDisk() {
    database = await opened;
    if (!database) return null;
    const found = await attend(database.transaction("states").objectStore("states").get(KEY), "onsuccess");
    try { return JSON.parse(found.result); } catch { return null; }
  }
  function store() {
    const text = JSON.stringify(state), number = ++stores;
    let kept = true;
    try { localStorage.setItem(KEY, text); } catch { kept = false; }
    if (!database) { settle(kept); return; }
    tell("busy", words.saving);
    try {
      const writing = database.transaction("states", "readwrite", { durability: "strict" });
      writing.objectStore("states").put(text, KEY);
      attend(writing, "oncomplete").then((done) => { if (number === stores) settle(kept || done !== null); });
    } catch { settle(kept); }
  }
  function settle(kept) {
    missing = !kept;
    one("lost").hidden = kept;
    tell(kept ? "saved" : "unsaved", kept ? words.saved : words.unsaved);
  }
  function tell(kind, sentence) {
    one("status").dataset.state = kind;
    one("status").textContent = sentence;
  }
  function record(kind, dimension, value, text) {
    const item = items[state.at], own = answer(item.id), time = now();
    state.history.push({ item: item.id, kind, dimension, value, text, time });
    if (kind === "note") own.note = { text, time };
    else {
      const seconds = Math.round((active + (own.clicks[dimension]?.seconds ?? 0)) * 10) / 10;
      own.clicks[dimension] = { kind, value, text, time, seconds };
      active = 0;
    }
    store();
    count();
  }
  function merge(other) {
    // of two states of one sheet the later word stands, question by question; no click is lost
    for (const [id, theirs] of Object.entries(other.answers)) {
      if (!items.some((item) => item.id === id)) continue;
      const own = answer(id);
      for (const key of dimensions) {
        const click = theirs.clicks?.[key];
        if (click && (!own.clicks[key] || own.clicks[key].time < click.time)) own.clicks[key] = click;
      }
      if (theirs.note && (!own.note || own.note.time < theirs.note.time)) own.note = theirs.note;
    }
    const known = new Set(state.history.map((click) => JSON.stringify(click)));
    state.history.push(...other.history.filter((click) => !known.has(JSON.stringify(click))));
    state.history.sort((a, b) => (a.time < b.time ? -1 : a.time > b.time ? 1 : 0));
    state.begun ||= Boolean(other.begun);
  }

  // ---- seconds of activity: the page is in view, and somebody moved in the last minute
  for (const name of ["pointerdown", "pointermove", "keydown", "scroll", "touchstart"]) {
    addEventListener(name, () => { touched = Date.now(); }, { passive: true, capture: true });
  }
  let looked = Date.now();
  setInterval(() => {
    const spent = Math.min(Date.now() - looked, 5000) / 1000;
    looked = Date.now();
    if (document.visibilityState !== "visible" || shown() !== "item" || looked - touched > IDLE) return;
    active += spent;
    since += spent;
    if (since >= BREAK) one("break-notice").hidden = false;
  }, 500);
  one("break-close").addEventListener("click", () => { since = 0; one("break-notice").hidden = true; questions.resume(); });

  // ---- pages
  const shown = () => [...all("page")].find((page) => !page.hidden)?.dataset.page;
  function open(name) {
    questions.saveNote();
    for (const page of all("page")) page.hidden = page.dataset.page !== name;
    if (name === "list") drawList();
    count();
    scrollTo(0, 0);
    document.querySelector(`[data-page="${name}"] h1`).focus({ preventScroll: true });
  }
  function count() {
    const done = items.filter(isDone);
    for (const place of all("where")) place.textContent = fill("where", { done: done.length, total: items.length });
    root.querySelector("progress").value = done.length;
    const paces = done.map(({ id }) => dimensions.reduce((sum, key) => sum + answer(id).clicks[key].seconds, 0)).sort((a, b) => a - b);
    const minutes = paces.length ? Math.max(1, Math.round((paces[paces.length >> 1] * (items.length - done.length)) / 60)) : null;
    one("minutes").textContent = minutes && done.length < items.length ? `; ${fill("minutes_left", { minutes })}` : "";
    one("all-done").hidden = done.length < items.length;
    one("begin").textContent = state.begun ? words.go_on : words.begin;
  }
  function drawList() {
    one("list").replaceChildren(...items.map((item, at) => {
      const link = make("button", { type: "button", class: "quiet" }, fill("dialogue_n", { n: at + 1, total: items.length }));
      link.addEventListener("click", () => go(at));
      const begun = Object.keys(state.answers[item.id]?.clicks ?? {}).length > 0;
      return make("tr", {}, make("td", {}, link), make("td", {}, words[isDone(item) ? "list_state_done" : begun ? "list_state_begun" : "list_state_open"]));
    }));
  }
  function draw() {
    const item = items[state.at], own = answer(item.id);
    document.getElementById("item-title").textContent = fill("dialogue_n", { n: state.at + 1, total: items.length });
    one("chat").lang = one("card").lang = item.language;
    one("chat").replaceChildren(...item.turns.map(([role, text, cut]) => {
      const turn = make("li", { class: `turn ${role}`, dir: "auto" },
        make("span", { class: "who", lang: sheet.language, dir: "ltr" }, words[role]), text);
      const odd = text.trim() ? (cut ? words.cut : null) : words.nothing_said;
      if (odd) turn.append(" ", make("span", { class: "odd", lang: sheet.language }, odd));
      return turn;
    }));
    one("card").textContent = item.card ?? words.rolecard_none;
    for (const key of dimensions) {
      const click = own.clicks[key];
      questions.show(click?.kind ?? "level", key, click ? (click.kind === "level" ? click.value : click.text) : null);
    }
    questions.show("note", null, own.note?.text ?? "");
    root.querySelector("button[data-back]").disabled = state.at === 0;
    one("status").textContent = own.note || Object.keys(own.clicks).length ? words.saved : "";
  }
  function go(at) {
    questions.saveNote();
    if (at < 0) return;
    if (at >= items.length) { open("list"); return; }
    active = 0;
    state.at = at;
    state.begun = true;
    draw();
    open("item");
    questions.begin();
    store();
  }
  const questions = askQuestions(root, words, {
    record,
    leave: (where) => go(state.at + (where === "next" ? 1 : -1)),
    back: () => state.at > 0,
    tell: (sentence) => tell("busy", sentence),
  });
  root.querySelector("button[data-back]").addEventListener("click", () => go(state.at - 1));
  one("begin").addEventListener("click", () => {
    const first = items.findIndex((item) => !isDone(item));
    go(state.begun && !isDone(items[state.at]) ? state.at : Math.max(0, first));
  });
  for (const button of all("open")) button.addEventListener("click", () => open(button.dataset.open));

  // ---- out of this browser, and into another
  function exported() {
    const ratings = items.flatMap(({ id }, order) => dimensions.flatMap((dimension) => {
      const click = state.answers[id]?.clicks[dimension];
      if (!click) return [];
      const why = sheet.reasons[click.text] ?? sheet.other_reason.replace("{reason}", () => click.text);
      const apart = sheet.not_applicable && click.text === "not_applicable" ? { not_applicable: true } : { problem: why };
      const said = click.kind === "level" ? { score: click.value } : apart;
      const note = state.answers[id].note?.text.trim();
      return [{ dialogue_id: id, dimension, rater: sheet.rater, rater_kind: "human", rubric: sheet.rubric, ...said,
        stage: "first", order, time: click.time, seconds: click.seconds, ...(note ? { note } : {}) }];
    }));
    return { format: sheet.format, sheet: sheet.id, rater: sheet.rater, rubric: sheet.rubric, levels: sheet.levels, dimensions,
      items: items.map(({ id }) => id), made_by: sheet.made_by, exported: now(), ratings, state };
  }
  one("export").addEventListener("click", () => {
    questions.saveNote();
    const url = URL.createObjectURL(new Blob([JSON.stringify(exported(), null, 1)], { type: "application/json" }));
    const link = make("a", { href: url, download: `${sheet.file}.json` });
    document.body.append(link);
    link.click();
    link.remove();
    setTimeout(() => URL.revokeObjectURL(url), 60000);
    missing = false;
    one("exported").textContent = fill("exported", { file: `${sheet.file}.json` });
  });
  document.getElementById("load").addEventListener("change", async (event) => {
    const [file] = event.target.files;
    let found = null;
    try { found = JSON.parse(await file.text()); } catch { /* said below */ }
    const ours = found?.format === sheet.format && isState(found.state), fits = ours && found.sheet === sheet.id;
    if (fits) { merge(found.state); store(); count(); }
    one("loaded").textContent = fill(fits ? "loaded" : ours ? "other_sheet" : "no_answers", { file: file.name });
    event.target.value = "";
  });
  addEventListener("storage", (event) => {
    // another window has the same sheet: what is said there stands here too
    const theirs = event.key === KEY ? read() : null;
    if (!isState(theirs)) return;
    questions.saveNote();
    merge(theirs);
    if (shown() === "item") { draw(); open("item"); questions.begin(); } else open(shown());
  });
  addEventListener("beforeunload", (event) => { questions.saveNote(); if (missing && state.begun) event.preventDefault(); });

  // ---- begin
  readDisk().then((onDisk) => {
    for (const before of [onDisk, read()].filter(isState)) {
      merge(before);
      if (Number.isInteger(before.at)) state.at = Math.min(Math.max(0, before.at), items.length - 1);
    }
    store();
    open("start");
    root.dataset.ready = "";
  });
})();
