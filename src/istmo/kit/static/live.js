// Live: a section that names topics in data-live is fetched anew when one of them changes.
"use strict";
(() => {
  const said = document.getElementById("live-said");
  const places = () => [...document.querySelectorAll("[data-live]")];
  if (!places().length || !window.EventSource || !window.htmx) return;
  const isWriting = (element) => element && /^(input|textarea|select)$/i.test(element.tagName) && element.type !== "hidden";
  const topics = new Set(places().flatMap((place) => place.dataset.live.split(" ")));
  const waiting = new Map();
  const refresh = (topic) => {
    clearTimeout(waiting.get(topic));
    waiting.set(topic, setTimeout(() => {
      for (const place of places()) {
        const busy = place.contains(document.activeElement) && isWriting(document.activeElement);
        const open = place.querySelector("details[open][data-hold], input[data-hold]:checked");
        if (!busy && !open && place.dataset.live.split(" ").includes(topic)) window.htmx.trigger(place, "live");
      }
    }, 200));
  };
  // A browser has six connections to a node, for all its tabs: one that nobody looks at holds none of them.
  let source = null;
  const listen = () => {
    if (source) return;
    source = new EventSource("/api/v1/changes");
    for (const topic of topics) source.addEventListener(topic, () => refresh(topic));
    // What changed while a line was cut was told to nobody.
    let wasCut = false;
    source.addEventListener("error", () => { wasCut = true; });
    source.addEventListener("open", () => { if (wasCut) for (const topic of topics) refresh(topic); wasCut = false; });
  };
  const leave = () => { if (source) source.close(); source = null; };
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) { leave(); return; }
    listen();
    for (const topic of topics) refresh(topic);
  });
  if (!document.hidden) listen();
  document.addEventListener("htmx:afterSwap", (event) => {
    if (!said || !event.target.dataset || !event.target.dataset.live) return;
    const own = event.target.querySelector("[data-says]");
    said.textContent = own ? own.textContent : said.dataset.text;
  });
  addEventListener("pagehide", leave);
})();
