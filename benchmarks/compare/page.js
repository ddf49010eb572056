"use strict";
(() => {
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const one = (selector) => document.querySelector(selector);
  const data = JSON.parse(one("#data").textContent);
  const chart = one("#chart"), body = one("#points tbody"), detail = one("#detail"), status = one("#status");
  const markOf = (index) => document.getElementById("p" + index);
  const SVG = "http://www.w3.org/2000/svg";

  const make = (tag, text, parent) => {
    const element = document.createElement(tag);
    element.textContent = text;
    parent.append(element);
    return element;
  };

  const draw = (tag, attributes, parent) => {
    const element = document.createElementNS(SVG, tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    parent.append(element);
    return element;
  };

  // Every sample of every process, in the order of the run.
  const plot = (processes, parent) => {
    const samples = processes.flat(), low = Math.min(...samples), high = Math.max(...samples);
    const label = `${samples.length} samples, ${low} to ${high} ms, of ${processes.length} processes`;
    const picture = draw("svg", { viewBox: "0 0 600 100", preserveAspectRatio: "none", role: "img", "aria-label": label }, parent);
    const step = 600 / samples.length;
    let index = 0;
    for (const process of processes) {
      if (index) draw("path", { d: `M${index * step} 0V100` }, picture);
      for (const value of process) {
        const y = 96 - 92 * (high > low ? (value - low) / (high - low) : 0.5);
        draw("circle", { cx: (index + 0.5) * step, cy: y.toFixed(1), r: 1.5 }, picture);
        index += 1;
      }
    }
    make("p", label, parent);
  };

  const show = (index) => {
    for (const mark of all(".point.chosen")) mark.classList.remove("chosen");
    markOf(index)?.classList.add("chosen");
    detail.textContent = "";
    make("h2", data[index].name, detail);
    const list = make("dl", "", detail);
    for (const [name, value] of data[index].facts) {
      make("dt", name, list);
      make("dd", value, list);
    }
    plot(data[index].samples, detail);
  };

  const numberOf = (element) => Number(element.id.slice(1));
  for (const mark of all(".point")) {
    mark.onmouseenter = mark.onfocus = mark.onclick = () => show(numberOf(mark));
  }
  for (const button of all("tbody th button", body.parentNode)) {
    button.onclick = () => {
      const index = numberOf(button.closest("tr"));
      show(index);
      if (markOf(index)) markOf(index).focus();
      else detail.scrollIntoView({ block: "nearest" });
    };
  }

  const visibleMarks = () =>
    all(".point").filter((mark) => !mark.hasAttribute("hidden"))
      .sort((a, b) => data[numberOf(a)].ms - data[numberOf(b)].ms);
  if (chart) {
    chart.onkeydown = (event) => {
      const marks = visibleMarks(), last = marks.length - 1;
      const at = marks.indexOf(document.activeElement);
      const to = { ArrowRight: at + 1, ArrowUp: at + 1, ArrowLeft: at - 1, ArrowDown: at - 1, Home: 0, End: last }[event.key];
      if (to === undefined || last < 0) return;
      event.preventDefault();
      marks[Math.max(0, Math.min(last, to))].focus();
    };
  }

  all("#points thead button").forEach((button, column) => {
    button.onclick = () => {
      const header = button.parentNode, up = header.getAttribute("aria-sort") !== "ascending";
      for (const other of all("#points th[aria-sort]")) other.setAttribute("aria-sort", "none");
      header.setAttribute("aria-sort", up ? "ascending" : "descending");
      const key = (row) => {
        const cell = row.children[column];
        return cell.dataset.value === undefined ? cell.textContent : Number(cell.dataset.value);
      };
      const compare = (a, b) => (typeof a === typeof b ? (a < b ? -1 : a > b ? 1 : 0) : typeof a === "number" ? -1 : 1);
      const rows = all("tr", body).sort((a, b) => compare(key(a), key(b)) * (up ? 1 : -1));
      body.append(...rows);
      status.textContent = `sorted by ${button.textContent}, ${up ? "ascending" : "descending"}`;
    };
  });

  const filter = () => {
    const words = one("#words").value.toLowerCase().split(/\s+/);
    const models = new Set(all("fieldset input:checked").map((input) => input.value));
    let count = 0;
    for (const row of all("tr", body)) {
      const index = numberOf(row), text = row.textContent.toLowerCase();
      const fits = models.has(data[index].model) && words.every((word) => text.includes(word));
      row.hidden = !fits;
      markOf(index)?.toggleAttribute("hidden", !fits);
      count += fits;
    }
    status.textContent = `${count} of ${data.length} shown`;
  };
  one("#words").oninput = filter;
  for (const input of all("fieldset input")) input.onchange = filter;
  filter();
})();
