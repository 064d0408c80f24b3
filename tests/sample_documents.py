"""Public documents as asset_documents.render makes them: one with every field, and barer ones."""

from typing import Any

from app.formats.addresses import Addresses

ADDRESSES = Addresses(api="https://api.example.org", pages="https://www.example.org")

VIDEO_ID = "0190b3a1-7d3c-7000-8000-3a1f0c2d4e5f"
STORY_ID = "0190b3a1-7d3c-7000-8000-3a1f0c2d4e60"
SHA256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"

MASTER_TECHNICAL: dict[str, Any] = {
    "container": "MXF",
    "mime_type": "application/mxf",
    "size_bytes": 4_100_000_000,
    "duration_ms": 15_000,
    "bit_rate": 57_200_000,
    "video": {
        "codec": "MPEG Video",
        "profile": "4:2:2",
        "level": "High",
        "width": 1920,
        "height": 1080,
        "display_aspect_ratio": "16:9",
        "pixel_aspect_ratio": 1.0,
        "rotation_degrees": 0,
        "frame_rate": {"num": 30000, "den": 1001},
        "frame_count": 450,
        "scan_type": "interlaced",
        "scan_order": "TFF",
        "bit_depth": 8,
        "chroma_subsampling": "4:2:2",
        "colour_primaries": "BT.709",
        "colour_transfer": "BT.709",
        "colour_matrix": "BT.709",
        "colour_range": "Limited",
        "bit_rate": 50_000_000,
        "bit_rate_mode": "CBR",
    },
    "audio_tracks": [
        {
            "codec": "PCM",
            "channels": 1,
            "layout": "M",
            "sampling_rate_hz": 48_000,
            "bit_depth": 24,
            "language": "en",
            "bit_rate": 1_152_000,
        },
        {
            "codec": "PCM",
            "channels": None,
            "layout": None,
            "sampling_rate_hz": None,
            "bit_depth": None,
            "language": None,
            "bit_rate": None,
        },
    ],
    "start_timecode": "10:00:00;00",
    "drop_frame": True,
    "image": None,
}
WEB_TECHNICAL: dict[str, Any] = {
    **MASTER_TECHNICAL,
    "container": "MPEG-4",
    "mime_type": "video/mp4",
    "bit_rate": 8_000_000,
    "video": {
        **MASTER_TECHNICAL["video"],
        "codec": "AVC",
        "profile": None,
        "level": None,
        "display_aspect_ratio": "2.35:1",
        "frame_rate": {"num": 25, "den": 1},
        "scan_type": "progressive",
        "scan_order": None,
        "bit_rate_mode": "VBR",
    },
    "audio_tracks": [],
    "start_timecode": None,
    "drop_frame": None,
}


def rendition(name: str, purpose: str, filename: str, media_type: str, **more: Any) -> Any:
    return {
        "name": name,
        "purpose": purpose,
        "filename": filename,
        "media_type": media_type,
        "size_bytes": 4_100_000_000,
        "sha256": SHA256,
        "technical": {},
        "download": f"/v1/assets/{VIDEO_ID}/renditions/{name}/download",
        **more,
    }


MINIMAL: dict[str, Any] = {
    "id": STORY_ID,
    "slug": "a-title",
    "type": "video",
    "status": "published",
    "version": 1,
    "language": "en",
    "spoken_languages": [],
    "content_class": None,
    "title": "A title",
    "headline": None,
    "slugline": None,
    "summary": None,
    "body": None,
    "script": None,
    "transcript": None,
    "urgency": None,
    "location": None,
    "people": [],
    "organisations": [],
    "keywords": [],
    "subjects": [],
    "shotlist": [],
    "credits": [],
    "rights": None,
    "restrictions": [],
    "third_party": [],
    "alternative_ids": [],
    "filmed_from": None,
    "filmed_to": None,
    "translations": {},
    "collections": [],
    "captions": [],
    "duration_ms": None,
    "poster": None,
    "preview": None,
    "renditions": [],
    "related": [],
    "versions": [],
    "available_until": None,
    "published_at": "2026-11-23T09:00:00Z",
    "updated_at": "2026-11-23T09:00:00Z",
}

