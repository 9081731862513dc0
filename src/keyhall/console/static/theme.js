// Before anything is painted: dark, if the system is and nobody chose otherwise.
(function () {
  const root = document.documentElement;
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  function apply() {
    if (root.dataset.theme === "system") root.classList.toggle("dark", dark.matches);
  }
  apply();
  dark.addEventListener("change", apply);
})();
