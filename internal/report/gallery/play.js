// Films: those near the view load as far as their first picture, and are let go again when they are far; the others
// load nothing. The pointer plays them without sound; the large view has sound and a player.
const still = matchMedia("(prefers-reduced-motion: reduce)");
const near = new IntersectionObserver((entries) => {
  for (const { isIntersecting, target } of entries) {
    for (const video of $$("video", target)) {
      if (isIntersecting) {
        if (!video.hasAttribute("src")) video.src = video.closest(".look").href;
        if (video.dataset.still) video.poster = video.dataset.still;
        else video.preload = "metadata";
      } else if (video.readyState > 0) {
        video.removeAttribute("src"); // all that makes a browser give back what it has loaded
        video.load();
      }
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
  near.observe(video.closest("article")); // which has a place also while what is in it is not drawn
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

// One plays at a time. One that is about to play by itself is left alone: to pause it would be to stop it for good.
document.addEventListener("play", (event) => {
  for (const one of $$("video, audio")) if (one !== event.target && !one.paused) one.pause();
}, true);

const playOrPause = (media) => {
  if (!media) return;
  if (media.paused) media.play().catch(() => {}); // as above
  else media.pause();
};
