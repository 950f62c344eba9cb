// On paper nothing can be clicked: what is folded is printed open, and in the colours of the light theme.
"use strict";

(() => {
  const root = document.documentElement;
  let undo = [];

  addEventListener("beforeprint", () => {
    const { theme } = root.dataset, folded = document.querySelectorAll("details:not([open])");
    root.dataset.theme = "light";
    folded.forEach((details) => (details.open = true));
    undo = [() => (root.dataset.theme = theme), () => folded.forEach((details) => (details.open = false))];
  });
  addEventListener("afterprint", () => undo.splice(0).forEach((back) => back()));
})();
