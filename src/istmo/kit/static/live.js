// Live: a section that names topics in data-live is fetched anew when one of them changes.
"use strict";
(() => {
  const said = document.getElementById("live-said");
  const places = () => [...document.querySelectorAll("[data-live]")];
  if (!places().length || !window.EventSource || !window.htmx) return;
  const WATCHING = "Istmo-Watching";  // nobody asked: it keeps no session from ending
  const AGAIN = 30000;
  const isWriting = (element) => element && /^(input|textarea|select)$/i.test(element.tagName) && element.type !== "hidden";
  const isHeld = (place) => (place.contains(document.activeElement) && isWriting(document.activeElement))
    || place.querySelector("details[open][data-hold], input[data-hold]:checked");
  const topics = new Set(places().flatMap((place) => place.dataset.live.split(" ")));
  const waiting = new Map();
  const refresh = (topic) => {
    clearTimeout(waiting.get(topic));
    waiting.set(topic, setTimeout(() => {
      for (const place of places()) {
        if (!place.dataset.live.split(" ").includes(topic)) continue;
        if (isHeld(place)) place.dataset.owed = "yes";
        else window.htmx.trigger(place, "live");
      }
    }, 200));
  };
  // What came while somebody was writing or reading in a section is fetched when they have done.
  const settle = () => setTimeout(() => {
    for (const place of places()) if (place.dataset.owed && !isHeld(place)) { delete place.dataset.owed; window.htmx.trigger(place, "live"); }
  }, 200);
  for (const name of ["focusout", "toggle", "change"]) document.addEventListener(name, settle, true);

  document.addEventListener("htmx:configRequest", (event) => {
    const by = event.detail.triggeringEvent;
    if (!by || by.type === "live" || by.type === "load") event.detail.headers[WATCHING] = "1";
  });

  // A browser has six connections to a node, for all its tabs: one that nobody looks at holds none of them.
  let source = null, isDeaf = false;
  const listen = () => {
    if (source) return;
    source = new EventSource("/api/v1/changes");
    for (const topic of topics) source.addEventListener(topic, () => refresh(topic));
    // What changed while a line was cut was told to nobody.
    let wasCut = false;
    source.addEventListener("error", () => {
      wasCut = true;
      if (source && source.readyState === EventSource.CLOSED) refused();
    });
    source.addEventListener("open", () => {
      if (wasCut || isDeaf) for (const topic of topics) refresh(topic);
      if (isDeaf) document.dispatchEvent(new Event("istmo:hears"));
      wasCut = isDeaf = false;
    });
  };
  const leave = () => { if (source) source.close(); source = null; };
  // A browser gives up on a line that was refused: because nobody is signed in any more, or too many listen.
  const refused = async () => {
    leave();
    let status = 0;
    try { status = (await fetch("/notices/count", { headers: { "HX-Request": "true", [WATCHING]: "1" } })).status; } catch { /* not there: later */ }
    isDeaf = true;
    document.dispatchEvent(new CustomEvent("istmo:deaf", { detail: { isEnded: status === 401 } }));
    if (status !== 401) setTimeout(() => { if (!document.hidden) listen(); }, AGAIN);
  };
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
