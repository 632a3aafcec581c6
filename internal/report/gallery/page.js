"use strict";
(() => {
  const $ = (selector) => document.querySelector(selector);
  const cards = [...document.querySelectorAll("article")];
  const text = $("#text"), model = $("#model"), tag = $("#tag");
  const boxes = [...document.querySelectorAll("input[name=status]")];

  // Filters: all must agree. They are kept after the # so that a view can be sent to somebody else.
  const words = new Map(); // what a card says, in lower case, from the first search on
  const says = (card) => {
    if (!words.has(card)) words.set(card, card.textContent.toLowerCase());
    return words.get(card);
  };
  const fits = (card, want) =>
    (want.status.length === 0 || want.status.includes(card.dataset.status)) &&
    (!want.model || card.dataset.model === want.model) &&
    (!want.tag || card.dataset.tags.split("\n").includes(want.tag)) &&
    want.words.every((word) => says(card).includes(word));

  const filter = () => {
    const want = {
      status: boxes.filter((box) => box.checked).map((box) => box.value),
      model: model?.value ?? "",
      tag: tag?.value ?? "",
      words: text.value.toLowerCase().split(/\s+/).filter(Boolean),
    };
    let shown = 0;
    for (const card of cards) {
      card.hidden = !fits(card, want);
      if (!card.hidden) shown++;
    }
    $("#none").hidden = shown > 0;
    $("#shown").textContent = shown === cards.length ? `${shown} items` : `${shown} of ${cards.length}`;
    const state = new URLSearchParams();
    for (const status of want.status) state.append("status", status);
    for (const [name, value] of [["model", want.model], ["tag", want.tag], ["q", text.value.trim()]]) {
      if (value) state.set(name, value);
    }
    history.replaceState(null, "", state.size ? `#?${state}` : location.pathname + location.search);
    rove(cards.find((card) => !card.hidden));
  };

  const restore = () => {
    if (!location.hash.startsWith("#?")) return;
    const state = new URLSearchParams(location.hash.slice(2));
    text.value = state.get("q") ?? "";
    for (const box of boxes) box.checked = state.getAll("status").includes(box.value);
    for (const [select, name] of [[model, "model"], [tag, "tag"]]) {
      if (select && [...select.options].some((option) => option.value === state.get(name))) select.value = state.get(name);
    }
  };

  // One card is in the tab order; the arrows move it.
  let current = null;
  const rove = (card) => {
    if (current) current.tabIndex = -1;
    current = card ?? null;
    if (current) current.tabIndex = 0;
  };
  const walk = (by) => {
    const shown = cards.filter((card) => !card.hidden);
    const next = shown[shown.indexOf(current) + by];
    if (!next) return;
    rove(next);
    next.focus();
    next.scrollIntoView({ block: "nearest" });
  };

  document.addEventListener("focusin", (event) => {
    const card = event.target.closest?.("article");
    if (card && card !== current) rove(card);
  });
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const typing = event.target.matches("input, select, textarea");
    if (event.key === "Escape") {
      text.value = "";
      for (const box of boxes) box.checked = false;
      for (const select of [model, tag]) if (select) select.value = "";
      filter();
    } else if (event.key === "/" && !typing) {
      event.preventDefault();
      text.focus();
      text.select();
    } else if (event.target === current && (event.key === "ArrowRight" || event.key === "ArrowLeft")) {
      event.preventDefault();
      walk(event.key === "ArrowRight" ? 1 : -1);
    } else if (event.target === current && event.key === " ") {
      const media = current.querySelector("video, audio");
      if (!media) return;
      event.preventDefault();
      if (media.paused) media.play().catch(() => {}); // the player shows what is wrong
      else media.pause();
    }
  });

  // Videos near the view load as far as their first picture; the others load nothing. One plays at a time.
  const near = new IntersectionObserver((entries) => {
    for (const { isIntersecting, target } of entries) {
      if (!isIntersecting) continue;
      target.preload = "metadata";
      near.unobserve(target);
    }
  }, { rootMargin: "200px" });
  const media = [...document.querySelectorAll("video, audio")];
  for (const one of media) if (one.tagName === "VIDEO") near.observe(one);
  document.addEventListener("play", (event) => {
    for (const one of media) if (one !== event.target) one.pause();
  }, true);
  document.addEventListener("error", (event) => {
    if (!event.target.matches?.("img, video, audio")) return;
    const note = document.createElement("span");
    note.className = "gone";
    note.textContent = "This file is not beside the page, or cannot be shown.";
    event.target.replaceWith(note);
  }, true);

  text.addEventListener("input", filter);
  for (const control of [...boxes, model, tag]) control?.addEventListener("change", filter);
  $(".filters").hidden = false;
  $(".keys").hidden = false;
  restore();
  filter();
})();
