// Plays a clip: the span of a stored video, from the first frame to the last, again and again. Where the browser does not
// play the video, a converted clip is asked for. Cues and captions of frames are lit while their time plays.
"use strict";

for (const player of document.querySelectorAll(".player")) {
  const video = player.querySelector("video");
  const told = player.querySelector(".told");
  const play = document.getElementById("play"), seek = document.getElementById("seek"), at = document.getElementById("at");
  const loop = document.getElementById("loop"), sound = document.getElementById("sound");
  const INSIDE = 0.004; // seconds: into the first frame, which rounding would else miss
  const BEFORE_END = 0.02; // a refresh of the screen: the next clip's first frame is not shown
  const origin = Number(player.dataset.origin); // of the clip in the stored video; cues and frames have times of it
  const span = { start: Number(player.dataset.start), end: Number(player.dataset.end) };
  let converted = false;
  video.removeAttribute("controls");
  player.classList.add("scripted");

  const clock = (seconds) => {
    const tenths = Math.floor(Math.max(0, seconds) * 10 + 1e-6);
    const minutes = Math.floor(tenths / 600);
    return `${minutes}:${((tenths % 600) / 10).toFixed(1).padStart(4, "0")}`;
  };
  const length = () => span.end - span.start;
  const go = (seconds) => { video.currentTime = span.start + Math.min(Math.max(seconds, 0), Math.max(0, length() - 2 * BEFORE_END)) + INSIDE; };
  const isLooping = () => loop.getAttribute("aria-pressed") === "true";

  async function convert() {
    if (converted) { told.textContent = "This browser does not play the clip."; return; }
    converted = true;
    told.textContent = "The clip is being converted for this browser…";
    const ask = player.dataset.playable + (player.dataset.src ? "?convert=true" : "");
    const answer = await fetch(ask);
    const found = await answer.json().catch(() => ({ problem: "The clip cannot be played now." }));
    told.textContent = found.problem || "";
    if (found.problem) return;
    span.start = found.start;
    span.end = found.end;
    video.src = found.src;
  }

  function shown() {
    const now = Math.min(Math.max(video.currentTime - span.start, 0), length());
    seek.value = String(Math.round(1000 * now / length()));
    seek.setAttribute("aria-valuetext", `${now.toFixed(1)} of ${length().toFixed(1)} seconds`);
    at.textContent = `${clock(now)} / ${clock(length())}`;
    const stored = now + origin;
    for (const cue of document.querySelectorAll("[data-from]")) {
      const isLit = !video.paused && Number(cue.dataset.from) <= stored && stored < Number(cue.dataset.until);
      cue.classList.toggle("lit", isLit);
    }
  }

  function keepInside() {
    if (video.seeking || video.readyState < 1) return;
    if (video.currentTime >= span.end - BEFORE_END) {
      if (isLooping() && !video.paused) go(0);
      else if (!video.paused) video.pause();
    } else if (video.currentTime < span.start - 0.05) go(0);
  }

  function tick() {
    keepInside();
    shown();
    if (!video.paused) requestAnimationFrame(tick);
  }

  video.addEventListener("loadedmetadata", () => go(0));
  video.addEventListener("timeupdate", () => { keepInside(); shown(); }); // in a hidden tab nothing else comes
  video.addEventListener("ended", () => { if (isLooping()) { go(0); video.play(); } });
  video.addEventListener("error", () => { if (video.error) convert(); });
  video.addEventListener("play", () => {
    play.textContent = "❚❚";
    play.setAttribute("aria-label", "Pause");
    requestAnimationFrame(tick);
  });
  video.addEventListener("pause", () => {
    play.textContent = "▶";
    play.setAttribute("aria-label", "Play");
    shown();
  });
  const toggle = () => {
    if (!video.paused) { video.pause(); return; }
    if (video.currentTime >= span.end - 3 * BEFORE_END || video.currentTime < span.start) go(0);
    video.play().catch(() => {});
  };
  play.addEventListener("click", toggle);
  video.addEventListener("click", toggle);
  seek.addEventListener("input", () => go(length() * Number(seek.value) / 1000));
  const press = (button, isOn) => button.setAttribute("aria-pressed", String(isOn));
  loop.addEventListener("click", () => press(loop, !isLooping()));
  sound.addEventListener("click", () => { video.muted = !video.muted; press(sound, !video.muted); });
  for (const button of document.querySelectorAll("[data-seek]"))
    button.addEventListener("click", () => { go(Number(button.dataset.seek) - origin); shown(); });

  if (!player.dataset.src) convert();
  else if (video.readyState >= 1) go(0);
  else if (video.error) convert();
}
