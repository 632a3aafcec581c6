// What is shown, in which order, and in which groups. It is kept after the # so that a view can be sent to somebody.
const text = $("#text"), model = $("#model"), tag = $("#tag"), pick = $("#pick");
const sort = $("#sort"), group = $("#group"), across = $("#across"), size = $("#size");
const boxes = $$("input[name=status]");
const chosen = { model, tag, pick, sort, group, across }; // by their name after the #
for (const [name, select] of Object.entries(chosen)) if (!select) delete chosen[name];

const varsOf = new Map(cards.map((card) => [card, JSON.parse(card.dataset.vars)]));

// Axes are the variables by which items can be told apart in groups: a name in every row of a table is none.
const axes = new Map(); // name: its values, in manifest order
const mostValues = 40;
for (const vars of varsOf.values()) {
  for (const [name, value] of Object.entries(vars)) {
    if (!axes.has(name)) axes.set(name, new Map());
    const values = axes.get(name);
    values.set(value, (values.get(value) ?? 0) + 1);
  }
}
for (const [name, values] of axes) {
  const alone = values.size > 12 && [...values.values()].every((n) => n === 1);
  if (values.size < 2 || values.size > mostValues || alone) axes.delete(name);
}
const option = (value, label) => {
  const made = document.createElement("option");
  made.value = value;
  made.textContent = label;
  return made;
};
for (const [value, label] of [["status", "by status"], ["model", "by model"]]) group.append(option(value, label));
for (const name of axes.keys()) {
  group.append(option("vars." + name, "by " + name));
  across.append(option("vars." + name, "across: " + name));
}

// valueOf is what a card is grouped by; undefined where the card has nothing of the kind.
const valueOf = (card, key) => {
  if (key === "status") return card.dataset.status;
  if (key === "model") return model ? [...model.options].find((o) => o.value === card.dataset.model)?.label.replace(/ \(\d+\)$/, "") : card.dataset.model;
  const vars = varsOf.get(card), name = key.slice("vars.".length);
  return Object.hasOwn(vars, name) ? vars[name] : undefined;
};
const valuesOf = (key, among) => {
  const has = new Set(among.map((card) => valueOf(card, key)).filter((value) => value !== undefined));
  const ordered = axes.get(key.slice("vars.".length));
  return key.startsWith("vars.") && ordered ? [...ordered.keys()].filter((value) => has.has(value)) : [...has];
};

// Order: cards that lack what they are ordered by come last.
const place = new Map(cards.map((card, n) => [card, n]));
const collator = new Intl.Collator(undefined, { numeric: true });
const ordered = () => {
  const down = sort.value.endsWith("-"), key = sort.value.replace("-", "");
  if (!key) return cards;
  if (key === "id") return [...cards].sort((a, b) => collator.compare(idOf(a), idOf(b)));
  const number = (card) => card.dataset[key] === "" ? undefined : Number(card.dataset[key]);
  return [...cards].sort((a, b) => {
    const x = number(a), y = number(b);
    if (x === undefined || y === undefined || x === y) return (x === undefined) - (y === undefined) || place.get(a) - place.get(b);
    return down ? y - x : x - y;
  });
};

const make = (name, className, content) => {
  const element = document.createElement(name);
  if (className) element.className = className;
  if (content !== undefined) element.append(content);
  return element;
};
const shelf = (title, some) => {
  const section = make("section", "shelf");
  const heading = make("h3", "", title);
  heading.append(" ", make("small"));
  const grid = make("div", "grid");
  grid.append(...some);
  section.append(heading, grid);
  return section;
};
const labelOf = (key, value) => key.startsWith("vars.") ? `${key.slice(5)}: ${value}` : value;

// table is two axes as a labelled grid: a row for each value of one, a column for each of the other.
const table = (some) => {
  const [down, over] = [group.value, across.value];
  const made = make("table", "matrix");
  made.append(make("caption", "unseen", `${down.replace("vars.", "")} by ${over.replace("vars.", "")}`));
  const head = make("tr");
  const corner = make("td", "corner");
  head.append(corner);
  for (const value of valuesOf(over, some)) {
    const th = make("th", "", value);
    th.scope = "col";
    head.append(th);
  }
  made.append(make("thead", "", head));
  const body = make("tbody");
  const cells = new Map();
  for (const value of valuesOf(down, some)) {
    const row = make("tr");
    const th = make("th", "", value);
    th.scope = "row";
    row.append(th);
    for (const other of valuesOf(over, some)) {
      const cell = make("td");
      cells.set(JSON.stringify([value, other]), cell);
      row.append(cell);
    }
    body.append(row);
  }
  for (const card of some) cells.get(JSON.stringify([valueOf(card, down), valueOf(card, over)])).append(card);
  made.append(body);
  return make("div", "scroll", made);
};

