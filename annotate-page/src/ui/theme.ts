// Dark or light: the system's wish until the user says otherwise.
const KEY = "theme";
const system = matchMedia("(prefers-color-scheme: dark)");

function apply(): void {
  const chosen = localStorage.getItem(KEY);
  const dark = chosen ? chosen === "dark" : system.matches;
  document.documentElement.dataset.theme = dark ? "dark" : "light";
}

export function toggleTheme(): void {
  const dark = document.documentElement.dataset.theme === "dark";
  localStorage.setItem(KEY, dark ? "light" : "dark");
  apply();
}

system.addEventListener("change", apply);
apply();
