// Judges the page that is shown: what a person with a screen reader, a keyboard, weak eyes or a phone would stumble over.

// The colour of a CSS value as [red, green, blue, alpha], each from 0 to 1.
const channels = (value) => {
  const numbers = value.match(/[\d.]+/g).map(Number);
  return [numbers[0] / 255, numbers[1] / 255, numbers[2] / 255, numbers[3] ?? 1];
};

// One colour over another, which is opaque.
const over = (front, back) => [...front.slice(0, 3).map((part, place) => part * front[3] + back[place] * (1 - front[3])), 1];

// What lies behind an element.
const behind = (element) => {
  const layers = [];
  for (let at = element; at; at = at.parentElement) {
    layers.push(channels(getComputedStyle(at).backgroundColor));
    if (layers.at(-1)[3] === 1) break;
  }
  return layers.reduceRight((back, front) => over(front, back), [1, 1, 1, 1]);
};

// Relative luminance and contrast as WCAG 2 defines them.
const luminance = (colour) => {
  const [red, green, blue] = colour.map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
};
const contrast = (one, other) => {
  const [dark, light] = [luminance(one), luminance(other)].sort((a, b) => a - b);
  return (light + 0.05) / (dark + 0.05);
};

// What to call an element in a complaint.
const called = (element) => {
  const text = (element.textContent ?? "").trim().slice(0, 40);
  return `<${element.tagName.toLowerCase()} class="${element.getAttribute("class") ?? ""}"> ${text}`;
};

// Every text that is seen, with 4.5 : 1 as the least contrast.
const paleTexts = () => {
  const pale = new Map();
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const element = texts.currentNode.parentElement;
    if (!texts.currentNode.data.trim() || !element.checkVisibility({ visibilityProperty: true, opacityProperty: true })) continue;
    const style = getComputedStyle(element);
    const back = behind(element);
    const ink = over(channels(element instanceof SVGElement ? style.fill : style.color), back);
    const ratio = contrast(ink, back);
    if (ratio < 4.5) pale.set(`${element.tagName}.${element.getAttribute("class")}`, `contrast ${ratio.toFixed(2)}: ${called(element)}`);
  }
  return [...pale.values()];
};

// Whether a control has a name: its label, its own text, or one given to it.
const named = (element) =>
  [...(element.labels ?? [])].some((label) => label.textContent.trim()) || element.ariaLabel || element.textContent.trim();

// All that is wrong, in words; nothing when nothing is.
const faults = () => {
  const wrong = [];
  const all = (selector) => [...document.querySelectorAll(selector)];
  const must = (holds, complaint) => { if (!holds) wrong.push(complaint); };
  const width = document.documentElement.clientWidth;
  must(document.documentElement.lang, "the document names no language");
  must(document.title.trim(), "the document has no title");
  must(all("h1").length === 1, `there are ${all("h1").length} h1`);
  must(all("main").length === 1, "there is not one main landmark");
  must(all("nav").every((nav) => nav.ariaLabel), "a navigation has no name");
  must(document.querySelector("a.skip")?.hash === `#${document.querySelector("main")?.id}`, "the skip link does not lead to main");
  let before = 1;
  for (const heading of all("h1, h2, h3, h4")) {
    const level = Number(heading.tagName[1]);
    must(level <= before + 1, `a heading skips a level: ${called(heading)}`);
    before = level;
  }
  for (const control of all("input:not([type=hidden]), select, textarea, button, a[href], progress")) {
    must(named(control), `no name: ${control.outerHTML.slice(0, 120)}`);
  }
  for (const drawing of all("svg, img")) {
    must(drawing.ariaHidden === "true" || drawing.hasAttribute("alt") || (drawing.getAttribute("role") === "img" && drawing.ariaLabel), `no name: ${called(drawing)}`);
  }
  for (const table of all("table")) must(table.querySelector("th"), "a table has no headings");
  const ids = all("[id]").map((element) => element.id);
  must(new Set(ids).size === ids.length, "an id is there twice");
  must(document.documentElement.scrollWidth <= width, `the page is ${document.documentElement.scrollWidth} wide, the window ${width}`);
  return wrong.concat(paleTexts());
};
