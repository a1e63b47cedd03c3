// Choose dialogues of one supporter, and find words in what was said in them.
addEventListener("DOMContentLoaded", () => {
  const form = document.querySelector("[data-choose]");
  const supporter = document.getElementById("supporter"), find = document.getElementById("find");
  const told = document.querySelector("[data-found]");
  const fold = (text) => text.normalize("NFKC").toLowerCase().replace(/[\u2018\u2019]/g, "'").replace(/[\u201c\u201d]/g, '"').replace(/\s+/g, " ");
  const all = [...document.querySelectorAll("details.dialogue")];
  const said = new Map();
  const read = (one) => {
    if (!said.has(one)) said.set(one, fold([...one.querySelectorAll(".said")].map((turn) => turn.textContent).join("\n")));
    return said.get(one);
  };
  const choose = () => {
    const words = fold(find.value).trim();
    let shown = 0;
    for (const one of all) {
      one.hidden = Boolean((supporter.value && one.dataset.supporter !== supporter.value) || (words && !read(one).includes(words)));
      shown += !one.hidden;
    }
    told.textContent = shown ? `${shown} of ${all.length} dialogues shown` : "Nothing found. Only what was said on this page is searched.";
  };
  form.hidden = false;
  form.addEventListener("submit", (event) => event.preventDefault());
  supporter.addEventListener("change", choose);
  find.addEventListener("input", choose);
});