// arrange puts the cards where they belong. It is for a new order or other groups: filters only hide.
const arrange = () => {
  const all = ordered();
  across.hidden = !group.value || axes.size === 0 || (axes.size === 1 && group.value === "vars." + [...axes.keys()][0]);
  for (const one of across.options) one.hidden = one.disabled = one.value !== "" && one.value === group.value;
  if (across.hidden || across.value === group.value) across.value = "";
  if (!group.value) {
    main.className = "grid";
    main.replaceChildren(...all);
    return;
  }
  main.className = "";
  const keys = [group.value, across.value].filter(Boolean);
  const fit = all.filter((card) => keys.every((key) => valueOf(card, key) !== undefined));
  const rest = all.filter((card) => !fit.includes(card));
  const parts = [];
  if (across.value) {
    if (fit.length) parts.push(table(fit));
  } else {
    for (const value of valuesOf(group.value, fit)) parts.push(shelf(labelOf(group.value, value), fit.filter((card) => valueOf(card, group.value) === value)));
  }
  if (rest.length) parts.push(shelf(parts.length ? "the others" : "all", rest));
  main.replaceChildren(...parts);
};

// Filters: all must agree.
const words = new Map(); // what a card says, in lower case, from the first search on
const says = (card) => {
  if (!words.has(card)) words.set(card, [...card.querySelectorAll("h2, .facts, .error, .hint, .prompt, .files, dl, pre")].map((e) => e.textContent).join("\n").toLowerCase());
  return words.get(card);
};
const filter = () => {
  const status = boxes.filter((box) => box.checked).map((box) => box.value);
  const asked = text.value.toLowerCase().split(/\s+/).filter(Boolean);
  let shown = 0;
  for (const card of cards) {
    const fits = (status.length === 0 || status.includes(card.dataset.status)) &&
      (!model?.value || card.dataset.model === model.value) &&
      (!tag?.value || card.dataset.tags.split("\n").includes(tag.value)) &&
      (!pick.value || (card.dataset.pick ?? "none") === pick.value) &&
      asked.every((word) => says(card).includes(word));
    card.hidden = !fits;
    if (fits) shown++;
  }
  for (const section of $$(".shelf")) {
    const n = $$("article:not([hidden])", section).length;
    section.hidden = n === 0;
    $("small", section).textContent = n;
  }
  for (const row of $$(".matrix tbody tr")) row.hidden = !$("article:not([hidden])", row);
  $("#none").hidden = shown > 0;
  $("#shown").textContent = shown === cards.length ? (shown === 1 ? "1 item" : `${shown} items`) : `${shown} of ${cards.length}`;
  if (!current || current.hidden) rove(inView()[0]);
};

const remember = () => {
  const state = new URLSearchParams();
  for (const box of boxes) if (box.checked) state.append("status", box.value);
  for (const [name, select] of Object.entries(chosen)) if (select.value) state.set(name, select.value);
  if (text.value.trim()) state.set("q", text.value.trim());
  if (size.value !== size.defaultValue) state.set("size", size.value);
  history.replaceState(null, "", state.size ? `#?${state}` : location.pathname + location.search);
};
const restore = () => {
  if (!location.hash.startsWith("#?")) return;
  const state = new URLSearchParams(location.hash.slice(2));
  text.value = state.get("q") ?? "";
  size.value = state.get("size") ?? size.defaultValue;
  for (const box of boxes) box.checked = state.getAll("status").includes(box.value);
  for (const [name, select] of Object.entries(chosen)) {
    if ([...select.options].some((one) => one.value === state.get(name))) select.value = state.get(name);
  }
};
const resize = () => document.documentElement.style.setProperty("--wide", size.value + "px");

const changed = (again) => () => {
  if (again) arrange();
  filter();
  remember();
};
const clearFilters = () => {
  text.value = "";
  for (const box of boxes) box.checked = false;
  for (const select of [model, tag, pick]) if (select) select.value = "";
  changed(false)();
};
text.addEventListener("input", changed(false));
for (const control of [...boxes, model, tag, pick]) control?.addEventListener("change", changed(false));
for (const control of [sort, group, across]) control.addEventListener("change", changed(true));
size.addEventListener("input", () => { resize(); remember(); });
$("#more").addEventListener("click", (event) => {
  const open = event.target.getAttribute("aria-expanded") !== "true";
  event.target.setAttribute("aria-expanded", open);
});
