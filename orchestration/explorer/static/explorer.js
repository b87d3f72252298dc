// Makes pages live: forms and links with data-live replace the elements with data-part by those of the new page, and the
// address follows. Elements with data-key are clicked by that key ("g s": g, then s). Without this script every form
// and link still works, with a whole new page.
"use strict";

document.documentElement.classList.add("scripted");
const live = { asked: 0, timer: 0 };
const isWide = matchMedia("(min-width: 761px)");

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
    const written = document.activeElement && document.activeElement.matches("input[type=number]") ? document.activeElement.value : null;
    const unfolded = [...document.querySelectorAll("[data-part] details[open][id]")].map((details) => details.id);
    for (const part of parts) {
      const fresh = page.querySelector(`[data-part="${part.dataset.part}"]`);
      if (fresh) part.replaceWith(document.adoptNode(fresh));
    }
    document.title = page.title;
    if (how === "push") history.pushState(null, "", address);
    if (how === "replace") history.replaceState(null, "", address);
    const again = focused && document.getElementById(focused);
    if (again && again !== document.activeElement) again.focus({ preventScroll: true });
    if (again && written !== null) again.value = written;
    for (const id of unfolded) { const details = document.getElementById(id); if (details) details.open = true; }
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
  // Space and Enter press what has the focus.
  if ((event.key === " " || event.key === "Enter") && event.target.closest("button, a, summary, input, label")) return;
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

// The filters are open beside the results, and folded above them where there is no room.
function placeFilters() {
  const filters = document.getElementById("filters");
  if (filters) filters.open = isWide.matches;
}
isWide.addEventListener("change", placeFilters);
placeFilters();

// A slider writes into the field beside it, which is what the form sends.
document.addEventListener("input", (event) => {
  const slider = event.target;
  if (slider.dataset && slider.dataset.upload) return;
  if (!slider.matches("input[type=range][data-for]")) return;
  const span = slider.closest("[data-lowest]");
  const low = span.querySelector(".low"), high = span.querySelector(".high");
  if (Number(low.value) > Number(high.value)) slider.value = slider === low ? high.value : low.value;
  const lowest = Number(span.dataset.lowest), highest = Number(span.dataset.highest);
  const isEnd = slider === low ? Number(slider.value) <= 0 : Number(slider.value) >= 100;
  const number = lowest + (highest - lowest) * Number(slider.value) / 100;
  const fieldOf = document.getElementById(slider.dataset.for);
  fieldOf.value = isEnd ? "" : Number(number.toPrecision(4));
  fieldOf.dispatchEvent(new Event("input", { bubbles: true }));
});

// A picture is sent at once; the answer is the name under which it is searched by.
document.addEventListener("change", async (event) => {
  const field = event.target;
  if (!field.matches("input[type=file][data-upload]") || !field.files.length) return;
  say("The picture is sent");
  const answer = await fetch(field.dataset.upload, { method: "POST", body: field.files[0] });
  const told = (answer.headers.get("content-type") || "").startsWith("application/json") ? await answer.json() : {};
  field.value = "";
  if (told.picture) {
    const kept = new URL(field.form ? addressOf(field.form) : "/", location.href);
    for (const name of ["q", "like", "picture", "page"]) kept.searchParams.delete(name);
    kept.searchParams.set("picture", told.picture);
    document.getElementById("q").value = "";
    show(kept.href, "push");
  } else alert(told.problem || "The picture could not be taken.");
});

// Words replace an example.
document.addEventListener("input", (event) => {
  if (event.target.id === "q") document.querySelectorAll("[data-example]").forEach((field) => field.remove());
}, true);

// Parts that take longer are loaded after the page.
for (const place of document.querySelectorAll("[data-load]")) {
  fetch(place.dataset.load).then((answer) => answer.text()).then((text) => {
    const loaded = new DOMParser().parseFromString(text, "text/html").querySelector("[data-loaded]");
    if (loaded) place.replaceChildren(document.adoptNode(loaded));
  }).catch(() => {});
}
