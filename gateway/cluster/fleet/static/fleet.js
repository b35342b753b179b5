"use strict";
// A page with data-fresh asks for itself again every so many seconds; the server answers with nothing when nothing
// has changed. What somebody is typing, or has opened, is left alone. When no answer comes the page says it is old.
const period = Number(document.body.dataset.fresh || 0) * 1000;
const link = document.getElementById("link");
let mark = "";
let asked = 0;

function busy() {
  const at = document.activeElement;
  return document.hidden || (at && at.matches("input, select, textarea")) || document.querySelector("main details[open]");
}

function old(yes) {
  document.body.classList.toggle("old", yes);
  link.hidden = !yes;
  link.textContent = yes ? link.dataset.old : "";
}

async function fresh() {
  if (busy()) return;
  asked = performance.now();
  try {
    const headers = mark ? { "if-none-match": mark } : {};
    const limit = AbortSignal.timeout(10000);
    const answer = await fetch(location.href, { headers, cache: "no-store", redirect: "manual", signal: limit });
    if (answer.type === "opaqueredirect") return location.reload(); // Signed out.
    if (answer.status === 200) {
      const found = new DOMParser().parseFromString(await answer.text(), "text/html");
      mark = answer.headers.get("etag") || "";
      if (!busy()) {
        const focus = document.activeElement && document.activeElement.getAttribute("href");
        document.querySelector("main").replaceWith(found.querySelector("main")); // Made and escaped by the server.
        const again = focus && [...document.querySelectorAll("main a")].find((a) => a.getAttribute("href") === focus);
        if (again) again.focus({ preventScroll: true });
      }
    }
    old(answer.status !== 200 && answer.status !== 304);
  } catch {
    old(true);
  }
}

if (period && link) {
  setInterval(fresh, period);
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden && performance.now() - asked > period) fresh();
  });
}