VIDEO: dict[str, Any] = {
    **MINIMAL,
    "id": VIDEO_ID,
    "slug": "harbour-exercise",
    "version": 3,
    "spoken_languages": ["en", "fr"],
    "content_class": "edited",
    "title": "Übung im Hafen <live> & “quoted” - مناورة 🚢",
    "headline": "Ships of six nations meet in the harbour",
    "slugline": "EXERCISE-HARBOUR",
    "summary": "Six ships <enter> the harbour ]]> & leave again.",
    "body": "First paragraph.\n\nSecond paragraph.",
    "script": "VOICE-OVER: Six ships.",
    "transcript": "It is a good day.",
    "urgency": 4,
    "location": {
        "name": "Naval base",
        "city": "Zeebrugge",
        "country": "BE",
        "latitude": 51.33,
        "longitude": 3.2,
    },
    "people": [
        {
            "name": "Jane Doe",
            "role": "Commander of the task group",
            "rank": "Rear Admiral",
            "relation": "heard",
            "uri": "https://people.example.org/jane-doe",
        },
        {"name": "Max", "role": None, "rank": None, "relation": "mentioned", "uri": None},
    ],
    "organisations": [
        {"name": "Task Group 1", "uri": "https://example.org/tg1"},
        {"name": "Harbour Police", "uri": None},
    ],
    "keywords": ["harbour", "R&D"],
    "subjects": [{"scheme": "medtop", "code": "20000082", "name": "armed forces"}],
    "shotlist": [
        {
            "number": 1,
            "timecode_in": "10:00:00;00",
            "timecode_out": "10:00:07;15",
            "start_ms": 0,
            "end_ms": 7_500,
            "kind": "shot",
            "text": "Wide shot --> of the harbour\n\nwith ships",
            "speaker": None,
            "language": None,
            "location": "Zeebrugge",
            "filmed_on": "2026-05-01",
        },
        {
            "number": 2,
            "timecode_in": "10:00:08;00",
            "timecode_out": None,
            "start_ms": 8_000,
            "end_ms": None,
            "kind": "soundbite",
            "text": "“Quelle bonne journée.”",
            "speaker": "Jane Doe",
            "language": "fr",
            "location": None,
            "filmed_on": None,
        },
    ],
    "captions": [
        {
            "language": "en",
            "kind": "captions",
            "label": "English",
            "url": f"/v1/assets/{VIDEO_ID}.captions.en.vtt",
        },
        {
            "language": "fr",
            "kind": "subtitles",
            "label": None,
            "url": f"/v1/assets/{VIDEO_ID}.captions.fr.vtt",
        },
    ],
    "credits": [{"role": "camera", "name": "John Roe"}],
    "rights": {
        "usage_terms": "Free for editorial use.",
        "credit_line": "Example Media",
        "license": "https://creativecommons.org/licenses/by/4.0/",
        "copyright_notice": "© 2026 Example Media",
        "copyright_holder": "Example Media",
        "copyright_year": 2026,
        "data_mining": "DMI-PROHIBITED",
        "digital_source_type": "digitalCapture",
    },
    "restrictions": [
        {
            "kind": "geo",
            "rule": "deny",
            "values": ["US", "CA"],
            "from": "2026-05-01",
            "to": "2027-05-01",
            "note": "Sold exclusively",
        },
        {
            "kind": "purpose",
            "rule": "allow",
            "values": ["news"],
            "from": None,
            "to": None,
            "note": None,
        },
    ],
    "third_party": [
        {
            "kind": "music",
            "description": "Anchors Aweigh",
            "owner": "Public domain",
            "start_ms": 1_000,
            "end_ms": 5_000,
        }
    ],
    "alternative_ids": [{"role": "virin", "value": "260501-N-AB123-1001"}],
    "filmed_from": "2026-05-01",
    "filmed_to": "2026-05-02",
    "translations": {
        "fr": {
            "title": "Exercice au port",
            "headline": "Des navires de six nations",
            "summary": "Six navires.",
            "body": None,
            "script": None,
            "shotlist": [{"number": 1, "text": "Plan large du port"}],
        }
    },
    "collections": [
        {"id": STORY_ID, "slug": "spring", "kind": "event", "title": "Spring exercise"},
        {"id": VIDEO_ID, "slug": "weekly", "kind": "series", "title": "The week"},
    ],
    "duration_ms": 15_000,
    "poster": {
        "url": f"/v1/assets/{VIDEO_ID}/poster.jpg?v=3",
        "width": 1280,
        "height": 720,
        "media_type": "image/jpeg",
        "size_bytes": 90_000,
        "small": {
            "url": f"/v1/assets/{VIDEO_ID}/poster.jpg?v=3&width=480",
            "width": 480,
            "height": 270,
            "size_bytes": 20_000,
        },
    },
    "preview": {
        "url": f"/v1/assets/{VIDEO_ID}/preview.mp4?v=3",
        "width": 960,
        "height": 540,
        "media_type": "video/mp4",
        "size_bytes": 3_000_000,
    },
    "renditions": [
        rendition("master", "master", "harbour.mxf", "application/mxf", technical=MASTER_TECHNICAL),
        rendition("web", "web", "hafen übung.mp4", "video/mp4", technical=WEB_TECHNICAL),
        rendition("notes", "document", "notes.pdf", "application/pdf"),
    ],
    "related": [
        {
            "rel": "illustration",
            "id": STORY_ID,
            "slug": "a-title",
            "type": "story",
            "title": "A title",
        }
    ],
    "versions": [
        {
            "version": 2,
            "kind": "published",
            "note": None,
            "occurred_at": "2026-11-23T09:00:00Z",
        },
        {
            "version": 3,
            "kind": "corrected",
            "note": "The name of the ship",
            "occurred_at": "2026-11-23T10:00:00.123456Z",
        },
    ],
    "available_until": "2030-01-01T00:00:00Z",
    "updated_at": "2026-11-23T10:00:00.123456Z",
}

