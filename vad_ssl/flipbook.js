// A picture for every combination of some choices, drawn beforehand: sliders turn the pages.

const words = (name) => name.replaceAll("_", " ");

function control(name, values, at) { // two answers: a box to tick; more: a slider over the list
  if (values.length === 2 && values.every((v) => typeof v === "boolean"))
    return make("input", { type: "checkbox", checked: values[at], "aria-label": name });
  return slider(values.length - 1, 1, at, name);
}

async function view(el, data, start) {
  const choices = Object.fromEntries(data.choices), names = Object.keys(choices), at = { ...data.at, ...start }, nodes = {}, texts = {};
  const image = make("img", { alt: data.about });
  for (const name of names) {
    nodes[name] = control(words(name), choices[name], at[name]);
    texts[name] = make("output", { className: "soft" });
  }
  const turn = () => {
    for (const name of names) {
      const box = nodes[name].type === "checkbox", values = choices[name];
      at[name] = box ? values.indexOf(nodes[name].checked) : Number(nodes[name].value);
      texts[name].textContent = box ? "" : values[at[name]];
      nodes[name].setAttribute("aria-valuetext", values[at[name]]);
    }
    image.src = data.pages[names.reduce((page, name) => page * choices[name].length + at[name], 0)];
  };
  const fields = names.map((name) => make("label", { className: "field" }, make("span", { textContent: words(name) }), nodes[name], texts[name]));
  for (const node of Object.values(nodes)) node.addEventListener("input", turn);
  const root = make("div", { className: "vad flipbook", "data-lm-suppress-shortcuts": "true" }, make("div", { className: "controls" }, ...fields), image);
  el.replaceChildren(keepKeys(root));
  turn();
}

async function render({ model, el }) { // what anywidget calls
  await view(el, model.get("data"), model.get("start"));
}

export default { render };
