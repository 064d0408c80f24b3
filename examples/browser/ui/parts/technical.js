// What is inside a file, as an engineer reads it.
import { count, duration, languageName } from "../format.js";
import { texts } from "../texts.js";

const t = await texts("catalogue");
// The names that people use for what MediaInfo names more exactly.
const CODECS = { AVC: "H.264", HEVC: "H.265", "MPEG Video": "MPEG-2", PCM: "PCM", AAC: "AAC" };
const codecName = (codec) => CODECS[codec] ?? codec;

const rateOf = ({ frame_rate: rate }) => rate && count(Math.round((rate.num / rate.den) * 1000) / 1000);

/** In one line: 1920×1080 · 50 fps · H.264 · 0:06. */
export function inShort({ video, image, audio_tracks: tracks = [], duration_ms: length, container }) {
  const picture = video ?? image;
  const rate = video && rateOf(video);
  return [
    picture?.width && `${picture.width}×${picture.height}`,
    rate && (video.scan_type === "interlaced" ? t.interlacedAt(rate) : t.framesAt(rate)),
    video ? codecName(video.codec) : tracks[0] && codecName(tracks[0].codec),
    image && container,
    length && duration(length),
  ].filter(Boolean).join(" · ");
}

/** All that is known, as pairs of name and value. */
export function inFull(technical) {
  const { video, audio_tracks: tracks = [], container, bit_rate: rate } = technical;
  const rows = [
    [t.container, container],
    [t.bitRate, rate && t.megabits(count(Math.round(rate / 10_000) / 100))],
    ...(video ? pictureRows(video) : []),
    ...tracks.map((track, index) => [tracks.length > 1 ? t.soundTrack(index + 1) : t.sound, soundOf(track)]),
    [t.startTimecode, technical.start_timecode],
  ];
  return rows.filter(([, value]) => value);
}

const pictureRows = (video) => [
  [t.codec, [codecName(video.codec), video.profile, video.level].filter(Boolean).join(" ")],
  [t.aspect, video.display_aspect_ratio],
  [t.scan, video.scan_type && t.scans[video.scan_type]],
  [t.sampling, video.chroma_subsampling],
  [t.depth, video.bit_depth && t.bits(video.bit_depth)],
  [t.colour, [...new Set([video.colour_primaries, video.colour_transfer].filter(Boolean))].join(", ")],
];

const soundOf = ({ codec, channels, sampling_rate_hz: rate, bit_depth: depth, language }) =>
  [
    codecName(codec),
    channels && t.channels(channels),
    rate && `${count(rate / 1000)} kHz`,
    depth && t.bits(depth),
    language && language !== "zxx" && languageName(language),
  ].filter(Boolean).join(", ");
