"use strict";
// The server sends its own rendering once a second. When nothing has come for a while, the page says so.
const live = document.body.dataset.live === "status";
const part = document.getElementById("status");
const link = document.getElementById("link");
const QUIET_MS = 4000;
const RETRY_MS = 10000;
let heard = 0;
let tried = 0;
let source = null;

function connect() {
  if (source) source.close();
  tried = performance.now();
  source = new EventSource("/events");
  source.addEventListener("status", (event) => {
    heard = performance.now();
    const open = new Set([...part.querySelectorAll("details[open] summary span:first-child")].map((s) => s.textContent));
    part.innerHTML = event.data;
    for (const details of part.querySelectorAll("details")) {
      details.open = open.has(details.querySelector("summary span").textContent);
    }
    link.textContent = link.dataset.live;
    document.body.classList.remove("old");
  });
}

function watch() {
  setInterval(() => {
    const quiet = performance.now() - heard;
    if (quiet < QUIET_MS) return;
    document.body.classList.add("old");
    link.textContent = heard
      ? link.dataset.old.replace("{s}", Math.round(quiet / 1000))
      : link.dataset.connecting;
    // A stream whose network has gone (another Wi-Fi, a sleep) stays open for ever without an error.
    if (source.readyState === EventSource.CLOSED || performance.now() - Math.max(heard, tried) > RETRY_MS) connect();
  }, 1000);

  document.addEventListener("visibilitychange", () => {
    if (!document.hidden && performance.now() - heard > QUIET_MS) connect();
  });
  window.addEventListener("pageshow", (event) => {
    if (event.persisted) connect();
  });
  connect();
}

if (live) watch();
