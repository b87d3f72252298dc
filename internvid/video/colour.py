"""Brings a frame of any colour into what a JPEG shows: HDR is tone-mapped, and transparency laid over grey.

HDR is mapped to BT.709 as ITU-R BT.2408 and BT.2390 have it. Reference white, 203 cd/m2 (58 % of PQ, 75 % of HLG),
becomes the white of SDR. What is darker than half of it (0.45) keeps its light; what is brighter is rolled off by the
curve of BT.2390, section 5.4.1, between there and 1000 cd/m2. HLG is shown as on a display of 1000 cd/m2 (system gamma
1.2). Code values of SDR are those of a display with a gamma of 2.4 (BT.1886).
"""

from __future__ import annotations

from functools import cache, lru_cache

import av
import numpy as np
from av.video.reformatter import ColorTrc

WHITE_NITS = 203.0  # BT.2408's reference white: the white of SDR
PEAK_NITS = 1000.0  # most HDR is mastered for it; brighter light is shown as white
NEUTRAL = 128  # what is behind a transparent picture: neither a white nor a black subject vanishes in it

_HDR = (ColorTrc.SMPTE2084, ColorTrc.ARIB_STD_B67)
_NAMES = {
    ColorTrc.BT709: "bt709",
    ColorTrc.GAMMA22: "bt470m",
    ColorTrc.GAMMA28: "bt470bg",
    ColorTrc.SMPTE170M: "smpte170m",
    ColorTrc.SMPTE240M: "smpte240m",
    ColorTrc.LINEAR: "linear",
    ColorTrc.LOG: "log100",
    ColorTrc.LOG_SQRT: "log316",
    ColorTrc.IEC61966_2_4: "iec61966-2-4",
    ColorTrc.BT1361_ECG: "bt1361e",
    ColorTrc.IEC61966_2_1: "iec61966-2-1",
    ColorTrc.BT2020_10: "bt2020-10",
    ColorTrc.BT2020_12: "bt2020-12",
    ColorTrc.SMPTE2084: "smpte2084",
    ColorTrc.SMPTE428: "smpte428",
    ColorTrc.ARIB_STD_B67: "arib-std-b67",
}
_BT2020_TO_BT709 = np.array(
    [[1.660491, -0.587641, -0.072850], [-0.124550, 1.132900, -0.008349], [-0.018151, -0.100579, 1.118730]], np.float32
)
_KR_BT2020, _KB_BT2020 = 0.2627, 0.0593


def is_hdr(frame: av.VideoFrame) -> bool:
    """Whether the frame's code values are those of HDR: PQ or HLG, as of HDR10 and of Dolby Vision 8.1 and 8.4."""
    return frame.color_trc in _HDR


def transfer_name(frame: av.VideoFrame) -> str | None:
    """FFmpeg's name of the frame's transfer characteristics; None where the video states none."""
    return _NAMES.get(frame.color_trc)  # type: ignore[call-overload]  # an int, which equals the member


@lru_cache(maxsize=64)
def _has_alpha(format_name: str) -> bool:
    return any(component.is_alpha for component in av.VideoFormat(format_name).components)


def has_alpha(frame: av.VideoFrame) -> bool:
    """Whether the frame says of each pixel how transparent it is."""
    return _has_alpha(frame.format.name)


