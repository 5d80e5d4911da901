"use strict";
// The page is whole without this: it adds the filter of the gallery, and opens what is folded before printing.
(() => {
  const folded = [];
  window.addEventListener("beforeprint", () => {
    for (const details of document.querySelectorAll("details:not([open])")) {
      details.open = true;
      folded.push(details);
    }
  });
  window.addEventListener("afterprint", () => {
    for (const details of folded.splice(0)) details.open = false;
  });

  const form = document.getElementById("gallery-filter");
  if (!form) return;
  const PAGE = 12;
  const scenes = [...document.querySelectorAll(".scene")].map((element) => ({
    element,
    words: element.textContent.toLowerCase().replace(/\s+/g, " "),
  }));
  const count = document.getElementById("gallery-count");
  const more = document.getElementById("gallery-more");
  let room = PAGE;

  const matches = (scene, wanted) =>
    ["channel", "outcome", "swap"].every((name) => !wanted[name] || scene.element.dataset[name] === wanted[name]) &&
    wanted.search.toLowerCase().split(/\s+/).every((word) => scene.words.includes(word));

  const show = () => {
    const wanted = Object.fromEntries(new FormData(form));
    const found = scenes.filter((scene) => matches(scene, wanted));
    const visible = new Set(found.slice(0, room));
    for (const scene of scenes) scene.element.hidden = !visible.has(scene);
    count.textContent = found.length
      ? `${visible.size} of ${found.length} shown`
      : "No episode fits. Choose fewer conditions.";
    more.hidden = found.length <= room;
  };

  form.addEventListener("input", () => {
    room = PAGE;
    show();
  });
  form.addEventListener("reset", () => setTimeout(() => {
    room = PAGE;
    show();
  }));
  form.addEventListener("submit", (event) => event.preventDefault());
  more.addEventListener("click", () => {
    const before = room;
    room += PAGE;
    show();
    scenes.filter((scene) => !scene.element.hidden)[before]?.element.focus();
  });
  form.hidden = false;
  show();
})();
