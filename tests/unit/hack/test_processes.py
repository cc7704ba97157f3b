"""Processes of the local cluster: found again by later commands, and never mistaken for another's."""

from pathlib import Path

from hack.cluster import processes


def test_a_process_is_started_once_and_stopped(tmp_path: Path) -> None:
    first = processes.start("sleeper", ["sleep", "60"], pids=tmp_path, logs=tmp_path)
    assert processes.start("sleeper", ["sleep", "60"], pids=tmp_path, logs=tmp_path) == first
    assert processes.stop("sleeper", tmp_path)
    assert not first.alive()
    assert not processes.stop("sleeper", tmp_path)


def test_a_changed_configuration_starts_it_again(tmp_path: Path) -> None:
    settings = tmp_path / "settings.json"
    settings.write_text("1")
    command = ["sh", "-c", "sleep 60", f"--config={settings}"]
    first = processes.start("configured", command, pids=tmp_path / "pids", logs=tmp_path)
    settings.write_text("2")
    second = processes.start("configured", command, pids=tmp_path / "pids", logs=tmp_path)
    assert second != first
    assert not first.alive()
    processes.stop("configured", tmp_path / "pids")


def test_a_number_that_another_process_took_over_is_not_ours(tmp_path: Path) -> None:
    other = processes.start("other", ["sleep", "60"], pids=tmp_path, logs=tmp_path)
    (tmp_path / "stale").write_text(f"{other.pid} {other.started - 1} recipe\n")
    assert processes.find("stale", tmp_path) is None
    assert not processes.stop("stale", tmp_path)
    assert other.alive()
    processes.stop("other", tmp_path)