def over_neutral(bgra: np.ndarray) -> np.ndarray:
    """Lays a picture over grey. bgra: [height, width, 4] uint8. Returns [height, width, 3] uint8."""
    alpha = bgra[..., 3:].astype(np.uint16)
    return ((bgra[..., :3] * alpha + NEUTRAL * (255 - alpha) + 127) // 255).astype(np.uint8)


def tone_mapped(yuv: np.ndarray, *, transfer: int, is_full_range: bool) -> np.ndarray:
    """Maps a picture of HDR to SDR.

    yuv: [height, width, 3] uint16, BT.2020's Y'CbCr in 16 bits. transfer: ColorTrc of PQ or HLG.
    Returns [height, width, 3] uint8, BGR, as BT.709 has it.
    """
    codes = yuv.astype(np.float32)
    if is_full_range:
        luma, blue, red = codes[..., 0] / 65535, codes[..., 1] / 65535 - 0.5, codes[..., 2] / 65535 - 0.5
    else:
        luma = (codes[..., 0] / 256 - 16) / 219
        blue, red = (codes[..., 1] / 256 - 128) / 224, (codes[..., 2] / 256 - 128) / 224
    r = luma + 2 * (1 - _KR_BT2020) * red
    b = luma + 2 * (1 - _KB_BT2020) * blue
    g = (luma - _KR_BT2020 * r - _KB_BT2020 * b) / (1 - _KR_BT2020 - _KB_BT2020)
    steps = (np.clip(np.dstack((r, g, b)), 0, 1) * _STEPS + 0.5).astype(np.uint16)
    nits = _pq_table()[steps] if transfer == ColorTrc.SMPTE2084 else _shown_hlg(_hlg_table()[steps])
    brightest = nits.max(axis=2)
    nits *= _roll_off_table()[(np.sqrt(np.sqrt(brightest / 10_000)) * _STEPS).astype(np.uint16)][..., None]
    light = np.clip(nits @ (_BT2020_TO_BT709.T / WHITE_NITS), 0, 1)
    return np.ascontiguousarray(_gamma_table()[(np.sqrt(light) * _STEPS + 0.5).astype(np.uint16)][..., ::-1])


# --- curves -------------------------------------------------------------------------------------------------------

_M1, _M2 = 2610 / 16384, 2523 / 4096 * 128
_C1, _C2, _C3 = 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32


def nits_of_pq(signal: np.ndarray) -> np.ndarray:
    """Light of PQ's code values (SMPTE ST 2084). signal: 0 to 1. Returns cd/m2."""
    power = signal ** (1 / _M2)
    return 10_000 * (np.maximum(power - _C1, 0) / (_C2 - _C3 * power)) ** (1 / _M1)


def pq_of_nits(nits: np.ndarray) -> np.ndarray:
    """Code values of light by PQ, 0 to 1. nits: cd/m2."""
    power = (nits / 10_000) ** _M1
    return ((_C1 + _C2 * power) / (1 + _C3 * power)) ** _M2


def scene_of_hlg(signal: np.ndarray) -> np.ndarray:
    """Light of the scene, 0 to 1, of HLG's code values (ITU-R BT.2100). signal: 0 to 1."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    return np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - c) / a) + b) / 12)


def _shown_hlg(scene: np.ndarray) -> np.ndarray:
    """Light of a display of PEAK_NITS that shows a scene. scene: [height, width, 3] RGB."""
    luminance = scene @ np.array([_KR_BT2020, 1 - _KR_BT2020 - _KB_BT2020, _KB_BT2020], np.float32)
    return PEAK_NITS * scene * (np.maximum(luminance, 1e-6) ** 0.2)[..., None]


def rolled_off(nits: np.ndarray) -> np.ndarray:
    """The curve of BT.2390 from a display of PEAK_NITS to one of WHITE_NITS. nits: cd/m2, as what it returns."""
    peak = pq_of_nits(np.array(PEAK_NITS))
    code = np.minimum(pq_of_nits(nits) / peak, 1)
    limit = pq_of_nits(np.array(WHITE_NITS)) / peak
    knee = 1.5 * limit - 0.5
    t = np.maximum(code - knee, 0) / (1 - knee)
    spline = (2 * t**3 - 3 * t**2 + 1) * knee + (t**3 - 2 * t**2 + t) * (1 - knee) + (-2 * t**3 + 3 * t**2) * limit
    return nits_of_pq(np.where(code < knee, code, spline) * peak)


# Powers take 70 ms for a picture of 640x360, tables of them 10.
_STEPS = 4095


@cache
def _pq_table() -> np.ndarray:
    return nits_of_pq(np.arange(_STEPS + 1) / _STEPS).astype(np.float32)


@cache
def _hlg_table() -> np.ndarray:
    return scene_of_hlg(np.arange(_STEPS + 1) / _STEPS).astype(np.float32)


@cache
def _roll_off_table() -> np.ndarray:
    """What light is multiplied by, by the fourth root of its cd/m2 over 10,000."""
    nits = 10_000 * (np.maximum(np.arange(_STEPS + 1), 1) / _STEPS) ** 4
    return (rolled_off(nits) / nits).astype(np.float32)


@cache
def _gamma_table() -> np.ndarray:
    """Code values of BT.1886, by the square root of light."""
    return ((np.arange(_STEPS + 1) / _STEPS) ** (2 / 2.4) * 255 + 0.5).astype(np.uint8)
