
(() => {
  "use strict";
  const tip = document.getElementById("tip");
  const marks = [...document.querySelectorAll(".m")];
  // The figures stand in the title of a mark; a browser would show them a second time.
  for (const mark of marks) {
    const title = mark.querySelector("title");
    mark.figures = title.textContent;
    mark.setAttribute("role", "img");
    mark.setAttribute("aria-label", mark.figures.replaceAll("\n", ", "));
    title.remove();
  }
  let shown = null;
  const add = (parent, name, text) => {
    parent.appendChild(document.createElement(name)).textContent = text;
  };
  const hide = () => {
    shown?.classList.remove("on");
    shown = null;
    tip.hidden = true;
  };
  const show = (mark) => {
    hide();
    shown = mark;
    mark.classList.add("on");
    const [name, ...figures] = mark.figures.split("\n");
    tip.replaceChildren();
    add(tip, "b", name);
    const list = tip.appendChild(document.createElement("dl"));
    for (const figure of figures) {
      const at = figure.indexOf(": ");
      add(list, "dt", figure.slice(0, at));
      add(list, "dd", figure.slice(at + 2));
    }
    tip.hidden = false;
    place();
  };
  const place = () => {
    if (!shown) return;
    const box = shown.getBoundingClientRect();
    const left = Math.min(box.left, innerWidth - tip.offsetWidth - 8);
    const below = box.bottom + 8;
    const above = box.top - tip.offsetHeight - 8;
    tip.style.left = Math.max(8, left) + "px";
    tip.style.top = Math.max(8, below + tip.offsetHeight < innerHeight ? below : above) + "px";
  };
  const markOf = (event) => (event.target.closest ? event.target.closest(".m") : null);
  document.addEventListener("pointerover", (event) => {
    const mark = markOf(event);
    if (mark) show(mark);
    else if (shown && shown !== document.activeElement) hide();
  });
  document.addEventListener("click", (event) => {
    const mark = markOf(event);
    if (mark) show(mark);
    else hide();
  });
  document.addEventListener("focusin", (event) => {
    const mark = markOf(event);
    if (mark) {
      mark.scrollIntoView({ block: "nearest", inline: "nearest" });
      show(mark);
    } else hide();
  });
  document.addEventListener("scroll", place, { capture: true, passive: true });
  // Tab goes from lane to lane, arrows from mark to mark.
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") return hide();
    const mark = markOf(event);
    if (!mark) return;
    const lane = [...mark.parentNode.querySelectorAll(".m")];
    const at = lane.indexOf(mark);
    const places = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: lane.length - 1 };
    const next = lane[places[event.key]];
    if (!next) return;
    event.preventDefault();
    mark.tabIndex = -1;
    next.tabIndex = 0;
    next.focus();
  });
})();