STORY: dict[str, Any] = {
    **MINIMAL,
    "type": "story",
    "body": "The ships came at dawn.\n\nThey left at dusk.",
    "related": [
        {
            "rel": "illustration",
            "id": VIDEO_ID,
            "slug": "harbour-exercise",
            "type": "video",
            "title": "Harbour",
        }
    ],
}

IMAGE: dict[str, Any] = {
    **MINIMAL,
    "id": VIDEO_ID,
    "type": "image",
    "poster": VIDEO["poster"],
    "renditions": [
        rendition(
            "original",
            "image",
            "ship.tif",
            "image/tiff",
            technical={
                **dict.fromkeys(MASTER_TECHNICAL),
                "container": "TIFF",
                "mime_type": "image/tiff",
                "size_bytes": 4_100_000_000,
                "audio_tracks": [],
                "image": {"width": 6000, "height": 4000},
            },
        )
    ],
}

AUDIO: dict[str, Any] = {
    **MINIMAL,
    "id": VIDEO_ID,
    "type": "audio",
    "duration_ms": 3_723_500,
    "renditions": [
        rendition(
            "master",
            "audio",
            "speech.wav",
            "audio/vnd.wave",
            technical={
                **MASTER_TECHNICAL,
                "container": "Wave",
                "mime_type": "audio/vnd.wave",
                "duration_ms": 3_723_500,
                "video": None,
            },
        )
    ],
}

SAMPLES = {"video": VIDEO, "minimal": MINIMAL, "story": STORY, "image": IMAGE, "audio": AUDIO}
