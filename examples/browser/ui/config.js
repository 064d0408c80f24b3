// What differs from host to host stands in index.html.
const content = (name) => document.querySelector(`meta[name="${name}"]`)?.content ?? "";

export const API_URL = content("api-url") || location.origin;
/** "cookie" where API and page share a registrable domain, else "bearer". */
export const TRANSPORT = content("session-transport") === "bearer" ? "bearer" : "cookie";

/** The API names its own resources by paths; this makes them addresses. */
export const apiUrl = (path) => new URL(path, API_URL).href;
