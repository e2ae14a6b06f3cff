// Small pictures in a row, to be clicked or walked through with Tab; the chosen one is framed.

function render({ model, el }) {
  const root = document.createElement("div");
  root.className = "hx-strip";
  root.setAttribute("role", "group");
  el.append(root);
  let made = [];

  function draw() {
    made.forEach(URL.revokeObjectURL);
    root.setAttribute("aria-label", model.get("label"));
    const captions = model.get("captions");
    const addresses = model.get("pictures").map((content) => URL.createObjectURL(new Blob([content])));
    root.replaceChildren(
      ...addresses.map((address, i) => {
        const button = document.createElement("button"), image = document.createElement("img");
        button.type = "button";
        button.className = "hx-thumb";
        button.title = captions[i] ?? "";
        image.src = address;
        image.alt = "";
        const caption = document.createElement("span");
        caption.textContent = captions[i] ?? "";
        button.append(image, caption);
        button.addEventListener("click", () => {
          model.set("chosen", i);
          model.save_changes();
        });
        return button;
      }),
    );
    made = addresses;
    mark();
  }

  function mark() {
    [...root.children].forEach((button, i) => button.setAttribute("aria-pressed", i === model.get("chosen")));
  }

  const heard = { "change:pictures": draw, "change:captions": draw, "change:chosen": mark };
  for (const [name, action] of Object.entries(heard)) model.on(name, action);
  draw();
  return () => {
    for (const [name, action] of Object.entries(heard)) model.off(name, action);
    made.forEach(URL.revokeObjectURL);
  };
}

export default { render };
