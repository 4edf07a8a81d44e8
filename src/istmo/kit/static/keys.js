// Keys: "/" searches, "g" and a letter goes somewhere, j and k move over rows, a page's own keys stand in its HTML.
"use strict";
(() => {
  const isTyping = (element) => element && (element.isContentEditable
    || (/^(input|textarea|select)$/i.test(element.tagName) && !/^(checkbox|radio|button|submit)$/.test(element.type)));
  const jumps = new Map([...document.querySelectorAll("[data-jump]")].map((link) => [link.dataset.jump, link.href]));
  // What stands in a closed details has boxes, and is not seen all the same.
  const isSeen = (element) => element.getClientRects().length > 0 && (!element.checkVisibility || element.checkVisibility());
  let afterG = 0;
  let last = "";  // the row that had the focus last: what is pressed in a menu of it is still about it

  const rows = () => [...document.querySelectorAll("[data-row]")].filter(isSeen);
  const here = () => document.activeElement.closest("[data-row]") || (last && document.getElementById(last));
  const go = (row) => { const link = row && row.querySelector("a, button"); if (link) link.focus(); };

  const press = (element) => {
    if (element.matches("summary")) element.parentElement.open = !element.parentElement.open;
    else if (element.matches("details")) { element.open = true; const first = element.querySelector("input, select, textarea, button:not(summary)"); if (first) first.focus(); }
    else if (isTyping(element)) element.focus();
    else element.click();
  };

  const own = (key) => {
    const wanted = `[data-key="${CSS.escape(key)}"]`;
    const row = here();
    const inRow = row && [...row.querySelectorAll(wanted)].find((one) => !one.disabled && (isSeen(one) || one.dataset.keyHidden !== undefined));
    return inRow || [...document.querySelectorAll(`main ${wanted}`)].find((one) => !one.closest("[data-row]") && !one.disabled && isSeen(one));
  };

  const fillHelp = (help) => {
    const list = help.querySelector("[data-own-keys]");
    const told = new Map();
    for (const one of document.querySelectorAll("main [data-key]")) {
      const name = one.dataset.keyName || one.textContent.trim() || one.getAttribute("aria-label") || "";
      if (name && !told.has(one.dataset.key)) told.set(one.dataset.key, name);
    }
    // Keys that mean the same, as the digits of a menu do, are one line: the first and the last of them.
    const keys = Map.groupBy ? Map.groupBy([...told.keys()], (key) => told.get(key)) : new Map([...told].map(([key, name]) => [name, [key]]));
    list.replaceChildren(...[...keys].flatMap(([name, some]) => {
      const term = document.createElement("dt"), meaning = document.createElement("dd");
      for (const key of some.length > 2 ? [some[0], some.at(-1)] : some) {
        const cap = document.createElement("kbd");
        if (term.childNodes.length) term.append(some.length > 2 ? " … " : " ");
        cap.textContent = key; term.append(cap);
      }
      meaning.textContent = name;
      return [term, meaning];
    }));
    help.querySelector("[data-own-keys-title]").hidden = list.hidden = !keys.size;
  };

  const showHelp = () => {
    const help = document.getElementById("keys");
    if (help) { fillHelp(help); help.showModal(); }
  };

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || event.defaultPrevented) return;
    if (event.key === "Escape" && isTyping(event.target)) { event.target.blur(); return; }
    if (isTyping(event.target) || document.querySelector("dialog[open]")) return;
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
      event.preventDefault();
      showHelp();
    } else if (event.key === "j" || event.key === "k") {
      const all = rows();
      const at = all.indexOf(here());
      const next = at < 0 ? 0 : Math.max(0, Math.min(all.length - 1, at + (event.key === "j" ? 1 : -1)));
      if (all.length) { event.preventDefault(); go(all[next]); }
    } else {
      const found = own(event.key);
      if (found) { event.preventDefault(); press(found); }
    }
  });

  document.addEventListener("focusin", (event) => {
    const row = event.target.closest("[data-row]");
    if (row) last = row.id;
  });

  // A section that came anew: the focus goes back to its row, or to the one that now has its place.
  let place = -1;
  document.addEventListener("htmx:beforeSwap", () => { place = rows().indexOf(here()); });
  document.addEventListener("htmx:afterSettle", () => {
    if (document.activeElement && document.activeElement !== document.body) return;
    const all = rows();
    const same = last && document.getElementById(last);
    if (same || (place >= 0 && all.length)) go(same || all[Math.min(place, all.length - 1)]);
  });

  document.addEventListener("click", (event) => {
    const opener = event.target.closest("[data-opens]");
    if (!opener) return;
    if (opener.dataset.opens === "keys") showHelp();
    else document.getElementById(opener.dataset.opens).showModal();
  });
})();
