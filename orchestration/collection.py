"""What looks at the web by the clock: feeds for new videos, and sources for whether they are still there.

INTERNVID_COLLECT=1 starts these schedules; else the user does, in the UI. INTERNVID_DISCOVER_CRON and
INTERNVID_CHECK_CRON: when. How many looks and checks one run makes is in the jobs' configuration.
"""

import os

import dagster as dg

EVERY_DAY_AT_FIVE = "0 5 * * *"
EVERY_SUNDAY_AT_TWO = "0 2 * * 0"
STATUS = (
    dg.DefaultScheduleStatus.RUNNING if os.environ.get("INTERNVID_COLLECT") == "1" else dg.DefaultScheduleStatus.STOPPED
)

discover = dg.define_asset_job(
    "discover",
    selection=dg.AssetSelection.assets("feed_looks"),
    description="Looks at the feeds whose turn it is; what is new there becomes sources, in new ingest batches.",
)
check_sources = dg.define_asset_job(
    "check_sources",
    selection=dg.AssetSelection.assets("source_checks"),
    description="Asks for those web sources of which there was no word for longest whether they can still be had.",
)

discover_schedule = dg.ScheduleDefinition(
    name="daily_discovery",
    job=discover,
    cron_schedule=os.environ.get("INTERNVID_DISCOVER_CRON", EVERY_DAY_AT_FIVE),
    description="Finds new videos on the web.",
    default_status=STATUS,
)
check_sources_schedule = dg.ScheduleDefinition(
    name="weekly_source_check",
    job=check_sources,
    cron_schedule=os.environ.get("INTERNVID_CHECK_CRON", EVERY_SUNDAY_AT_TWO),
    description="Finds out which videos have gone from the web.",
    default_status=STATUS,
)
