"use strict";
// Before anything is drawn: the theme that was chosen last time, so that a dark page does not flash white.
// Without storage (a private window may forbid it) the system's own theme holds.
try {
  const chosen = localStorage.getItem("weir.theme");
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
} catch {
  delete document.documentElement.dataset.theme;
}
