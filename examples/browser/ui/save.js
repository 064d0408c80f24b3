// Hand a file to the browser, which saves it where it saves all.
export function saveFrom(address, filename) {
  const link = document.createElement("a");
  Object.assign(link, { href: address, download: filename });
  link.click();
}

export function saveAs(blob, filename) {
  const address = URL.createObjectURL(blob);
  saveFrom(address, filename);
  URL.revokeObjectURL(address);
}
