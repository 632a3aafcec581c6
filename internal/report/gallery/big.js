// The large view: one file at a time, with its card's words beside it, and the next at a key's distance.
const big = $("#big");
const large = { card: null, n: 0 };
const looks = (card) => $$(".look", card);

// steps are all files in view, in the order people see; an item without one is a step too: it wants a pick as well.
const steps = () => inView().flatMap((card) => {
  const n = Math.max(looks(card).length, 1);
  return Array.from({ length: n }, (_, i) => ({ card, n: i }));
});

const stageOf = (card, n) => {
  const look = looks(card)[n];
  if (!look) {
    const sounds = $$("audio", card);
    const blank = make("div", "seen blank " + card.dataset.status);
    blank.append($(".seen .i", card).cloneNode(true), ...sounds.map((one) => one.cloneNode()));
    const error = $(".error", card);
    if (error) blank.append(error.cloneNode(true), $(".hint", card).cloneNode(true));
    return blank;
  }
  const video = $("video", look);
  if (video) {
    const player = make("video");
    Object.assign(player, { src: look.href, controls: true, loop: true, playsInline: true, autoplay: !still.matches });
    player.setAttribute("aria-label", video.getAttribute("aria-label"));
    return player;
  }
  const from = $("img", look);
  if (!from) return $(".gone", look).cloneNode(true);
  const image = make("img");
  image.src = from.src;
  image.alt = from.alt;
  const button = make("button", "zoom", image);
  button.type = "button";
  button.setAttribute("aria-label", `${from.alt}, as large as it is`);
  button.setAttribute("aria-pressed", "false");
  button.addEventListener("click", () => button.setAttribute("aria-pressed", $("#stage").classList.toggle("actual")));
  return button;
};

const showLarge = (card, n) => {
  Object.assign(large, { card, n });
  const all = steps();
  const at = all.findIndex((one) => one.card === card && one.n === n);
  $("#stage").classList.remove("actual");
  $("#stage").replaceChildren(stageOf(card, n));
  $("#big-id").textContent = idOf(card);
  $("#big-facts").replaceChildren(...[...$(".about .facts", card).cloneNode(true).childNodes]);
  $("#big-prompt").textContent = $(".about .prompt", card)?.textContent ?? "";
  $("#big-pick").replaceChildren(...(pickable.includes(card) ? [buttons(card)] : []));
  const files = $(".files", card);
  $("#big-file").replaceChildren(...(files ? $$("li", files).map((li) => { const line = make("span"); line.append(...li.cloneNode(true).childNodes); return line; }) : []));
  $("#place").textContent = `${at + 1} of ${all.length}`;
  $("#back").disabled = at <= 0;
  $("#on").disabled = at === all.length - 1;
  if (!big.open) big.showModal();
  big.focus();
};
const stepLarge = (by) => {
  const all = steps();
  const next = all[all.findIndex((one) => one.card === large.card && one.n === large.n) + by];
  if (next) showLarge(next.card, next.n);
  return Boolean(next);
};
const pickLarge = (value) => {
  const { card } = large;
  if (!setPick(card, value)) return;
  showPick($("#big-pick"), pickOf(card));
  if (!value) return; // taken back: no reason to go on
  const all = steps();
  const next = all.slice(all.findIndex((one) => one.card === card)).find((one) => one.card !== card);
  if (next) showLarge(next.card, next.n);
};

main.addEventListener("click", (event) => {
  const look = event.target.closest(".look");
  if (!look || event.ctrlKey || event.metaKey || event.shiftKey) return; // those open it elsewhere, as everywhere
  event.preventDefault();
  const card = look.closest("article");
  rove(card);
  showLarge(card, looks(card).indexOf(look));
});
$("#back").addEventListener("click", () => stepLarge(-1));
$("#on").addEventListener("click", () => stepLarge(1));
$("#close").addEventListener("click", () => big.close());
$("#big-pick").addEventListener("click", () => queueMicrotask(() => showPick($("#big-pick"), pickOf(large.card))));
big.addEventListener("click", (event) => { if (event.target === big || event.target.id === "stage") big.close(); });
big.addEventListener("close", () => {
  $("#stage").replaceChildren(); // ends what plays
  if (large.card && !large.card.hidden) focusOn(large.card);
});
