// Picks: what a person says of each item. They are about the job that made what is shown, so that they are over when
// the item is made anew. They are kept in this browser where it allows that, and leave it as picks.yaml.
const batch = document.body.dataset.batch;
const shelfName = "dailies/picks/" + batch;
const wordsFor = { keep: "kept", reject: "rejected", reroll: "to re-roll" };
const jobs = new Map(); // job: pick

const recall = () => {
  try {
    for (const [job, value] of Object.entries(JSON.parse(localStorage.getItem(shelfName) ?? "{}"))) {
      if (Object.hasOwn(wordsFor, value)) jobs.set(job, value);
    }
  } catch { /* it keeps nothing: the picks last as long as the page */ }
};
const keepPicks = () => {
  try {
    localStorage.setItem(shelfName, JSON.stringify(Object.fromEntries(jobs)));
  } catch { /* as above */ }
};

const pickable = cards.filter((card) => card.dataset.job && ["delivered", "reused", "rejected", "failed"].includes(card.dataset.status));
const hasFiles = (card) => $(".files", card) !== null;
const pickOf = (card) => jobs.get(card.dataset.job);
const buttons = (card) => {
  const made = $("#pick-buttons").content.firstElementChild.cloneNode(true);
  if (!hasFiles(card)) $("[value=keep]", made).remove(); // there is nothing to keep
  showPick(made, pickOf(card));
  return made;
};
const showPick = (within, value) => {
  for (const button of $$("button", within)) button.setAttribute("aria-pressed", button.value === value);
};

const setPick = (card, value) => {
  if (!pickable.includes(card) || (value === "keep" && !hasFiles(card))) return false;
  if (value) jobs.set(card.dataset.job, value);
  else jobs.delete(card.dataset.job);
  showPicks([card]);
  keepPicks();
  tally();
  say(`${idOf(card)}: ${wordsFor[pickOf(card)] ?? "no pick"}`);
  return true;
};
const showPicks = (some) => {
  for (const card of some) {
    const value = pickOf(card);
    if (value) card.dataset.pick = value;
    else delete card.dataset.pick;
    const row = $(".pick", card);
    if (row) showPick(row, value);
  }
};
const picked = () => pickable.filter((card) => pickOf(card));
const noPicks = "No picks yet" + (matchMedia("(hover: none)").matches ? "." : ": K keeps, R rejects, Space asks for a re-roll.");
const tally = () => {
  const counts = { keep: 0, reject: 0, reroll: 0 };
  for (const card of picked()) counts[pickOf(card)]++;
  const said = Object.entries(counts).filter(([, n]) => n).map(([value, n]) => `${n} ${wordsFor[value]}`);
  $("#tally").textContent = said.length ? said.join(", ") : noPicks;
  $("#export").disabled = $("#clear").disabled = said.length === 0;
  $("#next").textContent = "";
};

// picks.yaml. A JSON text is a YAML text; what YAML wants escaped beyond JSON is.
const quoted = (value) => JSON.stringify(value).replace(/[\u007f-\u009f\u2028\u2029\ufeff]/g, (c) => "\\u" + c.charCodeAt(0).toString(16).padStart(4, "0"));
const yaml = () => [
  `# What was picked in the gallery of ${quoted(batch)}: keep, reject or reroll. The job says which take is meant.`,
  "version: 1",
  `batch: ${quoted(batch)}`,
  "picks:",
  ...picked().map((card) => `  ${quoted(idOf(card))}: {pick: ${pickOf(card)}, job: ${quoted(card.dataset.job)}}`),
  "",
].join("\n");

const nextSteps = () => {
  const manifest = document.body.dataset.manifest || "MANIFEST";
  const has = (value) => picked().some((card) => pickOf(card) === value);
  const steps = [];
  if (has("reject") || has("reroll")) steps.push(`dailies reroll ${manifest} --picks picks.yaml`);
  if (has("keep")) steps.push(`dailies promote ${manifest} --picks picks.yaml --to FOLDER`);
  const line = $("#next");
  line.replaceChildren("Next: ");
  steps.forEach((step, n) => line.append(n ? " and " : "", make("code", "", step)));
};
$("#export").addEventListener("click", () => {
  const link = make("a");
  link.href = URL.createObjectURL(new Blob([yaml()], { type: "application/yaml" }));
  link.download = "picks.yaml";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000); // the download has begun by then
  nextSteps();
});

