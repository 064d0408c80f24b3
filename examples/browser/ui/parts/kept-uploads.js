// The addresses of uploads that are not done, as tus-js-client wants them kept (its `UrlStorage`).
import { kept } from "../kept.js";

const PREFIX = "tus";

function found(prefix) {
  const names = kept.names().filter((each) => each.startsWith(prefix));
  const uploads = names.map((urlStorageKey) => ({ ...kept.getJson(urlStorageKey), urlStorageKey }));
  return uploads.filter(({ metadata }) => metadata); // others may keep things under such names, too
}

export const keptUploads = {
  findUploadsByFingerprint: async (fingerprint) => found(`${PREFIX}::${fingerprint}::`),
  findUploadsBegunWith: async (start) => found(`${PREFIX}::${start}`),
  removeUpload: async (name) => kept.drop(name),
  async addUpload(fingerprint, upload) {
    const name = `${PREFIX}::${fingerprint}::${crypto.randomUUID()}`;
    kept.set(name, JSON.stringify(upload));
    return name;
  },
};
