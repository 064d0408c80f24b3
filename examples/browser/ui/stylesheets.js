// The styles of what few people see come with its screens; all others stand in index.html.
const begun = new Map();

/** Load styles/NAME.css once; resolves when it is in force. */
export function stylesheet(name) {
  if (!begun.has(name)) begun.set(name, load(`/ui/styles/${name}.css`));
  return begun.get(name);
}

function load(address) {
  const link = Object.assign(document.createElement("link"), { rel: "stylesheet", href: address });
  document.head.append(link);
  return new Promise((resolve, reject) => {
    link.addEventListener("load", resolve);
    link.addEventListener("error", () => reject(new TypeError(`no styles at ${address}`)));
  });
}
