// The dark and the light theme. The page changes at once; Python then keeps the choice.

const YEAR_SECONDS = 365 * 24 * 3600;
const SETTLE_MS = 60; // Streamlit tells Python the theme that is on the page when it runs again

export default function ({ data, parentElement, setTriggerValue }) {
  const root = document.documentElement;
  const button = parentElement.querySelector("button");
  const other = () => (root.dataset.theme === "light" ? "dark" : "light");
  const show = () => {
    button.setAttribute("aria-label", `Use the ${other()} theme`);
    button.title = `Use the ${other()} theme`;
    button.querySelector("span").textContent = other() === "light" ? "Light" : "Dark";
  };
  button.onclick = () => {
    const chosen = other();
    const secure = location.protocol === "https:" ? "; secure" : "";
    document.cookie = `ddad_theme=${chosen}; path=/; max-age=${YEAR_SECONDS}; samesite=lax${secure}`;
    root.dataset.theme = chosen;
    root.style.colorScheme = chosen;
    root.style.background = data[chosen].backgroundColor;
    const message = { type: "SET_CUSTOM_THEME_CONFIG", themeName: chosen, themeInfo: data[chosen] };
    window.postMessage({ stCommVersion: 1, ...message }, location.origin);
    show();
    setTimeout(() => setTriggerValue("chosen", chosen), SETTLE_MS);
  };
  show();
}
