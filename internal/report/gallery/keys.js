// Keys. They are the card's (or the large view's) own: whatever else has the focus keeps its keys.
const pickKeys = { k: "keep", r: "reject", " ": "reroll", u: "" };

const beside = (card, key) => {
  const all = inView(), at = all.indexOf(card);
  if (key === "ArrowRight") return all[at + 1];
  if (key === "ArrowLeft") return all[at - 1];
  const box = card.getBoundingClientRect();
  const down = key === "ArrowDown";
  let best = null, least = Infinity;
  for (const one of down ? all.slice(at + 1) : all.slice(0, at).reverse()) {
    const other = one.getBoundingClientRect();
    if (down ? other.top < box.bottom - 4 : other.bottom > box.top + 4) continue;
    const off = Math.abs(other.left - box.left);
    const far = Math.abs(other.top - box.top);
    if (best && far > best.far + 4) break; // a row further on
    if (off < least) [best, least] = [{ one, far }, off];
  }
  return best?.one;
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const done = () => event.preventDefault();
  if (big.open) {
    const busy = event.target.closest("button, video, audio, a, input");
    if (Object.hasOwn(pickKeys, key) && !(key === " " && busy)) {
      done();
      pickLarge(pickKeys[key]);
    } else if (["ArrowRight", "ArrowLeft"].includes(key) && !event.target.closest("video, audio")) {
      done();
      stepLarge(key === "ArrowRight" ? 1 : -1);
    } else if (key === "p") {
      done();
      playOrPause($("#stage video, #stage audio"));
    } else if (key === "z") {
      $("#stage .zoom")?.click();
    }
    return;
  }
  if (event.target.matches("input, select, textarea")) {
    if (key === "Escape" && event.target === text) clearFilters();
    return;
  }
  if (key === "Escape") {
    clearFilters();
  } else if (key === "/") {
    done();
    text.focus();
    text.select();
  } else if (current && event.target === document.body && key.startsWith("Arrow") && ["ArrowRight", "ArrowLeft"].includes(key)) {
    done();
    focusOn(current);
  } else if (current && event.target === current) {
    if (Object.hasOwn(pickKeys, key)) {
      done();
      setPick(current, pickKeys[key]);
    } else if (key.startsWith("Arrow")) {
      const next = beside(current, key);
      if (!next) return;
      done();
      focusOn(next);
    } else if (key === "p") {
      done();
      const media = $("video, audio", current);
      if (media) media.muted = false;
      playOrPause(media);
    } else if (key === "Enter") {
      done();
      showLarge(current, 0);
    }
  }
});

// Everything is there: the page may begin.
$(".bar").hidden = $(".keys").hidden = $("#picks").hidden = false;
document.body.classList.add("live");
restore();
resize();
if (group.value || sort.value) arrange();
filter();
