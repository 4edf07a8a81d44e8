// What the console does beyond plain pages: keys, copying, and live refreshing. Without it all still works.
"use strict";
(() => {
  const typing = (element) => element && (element.isContentEditable || /^(input|textarea|select)$/i.test(element.tagName));
  const jumps = new Map([...document.querySelectorAll("[data-jump]")].map((link) => [link.dataset.jump, link.href]));
  let afterG = 0;

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    if (event.key === "Escape" && typing(event.target)) return event.target.blur();
    if (typing(event.target) || document.querySelector("dialog[open]")) return;
    const now = Date.now();
    if (afterG && now - afterG < 1500) {
      afterG = 0;
      if (jumps.has(event.key)) { event.preventDefault(); location.assign(jumps.get(event.key)); }
      return;
    }
    if (event.key === "g") { afterG = now; return; }
    if (event.key === "/") {
      const box = document.querySelector("[data-search]");
      if (box) { event.preventDefault(); box.focus(); box.select(); }
    } else if (event.key === "?") {
      const help = document.getElementById("keys");
      if (help) { event.preventDefault(); help.showModal(); }
    } else if (event.key === "j" || event.key === "k") {
      const rows = [...document.querySelectorAll("[data-row] a")];
      const next = rows.indexOf(document.activeElement) + (event.key === "j" ? 1 : -1);
      if (rows.length) { event.preventDefault(); rows[Math.max(0, Math.min(rows.length - 1, next))].focus(); }
    }
  });

  document.addEventListener("click", async (event) => {
    const opener = event.target.closest("[data-opens]");
    if (opener) document.getElementById(opener.dataset.opens).showModal();
    const copier = event.target.closest("[data-copy]");
    if (!copier) return;
    await navigator.clipboard.writeText(copier.dataset.copy);
    const before = copier.textContent;
    copier.textContent = copier.dataset.copied;
    setTimeout(() => { copier.textContent = before; }, 1500);
  });

  for (const element of document.querySelectorAll("[data-script]")) element.hidden = false;

  const said = document.getElementById("live-said");
  const places = () => [...document.querySelectorAll("[data-live]")];
  if (!places().length || !window.EventSource || !window.htmx) return;
  let waiting = 0;
  const refresh = (topic) => {
    clearTimeout(waiting);
    waiting = setTimeout(() => {
      for (const place of places()) {
        const busy = place.contains(document.activeElement) && typing(document.activeElement);
        if (!busy && place.dataset.live.split(" ").includes(topic)) window.htmx.trigger(place, "live");
      }
    }, 200);
  };
  const source = new EventSource("/api/v1/changes");
  for (const topic of ["alert", "object", "case", "peer", "worker"]) {
    source.addEventListener(topic, () => refresh(topic));
  }
  document.addEventListener("htmx:afterSwap", (event) => {
    if (said && event.target.dataset && event.target.dataset.live) said.textContent = said.dataset.text;
  });
  addEventListener("pagehide", () => source.close());
})();
