"use strict";
// Left and right go to what stands before and behind, where a page says what that is.
addEventListener("keydown", (event) => {
  const rel = { ArrowLeft: "prev", ArrowRight: "next" }[event.key];
  if (!rel || event.defaultPrevented || event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
  if (event.target.closest("input, select, textarea, summary, [tabindex='0']")) return;
  const link = document.querySelector(`a[rel="${rel}"]`);
  if (link) { event.preventDefault(); link.click(); }
});
// A choice in a list is shown at once; without this script the button does it.
for (const form of document.querySelectorAll("form.filters")) {
  form.addEventListener("submit", () => {
    for (const field of form.elements) if (field.name && !field.value) field.disabled = true; // a short address
  });
}
addEventListener("pageshow", () => { for (const field of document.querySelectorAll("form.filters :disabled")) field.disabled = false; });
