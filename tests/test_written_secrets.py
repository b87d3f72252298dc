"""What is secret is written nowhere: not into rows, run configuration, logs, pages or the terminal."""

from pathlib import Path

import pytest
from command import internvid_process

COOKIE, PROXY, KEY, TOKEN = ("S3CRET" + name for name in ("COOKIE", "PROXY", "KEY", "TOKEN"))


@pytest.mark.slow
def test_cookies_passwords_of_proxies_and_keys_stand_in_no_file_and_no_message(tmp_path: Path) -> None:
    cookies, addresses, lake = tmp_path / "cookies.txt", tmp_path / "list.txt", tmp_path / "lake"
    cookies.write_text(f"# Netscape HTTP Cookie File\n127.0.0.1\tFALSE\t/\tFALSE\t0\tsession\t{COOKIE}\n")
    addresses.write_text("http://127.0.0.1:9/video.mp4\n")
    settings = (
        f'downloader={{kind: yt_dlp, proxy: "http://user:{PROXY}@127.0.0.1:9", cookies_file: "{cookies}", '
        'allowed_addresses: ["127.0.0.1/32"], timeout_seconds: 2}'
    )
    secret = {"OPENAI_API_KEY": KEY, "AWS_SECRET_ACCESS_KEY": KEY, "HF_TOKEN": TOKEN, "TMPDIR": str(tmp_path)}
    printed = []
    for command in (("ingest", addresses, "--provider", settings), ("status",)):
        done = internvid_process(*command, lake=lake, **secret)
        printed.append(done.stdout + done.stderr)
    assert "NetworkTrouble" in printed[0], "the proxy was asked"
    cookies.unlink()
    texts = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert any(".dagster" in str(path) for path in texts)
    for name in (COOKIE, PROXY, KEY, TOKEN):
        assert not [text for text in printed if name in text]
        assert [path for path, text in texts.items() if name.encode() in text] == []
