// Films: those near the view load as far as their first picture, and are let go again when they are far; the others
// load nothing. The pointer plays them without sound; the large view has sound and a player.
const still = matchMedia("(prefers-reduced-motion: reduce)");
const near = new IntersectionObserver((entries) => {
  for (const { isIntersecting, target } of entries) {
    if (isIntersecting) {
      if (target.dataset.still) target.poster = target.dataset.still;
      else target.preload = "metadata";
    } else if (target.preload === "metadata" && target.paused) {
      target.preload = "none";
      target.load();
    }
  }
}, { rootMargin: "600px" });

const preview = (video, on) => {
  if (on) {
    video.muted = true;
    video.play().catch(() => {}); // it was taken away meanwhile, or cannot be played: then it says so itself
    return;
  }
  video.pause();
  video.currentTime = 0;
};
for (const video of $$("main video")) {
  near.observe(video);
  const look = video.closest(".look");
  look.addEventListener("pointerenter", (event) => {
    if (event.pointerType === "mouse" && !still.matches) preview(video, true);
  });
  look.addEventListener("pointerleave", (event) => {
    if (event.pointerType === "mouse" && !video.paused) preview(video, false);
  });
  const bar = make("span", "played"); // how far it is
  look.append(bar);
  video.addEventListener("timeupdate", () => {
    bar.style.transform = `scaleX(${video.duration ? video.currentTime / video.duration : 0})`;
  });
}

// One plays at a time.
document.addEventListener("play", (event) => {
  for (const one of $$("video, audio")) if (one !== event.target) one.pause();
}, true);

const playOrPause = (media) => {
  if (!media) return;
  if (media.paused) media.play().catch(() => {}); // as above
  else media.pause();
};
