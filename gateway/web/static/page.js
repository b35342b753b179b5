"use strict";
// Every page hears once a second from the gateway: the overview what has changed, the others that it is there.
// When nothing has come for a while, the page says so; what it shows is then marked as old.
const kind = document.body.dataset.live;
const link = document.getElementById("link");
const part = document.getElementById("status");
const QUIET_MS = 6000;
const RETRY_MS = 12000;
let heard = 0;
let tried = 0;
let source = null;
let now = part ? Number(part.dataset.now) : 0;
let clock = link ? link.dataset.time : "";

function element(html) {
  const holder = document.createElement("template");
  holder.innerHTML = html; // Made and escaped by the gateway's own templates.
  return holder.content.firstElementChild;
}

function age(ms) {
  const units = part.dataset.units.split(" ");
  const seconds = Math.max(0, ms) / 1000;
  const steps = [[120, 1], [7200, 60], [172800, 3600], [Infinity, 86400]];
  const step = steps.findIndex(([limit]) => seconds < limit);
  return Math.round(seconds / steps[step][1]) + " " + units[step];
}

function say(node, words) {
  if (node.textContent !== words) node.textContent = words;
}

function ages() {
  const at = now + (heard ? performance.now() - heard : 0);
  for (const node of part.querySelectorAll("[data-since]")) {
    say(node, (node.dataset.say || part.dataset.ago).replace("{age}", age(at - Number(node.dataset.since))));
  }
  for (const node of part.querySelectorAll("[data-until]")) {
    say(node, part.dataset.left.replace("{age}", age(Number(node.dataset.until) - at)));
  }
}

function filter() {
  const field = document.getElementById("f-q");
  if (!field) return;
  const words = field.value.toLowerCase();
  const state = document.getElementById("f-state").value;
  let shown = 0;
  for (const card of document.getElementById("points").children) {
    card.hidden = !card.dataset.name.includes(words) || (state && !card.dataset[state]);
    shown += !card.hidden;
  }
  document.getElementById("none").hidden = shown > 0;
}

function show(told) {
  for (const [name, html] of Object.entries(told.parts || {})) {
    const place = document.getElementById("part-" + name);
    if (place.contains(document.activeElement) && document.activeElement.href) {
      const at = document.activeElement.getAttribute("href");
      place.innerHTML = html;
      const again = [...place.querySelectorAll("a")].find((a) => a.getAttribute("href") === at);
      if (again) again.focus({ preventScroll: true });
    } else {
      place.innerHTML = html;
    }
  }
  const points = document.getElementById("points");
  for (const [id, [key, html]] of Object.entries(told.cards || {})) {
    const old = document.getElementById("p-" + id);
    if (old && old.dataset.key === key) continue; // It shows the same already; its value comes by itself.
    const card = element(html);
    const held = old && old.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
    if (old) old.replaceWith(card);
    else points.append(card);
    if (held) [...card.querySelectorAll("a")].find((a) => a.getAttribute("href") === held)?.focus({ preventScroll: true });
  }
  if (told.order) {
    const wanted = told.order.map((id) => document.getElementById("p-" + id)).filter(Boolean);
    for (const card of [...points.children]) if (!wanted.includes(card)) card.remove();
    wanted.forEach((card, n) => {
      if (points.children[n] !== card) points.insertBefore(card, points.children[n]);
    });
  }
  for (const [id, [value, since]] of Object.entries(told.values || {})) {
    const card = document.getElementById("p-" + id);
    if (!card) continue;
    say(card.querySelector(".v"), value);
    const node = card.querySelector("[data-since]");
    if (node) node.dataset.since = since;
  }
  if (told.cards || told.order) filter();
}

function badge(count) {
  const node = document.getElementById("waiting");
  if (!node) return;
  say(node.firstElementChild, String(count));
  node.hidden = count === 0;
}

function fresh(waiting) {
  heard = performance.now();
  say(link, link.dataset.live);
  link.hidden = !link.dataset.live;
  document.body.classList.remove("old");
  badge(waiting);
}

function connect() {
  close();
  tried = performance.now();
  source = new EventSource("/events?of=" + kind);
  source.addEventListener("status", (event) => {
    const told = JSON.parse(event.data);
    now = told.now;
    clock = told.time;
    fresh(told.waiting);
    show(told);
    ages();
  });
  source.addEventListener("tick", (event) => fresh(Number(event.data)));
}

function close() {
  if (source) source.close();
  source = null;
}

function watch() {
  const began = performance.now();
  setInterval(() => {
    const last = Math.max(heard, began);
    const quiet = performance.now() - last;
    if (part) ages();
    if (quiet < QUIET_MS || document.hidden) return;
    document.body.classList.add("old");
    link.hidden = false;
    say(link, heard || !link.dataset.connecting ? link.dataset.old.replace("{time}", clock) : link.dataset.connecting);
    // A stream whose network has gone (another Wi-Fi, a sleep) stays open for ever without an error.
    const dead = !source || source.readyState === EventSource.CLOSED;
    if (dead ? performance.now() - tried > 3000 : performance.now() - Math.max(heard, tried) > RETRY_MS) connect();
  }, 1000);

  // What a phone showed before it slept is old: a new stream begins with everything.
  document.addEventListener("visibilitychange", () => (document.hidden ? close() : connect()));
  window.addEventListener("pageshow", (event) => {
    if (event.persisted) connect();
  });
  window.addEventListener("pagehide", close);
  connect();
}

if (link && kind) {
  const search = document.querySelector("form.search");
  if (search) {
    search.addEventListener("input", filter);
    search.addEventListener("submit", (event) => {
      event.preventDefault();
      filter();
    });
  }
  watch();
}
