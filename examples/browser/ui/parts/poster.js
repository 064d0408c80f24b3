// The picture of an asset in a list. Its place is kept by CSS, and it is fetched when it nears the
// window: the browser's own `loading=lazy` would fetch three windows ahead.
import { html, nothing, ref } from "../html.js";
import { apiUrl } from "../config.js";
import { duration } from "../format.js";
import { typeIcon } from "./type-icons.js";

const SIZES = "(min-width: 75rem) 17rem, (min-width: 60rem) 22vw, (min-width: 40rem) 30vw, 9rem";
const nearing = new IntersectionObserver(fetchThose, { rootMargin: "40px" });

/** `isFirst` is at once on the screen; only one of a page should be. */
export const poster = (asset, { isFirst = false } = {}) => html`
  <div class="poster">
    ${asset.poster
      ? picture(asset.poster, isFirst)
      : html`<span class="poster-none">${typeIcon[asset.type]}</span>`}
    ${asset.duration_ms ? html`<span class="poster-time">${duration(asset.duration_ms)}</span>` : nothing}
  </div>
`;

function picture({ url, width, height, small }, isFirst) {
  const source = apiUrl(small?.url ?? url);
  const sources = small ? `${source} ${small.width}w, ${apiUrl(url)} ${width}w` : source;
  return isFirst
    ? html`<img alt="" width=${width} height=${height} fetchpriority="high"
        sizes=${SIZES} srcset=${sources} src=${source}>`
    : html`<img alt="" width=${width} height=${height}
        sizes=${SIZES} data-srcset=${sources} data-src=${source} ${ref(watch)}>`;
}

function watch(image) {
  if (image) nearing.observe(image);
}

function fetchThose(entries) {
  for (const { target: image } of entries.filter((each) => each.isIntersecting)) {
    nearing.unobserve(image);
    image.srcset = image.dataset.srcset;
    image.src = image.dataset.src;
  }
}
