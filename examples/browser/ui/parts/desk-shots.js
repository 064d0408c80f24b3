// Shots: their numbers, and times of a player as timecodes.

const DEFAULT_RATE = 25;

/** The values with shots numbered in their order, and their translations with them. */
export function renumber(values) {
  const { shotlist, translations } = values;
  const numbers = shotlist.map(({ number }) => number);
  const isInOrder = numbers.every((number, index) => number && (index === 0 || number > numbers[index - 1]));
  const renamed = new Map(numbers.map((number, index) => [number, isInOrder ? number : index + 1]));
  return {
    ...values,
    shotlist: shotlist.map((shot, index) => ({ ...shot, number: isInOrder ? shot.number : index + 1 })),
    translations: Object.fromEntries(
      Object.entries(translations).map(([language, translated]) => [language, follow(translated, renamed)]),
    ),
  };
}

function follow(translated, renamed) {
  if (!translated?.shotlist) return translated;
  const kept = translated.shotlist.filter(({ number }) => renamed.has(number));
  return { ...translated, shotlist: kept.map((line) => ({ ...line, number: renamed.get(line.number) })) };
}

/** HH:MM:SS:FF from the start of the file, to the nearest frame. */
export function timecode(ms, { num, den } = { num: DEFAULT_RATE, den: 1 }) {
  const perSecond = Math.round(num / den);
  const frames = Math.round((ms * num) / (1000 * den));
  const seconds = Math.floor(frames / perSecond);
  const parts = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60, frames % perSecond];
  return parts.map((part) => String(part).padStart(2, "0")).join(":");
}

/** The frame rate of the asset's own file, once it is known. */
export function frameRate({ renditions }) {
  return renditions.find(({ technical }) => technical?.video?.frame_rate)?.technical.video.frame_rate;
}
