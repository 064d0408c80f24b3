// Typical calls by the generated client: find a video, ask for its file, and meet refusals.
// Then those of a broadcaster: a key, the exports, the changes, a webhook and the key's usage.
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

const scopes = ["assets:read", "changes:read", "webhooks:manage"] as const;
const [url = "", email = "", password = ""] = process.argv.slice(2);
const headers = { Accept: "application/json" };
const api = createClient<paths, Json>({ baseUrl: url, headers });

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

async function asABroadcaster(): Promise<object> {
  const body = { name: "Archive", scopes: [...scopes] };
  const made = await api.POST("/v1/api-keys", { body });
  if (made.error) refused(made.error);
  const { id, key } = made.data;
  const machine = createClient<paths, Json>({
    baseUrl: url,
    headers: { ...headers, Authorization: `Bearer ${key}` },
  });
  const exports = await machine.GET("/v1/exports");
  if (exports.error) refused(exports.error);
  const [newest] = exports.data.items;
  if (!newest) throw new Error("there is no export");
  const since = { params: { query: { after: newest.next_after } } };
  const changes = await machine.GET("/v1/changes", since);
  if (changes.error) refused(changes.error);
  const first = await machine.GET("/v1/changes", { params: { query: { limit: 2 } } });
  if (first.error) refused(first.error);
  const webhooks = await webhooksOf(machine);
  const usage = await machine.GET("/v1/usage");
  if (usage.error) refused(usage.error);
  return {
    key_begins_with: key.slice(0, 4),
    exported: newest.assets,
    formats: newest.files.map((file) => file.format),
    changed_since: changes.data.items.length,
    first_changes: first.data.items.map((each) => [each.sequence, each.kind]),
    first_titles: first.data.items.map((each) => each.asset?.title ?? null),
    webhooks,
    usage_of_others: usage.data.items.filter((row) => row.key_id !== id).length,
  };
}

// The states of all, when one has been made, by the person; the key takes it away again.
async function webhooksOf(machine: typeof api): Promise<string[]> {
  const body = { url: "https://example.org/hooks", events: ["asset.withdrawn" as const] };
  const made = await api.POST("/v1/webhooks", { body });
  if (made.error) refused(made.error);
  const webhooks = await machine.GET("/v1/webhooks");
  if (webhooks.error) refused(webhooks.error);
  const path = { webhook_id: made.data.id };
  const gone = await machine.DELETE("/v1/webhooks/{webhook_id}", { params: { path } });
  if (gone.error) refused(gone.error);
  return webhooks.data.items.map((each) => each.state);
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
    ...(await asABroadcaster()),
  }),
);
