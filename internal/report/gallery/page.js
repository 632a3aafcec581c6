// One script, in parts: page (what all share), view (filters, order, groups), play, picks, big (the large view), keys.
const $ = (selector, within = document) => within.querySelector(selector);
const $$ = (selector, within = document) => [...within.querySelectorAll(selector)];

const main = $("main");
const cards = $$("article"); // in manifest order
const idOf = (card) => $("h2", card).textContent;
const inView = () => $$("article:not([hidden])", main); // in the order people see

// say tells those who cannot see what has changed.
const say = (text) => { $("#say").textContent = text; };

// The current card is in the tab order; the arrows move it.
let current = null;
const rove = (card) => {
  if (current) current.tabIndex = -1;
  current = card ?? null;
  if (current) current.tabIndex = 0;
};
const focusOn = (card) => {
  rove(card);
  card.focus({ preventScroll: true });
  card.scrollIntoView({ block: "nearest" });
};
document.addEventListener("focusin", (event) => {
  const card = event.target.closest?.("article");
  if (card && card !== current) rove(card);
});

// A file that is gone is said to be gone.
document.addEventListener("error", (event) => {
  if (!event.target.matches?.("img, video, audio")) return;
  const note = document.createElement("span");
  note.className = "gone";
  note.textContent = "This file is not beside the page, or this browser cannot show it.";
  event.target.replaceWith(note);
}, true);
