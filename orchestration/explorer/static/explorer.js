// Makes pages live: forms and links with data-live replace the elements with data-part by those of the new page, and the
// address follows. Elements with data-key are clicked by that key ("g s": g, then s). Without this script every form
// and link still works, with a whole new page.
"use strict";

const live = { asked: 0, timer: 0 };

function say(text) {
  document.getElementById("said").textContent = text;
}

function addressOf(form) {
  const given = new URLSearchParams();
  for (const [name, value] of new FormData(form)) if (value !== "" && typeof value === "string") given.append(name, value);
  const query = given.toString();
  return form.action.split("?")[0] + (query ? "?" + query : "");
}

async function show(address, how) {
  const number = ++live.asked;
  document.body.setAttribute("aria-busy", "true");
  try {
    const answer = await fetch(address, { headers: { Accept: "text/html" } });
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    if (number !== live.asked) return;
    const parts = document.querySelectorAll("[data-part]");
    if (!page.querySelector("[data-part]") || !parts.length) { location.assign(address); return; }
    const focused = document.activeElement && document.activeElement.id;
    for (const part of parts) {
      const fresh = page.querySelector(`[data-part="${part.dataset.part}"]`);
      if (fresh) part.replaceWith(document.adoptNode(fresh));
    }
    document.title = page.title;
    if (how === "push") history.pushState(null, "", address);
    if (how === "replace") history.replaceState(null, "", address);
    const again = focused && document.getElementById(focused);
    if (again && again !== document.activeElement) again.focus({ preventScroll: true });
    const summary = document.querySelector("[data-summary]");
    if (summary) say(summary.textContent.trim());
    document.dispatchEvent(new CustomEvent("parts-replaced"));
  } catch (error) {
    if (number === live.asked) location.assign(address);
  } finally {
    if (number === live.asked) document.body.removeAttribute("aria-busy");
  }
}

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (!form.matches("form[data-live]")) return;
  event.preventDefault();
  clearTimeout(live.timer);
  show(addressOf(form), "push");
});

document.addEventListener("input", (event) => {
  const form = event.target.form;
  if (!form || !form.matches("form[data-live]") || event.target.matches("[data-wait]")) return;
  clearTimeout(live.timer);
  live.timer = setTimeout(() => show(addressOf(form), "replace"), event.target.matches("[type=search], [type=text], [type=number], [type=range]") ? 250 : 0);
});

document.addEventListener("click", (event) => {
  const link = event.target.closest("a[data-live]");
  if (!link || event.defaultPrevented || event.button || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  event.preventDefault();
  show(link.href, "push");
  if (link.hasAttribute("data-top")) scrollTo(0, 0);
});

addEventListener("popstate", () => show(location.href, "none"));

// Keys.
let before = "";
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  const writes = event.target.matches("input:not([type=checkbox]):not([type=radio]):not([type=range]), textarea, select");
  if (writes) {
    if (event.key === "Escape") event.target.blur();
    return;
  }
  const pressed = before ? `${before} ${event.key}` : event.key;
  before = event.key === "g" && !before ? "g" : "";
  const targets = document.querySelectorAll("[data-key]");
  for (const target of targets) {
    if (!target.dataset.key.split("|").includes(pressed)) continue;
    event.preventDefault();
    if (target.matches("input, textarea")) { target.focus(); target.select && target.select(); } else target.click();
    return;
  }
});
