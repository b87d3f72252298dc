"""What FFmpeg may read in a stranger's file: the forms in which video is made, and no others.

FFmpeg has some 370 demuxers and 500 decoders. Some draw text as pictures, some open other files that the first one
names, and many were written for one game of the nineties. Names are FFmpeg's own.
"""

from __future__ import annotations

from functools import cache

import av

# Whole lists, rather than what to leave out: a new version of FFmpeg brings new ones.
CONTAINERS = (
    "3g2 3gp asf asf_o avi dv flv gif apng gxf h261 h263 h264 hevc vvc av1 obu ivf live_flv m4v matroska mjpeg mov mp4"
    " mpeg mpegts mpegvideo mpjpeg mxf nut ogg rm swf vc1 vc1test webm wtv yuv4mpegpipe cavsvideo dirac dnxhd"
    " webp_anim dhav ifv mxg lxf nuv smjpeg"
)
# Read to say what the file is instead of a video. None of them opens a second file.
SOUNDS = "aac ac3 aiff amr ape au caf dts eac3 flac mp3 mpc mpc8 opus tta voc w64 wav wv"
STILL_PICTURES = "bmp_pipe exr_pipe jpeg_pipe jpegls_pipe jpegxl_pipe j2k_pipe png_pipe tiff_pipe webp_pipe qoi_pipe"
TEXTS = "ass srt webvtt"

_DECODERS = (
    "apng av1 libdav1d avs cavs cfhd cinepak dirac dnxhd dvvideo ffv1 ffvhuff flashsv flashsv2 flv fraps gif"
    " h261 h263 h263i h263p h264 hap hevc huffyuv indeo2 indeo3 indeo4 indeo5 jpeg2000 lagarith magicyuv mjpeg mjpegb"
    " mpeg1video mpeg2video mpegvideo mpeg4 msmpeg4v1 msmpeg4 msmpeg4v2 msrle mss1 mss2 mszh msvideo1 png prores"
    " prores_raw qtrle rawvideo rpza rv10 rv20 rv30 rv40 smc snow speedhq svq1 svq3 theora camtasia tscc2 utvideo v210"
    " v308 v408 v410 vc1 vc1image vp3 vp4 vp5 vp6 vp6a vp6f vp7 vp8 libvpx libvpx-vp9 vp9 vvc webp wmv1 wmv2 wmv3"
    " wmv3image yuv4 zlib zmbv r210 r10k y41p bmp tiff targa notchlc qpeg ultimotion vcr1 asv1 asv2 cljr"
    " 8bps aasc agm aic camstudio cllc dpx dxtory dxv exr fmvc frwu g2m hq_hqa imm4 imm5 kgv1 lead loco mdec media100"
    " mts2 nuv pixlet rv60 screenpresso sheervideo targa_y216 truemotion1 truemotion2 vble ylc"
)
VIDEO_DECODERS = frozenset(_DECODERS.split())

FORMAT_WHITELIST = ",".join(" ".join((CONTAINERS, SOUNDS, STILL_PICTURES, TEXTS)).split())


@cache
def open_options() -> dict[str, str]:
    """Returns the options with which FFmpeg opens an untrusted file: as a file, and in these forms only."""
    names = [name for name in av.codecs_available if name in VIDEO_DECODERS or _decodes_sound(name)]
    return {
        "protocol_whitelist": "file",
        "format_whitelist": FORMAT_WHITELIST,
        # Of the decoders that FFmpeg tries while it opens the file.
        "codec_whitelist": ",".join(sorted(names)),
    }


def _decodes_sound(name: str) -> bool:
    try:
        return av.Codec(name, "r").type == "audio"
    except av.codec.codec.UnknownCodecError:  # it only encodes
        return False
