// An event opens below its row; a value opens what it leads to. Both are links of their own without scripts.
"use strict";
(() => {
  const piece = async (path) => {
    const answer = await fetch(`${path}&part=on`);
    if (!answer.ok || answer.redirected) throw new Error(answer.status);
    return answer.text();
  };
  const reveal = (within) => { for (const one of within.querySelectorAll("[data-script]")) one.hidden = false; };
  const shut = (link, opened) => { opened.remove(); link.setAttribute("aria-expanded", "false"); link.focus(); };

  const open = async (link, make) => {
    link.setAttribute("aria-expanded", "true");
    try {
      const opened = make(await piece(link.getAttribute("href")));
      reveal(opened);
      return opened;
    } catch {
      location.assign(link.href);  // the page of its own says what is wrong
      return null;
    }
  };

  const below = (link, name, html) => {
    const row = link.closest("tr"), opened = document.createElement("tr"), cell = document.createElement("td");
    opened.className = name;
    cell.colSpan = row.cells.length;
    cell.innerHTML = html;
    opened.append(cell);
    row.after(opened);
    return opened;
  };
  const openers = new WeakMap();  // what was opened: by which link

  const toggle = async (link, name) => {
    for (let next = link.closest("tr").nextElementSibling; next && openers.has(next); next = next.nextElementSibling) {
      if (openers.get(next) === link) return shut(link, next);
    }
    if (name === "lead") for (const other of document.querySelectorAll("tr.lead")) shut(openers.get(other), other);
    const opened = await open(link, (html) => below(link, name, html));
    if (!opened) return;
    openers.set(opened, link);
    const first = name === "lead" && opened.querySelector("a, button");
    if (first) first.focus();
  };

  // Times that nobody filled in have no place in the address.
  document.addEventListener("formdata", (event) => {
    for (const name of ["since", "until"]) if (!event.formData.get(name)) event.formData.delete(name);
  });
  document.addEventListener("click", (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey || event.altKey || event.button) return;
    const link = event.target.closest("a[data-event], a[data-value]");
    if (!link) return;
    event.preventDefault();
    toggle(link, link.dataset.event === undefined ? "lead" : "opened");
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    const opened = event.target.closest("tr.lead") || event.target.closest("tr.opened");
    if (opened) { event.preventDefault(); shut(openers.get(opened), opened); }
  });
})();