// The form that is saved, and the short one that people write by hand (hero-walk: keep).
const unquoted = (value) => {
  if (value.startsWith('"')) return JSON.parse(value);
  if (value.startsWith("'")) return value.slice(1, -1).replaceAll("''", "'");
  return value;
};
const scalar = String.raw`("(?:[^"\\]|\\.)*"|'(?:[^']|'')*'|[^\s"'{},:#][^{},#]*?)`;
const lineForm = new RegExp(String.raw`^\s+${scalar}\s*:\s*(?:\{(.*)\}|([a-z]+))\s*(?:#.*)?$`);
const fieldForm = new RegExp(String.raw`([a-z]+)\s*:\s*${scalar}\s*(?:,|$)`, "g");
const read = (source) => {
  const found = new Map();
  let of = null, inPicks = false;
  source.replace(/^\ufeff/, "").split(/\r?\n/).forEach((line, n) => {
    const wrong = (what) => { throw new Error(`line ${n + 1} ${what}`); };
    if (/^\s*(#.*)?$/.test(line)) return;
    if (/^\S/.test(line)) {
      inPicks = /^picks:\s*(\{\s*\})?\s*(#.*)?$/.test(line);
      const named = /^batch:\s*(.*?)\s*$/.exec(line);
      if (named) of = unquoted(named[1]);
      return;
    }
    if (!inPicks) return;
    const parts = lineForm.exec(line) ?? wrong("is not a pick, such as hero-walk: {pick: keep, job: job_…}");
    const fields = Object.fromEntries([...(parts[2] ?? "").matchAll(fieldForm)].map(([, name, value]) => [name, unquoted(value)]));
    const value = parts[3] ?? fields.pick;
    if (!Object.hasOwn(wordsFor, value)) wrong("is neither keep nor reject nor reroll");
    found.set(unquoted(parts[1]), { value, job: fields.job });
  });
  if (of !== batch) throw new Error(`it is of the batch ${of ?? "without a name"}, and this is ${batch}`);
  return found;
};
const open = (source) => {
  const byID = new Map(pickable.map((card) => [idOf(card), card]));
  let taken = 0, over = 0;
  for (const [id, { value, job }] of read(source)) {
    const card = byID.get(id);
    if (!card || (job && job !== card.dataset.job) || (value === "keep" && !hasFiles(card))) {
      over++;
      continue;
    }
    jobs.set(card.dataset.job, value);
    taken++;
  }
  showPicks(cards);
  keepPicks();
  tally();
  changed(false)();
  return `${taken} taken` + (over ? `, ${over} about items or takes that are not on this page` : "");
};
$("#import").addEventListener("click", () => $("#file").click());
$("#file").addEventListener("change", async (event) => {
  const [file] = event.target.files;
  event.target.value = "";
  if (!file) return;
  let outcome;
  try {
    outcome = `${file.name}: ${open(await file.text())}.`;
  } catch (problem) {
    outcome = `${file.name} was not taken: ${problem.message}.`;
  }
  $("#next").textContent = outcome;
  say(outcome);
});
$("#clear").addEventListener("click", () => {
  const n = picked().length;
  if (!confirm(n === 1 ? "Clear the one pick?" : `Clear all ${n} picks?`)) return;
  for (const card of picked()) jobs.delete(card.dataset.job);
  showPicks(cards);
  keepPicks();
  tally();
  changed(false)();
});

recall();
for (const card of pickable) $("details", card).before(buttons(card));
document.addEventListener("click", (event) => {
  const button = event.target.closest(".pick button");
  if (!button) return;
  const card = button.closest("article") ?? large.card;
  setPick(card, pickOf(card) === button.value ? "" : button.value); // a second click takes it back
});
showPicks(cards);
tally();
