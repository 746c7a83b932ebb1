"""Availability over HTTP: by day and operator, by site, to the fen."""

from decimal import Decimal

import httpx

from vpp.api.schemas.standing.commitments import STANDING_EXAMPLE

PATH = "/api/v1/standing-commitments"


async def test_a_day_is_shown_by_operator_and_by_site_and_parts_add_up(client: httpx.AsyncClient) -> None:
    entered = (await client.post(PATH, json=STANDING_EXAMPLE)).json()
    answer = await client.get(f"{PATH}/{entered['id']}/availability")
    assert answer.status_code == 200, answer.text
    (day,) = answer.json()["items"]
    assert (day["quarters"], day["mean_available_kw"], day["least_available_kw"]) == (2, 150_000.0, 0.0)
    assert Decimal(day["amounts_cny"]["gross"]) == Decimal("120.00") * 300 / 4
    assert Decimal(day["amounts_cny"]["penalty"]) == Decimal("240.00") * 300 / 4
    sites = (await client.get(f"{PATH}/{entered['id']}/availability/{day['day']}")).json()
    assert [site["site_id"] for site in sites["items"]] == ["mall", "yard"]
    for name in ("gross", "penalty", "net"):
        whole = sum(Decimal(site["amounts_cny"][name]) for site in sites["items"])
        assert whole == sum(Decimal(part["amounts_cny"][name]) for part in day["operators"])
        assert whole == Decimal(day["amounts_cny"][name])


async def test_a_day_or_commitment_that_is_not_there_is_named(client: httpx.AsyncClient) -> None:
    entered = (await client.post(PATH, json=STANDING_EXAMPLE)).json()
    assert (await client.get(f"{PATH}/{entered['id']}/availability/2020-01-01")).status_code == 404
    assert (await client.get(f"{PATH}/std-none/availability")).status_code == 404
