"use strict";
// The questions on what is shown: levels, reasons, a note, and keys. Whoever has them says what becomes of an answer.
// root: holds a [data-panel] and, maybe, a [data-back]. hooks: record(kind, dimension, value, text), leave(where), where
// "next" or "back"; tell(sentence); back() says whether there is a way back.
const askQuestions = (root, words, hooks) => {
  const attempt = (work, otherwise) => { try { return work(); } catch { return otherwise; } };
  const dimensions = [...root.querySelectorAll("[data-dimension]")];
  const note = root.querySelector("[data-note]");
  const go = root.querySelector("[data-go]");
  const radios = (box) => [...box.querySelectorAll("input[type=radio]")];
  const isAnswered = (box) => "cannot" in box.dataset || radios(box).some((radio) => radio.checked);
  const firstOpen = () => dimensions.find((box) => !isAnswered(box));
  const current = () => root.querySelector(".dimension.current") || dimensions[0];
  const find = (key) => dimensions.find((box) => box.dataset.dimension === key);

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
    if (Number.isNaN(Number(radio.value))) { takeCannot(box, radio.value); return; }
    showLevel(box, Number(radio.value));
    hooks.record("level", box.dataset.dimension, Number(radio.value), null);
  }
  function showLevel(box, value) {
    delete box.dataset.cannot;
    box.querySelector("[data-verdict]").hidden = true;
    for (const radio of radios(box)) radio.checked = value !== null && Number(radio.value) === value;
  }
  function showCannot(box, reason) {
    box.dataset.cannot = "";
    for (const radio of radios(box)) radio.checked = radio.value === reason;  // "not applicable" may be an answer to choose
    const verdict = box.querySelector("[data-verdict]");
    verdict.textContent = verdict.dataset.text.replace("{reason}", wordsOf(box, reason));
    verdict.hidden = radios(box).some((radio) => radio.checked);
  }
  const wordsOf = (box, reason) => {
    const option = [...box.querySelector("[data-reason]:is(select)").options].find((one) => one.value === reason);
    return reason && option ? option.textContent : reason;
  };
  function takeCannot(box, reason) {
    showCannot(box, reason);
    hooks.record("cannot", box.dataset.dimension, null, reason);
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
      typed.value = "";
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
    hooks.record("note", null, null, noted);
  }
  function showNote(text) { clearTimeout(noteTimer); note.value = noted = text; }
  note.addEventListener("input", () => { clearTimeout(noteTimer); noteTimer = setTimeout(saveNote, 800); });
  note.addEventListener("change", saveNote);

  // ---- next
  function next() {
    const open = dimensions.filter((box) => !isAnswered(box));
    if (open.length) {
      hooks.tell(words.open.replace("{n}", open.length));
      focusOn(open[0]);
      return;
    }
    hooks.leave("next");
  }
  go.addEventListener("click", next);
  root.querySelector("[data-panel]").addEventListener("submit", (event) => event.preventDefault());

  // ---- keys
  const keysOn = root.querySelector("[data-keys]");
  keysOn.checked = attempt(() => localStorage.getItem("esc-eval-keys") !== "off", true);
  keysOn.addEventListener("change", () => attempt(() => localStorage.setItem("esc-eval-keys", keysOn.checked ? "on" : "off")));
  addEventListener("keydown", (event) => {
    if (root.closest("[hidden]") || event.ctrlKey || event.altKey || event.metaKey || event.isComposing) return;
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
    const key = event.key.toLowerCase();
    const radio = radios(box).find((one) => one.dataset.key === key);
    if (radio) { event.preventDefault(); choose(box, radio); }
    else if (key === "x") { event.preventDefault(); openWhy(box, true); }
    else if (key === "n") { event.preventDefault(); note.focus(); }
    else if (key === "b" && hooks.back()) { event.preventDefault(); hooks.leave("back"); }
    else if (key === "c") {
      const firsts = [...box.querySelectorAll("[data-first]")];
      const same = firsts.every((one) => one.dataset.value === firsts[0].dataset.value && one.dataset.reason === firsts[0].dataset.reason);
      if (firsts.length && same) { event.preventDefault(); confirmFirst(box, firsts[0]); }
    }
  });

  return {
    // Show an answer as it stands: of a dimension a level (a number), a reason (a text) or nothing (null); or the note.
    show(kind, key, value) {
      if (kind === "note") showNote(value || "");
      else if (kind === "cannot") showCannot(find(key), value);
      else showLevel(find(key), value);
    },
    // Go to the first question that is open; on a phone, where what is read comes first, without moving there.
    begin() {
      if (matchMedia("(max-width: 63.99rem)").matches) root.querySelector(".rolecard-box").open = false;
      makeCurrent(firstOpen() || dimensions[0]);
      if (matchMedia("(min-width: 64rem)").matches) focusOn(current());
    },
    saveNote,
    resume: () => focusOn(current()),
  };
};
