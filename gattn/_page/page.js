// What all pages do: light and dark by a button, parts opened for paper.
"use strict";
(() => {
  const root = document.documentElement;
  const button = document.getElementById("theme");
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const kept = (value) => {
    try { // storage may be refused, for files above all
      if (value) localStorage.setItem("theme", value);
      return localStorage.getItem("theme");
    } catch { return null; }
  };
  const now = () => root.dataset.theme || (dark.matches ? "dark" : "light");
  const show = () => {
    if (button) button.textContent = now() === "dark" ? "Light" : "Dark";
    if (button) button.setAttribute("aria-label", `switch to ${button.textContent.toLowerCase()} colours`);
  };
  if (["light", "dark"].includes(kept())) root.dataset.theme = kept();
  show();
  dark.addEventListener("change", show);
  if (button) button.addEventListener("click", () => {
    root.dataset.theme = now() === "dark" ? "light" : "dark";
    kept(root.dataset.theme);
    show();
  });

  let closed = [];
  window.addEventListener("beforeprint", () => {
    closed = [...document.querySelectorAll("details:not([open])")];
    closed.forEach((part) => { part.open = true; });
  });
  window.addEventListener("afterprint", () => closed.forEach((part) => { part.open = false; }));
})();
