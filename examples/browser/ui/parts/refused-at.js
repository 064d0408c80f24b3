// Refusals of a whole request, put where they belong: beside a field, or in other words.
import { Problem } from "../api.js";

/** `codes` of what `work` is refused for belong to the field `name`. */
export async function refusedAt(name, codes, work) {
  try {
    return await work();
  } catch (error) {
    if (!codes.includes(error.code)) throw error;
    const errors = [{ pointer: `/${name}`, code: error.code, message: error.message }];
    throw new Problem(error.status, { code: "invalid_input", title: error.title, errors });
  }
}

/** What `work` is refused for as `code` is shown as `other`: the API refuses links like codes. */
export async function refusedAs(code, other, work) {
  try {
    return await work();
  } catch (error) {
    if (error.code === code) error.code = other;
    throw error;
  }
}
