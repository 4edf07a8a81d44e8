// Completion of field names, operators and values that are on the page: a combobox with a list (ARIA 1.2).
"use strict";
(() => {
  const MOST = 12;
  const OWN = ["host", "source", "id", "from", "to"];
  const WORDS = ["AND", "OR", "NOT"];
  let names = null;
  const load = (path) => {
    names = names || fetch(path).then((answer) => (answer.ok ? answer.json() : { items: [] }))
      .then((found) => found.items.map((one) => one.name)).catch(() => []);
    return names;
  };

  // Those that begin with it come before those that hold it.
  const fitting = (all, part) => {
    const low = part.toLowerCase();
    const begin = all.filter((one) => one.toLowerCase().startsWith(low));
    return [...begin, ...all.filter((one) => !begin.includes(one) && low && one.toLowerCase().includes(low))];
  };
  const quoted = (text) => (/[\s()":]|^$/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);

  const valuesOf = (field) => {
    const found = new Set();
    for (const link of document.querySelectorAll("a[data-value]")) {
      const asked = new URL(link.href).searchParams;
      if ((asked.get("field") || "").toLowerCase() === field.toLowerCase()) found.add(asked.get("value"));
    }
    return [...found];
  };

  // What may stand where the caret is: {begin, options: [{text, insert}]}
  const offered = async (box) => {
    const before = box.value.slice(0, box.selectionStart);
    const fields = await load(box.dataset.complete);
    if (box.dataset.separator) {
      const begin = before.lastIndexOf(box.dataset.separator) + 1;
      const chosen = box.value.split(box.dataset.separator).map((one) => one.trim().toLowerCase());
      const part = before.slice(begin).trim();
      const left = fields.filter((one) => one === part || !chosen.includes(one.toLowerCase()));
      return { begin, options: fitting(left, part).map((one) => ({ text: one, insert: one })) };
    }
    const inValue = /(?:^|[\s(\-])([^\s:()"]+):=?("[^"]*|[^\s()"]*)$/.exec(before);
    if (inValue) {
      const part = inValue[2].replace(/^"/, "");
      const values = fitting(valuesOf(inValue[1]), part);
      return { begin: before.length - inValue[2].length, options: values.map((one) => ({ text: one, insert: `${quoted(one)} ` })) };
    }
    const part = /[^\s:()"]*$/.exec(before)[0].replace(/^-/, "");
    if (!part || ((before.match(/"/g) || []).length % 2)) return { begin: before.length, options: [] };
    const words = part === part.toUpperCase() ? WORDS.filter((one) => one.startsWith(part) && one !== part) : [];
    const all = [...OWN, ...fields.filter((one) => !OWN.includes(one))];
    return {
      begin: before.length - part.length,
      options: [...words.map((one) => ({ text: one, insert: `${one} ` })), ...fitting(all, part).map((one) => ({ text: `${one}:`, insert: `${one}:` }))],
    };
  };

  const equip = (box) => {
    const list = document.createElement("ul");
    list.id = `${box.id}-list`;
    list.className = "options";
    list.hidden = true;
    list.setAttribute("role", "listbox");
    list.setAttribute("aria-label", (box.labels[0] || box).textContent);
    box.after(list);
    box.setAttribute("role", "combobox");
    box.setAttribute("aria-autocomplete", "list");
    box.setAttribute("aria-expanded", "false");
    box.setAttribute("aria-controls", list.id);
    let found = { begin: 0, options: [] }, active = -1, turn = 0;

    const close = () => {
      list.hidden = true;
      active = -1;
      box.setAttribute("aria-expanded", "false");
      box.removeAttribute("aria-activedescendant");
    };
    const mark = (next) => {
      active = next;
      [...list.children].forEach((one, number) => one.setAttribute("aria-selected", String(number === active)));
      if (active >= 0) { box.setAttribute("aria-activedescendant", list.children[active].id); list.children[active].scrollIntoView({ block: "nearest" }); }
    };
    const take = (number) => {
      const option = found.options[number], caret = box.selectionStart;
      box.setRangeText(option.insert, found.begin, caret, "end");
      close();
      if (option.insert.endsWith(":")) show();
    };
    const show = async () => {
      const mine = ++turn;
      const next = await offered(box);
      if (mine !== turn || document.activeElement !== box) return;
      found = { begin: next.begin, options: next.options.slice(0, MOST) };
      if (!found.options.length) { close(); return; }
      list.replaceChildren(...found.options.map((one, number) => {
        const item = document.createElement("li");
        item.id = `${list.id}-${number}`;
        item.setAttribute("role", "option");
        item.setAttribute("aria-selected", "false");
        item.textContent = one.text;
        return item;
      }));
      active = -1;
      box.removeAttribute("aria-activedescendant");
      list.hidden = false;
      box.setAttribute("aria-expanded", "true");
    };

    box.addEventListener("focus", () => load(box.dataset.complete));
    box.addEventListener("input", show);
    box.addEventListener("blur", () => { turn += 1; close(); });
    box.addEventListener("keydown", (event) => {
      if (event.isComposing) return;
      const count = list.hidden ? 0 : found.options.length;
      if (event.key === "ArrowDown" || event.key === "ArrowUp") {
        event.preventDefault();
        if (!count) show();
        else mark(event.key === "ArrowDown" ? (active + 1) % count : (active <= 0 ? count : active) - 1);
      } else if (event.key === "Enter" && count && active >= 0) {
        event.preventDefault();
        take(active);
      } else if (event.key === "Escape" && count) {
        event.preventDefault();
        close();
      }
    });
    list.addEventListener("mousedown", (event) => {
      event.preventDefault();
      const item = event.target.closest("li");
      if (item) take([...list.children].indexOf(item));
    });
  };
  for (const box of document.querySelectorAll("[data-complete]")) equip(box);
})();
