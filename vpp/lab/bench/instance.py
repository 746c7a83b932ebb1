"""Reference instances: one day of a fleet as named arrays in an npz file, and solutions to them.

The format is that of the reference generator: ``step_h``, ``peak_price_cny_per_kw``, ``unserved_price_cny_per_kwh``,
``wear_price_cny_per_kwh`` and ``efficiency`` are scalars; ``price_cny_per_kwh`` and ``reg_price_cny_per_kw_h`` have
shape ``(T,)``; ``transformer_limit_kw`` ``(K,)`` bounds the net load both ways; ``base_kw`` and ``pv_available_kw``
have shape ``(K, T)``; ``ev_*`` are charge-only cars, ``bat_*`` cars that also discharge, and storage. Windows are
half-open steps.
"""

import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt

from optimizer.problem.problem import Charging, Flexible, Network, Problem, Regulation, Solar, Storing
from optimizer.problem.solution import Solution

Arrays = dict[str, npt.NDArray[np.generic]]

STEPS, STEP_H = 96, 0.25
_FIRST_HOUR = 12.0
_POINTS_PER_TRANSFORMER = 400
_CHUNK_ROWS = 20_000
_EFFICIENCY = 0.95


def read(path: Path) -> Arrays:
    """Return the arrays of an instance.

    Raises:
        ValueError: The file is no archive of arrays, or is damaged.
    """
    try:
        with path.open("rb") as stream:
            archive = np.load(stream, allow_pickle=False)
            names = archive.files if isinstance(archive, np.lib.npyio.NpzFile) else []
            if not names:
                raise ValueError("expected an npz archive of arrays")
            return {name: archive[name] for name in names}
    except (EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(str(error)) from error


def problem_of(instance: Arrays) -> Problem:
    """Return the instance as a problem; device order: cars, batteries, one solar row per transformer.

    Raises:
        ProblemError: The instance makes no sense.
    """
    steps, nodes = len(_floats(instance["price_cny_per_kwh"])), len(instance["transformer_limit_kw"])
    limit = np.repeat(_floats(instance["transformer_limit_kw"])[:, None], steps, axis=1)
    none = np.zeros(0)
    return Problem(
        step_h=float(_floats(instance["step_h"])),
        price_cny_per_kwh=_floats(instance["price_cny_per_kwh"]),
        peak_price_cny_per_kw=float(_floats(instance["peak_price_cny_per_kw"])),
        unserved_price_cny_per_kwh=float(_floats(instance["unserved_price_cny_per_kwh"])),
        fixed_kw=np.zeros(steps),
        network=Network(
            parent=np.full(nodes, -1, dtype=np.int64),
            limit_kw=limit,
            export_limit_kw=limit,
            base_kw=_floats(instance["base_kw"]),
        ),
        charging=Charging(
            transformer=_ints(instance["ev_transformer"]),
            arrive=_ints(instance["ev_arrive"]),
            depart=_ints(instance["ev_depart"]),
            p_max_kw=_floats(instance["ev_p_max_kw"]),
            need_kwh=_floats(instance["ev_energy_kwh"]),
        ),
        storing=_storing(instance),
        solar=Solar(
            transformer=np.arange(nodes, dtype=np.int64),
            available_kw=_floats(instance["pv_available_kw"]),
            curtailable=np.ones(nodes, dtype=np.int64),
            price_cny_per_kwh=0.0,
        ),
        flexible=Flexible(
            transformer=np.zeros(0, dtype=np.int64),
            baseline_kw=np.zeros((0, steps)),
            max_cut_kw=np.zeros((0, steps)),
            max_cut_kwh=none,
            price_cny_per_kwh=none,
        ),
        regulation=Regulation(price_cny_per_kw_h=_floats(instance["reg_price_cny_per_kw_h"])),
    )


def _storing(instance: Arrays) -> Storing:
    energy = [_floats(instance[f"bat_soc_{name}_kwh"]) for name in ("min", "max", "start", "need")]
    # The format has no capacity: the greatest energy it names is one, and shares of it mean the same.
    capacity = np.maximum(np.max(energy, axis=0, initial=0.0), 1e-9)
    low, high, start, need = (part / capacity for part in energy)
    count = len(capacity)
    return Storing(
        transformer=_ints(instance["bat_transformer"]),
        arrive=_ints(instance["bat_arrive"]),
        depart=_ints(instance["bat_depart"]),
        p_min_kw=-_floats(instance["bat_p_discharge_max_kw"]),
        p_max_kw=_floats(instance["bat_p_charge_max_kw"]),
        capacity_kwh=capacity,
        soc_start=start,
        soc_min=low,
        soc_max=high,
        soc_end=need,
        efficiency=np.full(count, float(_floats(instance["efficiency"]))),
        wear_price_cny_per_kwh=np.full(count, float(_floats(instance["wear_price_cny_per_kwh"]))),
    )


def write_solution(path: Path, problem: Problem, solution: Solution) -> None:
    """Write a solution of ``problem_of`` an instance, piece by piece, so that no second schedule is ever in memory."""
    charging, storing, solar, _ = problem.parts
    power = solution.power_kw
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
        _put(archive, "ev_kw", power[charging], 1.0)
        _put(archive, "bat_charge_kw", power[storing], 1.0)
        _put(archive, "bat_discharge_kw", power[storing], -1.0)
        _put(archive, "pv_used_kw", power[solar], -1.0)
        _put(archive, "reg_kw", solution.regulation_kw, 1.0)
        _put(archive, "objective_cny", np.array(solution.objective_cny), 1.0)
        _put(archive, "lower_bound_cny", np.array(solution.lower_bound_cny), 1.0)


def _put(archive: zipfile.ZipFile, name: str, values: npt.NDArray[np.floating], sign: float) -> None:
    """Write the positive part of ``sign * values``; scalars as they are."""
    with archive.open(f"{name}.npy", "w", force_zip64=True) as stream:
        _header(stream, values)
        if values.ndim == 0:
            stream.write(values.tobytes())
            return
        for rows in _chunks(values):
            stream.write(np.maximum(rows * values.dtype.type(sign), 0.0).tobytes())


def _header(stream: IO[bytes], values: npt.NDArray[np.floating]) -> None:
    described = {
        "descr": np.lib.format.dtype_to_descr(values.dtype),
        "fortran_order": False,
        "shape": values.shape,
    }
    np.lib.format.write_array_header_2_0(stream, described)


def _chunks(values: npt.NDArray[np.floating]) -> Iterator[npt.NDArray[np.floating]]:
    for first in range(0, len(values), _CHUNK_ROWS):
        yield np.ascontiguousarray(values[first : first + _CHUNK_ROWS])


def generated(devices: int, seed: int = 0) -> Arrays:
    """Return a synthetic instance with ``devices`` charging points; the same seed gives the same arrays.

    Two kinds of stay: at home over night and by day in public or at work. A tenth of the points can discharge, and
    there is stationary storage for every fortieth. Each transformer has 400 points, household load, a roof and a limit
    that all cars charging at once would pass.
    """
    random = np.random.default_rng(seed)
    nodes = max(1, devices // _POINTS_PER_TRANSFORMER)
    hour = _floats((_FIRST_HOUR + STEP_H * np.arange(STEPS)) % 24.0)
    node = np.sort(random.integers(0, nodes, devices)).astype(np.int32)
    arrive, depart = _stays(random, devices)
    two_way = random.random(devices) < 0.1  # noqa: PLR2004 - a tenth
    power = random.choice([3.5, 7.0, 11.0, 22.0], devices, p=[0.15, 0.6, 0.17, 0.08])
    power = np.where(two_way, np.maximum(power, 7.0), power)
    window_h = (depart - arrive) * STEP_H
    energy = np.minimum(random.lognormal(np.log(11.0), 0.55, devices), 0.85 * power * window_h)
    batteries = _batteries(random, two_way, node, arrive, depart, power, energy, nodes)
    return {
        **_market(hour),
        **_grid(random, hour, node, power, nodes),
        "ev_transformer": node[~two_way],
        "ev_arrive": arrive[~two_way],
        "ev_depart": depart[~two_way],
        "ev_p_max_kw": power[~two_way],
        "ev_energy_kwh": energy[~two_way],
        **{f"bat_{name}": values for name, values in batteries.items()},
    }


def _stays(random: np.random.Generator, count: int) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    at_home = random.random(count) < 0.65  # noqa: PLR2004 - two in three stay over night
    come = np.where(at_home, random.normal(26.0, 7.0, count), random.uniform(0.0, 84.0, count))
    arrive = np.rint(come).clip(0, STEPS - 8).astype(np.int32)
    stay = np.where(at_home, random.normal(52.0, 8.0, count), random.uniform(4.0, 32.0, count))
    return arrive, np.rint(arrive + stay).clip(arrive + 4, STEPS).astype(np.int32)


def _market(hour: npt.NDArray[np.float64]) -> Arrays:
    price = np.select([(hour >= 17) & (hour < 22), (hour >= 10) & (hour < 12), hour < 7], [0.8, 0.6, 0.2], 0.35)  # noqa: PLR2004 - a tariff's hours
    return {
        "step_h": np.array(STEP_H),
        "efficiency": np.array(_EFFICIENCY),
        "peak_price_cny_per_kw": np.array(0.9),
        "unserved_price_cny_per_kwh": np.array(4.0),
        "wear_price_cny_per_kwh": np.array(0.1),
        "price_cny_per_kwh": price + 0.05 * np.sin(hour),
        "reg_price_cny_per_kw_h": np.full(STEPS, 0.02),
    }


def _grid(
    random: np.random.Generator,
    hour: npt.NDArray[np.float64],
    node: npt.NDArray[np.int32],
    power: npt.NDArray[np.float64],
    nodes: int,
) -> Arrays:
    evening = 0.35 * np.exp(-(((hour - 19.5) / 2.6) ** 2))
    noon = 0.15 * np.exp(-(((hour - 12.5) / 3.0) ** 2))
    size = 2.0 * np.bincount(node, minlength=nodes) * random.uniform(0.8, 1.2, nodes)
    base = size[:, None] * (0.45 + evening + noon) * random.uniform(0.97, 1.03, (nodes, STEPS))
    headroom = 0.3 * np.bincount(node, weights=power, minlength=nodes) * random.uniform(0.55, 1.25, nodes)
    top = base.max(1)
    sun = np.maximum(np.cos((hour - 13.0) * np.pi / 10.0), 0.0)
    return {
        "transformer_limit_kw": np.maximum(0.8 * top + headroom, 1.02 * top),
        "base_kw": base,
        "pv_available_kw": 1.2 * (size * random.uniform(0.6, 1.3, nodes))[:, None] * sun,
    }


def _batteries(  # noqa: PLR0917 - the arrays of the cars they are taken from
    random: np.random.Generator,
    two_way: npt.NDArray[np.bool_],
    node: npt.NDArray[np.int32],
    arrive: npt.NDArray[np.int32],
    depart: npt.NDArray[np.int32],
    power: npt.NDArray[np.float64],
    energy: npt.NDArray[np.float64],
    nodes: int,
) -> Arrays:
    cars, sites = int(two_way.sum()), len(two_way) // 40
    car = random.choice([50.0, 60.0, 75.0, 100.0], cars)
    site = random.choice([50.0, 100.0, 215.0, 430.0], sites)
    start = random.uniform(0.25, 0.7, cars) * car
    reach = 0.85 * _EFFICIENCY * STEP_H * (power * (depart - arrive))[two_way]
    need = np.minimum(np.minimum(start + _EFFICIENCY * energy[two_way], 0.95 * car), start + reach)
    most = np.concatenate([power[two_way], site / 2.0])
    arrays = {
        "transformer": np.concatenate([node[two_way], random.integers(0, nodes, sites).astype(np.int32)]),
        "arrive": np.concatenate([arrive[two_way], np.zeros(sites, np.int32)]),
        "depart": np.concatenate([depart[two_way], np.full(sites, STEPS, np.int32)]),
        "p_charge_max_kw": most,
        "p_discharge_max_kw": most,
        "soc_min_kwh": np.concatenate([0.2 * car, 0.1 * site]),
        "soc_max_kwh": 0.95 * np.concatenate([car, site]),
        "soc_start_kwh": np.concatenate([start, 0.5 * site]),
        "soc_need_kwh": np.concatenate([need, 0.5 * site]),
    }
    order = np.argsort(arrays["transformer"], kind="stable")
    return {name: values[order] for name, values in arrays.items()}


def _floats(values: npt.ArrayLike) -> npt.NDArray[np.float64]:
    return np.asarray(values, dtype=np.float64)


def _ints(values: npt.ArrayLike) -> npt.NDArray[np.int64]:
    return np.asarray(values, dtype=np.int64)
