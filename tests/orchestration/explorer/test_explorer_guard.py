"""Who may ask the explorer, and what browsers may do with its answers."""

from __future__ import annotations

from orchestration.explorer.guard import COOKIE


def test_no_page_may_run_or_load_anything_but_its_own_files(served):
    for path in ("/", "/clips/nothing", "/static/x/style.css", "/?unknown=1"):
        policy = served.get(path).headers["content-security-policy"]
        assert policy.startswith("default-src 'none'")
        assert "unsafe" not in policy
        assert "http" not in policy
        assert served.get(path).headers["x-content-type-options"] == "nosniff"
    text = served.get("/").text
    assert 'style="' not in text
    assert "://" not in text.replace("http://www.w3.org", "")


def test_a_name_that_leads_to_this_machine_does_not_open_the_lake(served):
    assert served.get("/", Host="evil.example").status == 421
    assert served.get("/", Host=f"localhost:{served.port}").status == 200
    assert served.get("/", Host="").status == 421


def test_another_site_cannot_write(served):
    assert served.get("/pictures", "POST", b"x", Origin="https://evil.example").status == 403
    assert served.get("/pictures", "POST", b"x", Sec_Fetch_Site="cross-site").status == 403
    assert served.get("/pictures", "POST", b"x", Origin=served.url).status == 409  # it may; there is no model


def test_too_large_a_body_is_refused_before_it_is_read(served):
    assert served.get("/pictures", "POST", bytes(17 << 20)).status == 413


def test_beyond_this_machine_a_token_is_needed_once(explored, serve):
    served = serve(explored, host="0.0.0.0", token="right")
    anywhere = {"Host": "lake.example"}
    for path in ("/", "/?token=wrong", "/?token=", "/clips/nothing", "/static/x/style.css"):
        assert served.get(path, **anywhere).status == 401
    opened = served.get("/?q=boats&token=right", **anywhere)
    assert (opened.status, opened.headers["location"]) == (303, "/?q=boats")
    cookie = opened.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert served.get("/", Cookie=f"{COOKIE}=right", **anywhere).status == 200
    assert served.get("/", Cookie=f"{COOKIE}=wrong", **anywhere).status == 401


def test_an_error_that_nobody_expected_shows_no_traceback(explored, serve):
    served = serve(explored)
    served.explorer.indexes.newest = None
    answer = served.get("/")
    assert answer.status == 500
    assert "NoneType" not in answer.text
    assert "Traceback" not in answer.text
    assert "content-security-policy" in answer.headers
