// Typical calls by the generated client: find a video, ask for its file, and meet refusals.
//
//     node built/program.js http://127.0.0.1:8000 EMAIL PASSWORD
//
// It prints what it has found as JSON. tsc checks it in strict mode, so it must narrow every answer
// as a careful user would.

import createClient from "openapi-fetch";

import type { components, paths } from "./api.d.ts";

// Editors see more of an asset than readers do.
type Asset = components["schemas"]["AssetAnswer"] | components["schemas"]["EditorAsset"];
type Problem = components["schemas"]["Problem"];

// Of answers that come in several formats, this client takes the JSON.
type Json = "application/json" | "application/problem+json";

const [url = "", email = "", password = ""] = process.argv.slice(2);
const api = createClient<paths, Json>({ baseUrl: url, headers: { Accept: "application/json" } });

function refused(problem: Problem): never {
  throw new Error(`${problem.status} ${problem.code}: ${problem.detail}`);
}

async function logIn(): Promise<void> {
  const { data, error } = await api.POST("/v1/auth/login", { body: { email, password } });
  if (error) refused(error);
  api.use({
    onRequest({ request }) {
      request.headers.set("Authorization", `${data.token_type} ${data.access_token}`);
    },
  });
}

async function newestVideo(): Promise<Asset> {
  const query = { type: ["video" as const], sort: "-published_at" as const, limit: 1 };
  const { data, error } = await api.GET("/v1/assets", { params: { query } });
  if (error) refused(error);
  const [listed] = data.items;
  if (!listed) throw new Error("there is no video");
  const asset = await api.GET("/v1/assets/{reference}", { params: { path: { reference: listed.slug } } });
  if (asset.error) refused(asset.error);
  return asset.data;
}

async function codeOfARefusal(): Promise<string> {
  const path = { reference: "no-such-asset" };
  const { error } = await api.GET("/v1/assets/{reference}", { params: { path } });
  return error?.code ?? "none";
}

await logIn();
const renamed = await api.PATCH("/v1/account", { body: { full_name: "Jane Doe" } });
if (renamed.error) refused(renamed.error);
const asset = await newestVideo();
const [rendition] = asset.renditions;
if (!rendition) throw new Error("it has no file");
const link = await api.POST("/v1/assets/{reference}/renditions/{name}/downloads", {
  params: { path: { reference: asset.slug, name: rendition.name } },
});
if (link.error) refused(link.error);
console.log(
  JSON.stringify({
    full_name: renamed.data.full_name,
    slug: asset.slug,
    country: asset.location?.country ?? null,
    keywords: asset.keywords,
    shots: asset.shotlist.map((shot) => shot.timecode_in),
    sha256: link.data.sha256,
    is_the_rendition: link.data.sha256 === rendition.sha256,
    refusal: await codeOfARefusal(),
  }),
);
