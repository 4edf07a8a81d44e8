// The queue of alerts: without a box ticked a button is about the row that the keys speak of; ticks outlive a live refresh.
"use strict";
(() => {
  const boxes = () => [...document.querySelectorAll('#triage input[name="pick"]')];
  const about = (box) => box.closest("[data-row]").id;
  const rows = () => [...document.querySelectorAll("#triage [data-row]")];
  const ticked = () => boxes().filter((box) => box.checked && box.dataset.meant === undefined);
  const meant = () => (current && document.getElementById(current)) || rows()[0];
  let current = "";   // the row that the keys speak of
  let isGone = false; // what was ticked has left the queue by somebody else's hand: nothing else is meant in its place
  let worked = null;  // the rows that were there when something was done, and the one it was done to

  // Whatever has the focus, in a menu too: the row that a key or a button is about is marked, and so many are ticked.
  const show = () => {
    const row = isGone || ticked().length ? null : meant();
    for (const one of rows()) one.toggleAttribute("data-current", one === row);
    const said = document.querySelector("#triage [data-picked]"), n = ticked().length;
    if (said) said.textContent = !n ? "" : n === 1 ? said.dataset.one : said.dataset.many.replace("2", n);
  };

  document.addEventListener("focusin", (event) => {
    const row = event.target.closest("#triage [data-row]");
    if (row) { current = row.id; show(); }
  });

  document.addEventListener("change", (event) => { if (event.target.name === "pick") { isGone = false; show(); } });
  document.addEventListener("keydown", (event) => { if (event.key === "j" || event.key === "k") { isGone = false; show(); } });

  // Before htmx or the browser collects the form.
  document.addEventListener("submit", (event) => {
    const isBack = event.target.getAttribute("action") === "/alerts/undo";
    if (event.target.id !== "triage" && !isBack) return;
    const row = isGone ? null : meant();
    worked = { order: rows().map((one) => one.id), at: row ? row.id : "", isBack };
    if (isBack) return;
    isGone = false;
    letGo();
    const box = !ticked().length && row && row.querySelector('input[name="pick"]');
    if (box) { box.checked = true; box.dataset.meant = ""; }
  }, true);

  // A row that a failed request was about is meant by nothing that is pressed later.
  const letGo = () => {
    for (const box of boxes()) if (box.dataset.meant !== undefined) { box.checked = false; delete box.dataset.meant; }
  };
  document.addEventListener("htmx:afterRequest", (event) => {
    if (event.detail.successful || [409, 422].includes(event.detail.xhr.status)) return;
    letGo();
    worked = null;
  });

  // One menu at a time; Escape closes it and goes back to its row.
  const menus = () => [...document.querySelectorAll("details[data-menu]")];
  document.addEventListener("toggle", (event) => {
    if (event.target.matches("details[data-menu]") && event.target.open) {
      for (const menu of menus()) if (menu !== event.target) menu.open = false;
    }
  }, true);
  document.addEventListener("keydown", (event) => {
    const open = menus().filter((menu) => menu.open);
    if (event.key !== "Escape" || !open.length) return;
    for (const menu of open) menu.open = false;
    const link = document.querySelector(`#${CSS.escape(current || "triage")} a`);
    if (link) link.focus();
  });

  let ticks = [];
  document.addEventListener("htmx:beforeSwap", (event) => {
    if ([409, 422].includes(event.detail.xhr.status)) event.detail.shouldSwap = true;  // the page says what is wrong
    ticks = worked ? [] : boxes().filter((box) => box.checked && box.dataset.meant === undefined).map(about);
  });
  document.addEventListener("htmx:afterSettle", () => {
    for (const box of boxes()) if (ticks.includes(about(box))) box.checked = true;
    if (ticks.length && !boxes().some((box) => box.checked)) isGone = true;
    ticks = [];
    if (!worked) { show(); return; }
    const { order, at, isBack } = worked;
    worked = null;
    const there = rows().map((one) => one.id), place = order.indexOf(at);
    // Of what was taken back the first that is there again; else the next row that is left.
    const next = isBack ? there.find((id) => !order.includes(id)) || at
      : order.slice(place + 1).find((id) => there.includes(id)) || order.slice(0, place + 1).reverse().find((id) => there.includes(id));
    const link = document.querySelector(next && there.includes(next) ? `#${CSS.escape(next)} a` : "#triage [data-row] a");
    if (link) link.focus();
    show();
  });
  show();
})();
