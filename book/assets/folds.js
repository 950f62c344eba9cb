// What is folded opens when it has to: where a link leads into it, and on paper, where nothing can be clicked and the
// colours are those of the light theme.
"use strict";

(() => {
  const root = document.documentElement;
  let undo = [];

  const reveal = () => {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    const closed = target?.closest(".toggle-hidden");
    if (!closed || closed === target) return;
    closed.querySelector(".toggle-button").click();
    target.scrollIntoView();
  };
  // The theme looks anew for what scrolls, and lets keys reach it, when the window changes.
  document.addEventListener("click", ({ target }) => {
    if (target.closest(".admonition.dropdown > .admonition-title")) dispatchEvent(new Event("resize"));
  });
  addEventListener("load", reveal);
  addEventListener("hashchange", reveal);

  addEventListener("beforeprint", () => {
    const { theme } = root.dataset, folded = document.querySelectorAll("details:not([open])");
    root.dataset.theme = "light";
    folded.forEach((details) => (details.open = true));
    undo = [() => (root.dataset.theme = theme), () => folded.forEach((details) => (details.open = false))];
  });
  addEventListener("afterprint", () => undo.splice(0).forEach((back) => back()));
})();
